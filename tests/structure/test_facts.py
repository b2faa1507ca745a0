"""What a graph says to be false."""

from lass_hf.structure.facts import false_fingerprint, labeled_false


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


def test_the_fingerprint_of_what_is_false_follows_the_triplets_of_the_splits(labeled_graph, graph):
    parts = [false_fingerprint(labeled_graph, *names) for names in (("validation",), ("test",), ("validation", "test"))]
    assert len({*parts}) == 3
    assert None not in parts
    assert false_fingerprint(labeled_graph, "train") is false_fingerprint(graph, *graph.splits) is None
