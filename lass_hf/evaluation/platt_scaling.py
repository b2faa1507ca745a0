"""Platt scaling: scores into probabilities, and how reliable those are.

Arrays in, numbers out; no model, no graph, no plot.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_BINS = 10  # of equal width on [0, 1]


@dataclass(frozen=True)
class PlattScaling:
    """Probability that a triplet is true: sigmoid(slope * score + intercept) (Platt, 1999).

    Attributes:
        slope: factor of the score.
        intercept: summand.
    """

    slope: float
    intercept: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the probabilities of scores, of the same shape, float64."""
        return sigmoid(self.slope * np.asarray(scores, dtype=np.float64) + self.intercept)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Predicted probabilities beside the share of true triplets, bin by bin; arrays of shape (NUM_BINS,).

    Attributes:
        counts: number of triplets in each bin, int64.
        claimed: mean probability of each bin, float64; NaN in an empty bin.
        observed: share of true triplets in each bin, float64; NaN in an empty bin.
        ece: the expected calibration error: the mean of |claimed - observed| over triplets (Naeini et al., 2015, for
            the probability of "true").
    """

    counts: np.ndarray
    claimed: np.ndarray
    observed: np.ndarray
    ece: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve as plain lists, for JSON, with None in an empty bin."""
        claimed, observed = (
            [float(share) if count else None for share, count in zip(shares, self.counts, strict=True)]
            for shares in (self.claimed, self.observed)
        )
        return {"ece": self.ece, "counts": self.counts.tolist(), "claimed": claimed, "observed": observed}


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Computes 1 / (1 + exp(-x)), float64, without overflow; of a score it is the model's Pr(1 | h, r, t) (Eq. 4)."""
    values = np.asarray(values, dtype=np.float64)
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1, small) / (1 + small)


def fit_platt(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> PlattScaling:
    """Fits the scaling with the highest likelihood.

    Platt's targets, (m + 1) / (m + 2) instead of 1 and 1 / (k + 2) instead of 0 for m true and k false triplets, keep
    the slope finite where a threshold separates all of them.

    Args:
        scores: scores of a validation split, shape (n,).
        labels: 1 (true) or 0 (false), shape (n,).
        weights: the number of triplets that each one stands for, shape (n,); None: one each.
    """
    from sklearn.linear_model import LogisticRegression

    scores, true = np.asarray(scores, dtype=np.float64), np.asarray(labels) == 1
    center, width = scores.mean(), scores.std() or 1.0  # the solver needs numbers of ordinary size
    weights = np.ones(len(scores)) if weights is None else weights
    num_true, num_false = weights[true].sum(), weights[~true].sum()
    targets = np.where(true, (num_true + 1) / (num_true + 2), 1 / (num_false + 2))
    # Logistic regression to probabilities: each score once as true and once as false, weighted.
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.tile((scores - center) / width, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([weights * targets, weights * (1 - targets)]),
    )
    slope = float(model.coef_[0, 0] / width)
    return PlattScaling(slope, float(model.intercept_[0] - slope * center))


def reliability_curve(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> ReliabilityCurve:
    """Bins probabilities of "true" and compares them with labels.

    Bin i holds [i / NUM_BINS, (i + 1) / NUM_BINS), the last one also 1.

    Args:
        probabilities: shape (n,), n > 0.
        labels: 1 (true) or 0 (false), shape (n,).
        weights: the number of triplets that each one stands for, shape (n,); None: one each.
    """
    probabilities, true = np.asarray(probabilities, dtype=np.float64), np.asarray(labels) == 1
    weights = np.ones(len(probabilities)) if weights is None else weights
    bins = np.minimum((probabilities * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    counts, *sums = (np.bincount(bins, weights * one, NUM_BINS) for one in (1, probabilities, true))
    with np.errstate(invalid="ignore"):
        claimed, observed = (total / counts for total in sums)
    ece = float(np.abs(sums[0] - sums[1]).sum() / counts.sum())
    return ReliabilityCurve(np.rint(counts).astype(np.int64), claimed, observed, ece)
