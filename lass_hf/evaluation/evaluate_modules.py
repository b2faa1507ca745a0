"""The package's metrics as `evaluate` modules, for scripts that gather ranks or scores batch by batch.

Each has a file of its own, because `evaluate.load` takes a file and the first metric in it; the numbers are those of
`metrics.py`.

    metric = LinkPredictionMetric()  # or evaluate.load("lass_hf/link_prediction_metric.py"), wherever the package lies
    metric.add_batch(predictions=ranks, references=num_candidates)
    metric.compute()["mrr"]
"""

from .link_prediction_metric import LinkPredictionMetric
from .triplet_classification_metric import TripletClassificationMetric

__all__ = ["LinkPredictionMetric", "TripletClassificationMetric"]
