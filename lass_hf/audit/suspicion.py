"""One suspicion of each triplet: a fit of all signals that tells injected errors from the graph's own triplets.

The graph's own triplets count as true in the fit, its own errors among them. Each is judged by fits on other folds, so
that no triplet's own label speaks for it. The mean of several such fits finds more than one longer fit does.
"""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import RepeatedStratifiedKFold

from ..core.errors import GraphError

NUM_FOLDS, REPEATS = 3, 3
LEAST_ERRORS = 10
MOST_TRUE = 100_000  # triplets that count as true in one fit: more make it slower, and hardly better


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
    rows = np.flatnonzero(is_fitted)
    count = int(is_injected[rows].sum())
    if count < LEAST_ERRORS or len(rows) - count < LEAST_ERRORS:
        raise GraphError(
            f"{len(rows) - count} triplets and {count} errors that could be made of them; an audit needs "
            f"{LEAST_ERRORS} of each"
        )
    judged = features if judged is None else judged
    log_odds, others = np.zeros(len(features)), np.flatnonzero(~is_fitted)
    folds = RepeatedStratifiedKFold(n_splits=NUM_FOLDS, n_repeats=REPEATS, random_state=seed)
    for number, (train, test) in enumerate(folds.split(rows, is_injected[rows])):
        wrong, right = (rows[train[is_injected[rows[train]] == one]] for one in (True, False))
        chosen = np.random.default_rng([seed, number]).permutation(right)[:MOST_TRUE]
        model = HistGradientBoostingClassifier(
            learning_rate=0.08,
            max_iter=150,
            max_leaf_nodes=24,
            min_samples_leaf=min(20, max(5, count // 20)),
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=False,
            random_state=seed + number,
        )
        own = np.concatenate([wrong, chosen])
        model.fit(features[own], is_injected[own])
        # The errors are a larger share of what is read than of all.
        shift = np.log(len(chosen) / len(right))
        log_odds[rows[test]] += (model.decision_function(judged[rows[test]]) + shift) / REPEATS
        if len(others):
            log_odds[others] += (model.decision_function(judged[others]) + shift) / (NUM_FOLDS * REPEATS)
        if on_progress is not None:
            on_progress((number + 1) / (NUM_FOLDS * REPEATS))
    log_odds += np.log(share / (1 - share)) - np.log(count / (len(rows) - count))
    return 1 / (1 + np.exp(-log_odds))
