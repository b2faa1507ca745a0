"""Fits the confidences of the rules of one head together, so that a rule counts what others do not already explain."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

ROUNDS = (8, 16, 32, 64)  # more fit known triplets better, and others worse where there are many rules
HELD_OUT = 5  # one of so many triplets tells which number of rounds is the best
LEAST_TO_HOLD_OUT = 50
UNEXPECTED = 1e-3  # the probability of a triplet for which no rule fires
LEAST_CHANCE = 1e-6
MOST_CONFIDENT = 0.99  # before the fit
TEMPER = 0.7  # the power of the weights of a head for which few rounds are best
ROUNDS_TO_TEMPER = 16  # at most so many; both chosen on validation triplets of FB15k-237 and UMLS


def fit_weights(
    fires: csr_array, body_counts: np.ndarray, held_out: np.ndarray, scale: float, prior: float
) -> tuple[np.ndarray, float]:
    """Fits the weights w of rules, -log(1 - confidence), so that known triplets are likely in a noisy-or.

    A pair is a triplet with the probability p = 1 - exp(-sum of the w of the rules that fire). The likelihood of the
    known triplets, and of all other pairs being none, is concave in w, and expectation maximization climbs it:
    w <- w * (sum over the triplets where the rule fires of 1 / p) / (times it fires at all + prior). Of one rule alone
    that is the confidence support / pairs. The prior, an exponential one of the weights, takes the place of unseen
    pairs. A rule that others explain loses its weight. Few rounds are a regularization, which ends near the
    confidences that the rules have alone: how many are best for the likelihood is measured on held-out triplets. Where
    few are best, the strongest rules are too sure of what they have not seen, and `temper` brings all nearer together.

    Args:
        fires: Float32 of shape (triplets, rules): how often a rule fires for a triplet without its own help.
        body_counts: Float64 of shape (rules,): how often a rule fires at all.
        held_out: Float64 of shape (rules,): the share of a rule's weight that it has without the triplet it fires for.
        scale: The number of triplets that one stands for, where they are a sample.
        prior: The number of pairs that the body is said to hold for in vain.

    Returns:
        Float32 of shape (rules,), and the power that `temper` is to take of them; 1 where nothing was held out.
    """
    in_vain = np.maximum(body_counts - fires.sum(axis=0) * scale, 0)
    is_held_out = np.arange(fires.shape[0]) % HELD_OUT == 0
    rounds, power = ROUNDS[0], 1.0
    if fires.shape[0] >= LEAST_TO_HOLD_OUT:
        shown, others = fires[~is_held_out], fires[is_held_out]
        likelihoods = []
        for number, weights in _climb(shown, body_counts, held_out, scale * len(is_held_out) / shown.shape[0], prior):
            if number in ROUNDS:
                chances = np.maximum(-np.expm1(-(others @ weights)), UNEXPECTED)
                likelihoods.append(np.log(chances).mean() * len(is_held_out) * scale - weights @ in_vain)
        rounds = ROUNDS[int(np.argmax(likelihoods))]
        power = TEMPER if rounds <= ROUNDS_TO_TEMPER else 1.0
    weights = next(
        weights for number, weights in _climb(fires, body_counts, held_out, scale, prior) if number == rounds
    )
    return weights, power


def temper(weights: np.ndarray, body_counts: np.ndarray, power: float) -> np.ndarray:
    """Returns a power of weights, times what leaves their sum over all that rules fire for as it was.

    Args:
        weights: Float of shape (rules,), above 0.
        body_counts: Float64 of shape (rules,), above 0: how often a rule fires at all.
        power: Below 1, weights become more alike.

    Returns:
        Float64 of shape (rules,).
    """
    tempered = weights.astype(np.float64) ** power
    return tempered * (weights @ body_counts / (tempered @ body_counts)) if len(weights) else tempered


def _climb(
    fires: csr_array, body_counts: np.ndarray, held_out: np.ndarray, scale: float, prior: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number of rounds, from 1, and the weights after them."""
    by_rule, held_out = fires.T.tocsr(), held_out.astype(np.float32)
    factors = (scale / (body_counts + prior)).astype(np.float32)
    weights = -np.log1p(-np.minimum(by_rule.sum(axis=1) * factors, MOST_CONFIDENT)).astype(np.float32)
    for number in range(1, ROUNDS[-1] + 1):
        weights = weights * held_out
        sums = fires @ weights
        chances = np.maximum(-np.expm1(-sums), LEAST_CHANCE)
        weights = weights * factors * (by_rule @ np.where(sums > 0, 1 / chances, 0).astype(np.float32))
        yield number, weights
