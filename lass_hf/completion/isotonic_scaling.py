"""Isotonic regression of labels on scores: probabilities that rise with the score, by no formula.

Isotonic regression alone gives a whole block of scores one probability, which is 1 where the best three are true by
chance. Here no block has fewer than 10 true triplets, and its probability counts at the mean score of the block, with
straight lines between (centered isotonic regression, Oron and Flournoy, 2017), so that most scores keep their order.
"""

from dataclasses import dataclass

import numpy as np

LEAST_TRUE = 10  # true triplets of a block


@dataclass(frozen=True)
class IsotonicScaling:
    """Probabilities by straight lines between knots; beyond the first and the last knot, those of these.

    Attributes:
        scores: Float64 of shape (k,), ascending.
        probabilities: Float64 of shape (k,), ascending, above 0 and below 1.
    """

    scores: np.ndarray
    probabilities: np.ndarray

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Returns the probabilities of scores, of the same shape, float64."""
        return np.interp(scores, self.scores, self.probabilities)


def fit_isotonic(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> IsotonicScaling:
    """Fits probabilities that rise with the score.

    Args:
        scores: Float64 of shape (n,), n > 0.
        labels: 1 (true) or 0 (false), of shape (n,).
        weights: The number of triplets that each one stands for, float64 of shape (n,).
    """
    from scipy.optimize import isotonic_regression

    places, rows = np.unique(scores, return_inverse=True)
    counts, hits = np.bincount(rows, weights), np.bincount(rows, weights * labels)
    higher = np.cumsum(hits[::-1])[::-1] - hits  # true triplets with a higher score
    num_blocks = max(1, int(hits.sum()) // LEAST_TRUE)
    blocks = num_blocks - 1 - np.minimum(higher // LEAST_TRUE, num_blocks - 1).astype(np.int64)
    sums = [np.bincount(blocks, one) for one in (counts, hits, counts * places)]
    counts, hits, totals = (one[sums[0] > 0] for one in sums)  # a score of many true triplets leaves blocks empty
    found = isotonic_regression(hits / counts, weights=counts)
    starts = found.blocks[:-1]
    counts = np.add.reduceat(counts, starts)
    least = 1 / (counts + 2)  # No finite number of triplets makes a probability 0 or 1.
    probabilities = np.maximum.accumulate(np.clip(found.x[starts], least, 1 - least))
    return IsotonicScaling(np.add.reduceat(totals, starts) / counts, probabilities)
