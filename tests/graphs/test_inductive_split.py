"""The inductive split, against a split by sets of names: test and training share no entity, and no triplet is lost."""

import numpy as np
import pytest
from helpers.tiny import make_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.graphs.inductive_split import inductive_split


def names(graph, split):
    entities, relations = graph.entities.ids, graph.relations.ids
    return [(entities[h], relations[r], entities[t]) for h, r, t in graph[split].triplets.tolist()]


@given(seed=st.integers(0, 50), share=st.sampled_from([0.3, 0.5, 0.6]))
@settings(max_examples=30, deadline=None)
def test_test_and_training_share_no_entity_and_split_the_triplets(seed, share):
    graph = make_graph()
    try:
        seen, unseen = inductive_split(graph, share, seed)
    except GraphError:  # nothing is left of ten entities
        return
    out = set(graph.entities.ids) - set(seen.entities.ids)
    assert len(out) == round(share * 10)
    every = {name: names(graph, name) for name in graph.splits}
    for name, rows in every.items():
        kept = [row for row in rows if not {row[0], row[2]} & out]
        assert (names(seen, name) if name in seen else []) == kept
    rest = {row for rows in every.values() for row in rows if len({row[0], row[2]} & out) < len({row[0], row[2]})}
    rest -= {row for row in every["test"] if not {row[0], row[2]} & out}  # the transductive test
    found = [names(unseen, name) if name in unseen else [] for name in ("train", "validation")]
    assert found[0] == names(seen, "train")
    assert set(found[0] + found[1]) == rest
    expected = {row for rows in every.values() for row in rows if {row[0], row[2]} <= out}
    assert set(names(unseen, "test")) == expected
    assert len(unseen["test"]) == len(expected)
    assert unseen.entities.ids == graph.entities.ids
    texts = dict(zip(graph.entities.ids, graph.entities.texts, strict=True))
    assert seen.entities.texts == [texts[name] for name in seen.entities.ids]


def test_the_seed_decides_which_entities_are_taken_out():
    splits = [inductive_split(make_graph(), 0.5, seed)[0].entities.ids for seed in (1, 1, 4)]
    assert splits[0] == splits[1] != splits[2]


def test_false_triplets_are_left_out(labeled_graph):
    seen, unseen = inductive_split(labeled_graph, 0.5, 1)
    false = {tuple(row) for split in labeled_graph.splits.values() for row in _false(split)}
    found = {tuple(row) for row in unseen["test"].triplets.tolist()}
    assert false
    assert not found & false
    assert all(split.labels is None for graph in (seen, unseen) for split in graph.splits.values())


def _false(split):
    return [] if split.labels is None else split.triplets[split.labels == 0].tolist()


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_outside_0_to_1_is_an_error(share):
    with pytest.raises(GraphError, match="expected more than 0 and less than 1"):
        inductive_split(make_graph(), share)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_a_split_empty_is_an_error(share):
    with pytest.raises(GraphError, match="choose another share or seed"):
        inductive_split(make_graph(), share)


def test_a_graph_without_train_split_is_an_error():
    with pytest.raises(GraphError, match="0 triplets to train on"):
        inductive_split(KnowledgeGraph.from_triplets(test=[("a", "r", "b"), ("c", "r", "d")]), 0.5)


def test_entities_taken_out_are_candidates_of_the_test():
    seen, unseen = inductive_split(make_graph(), 0.5, 1)
    out = set(unseen.entities.ids) - set(seen.entities.ids)
    candidates = {unseen.entities.ids[entity] for entity in unseen.candidates[0].tolist()}
    assert candidates & out
    assert candidates & set(seen.entities.ids)
    assert np.isin(unseen["test"].triplets[:, [0, 2]], unseen.candidates[0]).all()
