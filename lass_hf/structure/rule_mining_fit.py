"""Fits the confidences of the rules of one head together, so that a rule counts what others do not already explain."""

import numpy as np
from scipy.sparse import csr_array

ROUNDS = 25
LEAST_CHANCE = 1e-6


def fit_weights(fires: csr_array, body_counts: np.ndarray, scale: float, prior: float) -> np.ndarray:
    """Returns the weights w of rules, -log(1 - confidence), that make known triplets most likely in a noisy-or.

    A pair is a triplet with the probability 1 - exp(-sum of the w of the rules that fire). The likelihood of the known
    triplets, and of all other pairs being none, is concave in w, and expectation maximization climbs it:
    w <- w * (sum over the triplets where the rule fires of 1 / p) / (pairs where it fires + prior). Of one rule alone
    that is the confidence support / pairs. The prior, an exponential one of the weights, takes the place of unseen
    pairs, and makes the weight of a rule that others explain vanish.

    Args:
        fires: Float32 of shape (triplets, rules): 1 where a rule fires for a triplet without its own help.
        body_counts: Float64 of shape (rules,): the pairs for which a rule fires.
        scale: The number of triplets that one stands for, where they are a sample.
        prior: The number of pairs that the body is said to hold for in vain.

    Returns:
        Float32 of shape (rules,).
    """
    by_rule = fires.T.tocsr()
    factors = (scale / (body_counts + prior)).astype(np.float32)
    confidences = np.minimum(np.diff(by_rule.indptr) * factors, 0.99)
    weights = -np.log1p(-confidences).astype(np.float32)
    for _ in range(ROUNDS):
        sums = fires @ weights
        chances = -np.expm1(-sums)
        weights *= factors * (by_rule @ np.where(sums > 0, 1 / np.maximum(chances, LEAST_CHANCE), 0).astype(np.float32))
    return weights
