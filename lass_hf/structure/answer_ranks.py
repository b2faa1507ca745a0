"""Ranks of triplets among all answers to their queries, by inner products: of structural vectors, or of texts."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch

from ..core.known_triplets import KnownTriplets
from .structural_scores import STRUCTURAL_SCORES
from .structural_vectors import StructuralVectors

ENTRIES = 1 << 23  # scores that are in memory at once


@dataclass(frozen=True)
class AnswerRanks:
    """How triplets do among the answers to one of their queries, beside which no other known answer counts.

    Attributes:
        log_probabilities: Float32 of shape (n,): the log of the softmax of the scores.
        ranks: Float32 of shape (n,), from 1; ties count half.
        best: Int64 of shape (n,): the best answer that is not known. -1 where nothing is known.
        best_log_probabilities: Float32 of shape (n,): its log probability, among the same answers.
    """

    log_probabilities: np.ndarray
    ranks: np.ndarray
    best: np.ndarray
    best_log_probabilities: np.ndarray

    @classmethod
    def unknown(cls, count: int) -> "AnswerRanks":
        """Returns the ranks of triplets of which nothing is known: NaN and -1."""
        nothing = (np.full(count, np.nan, np.float32) for _ in range(3))
        return cls(next(nothing), next(nothing), np.full(count, -1, np.int64), next(nothing))

    def select(self, rows: np.ndarray) -> "AnswerRanks":
        """Returns the ranks of the triplets at some positions, int or bool of shape (m,)."""
        return AnswerRanks(*(getattr(self, one.name)[rows] for one in fields(self)))

    def put(self, rows: np.ndarray, other: "AnswerRanks") -> None:
        """Puts the ranks of some triplets, int of shape (m,), in their places."""
        self.log_probabilities[rows], self.ranks[rows] = other.log_probabilities, other.ranks
        self.best[rows], self.best_log_probabilities[rows] = other.best, other.best_log_probabilities


def rank_answers(
    score: Callable[[np.ndarray], np.ndarray],
    triplets: np.ndarray,
    slot: int,
    known: KnownTriplets,
    is_candidate: np.ndarray,
) -> AnswerRanks:
    """Ranks triplets among the answers to their queries.

    Args:
        score: Returns the scores of all entities, or relations, for queries: float32 of shape (m, c), which may change.
        triplets: Int64 of shape (n, 3), for which something is known.
        slot: The slot that is asked for.
        known: The triplets that are no other answers.
        is_candidate: Bool of shape (c,): what can be an answer.
    """
    ranks = AnswerRanks.unknown(len(triplets))
    step = max(1, ENTRIES // len(is_candidate))
    for start in range(0, len(triplets), step):
        part = triplets[start : start + step]
        scores = score(part)
        row = np.arange(len(part))
        own = scores[row, part[:, slot]]
        scores[:, ~is_candidate] = -np.inf
        scores[known.values(slot, part)] = -np.inf
        scores[row, part[:, slot]] = -np.inf
        best = scores.argmax(axis=1)
        best_scores = scores[row, best]
        top = np.maximum(best_scores, own)
        above = (scores > own[:, None]).sum(axis=1) + (scores == own[:, None]).sum(axis=1) / 2 + 1
        scores -= top[:, None]
        total = np.log(np.exp(scores, out=scores).sum(axis=1) + np.exp(own - top)) + top
        exists = np.isfinite(best_scores)
        ranks.put(
            np.arange(start, start + len(part)),
            AnswerRanks(
                own - total,
                above,
                np.where(exists, best, -1),
                np.where(exists, best_scores - total, np.nan),
            ),
        )
    return ranks


def rank_by_vectors(
    vectors: StructuralVectors, triplets: np.ndarray, slot: int, known: KnownTriplets
) -> tuple[AnswerRanks, np.ndarray]:
    """Ranks triplets by vectors.

    Args:
        vectors: The vectors.
        triplets: Int64 of shape (n, 3).
        slot: The slot that is asked for.
        known: The triplets that are no other answers.

    Returns:
        The ranks of the triplets whose entities and relation have vectors, and their positions, int of shape (m,).
    """
    function, num_relations = STRUCTURAL_SCORES[vectors.score_function], len(vectors.relations) // 2
    has_relation = vectors.has_relation[:num_relations]
    has_all = vectors.has_vector[triplets[:, 0]] & vectors.has_vector[triplets[:, 2]] & has_relation[triplets[:, 1]]
    rows = np.flatnonzero(has_all)
    if slot == 1:
        candidates = function.as_candidate(torch.from_numpy(vectors.relations[:num_relations])).numpy()

        def score(queries: np.ndarray) -> np.ndarray:
            heads, tails = (torch.from_numpy(vectors.entities[queries[:, one]]) for one in (0, 2))
            return function.pair(heads, tails).numpy() @ candidates.T

        return rank_answers(score, triplets[rows], 1, known, has_relation), rows
    candidates = vectors.candidate_vectors()

    def score_entities(queries: np.ndarray) -> np.ndarray:
        return vectors.query_vectors(queries, slot) @ candidates.T

    return rank_answers(score_entities, triplets[rows], slot, known, vectors.has_vector), rows
