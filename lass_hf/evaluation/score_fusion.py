"""The second stage of a reranking on arrays: ranks by the sum of two models' scores, and the weight in that sum."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from .retrieval import Retrieved

# The weight is sought up to so many times below and above the one by which both scores are spread alike.
RANGE = 1000.0


def fused_ranks(
    retrieved: Retrieved, rows: np.ndarray, reranker_scores: np.ndarray, top_k: int, retriever_weight: float
) -> np.ndarray:
    """Ranks targets among the best candidates by reranker score + `retriever_weight` * retriever score.

    Args:
        retrieved: the first stage.
        rows: the queries to rank, int, shape (m,).
        reranker_scores: scores of the target and its best candidates, shape (m, top_k); -inf where a target is not
            among the best, whose rank then stays the retriever's.
        top_k: number of candidates that are reranked, the target included.
        retriever_weight: weight of the retriever's score.

    Returns:
        Optimistic ranks, pessimistic ranks and numbers of candidates, int64, shape (3, m).
    """
    retriever_scores = _retriever_scores(retrieved, top_k)[rows]
    inside = np.isfinite(reranker_scores[:, 0])
    scores = reranker_scores + retriever_weight * np.where(np.isfinite(retriever_scores), retriever_scores, 0)
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    not_below = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
    ranks = retrieved.ranks[:, rows].copy()
    ranks[0, inside], ranks[1, inside] = 1 + above[inside], 1 + not_below[inside]
    return ranks


def fit_retriever_weight(retrieved: list[Retrieved], reranker_scores: list[np.ndarray], top_k: int) -> float:
    """Returns the weight of the retriever's score by which the targets are likeliest among the best candidates.

    The likelihood is the softmax of retriever score + reranker score / weight over the target and the candidates of its
    query, of which known other answers are none: the conditional logit (McFadden, 1974), with the retriever's score as
    it is, a log probability where all evidence ranks. Of few queries it makes more than their ranks, which change by
    steps. A query counts if its target is among the best and has a candidate beside it.

    Args:
        retrieved: the first stage for each side (heads, tails).
        reranker_scores: for each side the scores of target and best candidates, shape (n, top_k), as in `fused_ranks`.
        top_k: number of candidates that are reranked.

    Returns:
        The weight, above 0. 1 where the reranker tells no candidates apart, and 0 where the retriever does not or no
        query counts.
    """
    of_retriever = np.concatenate([_retriever_scores(part, top_k) for part in retrieved])
    of_reranker = np.concatenate(reranker_scores).astype(np.float64)
    used = np.isfinite(of_retriever) & np.isfinite(of_reranker)
    counts = used[:, 0] & used[:, 1:].any(axis=1)
    of_retriever, of_reranker, used = of_retriever[counts], of_reranker[counts], used[counts]
    spread, reranker_spread = (_spread(scores, used) for scores in (of_retriever, of_reranker))
    if spread == 0:
        return 0.0
    if reranker_spread == 0:
        return 1.0
    first, second = np.where(used, of_retriever, -np.inf), np.where(used, of_reranker, 0)

    def loss(log_weight: float) -> float:
        scores = first + second * np.exp(-log_weight)
        return float((logsumexp(scores, axis=1) - scores[:, 0]).mean())

    alike = np.log(reranker_spread / spread)
    bounds = (alike - np.log(RANGE), alike + np.log(RANGE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _retriever_scores(retrieved: Retrieved, top_k: int) -> np.ndarray:
    """Returns the retriever's scores of targets and their best candidates, float64, shape (n, top_k)."""
    best = retrieved.candidate_scores[:, : top_k - 1]
    return np.concatenate([retrieved.target_scores[:, None], best], axis=1, dtype=np.float64)


def _spread(scores: np.ndarray, used: np.ndarray) -> float:
    """Returns the standard deviation within rows: scores of different queries need not be comparable."""
    if not used.any():
        return 0.0
    means = np.where(used, scores, 0).sum(axis=1, keepdims=True) / used.sum(axis=1, keepdims=True)
    return float((scores - means)[used].std())
