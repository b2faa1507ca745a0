"""Metrics of ranks against their formulas; by side, relation, category, and of entities unseen in training."""

import numpy as np
import pytest
from helpers.ranking import Table
from helpers.tiny import integer_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.evaluation.metrics import ranking_metrics, rows_by_value
from lass_hf.evaluation.ranking_result import relation_categories
from lass_hf.scoring.candidate_scores import scorer_from_triplets

query_lists = st.lists(
    st.integers(1, 50).flatmap(lambda count: st.tuples(st.integers(2, 2 * count), st.just(count))),
    min_size=1,
    max_size=30,
)


@given(queries=query_lists)
@settings(max_examples=50, deadline=None)
def test_metrics_agree_with_their_formulas(queries):
    """AMRI's is 1 - 2 * sum(rank - 1) / sum(candidates - 1), as PyKEEN's AdjustedArithmeticMeanRankIndex has it."""
    ranks, counts = [twice / 2 for twice, _ in queries], [count for _, count in queries]
    metrics = ranking_metrics(np.array(ranks), np.array(counts))
    assert metrics["mr"] == pytest.approx(sum(ranks) / len(ranks))
    assert metrics["mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks))
    for k in (1, 3, 10):
        assert metrics[f"hits@{k}"] == pytest.approx(sum(rank <= k for rank in ranks) / len(ranks))
    others = sum(count - 1 for count in counts)
    expected = 1 - 2 * sum(rank - 1 for rank in ranks) / others if others else 0.0
    assert metrics["amri"] == pytest.approx(expected)


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


def test_a_result_has_metrics_of_each_side_and_of_each_kind_of_rank(dense_graph):
    result = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], quiet=True)
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


def test_by_relation_names_each_relation_of_the_split_by_its_id(dense_graph):
    result = rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], quiet=True)
    assert set(result.by_relation) == {
        dense_graph.relations.ids[number] for number in dense_graph["test"].triplets[:, 1]
    }
    for name, metrics in result.by_relation.items():
        rows = np.tile(result.triplets[:, 1] == dense_graph.relations.index[name], 2)
        expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
        assert metrics == pytest.approx(expected | {"num_queries": rows.sum()})


def test_queries_of_unseen_entities_are_counted_apart():
    graph = integer_graph([(0, 0, 1), (1, 0, 2)], 5, 1, test=[(0, 0, 2), (0, 0, 3), (4, 0, 0), (2, 0, 0)])
    result = rank_split(scorer_from_triplets(Table.random(graph)), graph["test"], quiet=True)
    rows = [1, 2, 5, 6]  # of triplets with 3 or 4, head side and tail side
    expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
    assert result.unseen == pytest.approx(expected | {"num_queries": 4})


def test_without_unseen_entities_there_are_no_such_queries(dense_graph):
    assert rank_split(scorer_from_triplets(Table.random(dense_graph)), dense_graph["test"], quiet=True).unseen == {
        "num_queries": 0
    }


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


@pytest.mark.parametrize("seed", range(5))
def test_categories_of_many_relations_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    train, test = (np.stack([rng.integers(0, size, 300) for size in (12, 40, 12)], 1) for _ in range(2))
    train[:, 0] %= 1 + train[:, 1] % 12  # Some relations have few heads.
    test[:, 2] %= 1 + test[:, 1] % 7
    graph = integer_graph([tuple(map(str, row)) for row in train.tolist()], 12, 43, test=list(test.astype(str)))
    expected = []
    for relation in range(43):  # The last three have no triplets.
        pairs = {(head, tail) for head, other, tail in [*train.tolist(), *test.tolist()] if other == relation}
        heads, tails = (max(1, len({pair[side] for pair in pairs})) for side in (0, 1))
        expected.append(f"{'1N'[len(pairs) >= 1.5 * tails]}-{'1N'[len(pairs) >= 1.5 * heads]}")
    assert relation_categories(graph) == expected
    assert len(set(expected)) == 4


@given(st.lists(st.integers(0, 6)))
@settings(deadline=None)
def test_rows_by_value_are_those_of_a_loop(values):
    found = rows_by_value(np.array(values, dtype=np.int64))
    assert list(found) == sorted(set(values))
    for value, rows in found.items():
        assert rows.tolist() == [row for row, other in enumerate(values) if other == value]


def test_by_category_puts_the_queries_of_its_relations_together():
    train = [(head, category, tail) for category, pairs in CATEGORIES.items() for head, tail in pairs]
    train += [(head, "again 1-1", tail) for head, tail in CATEGORIES["1-1"]]
    graph = KnowledgeGraph.from_triplets(train, test=[row for row in train if row[1] != "N-1"][::2])
    result = rank_split(scorer_from_triplets(Table.random(graph)), graph["test"], quiet=True)
    assert set(result.by_category) == {"1-1", "1-N", "N-N"}
    names = np.array(graph.relations.ids)[result.triplets[:, 1]]
    for category, metrics in result.by_category.items():
        rows = np.tile(np.isin(names, [category, f"again {category}"]), 2)
        expected = ranking_metrics(result.ranks[rows], result.num_candidates[rows])
        assert metrics == pytest.approx(expected | {"num_queries": rows.sum()})
