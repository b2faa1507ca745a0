"""The second stage of a reranking on arrays: ranks by the sum of two models' scores, and the weight in that sum."""

import numpy as np

from .retrieval import Retrieved

# Weights of the retriever's score to choose from, in units of the reranker score's spread over the retriever's.
WEIGHTS_TO_TRY = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


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
    retriever_scores = np.concatenate(
        [retrieved.target_scores[rows, None], retrieved.candidate_scores[rows, : top_k - 1]], axis=1, dtype=np.float64
    )
    inside = np.isfinite(reranker_scores[:, 0])
    scores = reranker_scores + retriever_weight * np.where(np.isfinite(retriever_scores), retriever_scores, 0)
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    not_below = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
    ranks = retrieved.ranks[:, rows].copy()
    ranks[0, inside], ranks[1, inside] = 1 + above[inside], 1 + not_below[inside]
    return ranks


def fit_retriever_weight(retrieved: list[Retrieved], reranker_scores: list[np.ndarray], top_k: int) -> float:
    """Returns the weight of the retriever's score with the best MRR of realistic ranks.

    Args:
        retrieved: the first stage for each side (heads, tails).
        reranker_scores: for each side the scores of target and best candidates, shape (n, top_k), as in `fused_ranks`.
        top_k: number of candidates that are reranked.

    Returns:
        The best of `WEIGHTS_TO_TRY`, times the spread of the reranker's scores over that of the retriever's; of equally
        good ones the lowest, and 0 where no query has a candidate to compare.
    """
    retriever_part = np.concatenate([part.candidate_scores[:, : top_k - 1] for part in retrieved])
    reranker_part = np.concatenate([scores[:, 1:] for scores in reranker_scores])
    used = np.isfinite(retriever_part) & np.isfinite(reranker_part)
    rows, _ = np.nonzero(used)
    if not len(rows):
        return 0.0
    spread, reranker_spread = (_spread(scores[used], rows) for scores in (retriever_part, reranker_part))
    ratio = reranker_spread / spread if spread > 0 else 0.0

    def mrr(retriever_weight: float) -> float:
        ranks = [
            fused_ranks(part, np.arange(len(part.triplets)), scores, top_k, retriever_weight)[:2].mean(axis=0)
            for part, scores in zip(retrieved, reranker_scores, strict=True)
        ]
        return float((1 / np.concatenate(ranks)).mean())

    return max((ratio * weight for weight in WEIGHTS_TO_TRY), key=mrr)


def _spread(scores: np.ndarray, rows: np.ndarray) -> float:
    """Returns the standard deviation within rows: scores of different queries need not be comparable."""
    means = np.bincount(rows, scores) / np.maximum(np.bincount(rows), 1)
    return float((scores - means[rows]).std())
