"""Length buckets hold each sequence once, stay within the budget, and cost least."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.scoring.length_buckets import batch_cost, batches_by_length

LENGTHS = st.lists(st.integers(3, 60), max_size=120).map(lambda lengths: np.array(lengths, dtype=np.int64))
BUDGET = st.integers(1, 700)
COST = st.integers(0, 400)


def cost_of(groups, cost):
    return sum(len(group) * max(group) + cost for group in groups)


def least_cost(lengths, cost):
    """Returns the least cost of all ways to cut the distinct lengths, in ascending order, into runs."""
    distinct = sorted(set(lengths))
    ways = []
    for number in range(len(distinct)):
        for cuts in combinations(range(1, len(distinct)), number):
            runs = [distinct[start:end] for start, end in pairwise([0, *cuts, len(distinct)])]
            ways.append(cost_of([[length for length in lengths if length in run] for run in runs], cost))
    return min(ways)


@given(lengths=LENGTHS, token_budget=st.none() | BUDGET, cost=COST)
@settings(max_examples=200, deadline=None)
def test_each_position_is_in_one_batch_and_shorter_sequences_come_first(lengths, token_budget, cost):
    batches = batches_by_length(lengths, cost, token_budget)
    positions = [position for batch in batches for position in batch.tolist()]
    assert positions == sorted(range(len(lengths)), key=lambda position: (lengths[position], position))
    assert all(len(batch) and batch.dtype == np.int64 for batch in batches)


@given(lengths=LENGTHS, token_budget=BUDGET, cost=COST)
@settings(max_examples=200, deadline=None)
def test_batches_stay_within_the_budget_unless_a_single_sequence_exceeds_it(lengths, token_budget, cost):
    for batch in batches_by_length(lengths, cost, token_budget):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= token_budget


@given(lengths=st.lists(st.sampled_from([3, 4, 5, 7, 11, 12, 30, 80]), min_size=1, max_size=60), cost=COST)
@settings(max_examples=150, deadline=None)
def test_without_a_budget_no_other_batches_cost_less(lengths, cost):
    batches = batches_by_length(np.array(lengths), cost)
    assert cost_of([[lengths[position] for position in batch] for batch in batches], cost) == least_cost(lengths, cost)


@given(lengths=LENGTHS, token_budget=st.none() | BUDGET)
@settings(max_examples=50, deadline=None)
def test_the_same_lengths_give_the_same_batches_in_whatever_order(lengths, token_budget):
    batches = batches_by_length(lengths, 64, token_budget)
    again = batches_by_length(lengths.copy(), 64, token_budget)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]
    backwards = lengths[::-1]
    others = batches_by_length(backwards, 64, token_budget)
    assert [lengths[batch].tolist() for batch in batches] == [backwards[batch].tolist() for batch in others]


@pytest.mark.parametrize(
    ("token_budget", "sizes"), [(None, [25]), (250, [25]), (249, [13, 12]), (100, [9, 8, 8]), (10, [1] * 25)]
)
def test_equal_lengths_are_as_few_batches_as_the_budget_allows_of_nearly_equal_size(token_budget, sizes):
    assert [len(batch) for batch in batches_by_length(np.full(25, 10), 64, token_budget)] == sizes


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [20, 20]), ("cuda", [40]), ("mps", [40])])
def test_padding_is_accepted_where_one_more_batch_costs_more(device, sizes):
    assert [len(batch) for batch in batches_by_length(np.repeat([10, 20], 20), batch_cost(device))] == sizes


@pytest.mark.parametrize("token_budget", [None, 4096])
def test_realistic_lengths_need_little_padding(token_budget):
    """The lengths are like those of the short texts of WordNet: mostly 20 to 60 tokens, a few many more."""
    lengths = np.random.default_rng(0).lognormal(3.6, 0.4, size=4096).astype(np.int64) + 5
    batches = batches_by_length(lengths, batch_cost("cpu"), token_budget)
    computed = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert len(lengths) * lengths.max() > 3 * lengths.sum()  # as one batch
    assert computed < 1.02 * lengths.sum()
    assert len(batches) < len(lengths) / 20


@pytest.mark.parametrize("token_budget", [None, 100])
def test_no_sequences_give_no_batches(token_budget):
    assert batches_by_length(np.empty(0, dtype=np.int64), 64, token_budget) == []
