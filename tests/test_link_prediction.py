"""Ranks against brute force, metrics against their formulas, and what a result says about whom."""

import contextlib
import io
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, make_model, wordpiece_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    LassProcessor,
    evaluate_link_prediction,
    link_prediction,
)
from lass_hf.candidate_scores import by_triplets
from lass_hf.errors import GraphError, LassError
from lass_hf.frequency_baseline import frequency_scores
from lass_hf.link_prediction import evaluate_relation_prediction, rank_slot, rank_split, relation_categories
from lass_hf.metrics import ranking_metrics
from lass_hf.ranking_progress import RankingProgress, remove_progress
from lass_hf.scoring import TripletScorer

ALL_SLOTS = (0, 2, 1)


class Table:
    """A score function that looks scores up in an array, and notes what it is asked for."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.asked = []

    @classmethod
    def random(cls, graph, seed=0, values=4):
        """Few different values, so that many candidates are tied."""
        shape = (graph.num_entities, graph.num_relations, graph.num_entities)
        return cls(np.random.default_rng(seed).integers(values, size=shape))

    def __call__(self, triplets, slot, progress=None):
        self.asked += [(slot, *triplet) for triplet in triplets.tolist()]
        if progress is not None:
            progress.update(len(triplets))
        return self.scores[tuple(triplets.T)]


def text_graph(train, entities, relations, **splits):
    return KnowledgeGraph.from_triplets(
        train,
        **splits,
        entity_text={str(number): f"entity {number}" for number in range(entities)},
        relation_text={str(number): f"relation {number}" for number in range(relations)},
    )


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
    return text_graph(draw(rows), entities + draw(st.integers(0, 2)), relations, validation=draw(rows), test=test)


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


@pytest.fixture(scope="module")
def many():
    generator = np.random.default_rng(5)
    rows = np.stack([generator.integers(size, size=200) for size in (12, 3, 12)], axis=1)
    rows = np.unique(rows, axis=0).tolist()
    return text_graph(rows[:60], 12, 3, test=rows[60:])


def same(result, expected):
    """Are two results equal in all that they say?"""
    fields = [(getattr(result, name), getattr(expected, name)) for name in vars(expected)]
    return all(np.array_equal(*pair) if isinstance(pair[0], np.ndarray) else pair[0] == pair[1] for pair in fields)


# Ranks


@pytest.mark.parametrize("slot", ALL_SLOTS)
@given(
    graph=graphs(), seed=st.integers(0, 1000), values=st.integers(1, 6), unit_size=st.sampled_from([1, 4, 20, 10**6])
)
@settings(max_examples=100, deadline=None)
def test_ranks_and_candidates_agree_with_brute_force(slot, graph, seed, values, unit_size):
    score = Table.random(graph, seed, values)
    triplets = graph["test"].positives
    ranked = rank_slot(by_triplets(score), graph, triplets, slot, unit_size=unit_size)
    assert [array.tolist() for array in ranked] == brute_force(graph, score, triplets, slot)


@given(graph=graphs(), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_a_result_holds_the_head_side_and_then_the_tail_side(graph, seed):
    score = Table.random(graph, seed)
    result = rank_split(by_triplets(score), graph["test"], quiet=True)
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
    graph = text_graph([(0, 0, 1)], 5, 1, validation=[(0, 0, 2)], test=[(0, 0, 3), (4, 0, 4)])
    score = Table(np.zeros((5, 1, 5)))
    score.scores[0, 0] = [5, 10, 10, 1, 2]  # tails 1 and 2 are known answers; 0 and 4 are wrong ones
    optimistic, pessimistic, candidates = rank_slot(by_triplets(score), graph, np.array([[0, 0, 3]]), 2)
    assert (optimistic.tolist(), pessimistic.tolist(), candidates.tolist()) == ([3], [3], [3])


def test_a_triplet_labelled_0_stays_a_competitor():
    graph = text_graph([(0, 0, 1)], 4, 1, test=[(0, 0, 2, 1), (0, 0, 3, 0)])
    score = Table(np.zeros((4, 1, 4)))
    score.scores[0, 0] = [0, 0, 1, 2]
    result = rank_split(by_triplets(score), graph["test"], (2,), quiet=True)
    assert result.ranks.tolist() == [2.0]


def test_triplets_labelled_0_are_not_ranked(labelled_graph):
    result = rank_split(by_triplets(Table.random(labelled_graph)), labelled_graph["test"], quiet=True)
    assert result.triplets.tolist() == labelled_graph["test"].positives.tolist()
    assert len(result.ranks) == 2 * len(labelled_graph["test"].positives)


def test_a_listed_entity_in_no_triplet_is_no_candidate():
    graph = text_graph([(0, 0, 1)], 9, 1, test=[(1, 0, 2)])
    score = Table.random(graph)
    result = rank_split(by_triplets(score), graph["test"], quiet=True)
    assert result.num_candidates.tolist() == [3, 3]
    assert {value for row in score.asked for value in (row[1], row[3])} == {0, 1, 2}


@pytest.mark.parametrize("slots", [(0, 2), (1,)])
def test_equal_scores_give_the_middle_rank_and_are_all_tied(graph, slots):
    score = Table(np.full((10, 3, 10), 1.5))
    result = rank_split(by_triplets(score), graph["test"], slots, quiet=True)
    assert result.ranks.tolist() == ((result.num_candidates + 1) / 2).tolist()
    assert result.metrics["tied_queries"] == result.metrics["num_queries"] == len(result.ranks)
    assert result.metrics["amri"] == pytest.approx(0)


def test_a_perfect_score_gives_rank_1_and_no_ties(graph):
    score = Table(np.zeros((10, 3, 10)))
    score.scores[tuple(graph["test"].triplets.T)] = 1
    metrics = rank_split(by_triplets(score), graph["test"], quiet=True).metrics
    assert (metrics["mr"], metrics["mrr"], metrics["hits@1"], metrics["amri"]) == (1, 1, 1, 1)
    assert metrics["tied_queries"] == 0


def test_scores_that_differ_by_one_float32_step_are_not_tied():
    graph = text_graph([(0, 0, 1)], 3, 1, test=[(0, 0, 2)])
    score = Table(np.full((3, 1, 3), 7, dtype=np.float32))
    score.scores[0, 0, 2] = np.nextafter(np.float32(7), np.float32(0))
    optimistic, pessimistic, _ = rank_slot(by_triplets(score), graph, np.array([[0, 0, 2]]), 2)
    assert optimistic.tolist() == pessimistic.tolist() == [2]


def test_each_question_is_scored_once_and_each_triplet_ranked():
    test = [(0, 0, 1), (0, 0, 2), (0, 0, 1), (3, 0, 1)]
    graph = text_graph([(4, 0, 5)], 6, 1, test=test)
    score = Table.random(graph)
    result = rank_split(by_triplets(score), graph["test"], (2,), quiet=True)
    assert len(score.asked) == len(set(score.asked))
    # Two questions, 6 candidates each; all answers known for them are asked for.
    assert sorted(score.asked) == [(2, head, 0, tail) for head in (0, 3) for tail in range(6)]
    assert result.ranks.shape == (4,)
    assert result.ranks[0] == result.ranks[2]


def test_known_answers_that_nobody_asks_for_are_not_scored():
    graph = text_graph([(0, 0, 1), (0, 0, 3)], 5, 1, test=[(0, 0, 2), (4, 0, 4)])
    score = Table.random(graph)
    rank_slot(by_triplets(score), graph, np.array([[0, 0, 2]]), 2)
    assert sorted(score.asked) == [(2, 0, 0, tail) for tail in (0, 2, 4)]


@pytest.mark.parametrize("unit_size", [1, 4, 20, 60, 10**6])
@pytest.mark.parametrize("slots", [(0, 2), (1,)])
def test_ranks_do_not_depend_on_how_many_candidates_are_ranked_together(unit_size, slots, many):
    scores = [Table.random(many), Table.random(many)]
    expected = rank_split(by_triplets(scores[0]), many["test"], slots, quiet=True)
    result = rank_split(by_triplets(scores[1]), many["test"], slots, quiet=True, unit_size=unit_size)
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
    graph = text_graph([(0, 0, 1)], 2, 1, test=[(1, 0, 0, 0)])
    with pytest.raises(GraphError, match="the test split has no true triplet"):
        rank_split(by_triplets(Table.random(graph)), graph["test"])


# A limited number of triplets


def test_limit_ranks_that_many_different_triplets_of_the_split(many):
    result = rank_split(by_triplets(Table.random(many)), many["test"], limit=20, quiet=True)
    chosen = {tuple(row) for row in result.triplets.tolist()}
    assert len(chosen) == len(result.triplets) == result.metrics["num_triplets"] == 20
    assert chosen <= {tuple(row) for row in many["test"].triplets.tolist()}
    assert result.metrics["num_queries"] == len(result.ranks) == 40


def test_limit_gives_the_ranks_of_the_whole_split(many):
    every = rank_split(by_triplets(Table.random(many)), many["test"], (2,), quiet=True)
    rank_of = dict(zip(map(tuple, every.triplets.tolist()), every.ranks.tolist(), strict=True))
    some = rank_split(by_triplets(Table.random(many)), many["test"], (2,), limit=20, quiet=True)
    assert some.ranks.tolist() == [rank_of[tuple(row)] for row in some.triplets.tolist()]


def test_limit_chooses_by_its_seed(many):
    chosen = [
        rank_split(by_triplets(Table.random(many)), many["test"], limit=20, seed=seed, quiet=True).triplets
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


def test_limit_is_no_mere_beginning_of_the_file(many):
    result = rank_split(by_triplets(Table.random(many)), many["test"], limit=20, quiet=True)
    assert not np.array_equal(result.triplets, many["test"].triplets[:20])


def test_a_limit_above_the_number_of_triplets_takes_all(graph):
    result = rank_split(by_triplets(Table.random(graph)), graph["test"], limit=1000, quiet=True)
    assert np.array_equal(result.triplets, graph["test"].triplets)


# Metrics

query_lists = st.lists(
    st.integers(1, 50).flatmap(lambda count: st.tuples(st.integers(2, 2 * count), st.just(count))),
    min_size=1,
    max_size=30,
)


@given(queries=query_lists)
@settings(max_examples=50, deadline=None)
def test_metrics_agree_with_their_formulas(queries):
    ranks, counts = [twice / 2 for twice, _ in queries], [count for _, count in queries]
    metrics = ranking_metrics(np.array(ranks), np.array(counts))
    assert metrics["mr"] == pytest.approx(sum(ranks) / len(ranks))
    assert metrics["mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks))
    for k in (1, 3, 10):
        assert metrics[f"hits@{k}"] == pytest.approx(sum(rank <= k for rank in ranks) / len(ranks))


@given(queries=query_lists)
@settings(max_examples=50, deadline=None)
def test_amri_is_pykeens_formula(queries):
    """1 - 2 * sum(rank - 1) / sum(candidates - 1), of PyKEEN's AdjustedArithmeticMeanRankIndex."""
    ranks, counts = [twice / 2 for twice, _ in queries], [count for _, count in queries]
    others = sum(count - 1 for count in counts)
    expected = 1 - 2 * sum(rank - 1 for rank in ranks) / others if others else 0.0
    assert ranking_metrics(np.array(ranks), np.array(counts))["amri"] == pytest.approx(expected)


def test_metrics_of_ranks_worked_out_by_hand():
    metrics = ranking_metrics(np.array([1, 2, 3.5, 20]), np.array([10, 10, 10, 30]))
    assert metrics == pytest.approx(
        {"mr": 6.625, "mrr": (1 + 1 / 2 + 2 / 7 + 1 / 20) / 4, "hits@1": 0.25, "hits@3": 0.5, "hits@10": 0.75}
        | {"amri": 1 - 5.625 / 7}  # a random order would have the mean rank (5.5 + 5.5 + 5.5 + 15.5) / 4 = 8
    )


def test_metrics_agree_with_pykeen():
    ranking = pytest.importorskip("pykeen.metrics.ranking")
    generator = np.random.default_rng(0)
    counts = generator.integers(2, 300, size=200)
    ranks = generator.integers(2, 2 * counts + 1) / 2
    metrics = ranking_metrics(ranks, counts)
    theirs = {
        "mr": ranking.ArithmeticMeanRank(),
        "mrr": ranking.InverseHarmonicMeanRank(),
        **{f"hits@{k}": ranking.HitsAtK(k=k) for k in (1, 3, 10)},
        "amri": ranking.AdjustedArithmeticMeanRankIndex(),
    }
    for name, metric in theirs.items():
        assert metrics[name] == pytest.approx(metric(ranks=ranks, num_candidates=counts)), name


def test_a_result_has_metrics_of_each_side_and_of_each_kind_of_rank(many):
    result = rank_split(by_triplets(Table.random(many)), many["test"], quiet=True)
    half = len(result.triplets)
    parts = {
        "": (result.ranks, result.num_candidates),
        "head_": (result.ranks[:half], result.num_candidates[:half]),
        "tail_": (result.ranks[half:], result.num_candidates[half:]),
        "optimistic_": (result.optimistic_ranks, result.num_candidates),
        "pessimistic_": (result.pessimistic_ranks, result.num_candidates),
    }
    expected = {
        prefix + name: value for prefix, part in parts.items() for name, value in ranking_metrics(*part).items()
    }
    tied = int((result.optimistic_ranks < result.pessimistic_ranks).sum())
    expected |= {"num_triplets": half, "num_queries": 2 * half, "tied_queries": tied}
    assert result.metrics == pytest.approx(expected)
    assert 0 < tied < 2 * half


def test_by_relation_names_each_relation_of_the_split_by_its_id(many):
    result = rank_split(by_triplets(Table.random(many)), many["test"], quiet=True)
    assert set(result.by_relation) == {many.relations.ids[number] for number in many["test"].triplets[:, 1]}
    for name, metrics in result.by_relation.items():
        rows = np.tile(result.triplets[:, 1] == many.relations.index[name], 2)
        expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
        assert metrics == pytest.approx(expected | {"num_queries": rows.sum()})


def test_queries_of_unseen_entities_are_counted_apart():
    graph = text_graph([(0, 0, 1), (1, 0, 2)], 5, 1, test=[(0, 0, 2), (0, 0, 3), (4, 0, 0), (2, 0, 0)])
    result = rank_split(by_triplets(Table.random(graph)), graph["test"], quiet=True)
    rows = [1, 2, 5, 6]  # of triplets with 3 or 4, head side and tail side
    expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
    assert result.unseen == pytest.approx(expected | {"num_queries": 4})


def test_without_unseen_entities_there_are_no_such_queries(many):
    assert rank_split(by_triplets(Table.random(many)), many["test"], quiet=True).unseen == {"num_queries": 0}


CATEGORIES = {
    "1-1": [("a", "b"), ("c", "d"), ("e", "f")],
    "1-N": [("a", "b"), ("a", "c"), ("a", "d"), ("e", "f")],  # one head, many tails
    "N-1": [("b", "a"), ("c", "a"), ("d", "a"), ("f", "e")],
    "N-N": [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")],
}


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_category_of_a_relation(category):
    graph = KnowledgeGraph.from_triplets([(head, "r", tail) for head, tail in CATEGORIES[category]])
    assert relation_categories(graph) == [category]


def test_a_side_is_many_from_one_and_a_half_on_average():
    exactly = [("a", "b"), ("a", "c"), ("d", "e")]  # 3 tails of 2 heads
    less = [("a", "b"), ("a", "c"), ("d", "e"), ("f", "g")]  # 4 tails of 3 heads
    graph = KnowledgeGraph.from_triplets([(h, "r", t) for h, t in exactly] + [(h, "s", t) for h, t in less])
    assert relation_categories(graph) == ["1-N", "1-1"]


def test_categories_count_distinct_true_triplets_of_all_splits():
    graph = KnowledgeGraph.from_triplets(
        [("a", "r", "b"), ("a", "r", "b"), ("c", "s", "d")],
        [("a", "r", "x")],
        [("a", "r", "y", 1), ("c", "s", "e", 0), ("c", "s", "f", 0)],
    )
    assert relation_categories(graph) == ["1-N", "1-1"]


def test_by_category_puts_the_queries_of_its_relations_together():
    train = [(head, category, tail) for category, pairs in CATEGORIES.items() for head, tail in pairs]
    train += [(head, "again 1-1", tail) for head, tail in CATEGORIES["1-1"]]
    graph = KnowledgeGraph.from_triplets(train, test=[row for row in train if row[1] != "N-1"][::2])
    result = rank_split(by_triplets(Table.random(graph)), graph["test"], quiet=True)
    assert set(result.by_category) == {"1-1", "1-N", "N-N"}
    names = np.array(graph.relations.ids)[result.triplets[:, 1]]
    for category, metrics in result.by_category.items():
        rows = np.tile(np.isin(names, [category, f"again {category}"]), 2)
        expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
        assert metrics == pytest.approx(expected | {"num_queries": rows.sum()})


# Resuming


class Stopping(Table):
    """A table that scores a few units and then raises."""

    def __init__(self, scores, units, error):
        super().__init__(scores)
        self.units, self.error = units, error

    def __call__(self, *arguments):
        if not self.units:
            raise self.error
        self.units -= 1
        return super().__call__(*arguments)


@pytest.mark.parametrize("unit_size", [1, 30])
@pytest.mark.parametrize("units", [0, 1, 9, [2, 0, 5, 3]], ids=str)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("stop")], ids=repr)
def test_a_stopped_ranking_goes_on_with_the_units_that_are_missing(units, error, unit_size, many, tmp_path):
    folder = tmp_path / "progress"
    whole = Table.random(many)
    expected = rank_split(by_triplets(whole), many["test"], quiet=True, unit_size=unit_size)
    asked = []
    for number in [units] if isinstance(units, int) else units:
        score = Stopping(whole.scores, number, error)
        with pytest.raises(type(error)):
            rank_split(
                by_triplets(score), many["test"], quiet=True, unit_size=unit_size, progress=RankingProgress(folder, {})
            )
        asked += score.asked
        assert (len(score.asked) > 0) == (number > 0)
    rest = Table(whole.scores)
    result = rank_split(
        by_triplets(rest), many["test"], quiet=True, unit_size=unit_size, progress=RankingProgress(folder, {})
    )
    assert same(result, expected)
    assert asked + rest.asked == whole.asked
    remove_progress(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def bars(monkeypatch):
    """The progress bars that are shown."""
    shown = []

    class Noted(link_prediction.tqdm):
        def __init__(self, **choices):
            super().__init__(**choices, file=io.StringIO())
            shown.append(self)

    monkeypatch.setattr(link_prediction, "tqdm", Noted)
    return shown


@pytest.mark.parametrize("unit_size", [1, 30, 10**6])
@pytest.mark.parametrize("limit", [None, 20])
def test_the_progress_bar_ends_where_all_is_scored(limit, unit_size, many, bars):
    score = Table.random(many)
    rank_split(by_triplets(score), many["test"], ALL_SLOTS, limit, unit_size=unit_size)
    asked = Counter(row[0] for row in score.asked)
    assert [(bar.initial, bar.total, bar.n) for bar in bars] == [(0, asked[slot], asked[slot]) for slot in ALL_SLOTS]


@pytest.mark.parametrize("units", [9, 40])
def test_the_progress_bar_of_a_resumed_ranking_starts_with_what_was_scored(units, many, tmp_path, bars):
    whole = Table.random(many)
    first = Stopping(whole.scores, units, KeyboardInterrupt())
    for score in (first, whole):
        with contextlib.suppress(KeyboardInterrupt):
            rank_split(
                by_triplets(score), many["test"], unit_size=1, progress=RankingProgress(tmp_path / "progress", {})
            )
    done, rest = (Counter(row[0] for row in score.asked) for score in (first, whole))
    assert (done[2] > 0) == (units == 40)
    total = [done[slot] + rest[slot] for slot in (0, 2)]
    assert [(bar.initial, bar.total, bar.n) for bar in bars[-2:]] == [
        (done[slot], count, count) for slot, count in zip((0, 2), total, strict=True)
    ]


def evaluate_in_units(model, processor, graph, before_unit=lambda number: None, asked=None, split="train", **choices):
    """An evaluation in units of one query; `before_unit` gets the number of each, `asked` what is scored."""
    score, numbers = TripletScorer.score, itertools.count()

    def noted(self, triplets, slot=None, progress=None):
        before_unit(next(numbers))
        if asked is not None:
            asked.extend((slot, *triplet) for triplet in triplets.tolist())
        return score(self, triplets, slot, progress)

    choices = {"dtype": "float32", "quiet": True} | choices
    with patch.object(TripletScorer, "score", noted), patch.dict("lass_hf.link_prediction.UNIT_SIZE", joint=1):
        return evaluate_link_prediction(model, processor, graph, split, **choices)


def animals(*splits, **more):
    return KnowledgeGraph.from_triplets(*splits, **more, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)


def interrupt_at(units):
    def interrupt(number):
        if number == units:
            raise KeyboardInterrupt

    return interrupt


@pytest.mark.parametrize("units", [0, 3, 16])
def test_a_stopped_evaluation_scores_what_is_missing_and_an_ended_one_nothing(units, model, processor, graph, tmp_path):
    whole, first, second = [], [], []
    expected = evaluate_in_units(model, processor, graph, asked=whole)
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_units(model, processor, graph, interrupt_at(units), first, resume_dir=tmp_path / "a" / "b")
    result = evaluate_in_units(make_model(), processor, graph, asked=second, resume_dir=tmp_path / "a" / "b")
    assert same(result, expected)
    assert first + second == whole
    assert (len(first) > 0) == (units > 0)
    again = evaluate_in_units(model, processor, graph, interrupt_at(0), resume_dir=tmp_path / "a" / "b")
    assert same(again, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": lambda: make_model(seed=1)}, "model was "),
        ({"processor": lambda: LassProcessor(wordpiece_tokenizer(), separators=False)}, "texts was "),
        ({"graph": lambda: animals(TRAIN, VALIDATION[1:], TEST)}, "graph was "),
        ({"split": "test"}, "split was train, now test"),
        ({"limit": 10}, "limit was None, now 10"),
        ({"seed": 3}, "seed was 42, now 3"),
        ({"slots": (1,)}, r"slots was \[0, 2\], now \[1\]"),
        ({"dtype": "bfloat16"}, "dtype was torch.float32, now torch.bfloat16"),
    ],
    ids=["model", "texts", "graph", "split", "limit", "seed", "slots", "dtype"],
)
def test_the_progress_of_another_evaluation_is_refused(change, message, model, processor, graph, tmp_path):
    choices = {"model": model, "processor": processor, "graph": graph, "resume_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_units(**choices, before_unit=interrupt_at(3))
    changed = {name: value() if callable(value) else value for name, value in change.items()}
    with pytest.raises(LassError, match=message):
        evaluate_in_units(**choices | changed)


def test_the_progress_of_an_evaluation_among_other_candidates_is_refused(model, processor, tmp_path):
    """Two graphs that differ in a false triplet: as many candidates, but another one among them."""
    milk, house = (
        animals(TRAIN[:5], test=[(*TRAIN[0], 1), (other, "is_a", "animal", 0)]) for other in ("milk", "house")
    )
    with pytest.raises(KeyboardInterrupt):
        evaluate_in_units(model, processor, milk, interrupt_at(3), resume_dir=tmp_path)
    with pytest.raises(LassError, match="another evaluation"):
        evaluate_in_units(model, processor, house, resume_dir=tmp_path)


@pytest.mark.parametrize("choice", [{"split": "nowhere"}, {"limit": 0}, {"seed": -1}, {"dtype": "fp32"}], ids=str)
def test_an_evaluation_that_cannot_begin_leaves_no_progress(choice, model, processor, graph, tmp_path):
    with pytest.raises(LassError):
        evaluate_in_units(model, processor, graph, resume_dir=tmp_path / "progress", **choice)
    assert list(tmp_path.iterdir()) == []


def evaluate_saved(folder, resume_dir=None, kill_at=None, asked=None):
    def kill(number):
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    model, processor = LassForKGCompletion.from_pretrained(folder), LassProcessor.from_pretrained(folder)
    return evaluate_in_units(model, processor, processor.graph, kill, asked, resume_dir=resume_dir)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_evaluation_of_a_killed_process_goes_on_in_another(seed, model_folder, tmp_path):
    units, asked, whole = random.Random(seed).randrange(17), [], []
    resume_dir = tmp_path / "progress"
    code = "import sys, test_link_prediction as test; test.evaluate_saved(*sys.argv[1:3], int(sys.argv[3]))"
    command = [sys.executable, "-c", code, model_folder, str(resume_dir), str(units)]
    killed = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len((resume_dir / "process-0.jsonl").read_bytes().splitlines()) == 1 + units
    expected = evaluate_saved(model_folder, asked=whole)
    assert same(evaluate_saved(model_folder, resume_dir, asked=asked), expected)
    assert whole[len(whole) - len(asked) :] == asked
    assert (len(asked) < len(whole)) == (units > 0)


# The frequency baseline


@pytest.fixture(scope="module")
def counted():
    """Relation 0 has the tail 2 three times, the tail 1 twice (one of them twice the same), the head 0 twice."""
    train = [(0, 0, 2), (3, 0, 2), (4, 0, 2), (0, 0, 1), (5, 0, 1), (2, 1, 0)]
    return text_graph(train, 7, 2, test=[(6, 0, 1), (6, 1, 0)])


def test_the_baseline_scores_an_entity_by_its_count_in_the_slot_of_the_relation(counted):
    score = frequency_scores(counted)
    tails = np.array([[6, 0, tail] for tail in range(7)])
    heads = np.array([[head, 0, 6] for head in range(7)])
    assert score(tails, 2).tolist() == [0, 2, 3, 0, 0, 0, 0]
    assert score(heads, 0).tolist() == [2, 0, 0, 1, 1, 1, 0]
    assert score(np.array([[6, 1, tail] for tail in range(7)]), 2).tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert score(tails, 2).dtype == np.float32


def test_the_baseline_is_ranked_like_a_model(counted):
    result = rank_split(by_triplets(frequency_scores(counted)), counted["test"], (2,), quiet=True)
    assert result.ranks.tolist() == [2.0, 1.0]  # the tail 2 is more frequent than 1; 0 is alone


def test_the_baseline_counts_training_triplets_only():
    graph = text_graph([(0, 0, 1, 1), (0, 0, 2, 0)], 3, 1, test=[(1, 0, 2)])
    tails = np.array([[0, 0, tail] for tail in range(3)])
    assert frequency_scores(graph)(tails, 2).tolist() == [0, 1, 0]


# A model


def rank_by_forward(model, processor, graph, triplets, slot, tolerance):
    """Lowest and highest realistic rank that scores off by `tolerance` allow, by the model's own forward."""
    texts = graph.entities.texts, graph.relations.texts
    known = {tuple(row) for split in graph.splits.values() for row in split.positives.tolist()}

    def score(triplet):
        head, relation, tail = triplet
        with torch.no_grad():
            return float(model(**processor([(texts[0][head], texts[1][relation], texts[0][tail])])).scores)

    bounds = []
    for triplet in map(tuple, triplets.tolist()):
        own = score(triplet)
        size = graph.num_relations if slot == 1 else graph.num_entities
        others = [(*triplet[:slot], value, *triplet[slot + 1 :]) for value in range(size)]
        scores = [score(other) for other in others if other not in known]
        bounds.append([1 + sum(other > own + sign * tolerance for other in scores) for sign in (1, -1)])
    return np.array(bounds)


def test_evaluation_ranks_by_the_scores_of_the_models_forward(model, processor, graph):
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    bounds = np.concatenate(
        [rank_by_forward(model, processor, graph, graph["test"].triplets, slot, 1e-5) for slot in (0, 2)]
    )
    assert (bounds[:, 0] <= result.ranks).all()
    assert (result.ranks <= bounds[:, 1]).all()
    assert (bounds[:, 0] == bounds[:, 1]).mean() > 0.5  # else the test says nothing
    assert len(set(result.ranks.tolist())) > 2


def test_relation_prediction_ranks_the_relation_among_all(model, processor, graph):
    result = evaluate_relation_prediction(model, processor, graph, dtype="float32", quiet=True)
    bounds = rank_by_forward(model, processor, graph, graph["test"].triplets, 1, 1e-5)
    assert result.slots == (1,)
    assert (bounds[:, 0] <= result.ranks).all()
    assert (result.ranks <= bounds[:, 1]).all()
    assert result.num_candidates.max() <= 3


def test_entities_that_read_the_same_are_tied(model, processor):
    graph = KnowledgeGraph.from_triplets(
        [("Q1", "eats", "Q2"), ("Q4", "eats", "Q2")],
        test=[("Q1", "eats", "Q3")],
        entity_text={"Q1": "cat", "Q2": "dog", "Q3": "mouse", "Q4": "mouse"},
    )
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert result.pessimistic_ranks[1] == result.optimistic_ranks[1] + 1


def test_evaluation_takes_the_split_and_limit_it_is_given(model, processor, graph):
    result = evaluate_link_prediction(model, processor, graph, split="validation", limit=2, dtype="float32", quiet=True)
    validation = {tuple(row) for row in graph["validation"].triplets.tolist()}
    assert len(result.triplets) == 2
    assert {tuple(row) for row in result.triplets.tolist()} <= validation


def test_evaluation_is_quiet_when_asked(model, processor, graph, capfd):
    evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert capfd.readouterr() == ("", "")


def test_evaluation_shows_progress_that_reaches_its_end(model, processor, graph, capfd):
    evaluate_link_prediction(model, processor, graph, dtype="float32")
    shown = capfd.readouterr().err
    assert "ranking heads: 100%" in shown
    assert "ranking tails: 100%" in shown


@pytest.mark.parametrize("choice", [{"limit": 0}, {"limit": -1}, {"seed": -1}])
def test_a_limit_below_one_or_a_negative_seed_is_refused(choice, graph):
    with pytest.raises(LassError, match="expected a limit of 1 or more"):
        rank_split(
            by_triplets(lambda triplets, slot, bar: np.zeros(len(triplets))), graph["test"], quiet=True, **choice
        )
