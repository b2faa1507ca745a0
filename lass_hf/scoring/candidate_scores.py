"""Scores of all candidates of queries, as a matrix: triplet by triplet, or against the vectors of an entity index.

It knows no ranks and no filter; what need not be scored it is told.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.configuration_lass import LassConfig
from ..core.errors import NonFiniteError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..utils.distributed import processes
from .candidate_vectors import CandidateVectors, candidate_vectors
from .entity_frequencies import AnswerFrequencies
from .entity_index import EntityIndex
from .index_building import entity_index
from .triplet_scorer import TripletScorer

# (triplets of shape (n, 3), the slot asked for, a progress bar or None) -> float32 scores of shape (n,)
ScoreFunction = Callable[..., np.ndarray]
# (queries (q, 3), the slot asked for, candidates (c,), which to score (q, c), a progress bar or None) -> float32 (q, c)
CandidateScores = Callable[..., np.ndarray]

# Candidates ranked together; fixed, so that ranks do not depend on the number of processes.
CHUNK_SIZE = {"cross-encoder": 2**12, "bi-encoder": 2**22}

logger = logging.getLogger(__name__)


def by_triplets(score: ScoreFunction) -> CandidateScores:
    """The matrix of any score function of triplets; what is not wanted is not scored, and NaN."""

    def scores(queries: np.ndarray, slot: int, candidates: np.ndarray, wanted: np.ndarray, bar: Any) -> np.ndarray:
        rows, columns = np.nonzero(wanted)
        triplets = queries[rows]
        triplets[:, slot] = candidates[columns]
        matrix = np.full(wanted.shape, np.nan, dtype=np.float32)
        matrix[rows, columns] = score(triplets, slot, bar)
        return matrix

    return scores


def by_index(scorer: TripletScorer, vectors: CandidateVectors) -> CandidateScores:
    """The matrix of a bi-encoder; entities with the same vector and frequency tie exactly."""

    def scores(queries: np.ndarray, slot: int, candidates: np.ndarray, wanted: np.ndarray, bar: Any) -> np.ndarray:
        if slot == 1:
            return by_triplets(scorer.score)(queries, slot, candidates, wanted, bar)
        asked = queries[:, 2 - slot]
        encoded = vectors.mixed(scorer.encode_queries(queries, slot), asked)
        index, places = vectors.among(candidates)
        matrix = np.empty((len(queries), index.num_entities), dtype=np.float32)
        for start, energy in index.energies(encoded, scorer.model.score_function):
            matrix[:, start : start + energy.shape[1]] = scorer.score_energies(energy).cpu().numpy()
        matrix = matrix[:, places]
        if scorer.self_match_bonus:
            texts = scorer.store.same_text[0]
            matrix[texts[asked][:, None] == texts[candidates]] += scorer.self_match_bonus
        for relation in np.unique(queries[:, 1]).tolist() if vectors.frequencies is not None else ():
            matrix[queries[:, 1] == relation] += vectors.bonus(slot, relation, candidates)
        if not np.isfinite(matrix).all():  # the vectors are finite, so it is what they are scaled by
            raise NonFiniteError(
                "scores are NaN or infinite: the model's weights are damaged, or its training diverged; if it was "
                'trained in another precision, score with dtype="float32"'
            )
        if bar is not None:
            bar.update(int(wanted.sum()))
        return matrix

    return scores


def candidate_scores(
    scorer: TripletScorer, split: GraphSplit, folder: str | Path | None = None, quiet: bool = True
) -> CandidateScores:
    """The matrix of any model, to rank a split; `folder` keeps the index that one with a bi-encoder needs."""
    if not scorer.is_bi_encoder:
        return by_triplets(scorer.score)
    if split.name == "train" and scorer.model.config.ranks_by_triplets and processes().is_main_process:
        logger.warning("the ranks of training triplets are too good: neighbors and frequencies tell right answers")
    return by_index(scorer, vectors_of(scorer, entity_index(scorer, folder, quiet), split.graph))


def vectors_of(scorer: TripletScorer, index: EntityIndex, graph: KnowledgeGraph) -> CandidateVectors:
    """What all entities of a graph are ranked by, with the neighbors and frequencies that training triplets give."""
    config: LassConfig = scorer.model.config  # type: ignore[assignment]
    train = graph.splits.get("train")
    triplets = np.empty((0, 3), dtype=np.int64) if train is None else train.positives
    if config.ranks_by_triplets and not len(triplets) and processes().is_main_process:
        logger.warning("the graph has no training triplets, so entities are ranked by their texts alone")
    vectors = candidate_vectors(index, scorer.store.same_text[0], triplets, config.neighbor_weight, config.normalize)
    if not config.frequency_weight:
        return vectors
    frequencies = AnswerFrequencies(triplets, graph.num_entities)
    return replace(vectors, frequencies=frequencies, frequency_weight=config.frequency_weight)


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest scores, highest first, of equal ones the first."""
    if count < len(scores):
        kept = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    else:
        kept = np.arange(len(scores))
    return kept[np.argsort(-scores[kept], kind="stable")][:count]
