"""What a kind of evidence is: features of the candidates of queries, of which 0 says nothing."""

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from torch import Tensor

from ..scoring.triplet_scorer import TripletScorer

KINDS = ("text", "neighbors", "frequency", "rules", "vectors")


class Evidence(Protocol):
    """Gives features of candidates, which a fusion weighs.

    Attributes:
        features: The names of its F features.
        kinds: The kind of each feature, one of `KINDS`.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]

    def __call__(self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, /) -> np.ndarray:
        """Returns the features of candidates for the same slot of several queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot that the candidates are put into: 0 or 2.
            candidates: Int entities of shape (c,).
            mask: Bool of shape (q, c), True for the pairs whose features are needed.

        Returns:
            Float32 of shape (F, q, c). 0 where the evidence knows nothing: a query or a candidate without facts.
        """
        ...

    def add(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        /,
    ) -> None:
        """Adds the weighted features to scores, in place, without making a matrix for each feature.

        Args:
            scores: Float32 of shape (q, c).
            weights: The weight of each feature for each query, float32 of shape (F, q).
            queries: As above.
            slot: As above.
            candidates: As above.
            mask: As above.
        """
        ...

    def with_scorer(self, scorer: TripletScorer, /) -> "Evidence":
        """Returns the evidence for a scorer whose store has new entities, about which it knows no facts."""
        ...


class VectorEvidence(Protocol):
    """Evidence whose features are inner products, so that all of them are one product of concatenated vectors.

    Attributes:
        features: The names of its F features.
        kinds: The kind of each feature.
        blocks: Vectors of all entities as candidates, each float32 of shape (E, k).
        block_of_feature: For each feature the number of its block.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]
    blocks: list[Tensor]
    block_of_feature: tuple[int, ...]

    def query_vectors(self, queries: np.ndarray, slot: int, /) -> list[Tensor]:
        """Returns for each feature the vectors of queries, float32 of shape (q, k of its block); 0 says nothing."""
        ...

    def with_scorer(self, scorer: TripletScorer, /) -> "VectorEvidence":
        """See `Evidence.with_scorer`."""
        ...

    def new_rows(self, entities: np.ndarray, /) -> list[Tensor]:
        """Returns for each block the vectors of entities that are new to the graph, float32 of shape (n, k)."""
        ...


class SparseEvidence(ABC):
    """Evidence that knows something about few candidates of each query."""

    features: tuple[str, ...]
    kinds: tuple[str, ...]

    @abstractmethod
    def with_scorer(self, scorer: TripletScorer) -> "SparseEvidence":
        """See `Evidence.with_scorer`."""

    @abstractmethod
    def pairs(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the rows and columns, int of shape (n,), of distinct pairs, and their features, shape (F, n)."""

    def __call__(self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Evidence.__call__`."""
        rows, columns, values = self.pairs(queries, slot, candidates)
        features = np.zeros((len(self.features), *mask.shape), dtype=np.float32)
        features[:, rows, columns] = values
        return features

    def deviations(self, queries: np.ndarray, slot: int, candidates: np.ndarray, everyone: np.ndarray) -> np.ndarray:
        """Returns the features of candidates, less their means over `everyone`: float32 of shape (F, q, c)."""
        counts = np.zeros(1 + max(everyone.max(), candidates.max()), dtype=bool)  # numpy's set functions take longer
        counts[everyone] = True
        asked = counts.copy()
        asked[candidates] = True
        union = np.flatnonzero(asked)
        rows, columns, values = self.pairs(queries, slot, union)
        counts = counts[union[columns]]
        sums = np.stack([np.bincount(rows[counts], one[counts], len(queries)) for one in values])
        place = positions_of(np.searchsorted(union, candidates), len(union))[columns]
        features = np.zeros((len(self.features), len(queries), len(candidates)), dtype=np.float32)
        features[:, rows[place >= 0], place[place >= 0]] = values[:, place >= 0]
        return features - (sums / len(everyone)).astype(np.float32)[:, :, None]

    def add(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """See `Evidence.add`."""
        rows, columns, values = self.pairs(queries, slot, candidates)
        scores[rows, columns] += (weights[:, rows] * values).sum(axis=0)


def positions_of(candidates: np.ndarray, size: int) -> np.ndarray:
    """Returns the position of each of `size` entities among candidates, -1 where it is none: int64 of shape (size,)."""
    positions = np.full(size, -1, dtype=np.int64)
    positions[candidates] = np.arange(len(candidates))
    return positions
