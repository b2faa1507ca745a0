"""Corrupted triplets are valid, distinct, uniform, reproducible, and of the chosen kind."""

import collections
import itertools
import logging

import numpy as np
import pytest
from helpers.tiny import integer_graph, make_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from lass_hf.core.errors import LassError
from lass_hf.training import negative_sampling
from lass_hf.training.negative_sampling import NegativeSampler

SLOTS = (0, 1, 2)


@st.composite
def graphs(draw):
    entities, relations = draw(st.integers(2, 9)), draw(st.integers(1, 5))
    triplet = st.tuples(*(st.integers(0, size - 1) for size in (entities, relations, entities)))
    return integer_graph(draw(st.lists(triplet, min_size=1, max_size=40)), entities, relations)


@pytest.fixture(params=["small vocabulary", "rejection"])
def path(request, monkeypatch):
    """Draws in one of both ways, for vocabularies of any size."""
    monkeypatch.setattr(negative_sampling, "SMALL_VOCABULARY", 10**9 if request.param == "small vocabulary" else 0)
    return request.param


small_vocabularies = st.sampled_from([0, 10**9])


def valid_values(graph, triplet, slot):
    """Returns the values of a slot that give neither the triplet nor a training triplet, by trying all."""
    train = {tuple(row) for row in graph["train"].positives.tolist()} | {tuple(triplet)}
    size = graph.num_relations if slot == 1 else graph.num_entities
    return {value for value in range(size) if (*triplet[:slot], value, *triplet[slot + 1 :]) not in train}


def by_slot(triplet, corrupted):
    """Returns the drawn values of each slot; each corrupted triplet must differ from the triplet in one slot."""
    values = {slot: [] for slot in SLOTS}
    for row in corrupted.tolist():
        (slot,) = (slot for slot in SLOTS if row[slot] != triplet[slot])
        values[slot].append(row[slot])
    return values


# Valid values


@given(graph=graphs(), num_negatives=st.integers(1, 7), epoch=st.integers(0, 5), small=small_vocabularies)
@settings(max_examples=50, deadline=None)
def test_each_slot_gets_distinct_valid_values_as_many_as_chosen_or_all_valid_ones(graph, num_negatives, epoch, small):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(negative_sampling, "SMALL_VOCABULARY", small)
        triplets = graph["train"].triplets
        drawn = NegativeSampler(graph, num_negatives).corrupt(triplets, epoch)
    for row, triplet in enumerate(triplets.tolist()):
        for slot, values in by_slot(triplet, drawn.triplets[drawn.rows == row]).items():
            valid = valid_values(graph, triplet, slot)
            assert set(values) <= valid
            assert len(values) == len(set(values)) == min(num_negatives, len(valid))


@given(graph=graphs(), small=small_vocabularies)
@settings(max_examples=50, deadline=None)
def test_with_replacement_values_are_valid_too(graph, small):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(negative_sampling, "SMALL_VOCABULARY", small)
        triplets = graph["train"].triplets
        drawn = NegativeSampler(graph, 3, replacement=True).corrupt(triplets)
    for triplet, row in zip(drawn.triplets.tolist(), drawn.rows, strict=True):
        positive = triplets[row].tolist()
        assert sum(first != second for first, second in zip(triplet, positive, strict=True)) == 1
        (slot,) = (slot for slot in SLOTS if triplet[slot] != positive[slot])
        assert triplet[slot] in valid_values(graph, positive, slot)


def test_a_triplet_of_another_split_is_corrupted_too_and_never_into_itself():
    graph = integer_graph([(0, 0, 1)], 6, 2, test=[(2, 1, 3)])
    drawn = NegativeSampler(graph, 5).corrupt(graph["test"].triplets)
    values = by_slot([2, 1, 3], drawn.triplets)
    assert {slot: set(drawn_values) for slot, drawn_values in values.items()} == {
        0: {0, 1, 3, 4, 5},
        1: {0},
        2: {0, 1, 2, 4, 5},
    }


def test_a_true_triplet_of_another_split_may_be_drawn():
    graph = integer_graph([(0, 0, 1)], 3, 1, test=[(0, 0, 2)])
    drawn = NegativeSampler(graph, 5).corrupt(graph["train"].triplets)
    assert [0, 0, 2] in drawn.triplets.tolist()


def test_a_training_triplet_labeled_0_may_be_drawn():
    graph = integer_graph([(0, 0, 1, 1), (0, 0, 2, 0)], 3, 1)
    drawn = NegativeSampler(graph, 5).corrupt(graph["train"].positives)
    assert [0, 0, 2] in drawn.triplets.tolist()


def test_listed_entities_in_no_triplet_may_be_drawn():
    graph = integer_graph([(0, 0, 1)], 4, 1)
    drawn = NegativeSampler(graph, 5).corrupt(graph["train"].triplets)
    assert {2, 3} <= set(drawn.triplets[:, 2].tolist())


def test_rows_ascend_and_name_the_positive(graph):
    triplets = graph["train"].triplets
    drawn = NegativeSampler(graph, 2).corrupt(triplets)
    assert (np.diff(drawn.rows) >= 0).all()
    assert ((drawn.triplets != triplets[drawn.rows]).sum(axis=1) == 1).all()


def test_negatives_of_a_positive_come_slot_by_slot(graph):
    triplets = graph["train"].triplets
    drawn = NegativeSampler(graph, 2).corrupt(triplets)
    slots = (drawn.triplets != triplets[drawn.rows]).argmax(axis=1)
    assert all((np.diff(slots[drawn.rows == row]) >= 0).all() for row in range(len(triplets)))


def test_no_positives_give_no_negatives(graph):
    drawn = NegativeSampler(graph).corrupt(np.empty((0, 3), dtype=np.int64))
    assert drawn.triplets.shape == (0, 3)
    assert len(drawn.rows) == 0


# Reproducible


@pytest.fixture(scope="module")
def large_graph():
    """600 entities, 12 relations, 3,000 random triplets: entities are drawn by rejection, relations all at once."""
    generator = np.random.default_rng(0)
    triplets = np.stack([generator.integers(size, size=3000) for size in (600, 12, 600)], axis=1)
    return integer_graph(np.unique(triplets, axis=0), 600, 12)


def as_rows(drawn):
    return [(row, *triplet) for row, triplet in zip(drawn.rows.tolist(), drawn.triplets.tolist(), strict=True)]


def test_the_same_seed_epoch_and_triplets_give_the_same_negatives(large_graph):
    triplets = large_graph["train"].triplets[:50]
    first, second = (NegativeSampler(large_graph, seed=7).corrupt(triplets, epoch=3) for _ in range(2))
    assert as_rows(first) == as_rows(second)


def test_drawing_leaves_no_trace(large_graph):
    sampler, triplets = NegativeSampler(large_graph), large_graph["train"].triplets
    first = as_rows(sampler.corrupt(triplets[:50], 1))
    sampler.corrupt(triplets[50:90], 2)
    assert as_rows(sampler.corrupt(triplets[:50], 1)) == first


@pytest.mark.parametrize("corruption", ["each_slot", "head_or_tail"])
@pytest.mark.parametrize("replacement", [False, True])
def test_negatives_depend_neither_on_the_batch_nor_on_its_order(large_graph, corruption, replacement):
    sampler = NegativeSampler(large_graph, 3, corruption, replacement)
    triplets = large_graph["train"].triplets[:60]
    order = np.random.default_rng(1).permutation(60)
    together, shuffled = sampler.corrupt(triplets), sampler.corrupt(triplets[order])
    for row in range(60):
        alone = sampler.corrupt(triplets[row : row + 1]).triplets.tolist()
        assert together.triplets[together.rows == row].tolist() == alone
        assert shuffled.triplets[shuffled.rows == np.flatnonzero(order == row)[0]].tolist() == alone


def test_negatives_in_a_dense_graph_do_not_depend_on_the_batch(path):
    graph = integer_graph([(h, 0, t) for h, t in itertools.product(range(20), repeat=2) if (h + t) % 7], 20, 2)
    sampler, triplets = NegativeSampler(graph, 3), graph["train"].triplets
    together = sampler.corrupt(triplets)
    for row in range(0, len(triplets), 29):
        alone = sampler.corrupt(triplets[row : row + 1]).triplets.tolist()
        assert together.triplets[together.rows == row].tolist() == alone


def test_epochs_differ(large_graph):
    sampler, triplets = NegativeSampler(large_graph), large_graph["train"].triplets[:50]
    drawn = [sampler.corrupt(triplets, epoch).triplets for epoch in range(4)]
    for first, second in itertools.combinations(drawn, 2):
        assert (first[:, [0, 2]] != second[:, [0, 2]]).any(axis=1).mean() > 0.5


def test_seeds_differ(large_graph):
    triplets = large_graph["train"].triplets[:50]
    drawn = [NegativeSampler(large_graph, seed=seed).corrupt(triplets).triplets for seed in range(4)]
    for first, second in itertools.combinations(drawn, 2):
        assert (first[:, [0, 2]] != second[:, [0, 2]]).any(axis=1).mean() > 0.5


def test_seed_and_epoch_are_not_interchangeable(large_graph):
    triplets = large_graph["train"].triplets[:50]
    first = NegativeSampler(large_graph, seed=1).corrupt(triplets, epoch=2).triplets
    second = NegativeSampler(large_graph, seed=2).corrupt(triplets, epoch=1).triplets
    assert (first != second).any(axis=1).mean() > 0.5


# Uniform


CERTAINTY = 1 - 1e-5


def chi_square(counts, expected):
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("slot", SLOTS)
def test_every_valid_value_is_drawn_equally_often(path, slot):
    known = [(0, 0, tail) for tail in range(1, 6)] + [(head, 0, 1) for head in range(3, 7)] + [(0, 2, 1), (0, 5, 1)]
    graph = integer_graph(known, 25, 25)
    sampler, n = NegativeSampler(graph, 4), 4
    valid = sorted(valid_values(graph, (0, 0, 1), slot))
    counts = collections.Counter()
    for epoch in range(600):
        counts.update(by_slot((0, 0, 1), sampler.corrupt(np.array([[0, 0, 1]]), epoch).triplets)[slot])
    statistic = chi_square([counts[value] for value in valid], 600 * n / len(valid))
    # Draws without replacement vary less: by (N - n) / (N - 1), n drawn of N.
    assert statistic * (len(valid) - 1) / (len(valid) - n) < chi2.ppf(CERTAINTY, len(valid) - 1)


def test_every_set_of_values_is_drawn_equally_often(path):
    graph = integer_graph([(0, 0, 1), (0, 0, 4)], 8, 1)
    sampler = NegativeSampler(graph, 2)
    counts = collections.Counter()
    for epoch in range(600):
        tails = by_slot((0, 0, 1), sampler.corrupt(np.array([[0, 0, 1]]), epoch).triplets)[2]
        counts[frozenset(tails)] += 1
    pairs = [frozenset(pair) for pair in itertools.combinations([0, 2, 3, 5, 6, 7], 2)]
    assert set(counts) <= set(pairs)
    assert chi_square([counts[pair] for pair in pairs], 40) < chi2.ppf(CERTAINTY, len(pairs) - 1)


def test_the_values_left_in_a_dense_slot_are_drawn_equally_often(path):
    graph = integer_graph([(0, 0, tail) for tail in range(1, 295)], 300, 1)
    sampler = NegativeSampler(graph, 2)
    counts = collections.Counter()
    for epoch in range(600):
        counts.update(by_slot((0, 0, 1), sampler.corrupt(np.array([[0, 0, 1]]), epoch).triplets)[2])
    assert set(counts) == {0, 295, 296, 297, 298, 299}
    assert chi_square([counts[value] for value in counts], 200) * 5 / 4 < chi2.ppf(CERTAINTY, 5)


def test_with_replacement_values_repeat_as_often_as_chance_has_it():
    graph = integer_graph([(0, 0, 1)], 11, 1)
    sampler = NegativeSampler(graph, 2, replacement=True)
    repeated = 0
    for epoch in range(1500):
        first, second = by_slot((0, 0, 1), sampler.corrupt(np.array([[0, 0, 1]]), epoch).triplets)[2]
        repeated += first == second
    expected, deviation = 1500 / 10, (1500 * 0.1 * 0.9) ** 0.5
    assert abs(repeated - expected) < 4.5 * deviation


def test_values_of_different_slots_are_drawn_apart(large_graph):
    sampler, triplets = NegativeSampler(large_graph, 1), large_graph["train"].triplets
    drawn = sampler.corrupt(triplets)
    changed = drawn.triplets != triplets[drawn.rows]
    heads, tails = (drawn.triplets[changed[:, slot], slot] for slot in (0, 2))
    assert len(heads) == len(tails) == len(triplets)
    assert (heads == tails).mean() < 0.02


# Few valid values


def test_a_slot_with_few_valid_values_uses_all_of_them(path):
    graph = integer_graph([(0, 0, tail) for tail in range(1, 28)], 30, 3)
    drawn = NegativeSampler(graph, 5).corrupt(np.array([[0, 0, 1]]))
    values = by_slot((0, 0, 1), drawn.triplets)
    assert sorted(values[2]) == [0, 28, 29]
    assert sorted(values[1]) == [1, 2]
    assert len(values[0]) == 5


def test_a_slot_without_valid_values_gives_none(path):
    graph = integer_graph([(h, 0, t) for h, t in itertools.product(range(4), repeat=2)], 4, 1)
    drawn = NegativeSampler(graph, 5).corrupt(graph["train"].triplets)
    assert drawn.triplets.shape == (0, 3)


def test_few_valid_values_are_logged_once(caplog):
    graph = integer_graph([(0, 0, 1), (1, 0, 2)], 3, 1)
    sampler = NegativeSampler(graph, 5)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        for epoch in range(3):
            sampler.corrupt(graph["train"].triplets, epoch)
    (record,) = caplog.records
    assert "fewer than 5" in record.getMessage()


def test_enough_valid_values_are_not_logged(caplog, large_graph):
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        NegativeSampler(large_graph, 5).corrupt(large_graph["train"].triplets[:100])
    assert caplog.records == []


# The classification form


def test_head_or_tail_changes_one_of_head_and_tail(large_graph):
    triplets = large_graph["train"].triplets
    drawn = NegativeSampler(large_graph, 1, "head_or_tail").corrupt(triplets)
    assert drawn.rows.tolist() == list(range(len(triplets)))
    changed = drawn.triplets != triplets
    assert (changed.sum(axis=1) == 1).all()
    assert not changed[:, 1].any()


def test_head_or_tail_takes_both_about_equally_often(large_graph):
    triplets = large_graph["train"].triplets
    drawn = NegativeSampler(large_graph, 1, "head_or_tail").corrupt(triplets)
    heads = int((drawn.triplets[:, 0] != triplets[:, 0]).sum())
    assert abs(heads - len(triplets) / 2) < 4.5 * (len(triplets) / 4) ** 0.5


def test_head_or_tail_tosses_anew_in_each_epoch(large_graph):
    sampler, triplets = NegativeSampler(large_graph, 1, "head_or_tail"), large_graph["train"].triplets
    first, second = (sampler.corrupt(triplets, epoch).triplets[:, 0] != triplets[:, 0] for epoch in (0, 1))
    assert 0.4 < (first == second).mean() < 0.6


def test_head_or_tail_corrupts_one_slot_with_all_negatives(large_graph):
    triplets = large_graph["train"].triplets[:200]
    drawn = NegativeSampler(large_graph, 4, "head_or_tail").corrupt(triplets)
    for row, triplet in enumerate(triplets.tolist()):
        values = by_slot(triplet, drawn.triplets[drawn.rows == row])
        assert sorted(len(drawn_values) for drawn_values in values.values()) == [0, 0, 4]


@pytest.mark.parametrize(("corruption", "slots"), [("each_slot", 3), ("head_or_tail", 1)])
def test_num_slots_is_how_often_a_positive_counts(graph, corruption, slots):
    assert NegativeSampler(graph, corruption=corruption).num_slots == slots


@pytest.mark.parametrize("number", [0, -1, 2.5, "3"])
def test_a_number_of_negatives_that_is_none_is_an_error(graph, number):
    with pytest.raises(LassError, match=f"num_negatives={number!r}; expected a whole number of 1 or more"):
        NegativeSampler(graph, number)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_a_seed_is_a_whole_number(graph, seed):
    with pytest.raises(LassError, match=f"seed={seed!r}; expected a whole number of 0 or more"):
        NegativeSampler(graph, seed=seed)


def test_an_unknown_corruption_lists_the_known_ones(graph):
    with pytest.raises(LassError, match="'heads'; expected one of each_slot, head_or_tail"):
        NegativeSampler(graph, corruption="heads")


# Pseudo-typed


@given(graph=graphs(), num_negatives=st.integers(1, 7), small=small_vocabularies, replacement=st.booleans())
@settings(max_examples=50, deadline=None)
def test_pseudo_typed_values_stand_in_that_slot_of_that_relation(graph, num_negatives, small, replacement):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(negative_sampling, "SMALL_VOCABULARY", small)
        triplets = graph["train"].triplets
        sampler = NegativeSampler(graph, num_negatives, replacement=replacement, pseudo_typed=True)
        drawn = sampler.corrupt(triplets, epoch=1)
    for row, triplet in enumerate(triplets.tolist()):
        for slot, values in by_slot(triplet, drawn.triplets[drawn.rows == row]).items():
            valid = valid_values(graph, triplet, slot)
            if slot != 1:
                valid &= {other[slot] for other in triplets.tolist() if other[1] == triplet[1]}
            assert set(values) <= valid
            if not replacement:
                assert len(values) == len(set(values)) == min(num_negatives, len(valid))


def test_pseudo_typed_values_are_drawn_equally_often(path):
    graph = integer_graph([(0, 0, 5), (1, 0, 6), (2, 0, 7), (3, 0, 8), (4, 1, 9)], entities=10, relations=2)
    counts = collections.Counter()
    for epoch in range(600):
        sampler = NegativeSampler(graph, 1, "each_slot", pseudo_typed=True)
        rows = sampler.corrupt(graph["train"].triplets[:1], epoch).triplets.tolist()
        counts.update(row[0] for row in rows if row[0] != 0)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 150


def test_pseudo_typed_with_a_relation_that_training_lacks_draws_none_for_it():
    graph = integer_graph([(0, 0, 1), (2, 0, 3)], entities=4, relations=2, test=[(0, 1, 2)])
    drawn = NegativeSampler(graph, 2, pseudo_typed=True).corrupt(graph["test"].triplets)
    assert drawn.triplets.tolist() == [[0, 0, 2]]


def test_tail_corrupts_tails_only():
    graph = make_graph()
    triplets = graph["train"].triplets
    sampler = NegativeSampler(graph, 3, "tail")
    drawn = sampler.corrupt(triplets)
    assert sampler.num_slots == 1
    assert (drawn.triplets[:, :2] == triplets[drawn.rows, :2]).all()
    assert (np.bincount(drawn.rows) == 3).all()
    for row, triplet in enumerate(triplets.tolist()):
        assert set(drawn.triplets[drawn.rows == row, 2].tolist()) <= valid_values(graph, triplet, 2)
