"""One suspicion of each triplet: a fit of all signals that tells injected errors from the graph's own triplets.

The graph's own triplets count as true in the fit, its own errors among them. Each is judged by a fit on the other
folds, so that no triplet's own label speaks for it.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from ..core.errors import GraphError

NUM_FOLDS = 5
LEAST_ERRORS = 2 * NUM_FOLDS


def fit_suspicion(
    features: np.ndarray, is_injected: np.ndarray, is_fitted: np.ndarray, share: float, seed: int = 42
) -> np.ndarray:
    """Fits the suspicion, and judges all triplets out of fold.

    Args:
        features: Float32 of shape (n, F), NaN where nothing is known.
        is_injected: Bool of shape (n,).
        is_fitted: Bool of shape (n,): the triplets that the fit reads. The others are judged by the mean of its folds.
        share: The share of the graph's triplets that is assumed to be wrong, above 0 and below 1: the number of
            injected errors does not change the probabilities.
        seed: Seed of the folds.

    Returns:
        Float64 of shape (n,): the probability that the triplet is wrong, if errors are like those injected.

    Raises:
        GraphError: There are too few errors to fit anything.
    """
    rows = np.flatnonzero(is_fitted)
    count = int(is_injected[rows].sum())
    if count < LEAST_ERRORS or len(rows) - count < LEAST_ERRORS:
        raise GraphError(
            f"{len(rows) - count} triplets and {count} errors that could be made of them; an audit needs "
            f"{LEAST_ERRORS} of each"
        )
    log_odds = np.zeros(len(features))
    others = np.flatnonzero(~is_fitted)
    for train, test in StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed).split(rows, is_injected[rows]):
        model = HistGradientBoostingClassifier(
            learning_rate=0.06,
            max_iter=250,
            max_leaf_nodes=24,
            min_samples_leaf=min(40, max(5, count // 20)),
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=False,
            random_state=seed,
        ).fit(features[rows[train]], is_injected[rows[train]])
        log_odds[rows[test]] = model.decision_function(features[rows[test]])
        if len(others):
            log_odds[others] += model.decision_function(features[others]) / NUM_FOLDS
    log_odds += np.log(share / (1 - share)) - np.log(count / (len(rows) - count))
    return 1 / (1 + np.exp(-log_odds))
