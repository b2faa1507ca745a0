"""Evidence of a text model: scores of texts, texts of neighbors, and that a candidate has the query's own text."""

import copy

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ..scoring.candidate_scores import scorer_from_triplets
from ..scoring.candidate_vectors import ENTITIES_MIXED_AT_ONCE, Neighborhoods, find_neighbors
from ..scoring.entity_index import EntityIndex
from ..scoring.triplet_scorer import Progress, TripletScorer
from .evidence import SparseEvidence


class TextVectorEvidence:
    """The score of a bi-encoder, and what the texts of neighbors say, as inner products.

    u and t are the vectors of query and candidate, n_u and n_t the means of the vectors of neighbors. Features are the
    score of u and t (Eq. 1 but a constant of the query), and the inner products u.n_t, n_u.t and n_u.n_t.

    Args:
        scorer: The scorer of a bi-encoder whose score function has a query vector.
        index: The vectors of all entities of the scorer's store.
        triplets: The facts, int of shape (n, 3), which give neighbors.
        with_neighbors: Whether neighbors count.
    """

    def __init__(self, scorer: TripletScorer, index: EntityIndex, triplets: np.ndarray, with_neighbors: bool):
        self.scorer = scorer
        own = torch.cat([block.cpu() for block in index.blocks])[scorer.store.first_with_same_text[0]]
        self.factor = scorer.model.distance_factor().item()
        self.blocks = [torch.cat([own, own.square().sum(1, keepdim=True)], 1)]
        self.features: tuple[str, ...] = ("text",)
        self.kinds: tuple[str, ...] = ("text",)
        self.block_of_feature: tuple[int, ...] = (0,)
        if with_neighbors:
            neighborhoods = find_neighbors(triplets, scorer.store.first_with_same_text[0])
            self.blocks.append(_means_of_neighbors(own, neighborhoods))
            self.features += ("text_neighbors", "neighbors_text", "neighbors_neighbors")
            self.kinds += ("neighbors",) * 3
            self.block_of_feature += (1, 0, 1)

    def with_scorer(self, scorer: TripletScorer) -> "TextVectorEvidence":
        """See `VectorEvidence.with_scorer`."""
        other = copy.copy(self)
        other.scorer = scorer
        return other

    def new_rows(self, entities: np.ndarray) -> list[Tensor]:
        """See `VectorEvidence.new_rows`."""
        vectors = self.scorer.encode_entities(entities).float().cpu()
        no_neighbors = [torch.zeros_like(vectors) for _ in self.blocks[1:]]
        return [torch.cat([vectors, vectors.square().sum(1, keepdim=True)], 1), *no_neighbors]

    def query_vectors(self, queries: np.ndarray, slot: int) -> list[Tensor]:
        """See `VectorEvidence.query_vectors`."""
        texts = self.factor * self.scorer.encode_queries(queries, slot).float().cpu()
        length = torch.full((len(queries), 1), -self.factor / 2)
        vectors = [torch.cat([texts, length], 1)]
        if len(self.blocks) > 1:
            neighbors = self.factor * rows_or_zeros(self.blocks[1], queries[:, 2 - slot])
            vectors += [texts, torch.cat([neighbors, torch.zeros_like(length)], 1), neighbors]
        return vectors


def has_text_vectors(scorer: TripletScorer) -> bool:
    """Returns whether the scores of a model are inner products of vectors."""
    return scorer.is_bi_encoder and scorer.model.config.has_query_vector


def rows_or_zeros(block: Tensor, entities: np.ndarray) -> Tensor:
    """Returns the rows of entities on the CPU; 0 for entities beyond the block, which are new to the graph."""
    is_known = entities < len(block)
    rows = torch.zeros(len(entities), block.shape[1])
    rows[torch.from_numpy(is_known)] = block[torch.from_numpy(entities[is_known]).to(block.device)].cpu()
    return rows


def _means_of_neighbors(vectors: Tensor, neighborhoods: Neighborhoods) -> Tensor:
    """Returns the mean of the vectors of each entity's neighbors, 0 without neighbors: float32 of shape (E, k)."""
    means = torch.zeros_like(vectors)
    for start in range(0, len(vectors), ENTITIES_MIXED_AT_ONCE):
        neighbors, starts = neighborhoods.gather(np.arange(start, min(start + ENTITIES_MIXED_AT_ONCE, len(vectors))))
        distinct, positions = np.unique(neighbors, return_inverse=True)
        own = vectors[torch.from_numpy(distinct)]
        if len(distinct):
            means[start : start + len(starts)] = embedding_bag(
                torch.from_numpy(positions), own, torch.from_numpy(starts), mode="mean"
            )
    return means


class TextScoreEvidence:
    """The score of any text model, triplet by triplet, such as that of a cross-encoder.

    Args:
        scorer: The scorer.
    """

    features: tuple[str, ...] = ("text",)
    kinds: tuple[str, ...] = ("text",)

    def __init__(self, scorer: TripletScorer):
        self.score_candidates = scorer_from_triplets(scorer.score)

    def with_scorer(self, scorer: TripletScorer) -> "TextScoreEvidence":
        """See `Evidence.with_scorer`."""
        return TextScoreEvidence(scorer)

    def __call__(self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Evidence.__call__`. Pairs that the mask leaves out have 0."""
        return np.nan_to_num(self.score_candidates(queries, slot, candidates, mask, None))[None]

    def add(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        progress: Progress | None = None,
    ) -> None:
        """See `Evidence.add`. Pairs that the mask leaves out become NaN. The progress is that of the text model."""
        scores += weights[0, :, None] * self.score_candidates(queries, slot, candidates, mask, progress)


class SameTextEvidence(SparseEvidence):
    """Whether a candidate has the text of the query's entity: the nearest of all to it, and hardly ever the answer.

    Args:
        first_with_same_text: For each entity the first one with the same text, int64 of shape (E,).
        kind: The kind of evidence that this belongs to.
    """

    features: tuple[str, ...] = ("same_text",)

    def __init__(self, first_with_same_text: np.ndarray, kind: str):
        self.texts = first_with_same_text
        self.kinds = (kind,)

    def with_scorer(self, scorer: TripletScorer) -> "SameTextEvidence":
        """See `Evidence.with_scorer`. Where texts do not count, an entity has only its own."""
        if self.kinds == ("frequency",):
            return SameTextEvidence(np.arange(scorer.store.num_entities), "frequency")
        return SameTextEvidence(scorer.store.first_with_same_text[0], *self.kinds)

    def pairs(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `SparseEvidence.pairs`."""
        order = np.argsort(self.texts[candidates], kind="stable")
        ordered, own = self.texts[candidates][order], self.texts[queries[:, 2 - slot]]
        starts = np.searchsorted(ordered, own)
        counts = np.searchsorted(ordered, own, side="right") - starts
        rows = np.repeat(np.arange(len(queries)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns = order[np.repeat(starts, counts) + within]
        return rows, columns, np.ones((1, len(rows)), dtype=np.float32)
