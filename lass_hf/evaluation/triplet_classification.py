"""Triplet classification: true or false by a threshold on the score, fitted on the validation split (paper, 3.2)."""

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from .calibration import Calibration, labeled_split
from .metrics import best_threshold, classification_metrics, rows_by_value
from .platt_scaling import reliability_curve


@dataclass
class ClassificationResult:
    """Predictions for the labeled triplets of a split.

    Attributes:
        metrics: `accuracy`, `precision`, `recall`, `f1` and `roc_auc` with one threshold for all relations,
            `per_relation_accuracy`, ... with one for each relation, and `ece_platt`, the expected calibration error of
            the probabilities.
        calibration: the one threshold, and Platt scaling, both fitted on validation.
        relation_thresholds: thresholds by relation id; relations that validation lacks use the one for all.
        scores: scores of the triplets, float32, shape (n,).
        labels: 1 (true) or 0 (false), shape (n,).
        predictions: 1 or 0 by the one threshold, shape (n,).
        validation_scores: the scores that thresholds and scaling were fitted on, float32.
    """

    metrics: dict[str, float]
    calibration: Calibration
    relation_thresholds: dict[str, float]
    scores: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    validation_scores: np.ndarray

    @property
    def threshold(self) -> float:
        """The one threshold for all relations."""
        return self.calibration.threshold


def evaluate_triplet_classification(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    dtype: str = "auto",
    quiet: bool = False,
) -> ClassificationResult:
    """Classifies a labeled split with thresholds that maximize accuracy on the labeled validation split.

    Several processes share the triplets and must all call this; each gets the whole result.

    Args:
        model: the model to evaluate.
        processor: its processor.
        graph: a graph whose validation split and evaluated split have labels.
        split: name of the split.
        dtype: precision of scoring, as in `evaluate_link_prediction`.
        quiet: show no progress bar.

    Returns:
        Metrics, thresholds, scores and predictions.

    Raises:
        GraphError: either split has no true or no false triplets.
    """
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    validation, test = labeled_split(graph, "validation"), labeled_split(graph, split)
    total = len(validation) + (len(test) if split != "validation" else 0)
    with tqdm(
        total=total, desc="scoring", unit=" triplets", unit_scale=True, disable=quiet or not processes().is_main_process
    ) as bar:
        validation_scores = scorer.score(validation.triplets, progress=bar, shared=True)
        scores = validation_scores if split == "validation" else scorer.score(test.triplets, progress=bar, shared=True)
    return classify(scores, test, validation_scores, validation)


def classify(
    scores: np.ndarray, split: GraphSplit, validation_scores: np.ndarray, validation: GraphSplit
) -> ClassificationResult:
    """Fits thresholds and Platt scaling on one split, and classifies the triplets of another with them.

    Args:
        scores: scores of the triplets of `split`, float32, shape (n,).
        split: a split with labels.
        validation_scores: scores of the triplets of `validation`, float32.
        validation: a split with labels; it may be the same.
    """
    exact, fitted = (values.astype(np.float64) for values in (scores, validation_scores))  # float32 would round
    assert split.labels is not None
    assert validation.labels is not None
    calibration = Calibration.fit(fitted, validation.labels)
    thresholds = np.full(split.graph.num_relations, calibration.threshold)
    rows_of_relation = rows_by_value(validation.triplets[:, 1])
    for relation, rows in rows_of_relation.items():
        thresholds[relation] = best_threshold(fitted[rows], validation.labels[rows])
    predictions = (exact > calibration.threshold).astype(np.int8)
    metrics = classification_metrics(scores, split.labels, predictions)
    by_relation = (exact > thresholds[split.triplets[:, 1]]).astype(np.int8)
    per_relation = classification_metrics(scores, split.labels, by_relation)
    metrics |= {f"per_relation_{name}": value for name, value in per_relation.items() if name != "roc_auc"}
    metrics["ece_platt"] = reliability_curve(calibration.platt(scores), split.labels).ece
    names = split.graph.relations.ids
    return ClassificationResult(
        metrics=metrics | {"num_triplets": len(scores)},
        calibration=calibration,
        relation_thresholds={names[relation]: float(thresholds[relation]) for relation in rows_of_relation},
        scores=scores,
        labels=split.labels,
        predictions=predictions,
        validation_scores=validation_scores,
    )
