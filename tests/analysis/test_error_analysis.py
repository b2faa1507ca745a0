"""Errors by relation, confident predictions and worst-ranked queries, against counting them one by one."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.ranking import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.analysis.error_analysis import count_errors_by_relation, find_confident_predictions, find_worst_queries
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.evaluation.platt_scaling import sigmoid
from lass_hf.evaluation.triplet_classification import classify
from lass_hf.scoring.candidate_scores import scorer_from_triplets

DATA = os.environ.get("LASS_DATA_DIR")
RELATIONS = Vocabulary("relations", ["_a", "_b", "_c", "_d"], ["a text", "b text", "c text", "d text"])

# Errors by relation (Table 5)

classifications = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@given(rows=classifications)
@settings(max_examples=100, deadline=None)
def test_errors_are_those_that_one_counts(rows):
    found = count_errors_by_relation(*(np.array(column) for column in zip(*rows, strict=True)), RELATIONS)
    triplets = Counter(relation for relation, _, _ in rows)
    wrong = Counter((relation, prediction) for relation, label, prediction in rows if label != prediction)
    total = sum(wrong.values())
    assert {row["id"] for row in found} == {RELATIONS.ids[relation] for relation in triplets}
    for row in found:
        relation = RELATIONS.index[row["id"]]
        assert row["text"] == RELATIONS.texts[relation]
        assert row["triplets"] == triplets[relation]
        assert (row["false_positives"], row["false_negatives"]) == (wrong[relation, 1], wrong[relation, 0])
        assert row["errors"] == wrong[relation, 0] + wrong[relation, 1]
        assert row["accuracy"] == pytest.approx(1 - row["errors"] / triplets[relation])
        assert row["error_rate"] == pytest.approx(100 * row["errors"] / triplets[relation])
        assert row["share_of_errors"] == pytest.approx(100 * row["errors"] / total if total else 0)
    order = [(row["error_rate"], row["triplets"]) for row in found]
    assert order == sorted(order, reverse=True)
    assert sum(row["share_of_errors"] for row in found) == pytest.approx(100 if total else 0)


def test_a_rare_relation_with_a_high_rate_comes_before_a_frequent_one_with_more_errors():
    relations, labels = np.array([0] * 10 + [1] * 2), np.ones(12, dtype=int)
    predictions = np.array([0] * 3 + [1] * 7 + [0, 1])
    found = count_errors_by_relation(relations, labels, predictions, RELATIONS)
    assert [(row["id"], row["errors"], row["error_rate"], row["share_of_errors"]) for row in found] == [
        ("_b", 1, 50, 25),
        ("_a", 3, 30, 75),
    ]


def test_a_perfect_model_has_no_percentages():
    found = count_errors_by_relation(np.array([2, 2]), np.array([1, 0]), np.array([1, 0]), RELATIONS)
    assert found == [
        {
            "id": "_c",
            "text": "c text",
            "triplets": 2,
            "accuracy": 1.0,
            "errors": 0,
            "false_positives": 0,
            "false_negatives": 0,
            "error_rate": 0.0,
            "share_of_errors": 0.0,
        }
    ]


# Table 5 of the paper, in its order: all relations of WN11. Its accuracy there (Table 2) is 93.3.
TABLE_5 = {
    "domain topic": 19.8,
    "domain region": 10.8,
    "member meronym": 9.1,
    "has instance": 8.4,
    "has part": 8.1,
    "similar to": 7.1,
    "part of": 6.3,
    "synset domain topic": 5.5,
    "type of": 4.6,
    "member holonym": 3.9,
    "subordinate instance of": 3.2,
}


@pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")
def test_table_5_of_the_paper_holds_error_rates():
    graph = load_benchmark("wn11", data_dir=Path(DATA, "wn11"))
    test, names = graph["test"], graph.relations
    relations, counts = test.triplets[:, 1], np.bincount(test.triplets[:, 1], minlength=len(names))
    rates = np.array([TABLE_5[text] for text in names.texts])
    assert rates @ counts / len(test) == pytest.approx(
        100 - 93.3, abs=0.1
    )  # This fails if the rates are shares of all errors.
    predictions = test.labels.copy()
    for relation, errors in enumerate(np.rint(rates / 100 * counts).astype(int)):
        predictions[np.flatnonzero(relations == relation)[:errors]] ^= 1
    rows = count_errors_by_relation(relations, test.labels, predictions, names)
    assert [(row["text"], round(row["error_rate"], 1)) for row in rows] == list(TABLE_5.items())


# Confident predictions (Table 3's form)


@pytest.fixture(scope="module")
def judged():
    """Classifies eight triplets with the threshold 0; -3 (true), 2 and 5 (false) are wrong."""
    names = "abcdefgh"
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    graph = KnowledgeGraph.from_triplets(
        [("a", "r", "b")],
        [("a", "r", "a", 1), ("b", "r", "b", 0)],
        [(name, "r", "a", label) for name, label in zip(names, labels, strict=True)],
        entity_text={name: f"text of {name}" for name in names},
        relation_text={"r": "relates to"},
    )
    scores = np.array([1, 7, -3, 4, -6, 2, 5, -1], dtype=np.float32)
    result = classify(scores, graph["test"], np.array([1, -1], dtype=np.float32), graph["validation"])
    return graph["test"], result


def heads(rows):
    return [row["ids"][0] for row in rows]


def test_the_most_confident_predictions_of_each_label_come_first(judged):
    split, result = judged
    found = find_confident_predictions(split, result, sigmoid(result.scores), top_k=10)
    assert heads(found["right"]) == ["b", "d", "a", "e", "h"]
    assert heads(found["wrong"]) == ["c", "g", "f"]
    assert [row["label"] for row in found["right"]] == [1, 1, 1, 0, 0]
    assert [row["label"] for row in found["wrong"]] == [1, 0, 0]


def test_top_k_limits_the_predictions_of_each_label(judged):
    split, result = judged
    found = find_confident_predictions(split, result, sigmoid(result.scores), top_k=1)
    assert (heads(found["right"]), heads(found["wrong"])) == (["b", "e"], ["c", "g"])


def test_a_row_has_texts_ids_label_score_and_probability(judged):
    split, result = judged
    row = find_confident_predictions(split, result, sigmoid(result.scores), top_k=1)["wrong"][0]
    assert row == {
        "head": "text of c",
        "relation": "relates to",
        "tail": "text of a",
        "ids": ["c", "r", "a"],
        "label": 1,
        "score": -3.0,
        "probability": pytest.approx(1 / (1 + np.exp(3))),
    }


def test_the_score_orders_predictions_with_equal_probabilities(judged):
    split, result = judged
    found = find_confident_predictions(split, result, (result.scores > 0).astype(np.float64), top_k=10)
    assert heads(found["right"]) == ["b", "d", "a", "e", "h"]
    assert heads(found["wrong"]) == ["c", "g", "f"]


def test_without_errors_the_list_of_wrong_predictions_is_empty(judged):
    split, result = judged
    result = classify(split.labels * 2.0 - 1, split, np.array([1.0, -1.0]), split.graph["validation"])
    assert find_confident_predictions(split, result, sigmoid(result.scores), 3)["wrong"] == []


# Worst-ranked queries


@pytest.fixture(scope="module", params=range(3))
def ranked(request, graph):
    table = Table.random(graph, request.param, values=12)
    return table, rank_split(scorer_from_triplets(table), graph["test"], quiet=True)


def test_worst_queries_are_those_with_the_highest_ranks(ranked, graph):
    table, result = ranked
    rows = find_worst_queries(scorer_from_triplets(table), graph, result.triplets, result.ranks, top_k=4)
    assert [row["rank"] for row in rows] == sorted(result.ranks.tolist(), reverse=True)[:4]


def test_outranking_candidates_agree_with_a_loop_over_all_entities(ranked, graph):
    table, result = ranked
    known = {tuple(row) for split in graph.splits.values() for row in split.triplets.tolist()}
    rows = find_worst_queries(scorer_from_triplets(table), graph, result.triplets, result.ranks, top_k=6)
    assert len(rows) == 6
    for row in rows:
        head, relation, tail = (
            vocabulary.index[name]
            for vocabulary, name in zip((graph.entities, graph.relations, graph.entities), row["ids"], strict=True)
        )
        truth = table.scores[head, relation, tail]
        assert row["score"] == truth
        outranking = {}
        for entity in range(graph.num_entities):
            triplet = (entity, relation, tail) if row["slot"] == "head" else (head, relation, entity)
            if triplet not in known and table.scores[triplet] >= truth:
                outranking[graph.entities.ids[entity]] = float(table.scores[triplet])
        assert row["outranked"] == len(outranking)
        assert len(row["outranked_by"]) == min(6, len(outranking))
        scores = [candidate["score"] for candidate in row["outranked_by"]]
        assert scores == sorted(outranking.values(), reverse=True)[:6]
        for candidate in row["outranked_by"]:
            assert candidate["score"] == outranking[candidate["id"]]
            assert candidate["text"] == graph.entities.texts[graph.entities.index[candidate["id"]]]


def test_candidates_are_counted_as_in_the_evaluation(ranked, graph):
    table, result = ranked
    rows = find_worst_queries(scorer_from_triplets(table), graph, result.triplets, result.ranks, top_k=6)
    numbers = sorted(result.num_candidates.tolist())
    assert sorted(row["candidates"] for row in rows) == numbers


def test_outranked_is_the_pessimistic_rank_less_one(ranked, graph):
    table, result = ranked
    rows = find_worst_queries(scorer_from_triplets(table), graph, result.triplets, result.pessimistic_ranks, top_k=6)
    assert [row["outranked"] for row in rows] == [row["rank"] - 1 for row in rows]


def test_a_triplet_that_the_split_has_twice_is_listed_once(graph):
    table = Table.random(graph)
    twice = np.repeat(graph["test"].triplets, 2, axis=0)
    ranks = np.arange(len(twice) * 2, dtype=np.float64) + 1
    rows = find_worst_queries(scorer_from_triplets(table), graph, twice, ranks, top_k=20)
    assert len(rows) == 2 * len(graph["test"])
    assert [row["rank"] for row in rows] == [12, 10, 8, 6, 4, 2]


def test_a_true_entity_on_rank_one_is_outranked_by_no_candidate(graph):
    table = Table.random(graph)
    table.scores[tuple(graph["test"].triplets.T)] = 99
    result = rank_split(scorer_from_triplets(table), graph["test"], quiet=True)
    rows = find_worst_queries(scorer_from_triplets(table), graph, result.triplets, result.ranks, top_k=2)
    assert [(row["rank"], row["outranked"], row["outranked_by"]) for row in rows] == [(1.0, 0, [])] * 2
