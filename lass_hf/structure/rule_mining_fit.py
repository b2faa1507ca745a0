"""Fits the confidences of the rules of one head together, so that a rule counts what others do not already explain."""

import numpy as np
from scipy.sparse import csr_array

ROUNDS = 8  # more fit the known triplets better, and unknown ones worse
LEAST_CHANCE = 1e-6
MOST_CONFIDENT = 0.99  # before the fit


def fit_weights(
    fires: csr_array, body_counts: np.ndarray, held_out: np.ndarray, scale: float, prior: float
) -> np.ndarray:
    """Returns the weights w of rules, -log(1 - confidence), that make known triplets likely in a noisy-or.

    A pair is a triplet with the probability p = 1 - exp(-sum of the w of the rules that fire). The likelihood of the
    known triplets, and of all other pairs being none, is concave in w, and expectation maximization climbs it:
    w <- w * (sum over the triplets where the rule fires of 1 / p) / (times it fires at all + prior). Of one rule alone
    that is the confidence support / pairs. The prior, an exponential one of the weights, takes the place of unseen
    pairs. A rule that others explain loses its weight. Few rounds are a regularization: they end near the confidences
    that the rules have alone.

    Args:
        fires: Float32 of shape (triplets, rules): how often a rule fires for a triplet without its own help.
        body_counts: Float64 of shape (rules,): how often a rule fires at all.
        held_out: Float64 of shape (rules,): the share of a rule's weight that it has without the triplet it fires for.
        scale: The number of triplets that one stands for, where they are a sample.
        prior: The number of pairs that the body is said to hold for in vain.

    Returns:
        Float32 of shape (rules,).
    """
    by_rule, held_out = fires.T.tocsr(), held_out.astype(np.float32)
    factors = (scale / (body_counts + prior)).astype(np.float32)
    weights = -np.log1p(-np.minimum(by_rule.sum(axis=1) * factors, MOST_CONFIDENT)).astype(np.float32)
    for _ in range(ROUNDS):
        weights *= held_out
        sums = fires @ weights
        chances = np.maximum(-np.expm1(-sums), LEAST_CHANCE)
        weights *= factors * (by_rule @ np.where(sums > 0, 1 / chances, 0).astype(np.float32))
    return weights
