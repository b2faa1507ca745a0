"""A fit of boosted trees that tells wrong triplets from true ones by features, and judges each triplet out of fold.

No triplet's own label speaks for it: it is judged by fits on other folds. The mean of several such fits finds more than
one longer fit does.
"""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import RepeatedStratifiedKFold

NUM_FOLDS, REPEATS = 3, 3
MOST_TRUE = 100_000  # triplets that count as true in one fit: more make it slower, and hardly better


def fit_out_of_fold(
    features: np.ndarray,
    is_wrong: np.ndarray,
    is_fitted: np.ndarray,
    seed: int = 42,
    on_progress: Callable[[float], None] | None = None,
    judged: np.ndarray | None = None,
) -> np.ndarray:
    """Fits the log odds of being wrong, and judges all triplets out of fold.

    Args:
        features: Float32 of shape (n, F), NaN where nothing is known.
        is_wrong: Bool of shape (n,), which counts where triplets are fitted: `NUM_FOLDS` of each kind, at least.
        is_fitted: Bool of shape (n,): the triplets that the fit reads. The others are judged by the mean of its folds.
        seed: Seed of the folds.
        on_progress: Is called with the share of the work that is done.
        judged: The features by which the triplets are judged, like those of the fit; None for the same.

    Returns:
        Float64 of shape (n,): log odds, for as large a share of wrong triplets as the fitted ones have.
    """
    rows, judged = np.flatnonzero(is_fitted), features if judged is None else judged
    count = int(is_wrong[rows].sum())
    log_odds, others = np.zeros(len(features)), np.flatnonzero(~is_fitted)
    folds = RepeatedStratifiedKFold(n_splits=NUM_FOLDS, n_repeats=REPEATS, random_state=seed)
    for number, (train, test) in enumerate(folds.split(rows, is_wrong[rows])):
        wrong, right = (rows[train[is_wrong[rows[train]] == one]] for one in (True, False))
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
        own, asked = np.concatenate([wrong, chosen]), np.concatenate([rows[test], others])
        known = np.flatnonzero(~np.isnan(features[own]).all(axis=0))  # trees refuse a column without any number
        odds = np.full(len(asked), np.log(len(wrong) / len(chosen)))
        if len(known):
            model.fit(features[np.ix_(own, known)], is_wrong[own])
            odds = model.decision_function(judged[np.ix_(asked, known)])
        odds = odds + np.log(len(chosen) / len(right))  # the errors are a larger share of what is read than of all
        log_odds[rows[test]] += odds[: len(test)] / REPEATS
        log_odds[others] += odds[len(test) :] / (NUM_FOLDS * REPEATS)
        if on_progress is not None:
            on_progress((number + 1) / (NUM_FOLDS * REPEATS))
    return log_odds
