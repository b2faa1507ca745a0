"""Scores of a PyKEEN model for the project's own ranks and thresholds."""

from typing import Any

import numpy as np
import torch

from ..core.errors import NonFiniteError
from ..scoring.candidate_scores import CandidateScorer
from ..scoring.triplet_scorer import Progress

FLOATS_AT_ONCE = 2**24  # in memory for scores that are computed together: 64 MB


def scorer_from_embeddings(model: Any, floats_per_score: int = 1) -> CandidateScorer:
    """Makes a candidate scorer of a PyKEEN model.

    Args:
        model: A `pykeen.models.Model`.
        floats_per_score: Numbers that are in memory for a score.

    Returns:
        A candidate scorer of heads and tails. It scores all entities of a query, whatever the mask is, and raises
        NonFiniteError for scores that are NaN or infinite.
    """
    at_once = max(1, FLOATS_AT_ONCE // (floats_per_score * model.num_entities))

    @torch.inference_mode()
    def score_candidates(
        queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        predict = {0: model.predict_h, 2: model.predict_t}[slot]
        pairs = torch.from_numpy(np.delete(queries, slot, axis=1))  # (relation, tail) or (head, relation)
        scores = _finite(torch.cat([predict(batch).float().cpu() for batch in pairs.split(at_once)]))
        if progress is not None:
            progress.update(int(mask.sum()))
        return scores[:, candidates]

    return score_candidates


def score_triplets(model: Any, triplets: np.ndarray, floats_per_score: int = 1) -> np.ndarray:
    """Scores triplets by a PyKEEN model.

    Args:
        model: A `pykeen.models.Model`.
        triplets: Int of shape (n, 3).
        floats_per_score: Numbers that are in memory for a score.

    Returns:
        Float32 of shape (n,).

    Raises:
        NonFiniteError: Scores are NaN or infinite.
    """
    with torch.inference_mode():
        batches = torch.from_numpy(triplets).split(max(1, FLOATS_AT_ONCE // (64 * floats_per_score)))
        return _finite(torch.cat([model.predict_hrt(batch).float().cpu() for batch in batches])[:, 0])


def _finite(scores: torch.Tensor) -> np.ndarray:
    if not torch.isfinite(scores).all():
        raise NonFiniteError("scores are NaN or infinite: the training of this method diverged")
    return scores.numpy()
