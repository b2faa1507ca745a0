"""Scores of all candidates of queries, as a matrix with a row for each query and a column for each candidate.

There are two ways to compute the matrix: triplet by triplet, with any function that scores triplets, or by comparing
the vectors of queries with the vectors of entities, as a bi-encoder can. This module computes no ranks, and it filters
no candidates: its caller chooses which pairs are scored.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..core.configuration_lass import LassConfig
from ..core.errors import NonFiniteError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..utils.distributed import processes
from .candidate_vectors import CandidateVectors, mix_candidate_vectors
from .entity_frequencies import EntityFrequencies
from .entity_index import EntityIndex
from .index_building import build_entity_index
from .triplet_scorer import Progress, TripletScorer

logger = logging.getLogger(__name__)


class TripletScoreFunction(Protocol):
    """Any function that scores triplets, such as `TripletScorer.score`; its parameters may have other names."""

    def __call__(self, triplets: np.ndarray, slot: int, progress: Progress | None, /) -> np.ndarray:
        """Scores triplets.

        Args:
            triplets: Int of shape (n, 3).
            slot: The slot (0, 1, 2 = head, relation, tail) whose candidates are compared.
            progress: A progress bar to advance by n, or None.

        Returns:
            Floating-point scores of shape (n,), higher for more plausible triplets.
        """
        ...


class CandidateScorer(Protocol):
    """Any function that scores the candidates of queries; its parameters may have other names."""

    def __call__(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None, /
    ) -> np.ndarray:
        """Scores candidates for the same slot of several queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot (0, 1, 2 = head, relation, tail) that the candidates are put into.
            candidates: Int entities, or relations for slot 1, of shape (c,).
            mask: Bool of shape (q, c), True for the pairs that must be scored.
            progress: A progress bar to advance by the number of these pairs, or None.

        Returns:
            Float32 of shape (q, c). Where `mask` is False, the value is NaN or the score.
        """
        ...


def scorer_from_triplets(score: TripletScoreFunction) -> CandidateScorer:
    """Makes a candidate scorer of a function that scores triplets.

    Args:
        score: The function. It receives only the triplets that the mask selects.

    Returns:
        A candidate scorer, whose matrices are NaN where the mask is False.
    """

    def score_candidates(
        queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        rows, columns = np.nonzero(mask)
        triplets = queries[rows]
        triplets[:, slot] = candidates[columns]
        matrix = np.full(mask.shape, np.nan, dtype=np.float32)
        matrix[rows, columns] = score(triplets, slot, progress)
        return matrix

    return score_candidates


def scorer_from_index(scorer: TripletScorer, vectors: CandidateVectors) -> CandidateScorer:
    """Makes a candidate scorer that compares the vectors of queries with those of entities.

    Args:
        scorer: The scorer of a bi-encoder.
        vectors: The vectors of the entities that the scorer's store holds.

    Returns:
        A candidate scorer. Entities with the same vector and frequency have exactly the same score. It scores all pairs
        of heads or tails, whatever the mask is, because a matrix product computes them all. It raises NonFiniteError
        for scores that are NaN or infinite.
    """

    def score_candidates(
        queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        if slot == 1:
            return scorer_from_triplets(scorer.score)(queries, slot, candidates, mask, progress)
        query_entities = queries[:, 2 - slot]
        query_vectors = vectors.mix_queries(scorer.encode_queries(queries, slot), query_entities)
        index, positions = vectors.select(candidates)
        matrix = np.empty((len(queries), index.num_entities), dtype=np.float32)
        for start, scores in _score_blocks(scorer, index, query_vectors):
            matrix[:, start : start + scores.shape[1]] = scores.cpu().numpy()
        matrix = matrix[:, positions]
        if scorer.self_match_bonus:
            first_with_same_text = scorer.store.first_with_same_text[0]
            matrix[first_with_same_text[query_entities][:, None] == first_with_same_text[candidates]] += (
                scorer.self_match_bonus
            )
        if vectors.frequencies is not None:
            for relation in np.unique(queries[:, 1]).tolist():
                matrix[queries[:, 1] == relation] += vectors.frequency_bonus(slot, relation, candidates)
        # The vectors are finite, so only a weight of the score can be the cause.
        if not np.isfinite(matrix).all():
            raise NonFiniteError(
                "scores are NaN or infinite: the model's weights are damaged, or its training diverged; if it was "
                'trained in another precision, score with dtype="float32"'
            )
        if progress is not None:
            progress.update(int(mask.sum()))
        return matrix

    return score_candidates


@torch.no_grad()
def _score_blocks(
    scorer: TripletScorer, index: EntityIndex, queries: torch.Tensor
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yields the first entity of each block, and the scores of all queries with the block's entities, (q, entities)."""
    if scorer.model.config.has_query_vector:
        for start, distances in index.distances(queries):
            yield start, scorer.score_energies(distances)
        return
    factor = scorer.model.distance_factor()
    for start, block in zip(index.starts[:-1].tolist(), index.blocks, strict=True):
        yield start, scorer.model.score_head.compare_all(queries, block.to(queries.device), factor)


def make_candidate_scorer(
    scorer: TripletScorer,
    graph: KnowledgeGraph,
    slots: Collection[int],
    make_vectors: Callable[[], CandidateVectors],
    chosen: bool = False,
) -> CandidateScorer:
    """Makes the candidate scorer of a model.

    Args:
        scorer: The scorer of the model, over the texts of the graph.
        graph: The graph whose training triplets give neighbors and frequencies.
        slots: The slots that are asked for.
        make_vectors: Returns the vectors of the entities. It is called only if entities are scored by vectors.
        chosen: Whether only chosen entities are scored, too few to encode all of the graph for them.

    Returns:
        A candidate scorer: `scorer_from_index` for the heads and tails of a bi-encoder, otherwise
        `scorer_from_triplets`. Chosen entities are scored as triplets too, unless neighbors or frequencies count, which
        only the vectors have.
    """
    if not scorer.is_bi_encoder or set(slots) == {1}:
        return scorer_from_triplets(scorer.score)
    if chosen and not (scorer.model.config.ranks_by_triplets and len(_training_triplets(graph))):
        return scorer_from_triplets(scorer.score)
    return scorer_from_index(scorer, make_vectors())


def make_split_scorer(
    scorer: TripletScorer,
    split: GraphSplit,
    folder: str | Path | None = None,
    quiet: bool = True,
    slots: Collection[int] = (0, 2),
) -> CandidateScorer:
    """Makes the candidate scorer of a model, to rank a split among all entities.

    Args:
        scorer: The scorer of the model, over the texts of the split's graph.
        split: The split that is ranked. Training triplets of its graph give neighbors and frequencies.
        folder: The folder that keeps the entity index of a bi-encoder. None keeps it in memory.
        quiet: Whether no progress bar is shown while entities are encoded.
        slots: The slots that are asked for.

    Returns:
        A candidate scorer, see `make_candidate_scorer`.

    Raises:
        LassError: The folder holds the index of another model or graph, or cannot be written.
    """

    def make_vectors() -> CandidateVectors:
        _warn_of_training_split(scorer, split)
        return make_candidate_vectors(scorer, build_entity_index(scorer, folder, quiet), split.graph)

    return make_candidate_scorer(scorer, split.graph, slots, make_vectors)


def _warn_of_training_split(scorer: TripletScorer, split: GraphSplit) -> None:
    names_neighbors = scorer.is_bi_encoder and scorer.store.neighbors is not None
    uses_triplets = scorer.model.config.ranks_by_triplets or names_neighbors
    if split.name == "train" and uses_triplets and processes().is_main_process:
        logger.warning(
            "the ranks of training triplets are too good: neighbors and frequencies, which are counted in these very "
            "triplets, give their entities away"
        )


def _training_triplets(graph: KnowledgeGraph) -> np.ndarray:
    """Returns the true training triplets of a graph, int64 of shape (n, 3); none if it has no such split."""
    return graph["train"].positives if "train" in graph else np.empty((0, 3), dtype=np.int64)


def make_candidate_vectors(scorer: TripletScorer, index: EntityIndex, graph: KnowledgeGraph) -> CandidateVectors:
    """Makes the candidate vectors of a graph's entities, with the neighbors and frequencies that the model uses.

    Args:
        scorer: The scorer of a bi-encoder, over the texts of the graph.
        index: The vectors of all entities.
        graph: The graph whose training triplets give neighbors and frequencies.

    Returns:
        The candidate vectors of all entities of the graph.
    """
    config: LassConfig = scorer.model.config  # type: ignore[assignment]
    config.check_ranking_weights()  # They may have been changed since the model was loaded.
    triplets = _training_triplets(graph)
    if config.ranks_by_triplets and not len(triplets) and processes().is_main_process:
        logger.warning("the graph has no training triplets, so entities are ranked by their texts alone")
    vectors = mix_candidate_vectors(
        index, scorer.store.first_with_same_text[0], triplets, config.neighbor_weight, config.normalize
    )
    if not config.frequency_weight:
        return vectors
    frequencies = EntityFrequencies(triplets, graph.num_entities)
    return replace(vectors, frequencies=frequencies, frequency_weight=config.frequency_weight)


def top_positions(scores: np.ndarray, count: int) -> np.ndarray:
    """Returns the positions of the highest scores.

    Args:
        scores: Scores of shape (n,).
        count: The number of positions.

    Returns:
        Int64 of shape (min(count, n),), highest score first; of equal scores the first position comes first.
    """
    if count < len(scores):
        kept = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    else:
        kept = np.arange(len(scores))
    return kept[np.argsort(-scores[kept], kind="stable")][:count]
