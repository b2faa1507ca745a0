"""Metrics of ranks, and of scores with labels: arrays in, plain dicts out; no model, no graph."""

import numpy as np

HITS_AT = (1, 3, 10)
RANKING = {"mr": False, "mrr": True, **{f"hits@{k}": True for k in HITS_AT}, "amri": True}  # whether more is better
CLASSIFICATION = {**dict.fromkeys(["accuracy", "precision", "recall", "f1", "roc_auc"], True), "ece_platt": False}
METRICS = {"loss": False, **RANKING, **CLASSIFICATION}


def more_is_better(metric: str) -> bool | None:
    """Returns whether a higher value of a metric is better; None for one that this package does not compute.

    Args:
        metric: the name, perhaps behind words of its own: `mr`, `eval_head_mr`.
    """
    named = [name for name in METRICS if f"_{metric}".endswith(f"_{name}")]
    return METRICS[named[0]] if named else None


def rows_by_value(values: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the positions of each distinct value: by one sort, where a comparison for each value would be quadratic.

    Args:
        values: int, shape (n,).

    Returns:
        For each value, ascending, its positions, ascending.
    """
    order = np.argsort(values, kind="stable")
    distinct, first = np.unique(values[order], return_index=True)
    return dict(zip(distinct.tolist(), np.split(order, first)[1:], strict=True))


def ranking_metrics(ranks: np.ndarray, num_candidates: np.ndarray) -> dict[str, float]:
    """Computes MR, MRR, Hits@1/3/10 and the adjusted mean rank index (AMRI).

    AMRI is 1 - (MR - 1) / (E[MR] - 1), where E[MR] is the mean rank of a random order (Berrendorf et al., 2020): 1 is
    perfect, 0 is chance. It is 0 where no query has a second candidate.

    Args:
        ranks: rank of the target of each query, 1 is best, shape (n,).
        num_candidates: candidates of each query after filtering, the target included, shape (n,).

    Returns:
        `mr`, `mrr`, `hits@1`, `hits@3`, `hits@10`, `amri`.
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    metrics = {"mr": float(ranks.mean()), "mrr": float((1 / ranks).mean())}
    metrics |= {f"hits@{k}": float((ranks <= k).mean()) for k in HITS_AT}
    expected = (np.asarray(num_candidates) + 1).mean() / 2
    metrics["amri"] = float(1 - (metrics["mr"] - 1) / (expected - 1)) if expected > 1 else 0.0
    return metrics


def classification_metrics(scores: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Computes accuracy, precision, recall and F1 of predictions, and ROC-AUC of scores.

    Args:
        scores: float, shape (n,).
        labels: 1 (true) or 0 (false), shape (n,).
        predictions: 1 or 0, shape (n,).

    Returns:
        `accuracy`, `precision`, `recall`, `f1`, and `roc_auc`, which is left out when all labels are equal: it is not
        defined then.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

    precision, recall, f1, _ = precision_recall_fscore_support(labels, predictions, average="binary", zero_division=0)
    metrics = {
        "accuracy": float(accuracy_score(labels, predictions)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
    if len(np.unique(labels)) == 2:
        metrics["roc_auc"] = float(roc_auc_score(labels, scores))
    return metrics


def best_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the threshold with the highest accuracy when `score > threshold` means true, over all cut points.

    A cut point lies half-way between neighboring distinct scores, or beyond either end; of equally good ones the
    lowest is returned.

    Args:
        scores: float, shape (n,).
        labels: 1 (true) or 0 (false), shape (n,).
    """
    order = np.argsort(scores, kind="stable")
    ordered, positive = np.asarray(scores, dtype=np.float64)[order], np.asarray(labels)[order] == 1
    # Triplets called right when the lowest i are called false: negatives among them, and positives among the rest.
    right = np.concatenate([[0], np.cumsum(~positive)]) + positive.sum() - np.concatenate([[0], np.cumsum(positive)])
    padded = np.concatenate([[ordered[0] - 1], ordered, [ordered[-1] + 1]])
    right[padded[1:] == padded[:-1]] = -1  # no cut between equal scores
    cut = int(np.argmax(right))
    return float((padded[cut] + padded[cut + 1]) / 2)
