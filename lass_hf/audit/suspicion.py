"""One suspicion of each triplet: a fit of all signals that tells injected errors from the graph's own triplets.

The graph's own triplets count as true in the fit, its own errors among them.
"""

from collections.abc import Callable

import numpy as np

from ..core.errors import GraphError
from ..evidence.boosted_fit import fit_out_of_fold

LEAST_ERRORS = 10


def fit_suspicion(
    features: np.ndarray,
    is_injected: np.ndarray,
    is_fitted: np.ndarray,
    share: float,
    seed: int = 42,
    on_progress: Callable[[float], None] | None = None,
    judged: np.ndarray | None = None,
) -> np.ndarray:
    """Fits the suspicion, and judges all triplets out of fold.

    Args:
        features: Float32 of shape (n, F), NaN where nothing is known.
        is_injected: Bool of shape (n,).
        is_fitted: Bool of shape (n,): the triplets that the fit reads. The others are judged by the mean of its folds.
        share: The share of the graph's triplets that is assumed to be wrong, above 0 and below 1: the number of
            injected errors does not change the probabilities.
        seed: Seed of the folds.
        on_progress: Is called with the share of the work that is done.
        judged: The features by which the triplets are judged, like those of the fit; None for the same.

    Returns:
        Float64 of shape (n,): the probability that the triplet is wrong, if errors are like those injected.

    Raises:
        GraphError: There are too few errors to fit anything.
    """
    count, others = int(is_injected[is_fitted].sum()), int((~is_injected[is_fitted]).sum())
    if min(count, others) < LEAST_ERRORS:
        raise GraphError(
            f"{others} triplets and {count} errors that could be made of them; an audit needs {LEAST_ERRORS} of each"
        )
    log_odds = fit_out_of_fold(features, is_injected, is_fitted, seed, on_progress, judged)
    log_odds += np.log(share / (1 - share)) - np.log(count / others)
    return 1 / (1 + np.exp(-log_odds))
