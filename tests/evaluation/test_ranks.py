"""Ranks and candidates against brute force, ties, and a limited number of triplets; scores are a table."""

import re
from collections import Counter

import numpy as np
import pytest
from helpers.ranking import Table, same
from helpers.tiny import integer_graph, one_line
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.core.errors import GraphError, LassError, NonFiniteError
from lass_hf.evaluation.link_prediction import rank_slot, rank_split
from lass_hf.scoring.candidate_scores import scorer_from_triplets

ALL_SLOTS = (0, 2, 1)


@st.composite
def graphs(draw):
    """Small, dense, with duplicates, listed entities in no triplet, and often a test split with false triplets."""
    entities, relations = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    triplet = st.tuples(*(st.integers(0, size - 1) for size in (entities, relations, entities)))
    rows = st.lists(triplet, min_size=1, max_size=15)
    test = draw(rows)
    if draw(st.booleans()):
        labels = [1, *(draw(st.sampled_from([1, 0])) for _ in test[1:])]
        test = [(*row, label) for row, label in zip(test, labels, strict=True)]
    return integer_graph(draw(rows), entities + draw(st.integers(0, 2)), relations, validation=draw(rows), test=test)


def brute_force(graph, score, triplets, slot):
    """Optimistic rank, pessimistic rank and number of candidates of each triplet, one candidate after the other."""
    known, candidates = set(), set()
    for split in graph.splits.values():
        known |= {tuple(row) for row in split.positives.tolist()}
        for head, relation, tail in split.triplets.tolist():
            candidates |= {relation} if slot == 1 else {head, tail}
    ranks = []
    for triplet in [tuple(row) for row in triplets.tolist()]:
        higher, equal, count = 0, 0, 1
        for value in candidates:
            other = (*triplet[:slot], value, *triplet[slot + 1 :])
            if other not in known:
                count += 1
                higher += score.scores[other] > score.scores[triplet]
                equal += score.scores[other] == score.scores[triplet]
        ranks.append((1 + higher, 1 + higher + equal, count))
    return [list(column) for column in zip(*ranks, strict=True)]


# Ranks


@pytest.mark.parametrize("slot", ALL_SLOTS)
@given(
    graph=graphs(), seed=st.integers(0, 1000), values=st.integers(1, 6), chunk_size=st.sampled_from([1, 4, 20, 10**6])
)
@settings(max_examples=100, deadline=None)
def test_ranks_and_candidates_agree_with_brute_force(slot, graph, seed, values, chunk_size):
    score = Table.random(graph, seed, values)
    triplets = graph["test"].positives
    ranked = rank_slot(scorer_from_triplets(score), graph, triplets, slot, chunk_size=chunk_size)
    assert [array.tolist() for array in ranked] == brute_force(graph, score, triplets, slot)


@given(graph=graphs(), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_result_holds_the_head_side_and_then_the_tail_side(graph, seed):
    score = Table.random(graph, seed)
    result = rank_split(scorer_from_triplets(score), graph["test"], quiet=True)
    heads, tails = (brute_force(graph, score, graph["test"].positives, slot) for slot in (0, 2))
    assert result.triplets.tolist() == graph["test"].positives.tolist()
    assert result.slots == (0, 2)
    assert result.optimistic_ranks.tolist() == heads[0] + tails[0]
    assert result.pessimistic_ranks.tolist() == heads[1] + tails[1]
    assert result.num_candidates.tolist() == heads[2] + tails[2]
    realistic = [(low + high) / 2 for low, high in zip(heads[0] + tails[0], heads[1] + tails[1], strict=True)]
    assert result.ranks.tolist() == realistic
    assert result.ranks.dtype == np.float64


def test_a_known_answer_of_any_split_is_no_competitor():
    graph = integer_graph([(0, 0, 1)], 5, 1, validation=[(0, 0, 2)], test=[(0, 0, 3), (4, 0, 4)])
    score = Table(np.zeros((5, 1, 5)))
    score.scores[0, 0] = [5, 10, 10, 1, 2]  # tails 1 and 2 are known answers; 0 and 4 are wrong ones
    optimistic, pessimistic, candidates = rank_slot(scorer_from_triplets(score), graph, np.array([[0, 0, 3]]), 2)
    assert (optimistic.tolist(), pessimistic.tolist(), candidates.tolist()) == ([3], [3], [3])


def test_a_triplet_labeled_0_stays_a_competitor():
    graph = integer_graph([(0, 0, 1)], 4, 1, test=[(0, 0, 2, 1), (0, 0, 3, 0)])
    score = Table(np.zeros((4, 1, 4)))
    score.scores[0, 0] = [0, 0, 1, 2]
    result = rank_split(scorer_from_triplets(score), graph["test"], (2,), quiet=True)
    assert result.ranks.tolist() == [2.0]


def test_a_listed_entity_in_no_triplet_is_no_candidate():
    graph = integer_graph([(0, 0, 1)], 9, 1, test=[(1, 0, 2)])
    score = Table.random(graph)
    result = rank_split(scorer_from_triplets(score), graph["test"], quiet=True)
    assert result.num_candidates.tolist() == [3, 3]
    assert {value for row in score.asked for value in (row[1], row[3])} == {0, 1, 2}


@pytest.mark.parametrize("slots", [(0, 2), (1,)])
def test_equal_scores_give_the_middle_rank_and_are_all_tied(graph, slots):
    score = Table(np.full((10, 3, 10), 1.5))
    result = rank_split(scorer_from_triplets(score), graph["test"], slots, quiet=True)
    assert result.ranks.tolist() == ((result.num_candidates + 1) / 2).tolist()
    assert result.metrics["tied_queries"] == result.metrics["num_queries"] == len(result.ranks)
    assert result.metrics["amri"] == pytest.approx(0)


def test_a_perfect_score_gives_rank_1_and_no_ties(graph):
    score = Table(np.zeros((10, 3, 10)))
    score.scores[tuple(graph["test"].triplets.T)] = 1
    metrics = rank_split(scorer_from_triplets(score), graph["test"], quiet=True).metrics
    assert (metrics["mr"], metrics["mrr"], metrics["hits@1"], metrics["amri"]) == (1, 1, 1, 1)
    assert metrics["tied_queries"] == 0


def test_scores_that_differ_by_one_float32_step_are_not_tied():
    graph = integer_graph([(0, 0, 1)], 3, 1, test=[(0, 0, 2)])
    score = Table(np.full((3, 1, 3), 7, dtype=np.float32))
    score.scores[0, 0, 2] = np.nextafter(np.float32(7), np.float32(0))
    optimistic, pessimistic, _ = rank_slot(scorer_from_triplets(score), graph, np.array([[0, 0, 2]]), 2)
    assert optimistic.tolist() == pessimistic.tolist() == [2]


def test_each_question_is_scored_once_and_each_triplet_ranked():
    test = [(0, 0, 1), (0, 0, 2), (0, 0, 1), (3, 0, 1)]
    graph = integer_graph([(4, 0, 5)], 6, 1, test=test)
    score = Table.random(graph)
    result = rank_split(scorer_from_triplets(score), graph["test"], (2,), quiet=True)
    assert len(score.asked) == len(set(score.asked))
    # Two questions, 6 candidates each; all answers known for them are asked for.
    assert sorted(score.asked) == [(2, head, 0, tail) for head in (0, 3) for tail in range(6)]
    assert result.ranks.shape == (4,)
    assert result.ranks[0] == result.ranks[2]


def test_known_answers_that_are_no_targets_are_not_scored():
    graph = integer_graph([(0, 0, 1), (0, 0, 3)], 5, 1, test=[(0, 0, 2), (4, 0, 4)])
    score = Table.random(graph)
    rank_slot(scorer_from_triplets(score), graph, np.array([[0, 0, 2]]), 2)
    assert sorted(score.asked) == [(2, 0, 0, tail) for tail in (0, 2, 4)]


@pytest.mark.parametrize("chunk_size", [1, 20])
@pytest.mark.parametrize("slots", [(0, 2), (1,)])
def test_ranks_do_not_depend_on_how_many_candidates_are_ranked_together(chunk_size, slots, dense_graph):
    scores = [Table.random(dense_graph), Table.random(dense_graph)]
    expected = rank_split(scorer_from_triplets(scores[0]), dense_graph["test"], slots, quiet=True)
    result = rank_split(scorer_from_triplets(scores[1]), dense_graph["test"], slots, quiet=True, chunk_size=chunk_size)
    assert same(result, expected)
    assert scores[0].asked == scores[1].asked


@pytest.mark.parametrize("slot", ALL_SLOTS)
@given(graph=graphs())
@settings(max_examples=50, deadline=None)
def test_known_answers_are_as_many_as_brute_force_counts(slot, graph):
    known = {tuple(row) for split in graph.splits.values() for row in split.positives.tolist()}
    answers = Counter((*triplet[:slot], *triplet[slot + 1 :]) for triplet in known)
    queries = np.concatenate([split.triplets for split in graph.splits.values()])
    expected = [answers[(*row[:slot], *row[slot + 1 :])] for row in queries.tolist()]
    assert graph.known.count(slot, queries).tolist() == expected
    assert np.bincount(graph.known.values(slot, queries)[0], minlength=len(queries)).tolist() == expected


def test_a_split_without_true_triplets_is_an_error():
    graph = integer_graph([(0, 0, 1)], 2, 1, test=[(1, 0, 0, 0)])
    with pytest.raises(GraphError, match="the test split has no true triplet"):
        rank_split(scorer_from_triplets(Table.random(graph)), graph["test"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused_and_not_ranked_first(graph, value):
    score = Table.random(graph)
    score.scores[tuple(graph["test"].positives[0])] = value
    with pytest.raises(NonFiniteError) as raised:
        rank_split(scorer_from_triplets(score), graph["test"], quiet=True)
    assert "expected a finite score of each candidate" in one_line(raised)


def test_scores_of_pairs_that_are_not_asked_for_may_be_anything(graph):
    table = Table.random(graph)

    def score_all(queries, slot, candidates, mask, progress):
        scores = scorer_from_triplets(table)(queries, slot, candidates, np.ones_like(mask), progress)
        return np.where(mask, scores, np.inf)

    expected = rank_split(scorer_from_triplets(table), graph["test"], quiet=True)
    assert same(rank_split(score_all, graph["test"], quiet=True), expected)


# A limited number of triplets


def test_limit_ranks_that_many_different_triplets_of_the_split(dense_graph):
    result = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], limit=20, quiet=True)
    chosen = {tuple(row) for row in result.triplets.tolist()}
    assert len(chosen) == len(result.triplets) == result.metrics["num_triplets"] == 20
    assert chosen <= {tuple(row) for row in dense_graph["test"].triplets.tolist()}
    assert result.metrics["num_queries"] == len(result.ranks) == 40


def test_limit_gives_the_ranks_of_the_whole_split(dense_graph):
    every = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], (2,), quiet=True)
    rank_of = dict(zip(map(tuple, every.triplets.tolist()), every.ranks.tolist(), strict=True))
    some = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], (2,), limit=20, quiet=True)
    assert some.ranks.tolist() == [rank_of[tuple(row)] for row in some.triplets.tolist()]


def test_limit_chooses_by_its_seed(dense_graph):
    chosen = [
        rank_split(
            scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], limit=20, seed=seed, quiet=True
        ).triplets
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


def test_limit_is_no_mere_beginning_of_the_file(dense_graph):
    result = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], limit=20, quiet=True)
    assert not np.array_equal(result.triplets, dense_graph["test"].triplets[:20])


def test_a_limit_above_the_number_of_triplets_takes_all(graph):
    result = rank_split(scorer_from_triplets(Table.random(graph)), graph["test"], limit=1000, quiet=True)
    assert np.array_equal(result.triplets, graph["test"].triplets)


@pytest.mark.parametrize(
    "choice", [{"limit": 0}, {"limit": -1}, {"limit": 1.5}, {"limit": "2"}, {"seed": -1}, {"seed": 1.5}, {"seed": None}]
)
def test_a_limit_or_a_seed_that_cannot_be_is_refused(choice, graph):
    with pytest.raises(LassError, match="expected a limit of 1 or more"):
        rank_split(
            scorer_from_triplets(lambda triplets, slot, bar: np.zeros(len(triplets))),
            graph["test"],
            quiet=True,
            **choice,
        )


@pytest.mark.parametrize("slots", [(), (3,), (0, -1)])
def test_slots_that_no_triplet_has_are_refused(slots, graph):
    with pytest.raises(LassError, match=re.escape(f"slots={slots}; expected one or more of 0, 1, 2")):
        rank_split(scorer_from_triplets(Table.random(graph)), graph["test"], slots, quiet=True)
