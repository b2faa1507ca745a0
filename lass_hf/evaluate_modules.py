"""The package's metrics as `evaluate` modules, for scripts that gather ranks or scores batch by batch.

metric = LinkPredictionMetric()
metric.add_batch(predictions=ranks, references=num_candidates)
metric.compute()["mrr"]
"""

import datasets
import evaluate
import numpy as np

from .metrics import best_threshold, classification_metrics, ranking_metrics

CITATION = "Shen et al.: Joint Language Semantic and Structure Embedding for Knowledge Graph Completion. COLING 2022."


class LinkPredictionMetric(evaluate.Metric):
    """MR, MRR, Hits@1/3/10 and AMRI from realistic ranks (float) and each query's number of candidates (int)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Filtered link prediction metrics from ranks.",
            citation=CITATION,
            inputs_description="predictions: realistic rank of each query; references: its number of candidates.",
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        return ranking_metrics(np.asarray(predictions), np.asarray(references))


class TripletClassificationMetric(evaluate.Metric):
    """Accuracy, precision, recall, F1 and ROC-AUC from scores (float) and labels (1 / 0).

    `compute(threshold=...)` takes the threshold that validation fixed; without one, the best of these very scores.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Triplet classification metrics from scores, labels and a threshold.",
            citation=CITATION,
            inputs_description="predictions: score of each triplet; references: 1 for a true one, 0 for a false one.",
            features=datasets.Features(
                {"predictions": datasets.Value("float32"), "references": datasets.Value("int8")}
            ),
        )

    def _compute(self, predictions, references, threshold: float | None = None) -> dict[str, float]:
        scores, labels = np.asarray(predictions), np.asarray(references)
        if threshold is None:
            threshold = best_threshold(scores, labels)
        return classification_metrics(scores, labels, (scores > threshold).astype(np.int8)) | {"threshold": threshold}
