"""Triplet classification as an `evaluate` metric, from scores and labels; no model, no graph.

`evaluate.load("<this file>")` copies it and the siblings that it imports, whose import lines must bear no comment.
"""

import datasets
import evaluate
import numpy as np

from .metrics import best_threshold, classification_metrics

DESCRIPTION = """\
Triplet classification: a triplet is called true when its score is above a threshold. Accuracy, precision, recall, F1, \
and the area under the ROC curve, which needs no threshold.
"""
INPUTS = """
Args:
    predictions: score of each triplet, float, shape (n,).
    references: label of each triplet, 1 (true) or 0 (false), shape (n,).
    threshold: float; the one that was chosen on the validation split (paper, section 3.2). Without it, the threshold
        with the highest accuracy on these very triplets: right for a validation split, flattering for any other.
Returns:
    dict of floats: `accuracy`, `precision`, `recall`, `f1`, `roc_auc` (not when all labels are equal), `threshold`.
Raises:
    ValueError: no triplets, labels other than 1 and 0, scores or a threshold that are NaN or infinite. Everything that
        was added is dropped then.
Example:
    >>> metric = TripletClassificationMetric()
    >>> threshold = metric.compute(predictions=[4.0, 2.5, -1.0], references=[1, 1, 0])["threshold"]  # validation
    >>> metric.add_batch(predictions=[3.0, 0.5], references=[1, 1])  # test
    >>> metric.add_batch(predictions=[0.25], references=[0])
    >>> metric.compute(threshold=threshold)["recall"]
    0.5
"""
CITATION = """\
@inproceedings{shen-etal-2022-joint,
    title = "Joint Language Semantic and Structure Embedding for Knowledge Graph Completion",
    author = "Shen, Jianhao and Wang, Chenguang and Gong, Linyuan and Song, Dawn",
    booktitle = "Proceedings of the 29th International Conference on Computational Linguistics",
    year = "2022",
    url = "https://aclanthology.org/2022.coling-1.171",
}
"""


class TripletClassificationMetric(evaluate.Metric):
    """Accuracy, precision, recall, F1 and ROC-AUC from scores (float) and labels (1 / 0), batch by batch.

    `compute(threshold=...)` takes the threshold that was fitted on validation; without one it uses the best threshold
    of these very scores. `evaluate.load` takes the path of this file, too.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            # Labels are floats, because integers would round 0.5 down to a 0 that nobody gave.
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions, references, threshold: float | None = None) -> dict[str, float]:
        scores, labels = (np.asarray(values, dtype=np.float64) for values in (predictions, references))
        if not len(scores):
            raise ValueError("no scores were given; expected the score and the label of each triplet")
        finite, right = np.isfinite(scores), np.isin(labels, (0, 1))
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(f"triplet {row}: score {scores[row]:g}; expected a finite number")
        if not right.all():
            row = int(np.argmin(right))
            raise ValueError(
                f"triplet {row}: label {labels[row]:g}; expected 1 (true) or 0 (false) (predictions are scores, "
                "references labels)"
            )
        labels = labels.astype(np.int8)
        threshold = best_threshold(scores, labels) if threshold is None else float(threshold)
        if not np.isfinite(threshold):
            raise ValueError(f"threshold={threshold}; expected a finite number")
        return classification_metrics(scores, labels, (scores > threshold).astype(np.int8)) | {"threshold": threshold}
