"""Scores of all candidates of queries, as a matrix: triplet by triplet, or against the vectors of an entity index.

It knows no ranks and no filter; what need not be scored it is told.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .answer_frequencies import AnswerFrequencies
from .candidate_vectors import CandidateVectors, candidate_vectors
from .configuration import LassConfig
from .errors import LassError, NonFiniteError
from .fingerprints import digest, vectors_fingerprint
from .index import EntityIndex
from .knowledge_graph import GraphSplit, KnowledgeGraph
from .processes import processes
from .scoring import TripletScorer

# (triplets of shape (n, 3), the slot asked for, a progress bar or None) -> float32 scores of shape (n,)
ScoreFunction = Callable[..., np.ndarray]
# (queries (q, 3), the slot asked for, candidates (c,), which to score (q, c), a progress bar or None) -> float32 (q, c)
CandidateScores = Callable[..., np.ndarray]

logger = logging.getLogger(__name__)

INDEX_FOLDER = "entity_index"  # in the model's


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
    """The matrix of a model with separate encoding; entities with the same vector and frequency tie exactly."""

    def scores(queries: np.ndarray, slot: int, candidates: np.ndarray, wanted: np.ndarray, bar: Any) -> np.ndarray:
        if slot == 1:
            return by_triplets(scorer.score)(queries, slot, candidates, wanted, bar)
        asked = queries[:, 2 - slot]
        encoded = vectors.mixed(scorer.encode_queries(queries, slot), asked)
        index, places = vectors.among(candidates)
        matrix = np.empty((len(queries), index.num_entities), dtype=np.float32)
        for start, squared in index.distances(encoded):
            matrix[:, start : start + squared.shape[1]] = scorer.score_distances(squared).cpu().numpy()
        matrix = matrix[:, places]
        if scorer.own_bonus:
            texts = scorer.store.same_text[0]
            matrix[texts[asked][:, None] == texts[candidates]] += scorer.own_bonus
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
    """The matrix of any model, to rank a split; `folder` keeps the index that one with separate encoding needs."""
    if not scorer.separate:
        return by_triplets(scorer.score)
    if split.name == "train" and scorer.model.config.ranks_by_triplets and processes().is_main_process:
        logger.warning("the ranks of training triplets are too good: neighbours and frequencies tell right answers")
    return by_index(scorer, vectors_of(scorer, entity_index(scorer, folder, quiet), split.graph))


def vectors_of(scorer: TripletScorer, index: EntityIndex, graph: KnowledgeGraph) -> CandidateVectors:
    """What all entities of a graph are ranked by, with the neighbours and frequencies that training triplets give."""
    config: LassConfig = scorer.model.config  # type: ignore[assignment]
    train = graph.splits.get("train")
    triplets = np.empty((0, 3), dtype=np.int64) if train is None else train.positives
    if config.ranks_by_triplets and not len(triplets) and processes().is_main_process:
        logger.warning("the graph has no training triplets, so entities are ranked by their texts alone")
    vectors = candidate_vectors(index, scorer.store.same_text[0], triplets, config.neighbour_weight, config.normalize)
    if not config.frequency_weight:
        return vectors
    frequencies = AnswerFrequencies(triplets, graph.num_entities)
    return replace(vectors, frequencies=frequencies, frequency_weight=config.frequency_weight)


def index_folder(model: str | Path) -> Path | None:
    """Where the index of a model's own graph is kept: in its folder; None for a model of the hub."""
    return Path(model, INDEX_FOLDER) if Path(model).is_dir() else None


def index_folder_of(model: str | Path, own: KnowledgeGraph | None, graph: KnowledgeGraph) -> Path | None:
    """Where the index of a graph is kept: with the model, for its own graph and for one that adds entities to it."""
    if own is None:
        return None
    known = slice(own.num_entities)
    same = (own.entities.ids, own.entities.texts) == (graph.entities.ids[known], graph.entities.texts[known])
    return index_folder(model) if same else None


def entity_index(
    scorer: TripletScorer, folder: str | Path | None = None, quiet: bool = True, shared: bool = True
) -> EntityIndex:
    """All entities of the scorer's texts, encoded, or read from `folder` as far as they are there, and kept there.

    Each precision of scoring has a folder of its own in it; where that is not there and cannot be made, the index is in
    memory only. Several processes share the work, and must all call it, unless `shared` is False.

    Raises LassError for a model with joint encoding, whose vectors of an entity depend on the whole triplet.
    """
    if not scorer.separate:
        raise LassError('an entity index needs a model with encoding="separate": joint vectors depend on the triplet')
    store = scorer.store

    def texts(start: int, stop: int) -> str:
        offsets = store.offsets[store.num_relations + start : store.num_relations + stop + 1]
        template = repr(store.template).encode()
        return digest([template, offsets - offsets[0], store.tokens[offsets[0] : offsets[-1]]])

    kept = None if folder is None else Path(folder, str(scorer.model.encoder.dtype).removeprefix("torch."))
    if kept is not None and not kept.is_dir() and not _can_be_made(kept):
        logger.warning("%s cannot be made: the vectors of entities are kept in memory, and made again next time", kept)
        kept = None
    return EntityIndex.build(
        scorer.encode_entities,
        store.num_entities,
        texts,
        vectors_fingerprint(scorer.model),
        kept,
        quiet,
        shared,
    )


def _can_be_made(folder: Path) -> bool:
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)
