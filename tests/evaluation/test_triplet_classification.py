"""Thresholds from validation against trying all of them, and the labels that follow."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.tiny import TRAIN
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph, evaluate_triplet_classification
from lass_hf.core.errors import GraphError
from lass_hf.evaluation.metrics import best_threshold, classification_metrics
from lass_hf.evaluation.triplet_classification import classify

# Thresholds


def accuracy(scores, labels, threshold):
    return sum((score > threshold) == bool(label) for score, label in zip(scores, labels, strict=True)) / len(labels)


def every_cut(scores):
    """One threshold for each way to cut the scores in two, from the lowest to the highest."""
    distinct = sorted(set(scores))
    between = [(low + high) / 2 for low, high in pairwise(distinct)]
    return [distinct[0] - 1, *between, distinct[-1] + 1]


labeled_scores = st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 1)), min_size=1, max_size=20)
any_scores = st.lists(st.tuples(st.floats(-50, 50, width=32), st.integers(0, 1)), min_size=1, max_size=20)


@given(rows=st.one_of(labeled_scores, any_scores))
@settings(max_examples=100, deadline=None)
def test_no_threshold_is_more_accurate_than_the_best(rows):
    scores, labels = (list(column) for column in zip(*rows, strict=True))
    threshold = best_threshold(np.array(scores, dtype=np.float64), np.array(labels))
    best = max(accuracy(scores, labels, cut) for cut in every_cut(scores))
    assert accuracy(scores, labels, threshold) == best


@given(rows=labeled_scores)
@settings(max_examples=50, deadline=None)
def test_of_equally_good_thresholds_it_is_the_lowest(rows):
    scores, labels = (list(column) for column in zip(*rows, strict=True))
    threshold = best_threshold(np.array(scores, dtype=np.float64), np.array(labels))
    cuts = every_cut(scores)
    best = max(accuracy(scores, labels, cut) for cut in cuts)
    lowest = next(cut for cut in cuts if accuracy(scores, labels, cut) == best)
    assert [score > threshold for score in scores] == [score > lowest for score in scores]


@given(rows=labeled_scores)
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_triplets_does_not_matter(rows):
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    assert best_threshold(scores, labels) == best_threshold(scores[::-1], labels[::-1])


def test_a_threshold_lies_half_way_between_the_scores_it_parts():
    assert best_threshold(np.array([5.0, -1.0, 2.0, 3.0]), np.array([1, 0, 0, 1])) == 2.5


def test_equal_scores_are_not_parted():
    threshold = best_threshold(np.array([1.0, 1.0, 1.0]), np.array([1, 0, 1]))
    assert threshold < 1


@pytest.mark.parametrize(("label", "above"), [(1, True), (0, False)])
def test_with_one_label_all_scores_are_on_its_side(label, above):
    scores = np.array([3.0, -2.0, 7.0])
    threshold = best_threshold(scores, np.full(3, label))
    assert ((scores > threshold) == above).all()


def test_two_scores_far_from_the_usual_range_are_parted():
    assert best_threshold(np.array([-140.0, -90.0]), np.array([0, 1])) == -115


# Metrics


def test_metrics_worked_out_by_hand():
    scores = np.array([4.0, 3.0, 2.0, 1.0, 0.0, -1.0])
    labels, predictions = np.array([1, 0, 1, 1, 0, 0]), np.array([1, 1, 1, 0, 0, 0])
    assert classification_metrics(scores, labels, predictions) == pytest.approx(
        {
            "accuracy": 4 / 6,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            "roc_auc": 7 / 9,  # of 9 pairs of a true and a false triplet, two are in the wrong order
        }
    )


def test_precision_is_0_when_nothing_is_called_true():
    metrics = classification_metrics(np.array([1.0, 0.0]), np.array([1, 0]), np.array([0, 0]))
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == (0, 0, 0)


def test_roc_auc_is_left_out_when_all_labels_are_equal():
    assert "roc_auc" not in classification_metrics(np.array([1.0, 0.0]), np.array([1, 1]), np.array([1, 0]))


def test_tied_scores_count_half_in_roc_auc():
    metrics = classification_metrics(np.array([1.0, 1.0]), np.array([1, 0]), np.array([1, 1]))
    assert metrics["roc_auc"] == 0.5


# Labels by threshold


@pytest.fixture(scope="module")
def two_relations():
    """Validation knows the relations r and s; the test split also has q."""
    return KnowledgeGraph.from_triplets(
        [("a", "r", "b"), ("a", "s", "b"), ("a", "q", "b")],
        [("a", "r", "a", 1), ("b", "r", "a", 0), ("b", "r", "b", 0), ("a", "s", "a", 1), ("b", "s", "a", 0)],
        [("a", "r", "c", 1), ("c", "r", "a", 0), ("a", "s", "c", 1), ("c", "s", "a", 0), ("c", "q", "a", 0)],
    )


VALIDATION_SCORES = np.array([4, 2, 0, 12, 10], dtype=np.float32)
TEST_SCORES = np.array([3.5, 2.5, 13, 9, 1.5], dtype=np.float32)


@pytest.fixture
def classified(two_relations):
    return classify(TEST_SCORES, two_relations["test"], VALIDATION_SCORES, two_relations["validation"])


def test_one_threshold_for_all_relations_comes_from_validation(classified):
    assert classified.threshold == 3  # four of five right, as above 10; of the two, the lower
    assert classified.predictions.tolist() == [1, 0, 1, 1, 0]
    assert classified.metrics["accuracy"] == pytest.approx(4 / 5)


def test_each_relation_has_its_own_threshold(classified):
    assert classified.relation_thresholds == {"r": 3.0, "s": 11.0}


def test_thresholds_of_many_relations_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    rows = [(f"a{number}", f"r{rng.integers(30)}", "b", number % 2) for number in range(300)]
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], rows)
    scores, split = rng.normal(size=300).astype(np.float32), graph["validation"]
    thresholds = classify(scores, split, scores, split).relation_thresholds
    assert set(thresholds) == {row[1] for row in rows}
    for name, threshold in thresholds.items():
        own = [number for number, row in enumerate(rows) if row[1] == name]
        assert threshold == best_threshold(scores[own].astype(np.float64), split.labels[own])


def test_a_relation_that_validation_lacks_takes_the_threshold_of_all(classified):
    # All five are right: q's 1.5 is not above 3, and s's 9 not above 11.
    assert classified.metrics["per_relation_accuracy"] == 1.0


def test_a_result_has_the_metrics_of_both_ways(classified):
    names = ("accuracy", "precision", "recall", "f1")
    others = {"roc_auc", "ece_platt", "num_triplets"}
    assert set(classified.metrics) == {*names, *(f"per_relation_{name}" for name in names)} | others
    assert classified.metrics["num_triplets"] == 5
    assert classified.metrics["precision"] == pytest.approx(2 / 3)
    assert classified.metrics["recall"] == 1
    assert classified.metrics["f1"] == pytest.approx(4 / 5)
    assert classified.metrics["roc_auc"] == pytest.approx(5 / 6)


def test_a_result_keeps_scores_and_labels_in_the_order_of_the_file(classified):
    assert classified.scores.tolist() == TEST_SCORES.tolist()
    assert classified.labels.tolist() == [1, 0, 1, 0, 0]
    assert len(classified.predictions) == 5


def test_the_labels_of_the_test_split_do_not_change_the_threshold(two_relations, classified):
    test = two_relations["test"]
    flipped = KnowledgeGraph.from_triplets(
        [("a", "r", "b"), ("a", "s", "b"), ("a", "q", "b")],
        test=[
            (two_relations.entities.ids[h], two_relations.relations.ids[r], two_relations.entities.ids[t], 1 - label)
            for (h, r, t), label in zip(test.triplets.tolist(), test.labels.tolist(), strict=True)
        ],
    )
    again = classify(TEST_SCORES, flipped["test"], VALIDATION_SCORES, two_relations["validation"])
    assert again.threshold == classified.threshold
    assert again.predictions.tolist() == classified.predictions.tolist()


@pytest.mark.parametrize("start", [1.0, -3.3, 7.25, 6.9999])
@pytest.mark.parametrize("steps", [0, 1])
def test_scores_one_float32_step_apart_are_decided_as_in_validation(start, steps):
    """Half-way between two neighboring float32 numbers is no float32 number."""
    low = np.float32(start)
    for _ in range(steps):
        low = np.nextafter(low, np.float32(np.inf))
    scores = np.array([low, np.nextafter(low, np.float32(np.inf))], dtype=np.float32)
    rows = [("a", "r", "b", 0), ("b", "r", "a", 1)]
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], rows, rows)
    result = classify(scores, graph["test"], scores, graph["validation"])
    assert result.predictions.tolist() == [0, 1]
    assert result.metrics["per_relation_accuracy"] == 1.0


# A model


def forward(model, processor, graph, split):
    entities, relations = graph.entities.texts, graph.relations.texts
    texts = [(entities[h], relations[r], entities[t]) for h, r, t in graph[split].triplets.tolist()]
    with torch.no_grad():
        return model(**processor(texts)).scores.numpy()


def test_evaluation_scores_with_the_model_and_decides_by_validation(model, processor, labeled_graph):
    result = evaluate_triplet_classification(model, processor, labeled_graph, dtype="float32", quiet=True)
    fitted, scores = (forward(model, processor, labeled_graph, split) for split in ("validation", "test"))
    labels = {split: labeled_graph[split].labels.tolist() for split in ("validation", "test")}
    assert result.scores == pytest.approx(scores, abs=1e-5)
    assert result.scores.dtype == np.float32
    assert result.labels.tolist() == labels["test"]
    best = max(accuracy(fitted.tolist(), labels["validation"], cut) for cut in every_cut(fitted.tolist()))
    assert accuracy(fitted.tolist(), labels["validation"], result.threshold) == best
    assert result.predictions.tolist() == [int(score > result.threshold) for score in result.scores.tolist()]
    assert result.metrics["accuracy"] == accuracy(result.scores.tolist(), labels["test"], result.threshold)


def test_validation_itself_can_be_classified(model, processor, labeled_graph):
    result = evaluate_triplet_classification(
        model, processor, labeled_graph, split="validation", dtype="float32", quiet=True
    )
    assert len(result.scores) == 6
    scores = forward(model, processor, labeled_graph, "validation").tolist()
    labels = labeled_graph["validation"].labels.tolist()
    assert result.metrics["accuracy"] == max(accuracy(scores, labels, cut) for cut in every_cut(scores))
    assert result.metrics["per_relation_accuracy"] >= result.metrics["accuracy"]


def test_a_graph_without_labels_is_an_error_that_names_split_and_column(model, processor, graph):
    with pytest.raises(GraphError, match=r"validation split.*4th column"):
        evaluate_triplet_classification(model, processor, graph, quiet=True)


def test_a_test_split_without_labels_is_an_error(model, processor):
    rows = [("cat", "eats", "mouse", 1), ("mouse", "eats", "cat", 0)]
    graph = KnowledgeGraph.from_triplets(TRAIN, rows, [("dog", "eats", "food")])
    with pytest.raises(GraphError, match="the test split"):
        evaluate_triplet_classification(model, processor, graph, quiet=True)


@pytest.mark.parametrize("label", [0, 1])
def test_a_validation_split_with_one_label_only_is_an_error(model, processor, label):
    rows = [("cat", "eats", "mouse", 1), ("mouse", "eats", "cat", 0)]
    graph = KnowledgeGraph.from_triplets(TRAIN, [("cat", "eats", "mouse", label)], rows)
    with pytest.raises(GraphError, match=f"validation split has no {'false' if label else 'true'} triplet"):
        evaluate_triplet_classification(model, processor, graph, quiet=True)


def test_a_missing_validation_split_is_an_error(model, processor):
    rows = [("cat", "eats", "mouse", 1), ("mouse", "eats", "cat", 0)]
    with pytest.raises(GraphError, match="'validation'"):
        evaluate_triplet_classification(
            model, processor, KnowledgeGraph.from_triplets(TRAIN, test=rows), dtype="float32", quiet=True
        )
