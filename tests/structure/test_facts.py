"""What a graph says to be false."""

from lass_hf.structure.facts import labeled_false


def test_what_some_splits_label_false_is_that_of_a_loop(labeled_graph, graph):
    for names in (("validation",), ("test", "train"), ("train",), ("train", "validation", "test")):
        expected = {
            tuple(triplet.tolist())
            for name in names
            if labeled_graph[name].labels is not None
            for triplet, label in zip(labeled_graph[name].triplets, labeled_graph[name].labels, strict=True)
            if label == 0
        }
        assert {tuple(one) for one in labeled_false(labeled_graph, *names).triplets().tolist()} == expected
        assert bool(expected) == (names != ("train",))
    assert not len(labeled_false(graph, *graph.splits))
    assert not len(labeled_false(graph, "nowhere"))
