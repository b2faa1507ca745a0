"""Evidence of a text model: scores of texts, texts of neighbors, and that a candidate has the query's own text."""

from copy import copy

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ..scoring.candidate_scores import CandidateScorer, scorer_from_index, scorer_from_triplets
from ..scoring.candidate_vectors import ENTITIES_MIXED_AT_ONCE, CandidateVectors, Neighborhoods, find_neighbors
from ..scoring.entity_index import EntityIndex
from ..scoring.triplet_scorer import TripletScorer
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
        self.blocks, self.block_of_feature = [torch.cat([own, own.square().sum(1, keepdim=True)], 1)], (0,)
        self.features, self.kinds = ("text",), ("text",)
        if with_neighbors:
            neighborhoods = find_neighbors(triplets, scorer.store.first_with_same_text[0])
            self.blocks.append(_means_of_neighbors(own, neighborhoods))
            self.features += ("text_neighbors", "neighbors_text", "neighbors_neighbors")
            self.kinds += ("neighbors",) * 3
            self.block_of_feature += (1, 0, 1)

    def query_vectors(self, queries: np.ndarray, slot: int) -> list[Tensor]:
        """See `VectorEvidence.query_vectors`."""
        texts = self.factor * self.scorer.encode_queries(queries, slot).float().cpu()
        length = torch.full((len(queries), 1), -self.factor / 2)
        vectors = [torch.cat([texts, length], 1)]
        if len(self.blocks) > 1:
            neighbors = self.factor * self.blocks[1][torch.from_numpy(queries[:, 2 - slot])]
            vectors += [texts, torch.cat([neighbors, torch.zeros_like(length)], 1), neighbors]
        return vectors

    def over(self, scorer: TripletScorer) -> "TextVectorEvidence":
        """See `Evidence.over`."""
        result, size = copy(self), len(self.blocks[0])
        new = np.arange(size, scorer.store.num_entities)
        own = scorer.encode_entities(new).float().cpu()
        own = torch.cat([self.blocks[0], torch.cat([own, own.square().sum(1, keepdim=True)], 1)])
        own[size:] = own[scorer.store.first_with_same_text[0][new]]
        result.scorer = scorer
        result.blocks = [
            own,
            *(torch.cat([block, block.new_zeros(len(new), block.shape[1])]) for block in self.blocks[1:]),
        ]
        return result


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
    """The score of any text model: of a cross-encoder, or of a bi-encoder whose score function has no query vector.

    Args:
        scorer: The scorer of the model.
        vectors: The vectors of the entities, for a bi-encoder.
    """

    features, kinds = ("text",), ("text",)

    def __init__(self, scorer: TripletScorer, vectors: CandidateVectors | None = None):
        self.vectors = vectors
        self.score_candidates: CandidateScorer = (
            scorer_from_triplets(scorer.score) if vectors is None else scorer_from_index(scorer, vectors)
        )

    def over(self, scorer: TripletScorer) -> "TextScoreEvidence":
        """See `Evidence.over`."""
        vectors = self.vectors
        if vectors is not None:
            new = np.arange(vectors.index.num_entities, scorer.store.num_entities)
            vectors = vectors.with_entities(scorer.encode_entities(new), scorer.store.first_with_same_text[0])
        return TextScoreEvidence(scorer, vectors)

    def __call__(self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Evidence.__call__`."""
        return np.nan_to_num(self.score_candidates(queries, slot, candidates, mask, None))[None]

    def add(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """See `Evidence.add`. Pairs that the mask leaves out become NaN."""
        scores += weights[0, :, None] * self.score_candidates(queries, slot, candidates, mask, None)


class SameTextEvidence(SparseEvidence):
    """Whether a candidate has the text of the query's entity: the nearest of all to it, and hardly ever the answer.

    Args:
        first_with_same_text: For each entity the first one with the same text, int64 of shape (E,).
        kind: The kind of evidence that this belongs to.
    """

    features = ("same_text",)

    def __init__(self, first_with_same_text: np.ndarray, kind: str):
        self.texts = first_with_same_text
        self.kinds = (kind,)

    def over(self, scorer: TripletScorer) -> "SameTextEvidence":
        """See `Evidence.over`."""
        texts = scorer.store.first_with_same_text[0]
        return SameTextEvidence(texts if self.kinds == ("text",) else np.arange(len(texts)), *self.kinds)

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
