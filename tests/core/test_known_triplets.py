"""The index of known triplets: membership and values of a slot against Python sets, and the splits that it covers."""

import numpy as np
import pytest
from helpers.tiny import TEST, TRAIN, VALIDATION
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.core.errors import GraphError
from lass_hf.core.known_triplets import KnownTriplets


@st.composite
def triplets_and_queries(draw):
    entities, relations = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    triplet = st.tuples(*(st.integers(0, size - 1) for size in (entities, relations, entities)))
    return entities, relations, draw(st.lists(triplet, max_size=40)), draw(st.lists(triplet, min_size=1, max_size=20))


def as_array(rows):
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


@given(case=triplets_and_queries())
@settings(max_examples=50, deadline=None)
def test_contains_agrees_with_a_set(case):
    entities, relations, triplets, queries = case
    known = KnownTriplets(as_array(triplets), entities, relations)
    assert known.contains(as_array(queries)).tolist() == [query in set(triplets) for query in queries]
    assert len(known) == len(set(triplets))
    assert list(map(tuple, known.triplets().tolist())) == sorted(set(triplets))


@pytest.mark.parametrize("slot", [0, 1, 2])
@given(case=triplets_and_queries())
@settings(max_examples=50, deadline=None)
def test_values_of_a_slot_agree_with_a_set(slot, case):
    entities, relations, triplets, queries = case
    expected = []
    for row, query in enumerate(queries):
        matching = {t[slot] for t in triplets if all(t[other] == query[other] for other in range(3) if other != slot)}
        expected += [(row, value) for value in sorted(matching)]
    rows, values = KnownTriplets(as_array(triplets), entities, relations).values(slot, as_array(queries))
    assert list(zip(rows.tolist(), values.tolist(), strict=True)) == expected


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_an_empty_index_contains_nothing(slot):
    known = KnownTriplets(np.empty((0, 3)), 5, 2)
    rows, values = known.values(slot, np.array([[0, 0, 0], [4, 1, 4]]))
    assert (len(known), len(rows), len(values)) == (0, 0, 0)
    assert known.contains(np.array([[0, 0, 0], [4, 1, 4]])).tolist() == [False, False]


def test_a_query_of_no_triplets_has_no_results():
    known = KnownTriplets(np.array([[0, 0, 1]]), 5, 2)
    assert known.contains(np.empty((0, 3), np.int64)).shape == (0,)


def test_large_vocabularies_do_not_collide():
    size = 3_000_000
    triplets = np.array([[size - 1, 999, size - 1], [size - 2, 999, 0], [0, 0, 0]])
    known = KnownTriplets(triplets, size, 1000)
    assert known.contains(triplets).all()
    assert not known.contains(np.array([[size - 1, 999, size - 2], [size - 1, 998, size - 1], [1, 0, 0]])).any()


def test_vocabularies_too_large_for_the_keys_are_an_error():
    with pytest.raises(GraphError, match="64-bit"):
        KnownTriplets(np.empty((0, 3)), 2**31, 4)


def test_the_index_of_all_splits_holds_the_true_triplets_of_all_splits(labeled_graph):
    for name in labeled_graph.splits:
        assert labeled_graph.known.contains(labeled_graph[name].positives).all()
    assert len(labeled_graph.known) == len(TRAIN + VALIDATION + TEST)


def test_triplets_labeled_0_are_not_known(labeled_graph):
    test = labeled_graph["test"]
    assert not labeled_graph.known.contains(test.triplets[test.labels == 0]).any()


def test_known_in_train_holds_no_other_split(graph):
    assert graph.known_in_train.contains(graph["train"].triplets).all()
    assert not graph.known_in_train.contains(graph["test"].triplets).any()
