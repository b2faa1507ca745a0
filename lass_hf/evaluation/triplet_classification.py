"""Triplet classification: true or false by a threshold on the score, fitted on the validation split (paper, 3.2)."""

from dataclasses import dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.choosing import EvidenceChoice
from ..evidence.fused_evidence import FusedEvidence
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from .calibration import Calibration, labeled_split
from .metrics import best_threshold, classification_metrics, rows_by_value
from .platt_scaling import reliability_curve
from .triplet_fusion import check_labels, choose_graph_evidence, describe_triplets, fit_to_labels


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
        text: the result by the text's score alone, where other evidence counts, too; `metrics` has its `text_accuracy`
            and `text_per_relation_accuracy`. None where the text alone is the result.
        evidence: what counts beside the text; or None.
    """

    metrics: dict[str, float]
    calibration: Calibration
    relation_thresholds: dict[str, float]
    scores: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    validation_scores: np.ndarray
    text: "ClassificationResult | None" = None
    evidence: FusedEvidence | None = None

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
    evidence: EvidenceChoice = "auto",
    seed: int = 42,
) -> ClassificationResult:
    """Classifies a labeled split with thresholds that maximize accuracy on the labeled validation split.

    With evidence beside the text, the scores are log odds of boosted trees, which are fitted to the labels of
    validation: by the text's score, and what rules, structural vectors and counts of training triplets say. Validation
    is judged out of fold, so that thresholds fitted to it do not flatter.

    Several processes share the triplets and must all call this; each gets the whole result.

    Args:
        model: the model to evaluate.
        processor: its processor.
        graph: a graph whose validation split and evaluated split have labels.
        split: name of the split.
        dtype: precision of scoring, as in `evaluate_link_prediction`.
        quiet: show no progress bar.
        evidence: what counts beside the text: "auto" for what the model's folder has, if anything; "text" for the text
            alone; or "frequency", "rules" and "vectors", which are found in the graph if the folder has none.
        seed: seed of what is found and fitted.

    Returns:
        Metrics, thresholds, scores and predictions.

    Raises:
        GraphError: either split has no true or no false triplets, or validation too few for a fit of evidence.
        LassError: a kind of evidence is unknown, or the model has evidence without it.
    """
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    validation, test = labeled_split(graph, "validation"), labeled_split(graph, split)
    chosen = choose_graph_evidence(evidence, graph, model, processor, seed, quiet)
    assert validation.labels is not None
    if chosen is not None:
        check_labels(validation.triplets, validation.labels)
    total = len(validation) + (len(test) if split != "validation" else 0)
    with tqdm(
        total=total, desc="scoring", unit=" triplets", unit_scale=True, disable=quiet or not processes().is_main_process
    ) as bar:
        validation_scores = scorer.score(validation.triplets, progress=bar, shared=True)
        scores = validation_scores if split == "validation" else scorer.score(test.triplets, progress=bar, shared=True)
    text = classify(scores, test, validation_scores, validation)
    if chosen is None:
        return text
    is_own = split == "validation"
    both = validation.triplets if is_own else np.concatenate([validation.triplets, test.triplets])
    texts = validation_scores if is_own else np.append(validation_scores, scores)
    features = np.column_stack([texts, describe_triplets(chosen, graph, both)])
    log_odds = fit_to_labels(features, validation.triplets, validation.labels, seed)
    fitted = log_odds[: len(validation)]
    result = classify(fitted if is_own else log_odds[len(validation) :], test, fitted, validation)
    of_text = {f"text_{name}": text.metrics[name] for name in ("accuracy", "per_relation_accuracy")}
    return replace(result, metrics=result.metrics | of_text, text=text, evidence=chosen)


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
