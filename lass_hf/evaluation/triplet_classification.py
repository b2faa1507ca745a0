"""Triplet classification: true or false by a threshold on the score that the validation split fixes (paper, 3.2)."""

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from .calibration import Calibration, labeled
from .metrics import best_threshold, classification_metrics
from .platt_scaling import reliability_curve


@dataclass
class ClassificationResult:
    """Decisions about the labeled triplets of a split.

    `metrics`: `accuracy`, `precision`, `recall`, `f1`, `roc_auc` with one threshold for all relations, and
    `per_relation_accuracy`, ... with one for each; `ece_platt`, the expected calibration error of the calibration's
    probabilities. `calibration`: the one threshold, and Platt scaling, both from validation. `relation_thresholds`: by
    relation id; relations that validation lacks use the one for all. `scores` float32, `labels` and `predictions` (one
    threshold) 1 / 0: (n,). `validation_scores`: float32, those that all of this was fitted on.
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

    Several processes share the triplets; each gets the whole result. Raises GraphError when either split has no labels.
    """
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    validation, test = labeled(graph, "validation"), labeled(graph, split)
    total = len(validation) + (len(test) if split != "validation" else 0)
    with tqdm(
        total=total, desc="scoring", unit=" triplets", unit_scale=True, disable=quiet or not processes().is_main_process
    ) as bar:
        fitted = scorer.score(validation.triplets, progress=bar, shared=True)
        scores = fitted if split == "validation" else scorer.score(test.triplets, progress=bar, shared=True)
    return classify(scores, test, fitted, validation)


def classify(scores: np.ndarray, split: GraphSplit, fitted: np.ndarray, validation: GraphSplit) -> ClassificationResult:
    """Decisions from scores of a split and of the validation split."""
    validation_scores = fitted
    exact, fitted = (values.astype(np.float64) for values in (scores, fitted))  # float32 would round the thresholds
    assert split.labels is not None
    assert validation.labels is not None
    calibration = Calibration.fit(fitted, validation.labels)
    thresholds = np.full(split.graph.num_relations, calibration.threshold)
    used = np.unique(validation.triplets[:, 1])
    for relation in used:
        rows = validation.triplets[:, 1] == relation
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
        relation_thresholds={names[relation]: float(thresholds[relation]) for relation in used},
        scores=scores,
        labels=split.labels,
        predictions=predictions,
        validation_scores=validation_scores,
    )
