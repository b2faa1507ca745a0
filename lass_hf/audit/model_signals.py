"""Signals of a trained text model, which may have seen the triplets: one epoch on noisy data is the normal case."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from ..core.known_triplets import KnownTriplets
from ..evidence.text_evidence import TextVectorEvidence, has_text_vectors
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import Progress, TripletScorer
from ..structure.answer_ranks import rank_answers

# A model that prefers what it was trained on this often knows it by heart, and its errors too.
BY_HEART = 0.7


def chance_by_heart(signals: dict[str, np.ndarray], is_seen: np.ndarray, is_unseen: np.ndarray) -> float | None:
    """Returns how often a text model prefers a triplet that it was trained on to one that it was not trained on.

    Args:
        signals: Its signals, float of shape (n,) each.
        is_seen: The true triplets of train, bool of shape (n,).
        is_unseen: The other true triplets, bool of shape (n,).

    Returns:
        The mean of the signals' chances, .5 for a model that knows none by heart; None without signals, or triplets of
        both kinds.
    """
    if not signals or not is_seen.any() or not is_unseen.any():
        return None
    rows = is_seen | is_unseen
    return float(np.mean([roc_auc_score(is_seen[rows], values[rows]) for values in signals.values()]))


def model_signals(
    scorer: TripletScorer, known: KnownTriplets, occurs: np.ndarray, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Judges all known triplets by a text model.

    Args:
        scorer: The scorer of the model.
        known: All triplets.
        occurs: Bool of shape (E,): the entities that are candidates.
        progress: A progress bar to advance by the number of triplets that a cross-encoder scores, or None.

    Returns:
        Float32 of shape (n,) for each signal, in the order of `known.triplets()`: of a bi-encoder the log
        probabilities and the negative logs of the ranks of tail and head, of a cross-encoder the score alone.
    """
    triplets = known.triplets()
    if not has_text_vectors(scorer):
        return {"model_score": scorer.score(triplets, progress=progress)}
    evidence = TextVectorEvidence(scorer, build_entity_index(scorer, shared=False), triplets, with_neighbors=False)
    candidates = evidence.blocks[0].T
    signals = {}
    for slot, side in ((2, "tail"), (0, "head")):

        def score(queries: np.ndarray, slot: int = slot) -> np.ndarray:
            with torch.inference_mode():
                return (evidence.query_vectors(queries, slot)[0] @ candidates).numpy()

        # Queries that are equal are neighbors in this order, and encoded once.
        order = np.lexsort([triplets[:, 1], triplets[:, 2 - slot]])
        ranks = rank_answers(score, triplets[order], slot, known, occurs)
        for name, values in (
            (f"model_{side}", ranks.log_probabilities),
            (f"model_{side}_rank", -np.log(ranks.ranks)),
        ):
            signals[name] = np.empty(len(triplets), np.float32)
            signals[name][order] = values
    return signals
