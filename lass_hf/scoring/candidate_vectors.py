"""One vector for each candidate, mixed with the vectors of the entity's neighbors in the graph.

The text describes an entity, and the training triplets place it among others. With the weight w
(`LassConfig.neighbor_weight`) the vector t of a candidate becomes (t + w * mean(t of its neighbors)) / (1 + w), and the
vector u of a query becomes (u + w * mean(t of its entity's neighbors)) / (1 + w). Mixed vectors are brought to unit
length again if the model's vectors have unit length. This module encodes no text and ranks nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from ..core.neighbor_names import neighbor_pairs
from .entity_frequencies import EntityFrequencies
from .entity_index import EntityIndex

ENTITIES_MIXED_AT_ONCE = 2**16  # Entities mixed together. With 20 neighbors each they take 2 GB at 384 dimensions.


@dataclass
class Neighborhoods:
    """The neighbors of all entities, in one array.

    Attributes:
        offsets: Int64 of shape (E + 1,): the neighbors of entity e are `entities[offsets[e] : offsets[e + 1]]`.
        entities: Int64: the neighbors of each entity, ascending, without repetition.
    """

    offsets: np.ndarray
    entities: np.ndarray

    def count(self, entities: np.ndarray | int) -> np.ndarray:
        """Returns the number of neighbors of each of `entities`, int64 of the same shape."""
        return self.offsets[entities + 1] - self.offsets[entities]

    def gather(self, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the neighbors of several entities.

        Args:
            entities: Int of shape (n,).

        Returns:
            The neighbors of the first entity, of the second one, and so on, int64; and the position at which those of
            each entity begin, int64 of shape (n,).
        """
        counts = self.count(entities)
        starts = np.cumsum(counts) - counts
        return self.entities[np.arange(counts.sum()) + np.repeat(self.offsets[entities] - starts, counts)], starts


@dataclass
class CandidateVectors:
    """The vectors, and the frequencies, of all entities as candidates for the queries of a bi-encoder.

    Attributes:
        index: One vector for each entity as a candidate.
        same_vector: The first entity with the same vector, for each entity, int64 of shape (E,). Reading the vector of
            that one makes ties exact.
        mixing: Mixes queries as the index was mixed. None if it was not.
        frequencies: Counts of entities in training triplets. None if they do not count.
        frequency_weight: The weight of log(1 + frequency) in a score.
    """

    index: EntityIndex
    same_vector: np.ndarray
    mixing: "Mixing | None" = None
    frequencies: EntityFrequencies | None = None
    frequency_weight: float = 0.0

    def frequency_bonus(self, slot: int, relation: int, entities: np.ndarray) -> np.ndarray:
        """Returns what is added to the scores of entities for their frequency.

        Args:
            slot: The slot of the entities, 0 or 2.
            relation: The relation.
            entities: Int of shape (c,), entities of the graph or new ones.

        Returns:
            Float32 of shape (c,).
        """
        if self.frequencies is None:
            return np.zeros(len(entities), dtype=np.float32)
        counts = self.frequencies.counts(slot, relation, self.index.num_entities)[entities]
        return np.float32(self.frequency_weight) * np.log1p(counts)

    def mix_queries(self, queries: Tensor, entities: np.ndarray) -> Tensor:
        """Returns the vectors of queries, mixed with those of their entities' neighbors.

        Args:
            queries: Float32 of shape (q, k).
            entities: The entity of each query, int of shape (q,). The vector of a query about an entity that is new to
                the graph stays as it is.

        Returns:
            Float32 of shape (q, k).
        """
        return queries if self.mixing is None else self.mixing(queries, entities)

    def select(self, candidates: np.ndarray) -> tuple[EntityIndex, np.ndarray]:
        """Returns an index that holds the vectors of candidates.

        Args:
            candidates: Int of shape (c,).

        Returns:
            The whole index, or a small one if the candidates are few; and the position of each candidate's vector in
            it, int64 of shape (c,).
        """
        positions = self.same_vector[candidates]
        if 2 * len(candidates) > self.index.num_entities:
            return self.index, positions  # A copy of so many vectors would save little.
        distinct, positions = np.unique(positions, return_inverse=True)
        return EntityIndex([self.index.vectors(distinct)]), positions

    def with_entities(self, vectors: Tensor, first_with_same_text: np.ndarray) -> "CandidateVectors":
        """Returns the candidate vectors with those of new entities, which have no neighbors, after the others.

        Args:
            vectors: The vectors of n new entities, float32 of shape (n, k).
            first_with_same_text: The first entity with the same text, for each entity, old or new, int64 of shape (E +
                n,).

        Returns:
            The candidate vectors of E + n entities.
        """
        num_known = self.index.num_entities
        first: dict[int, int] = {}
        index = EntityIndex([*self.index.blocks, vectors.to(self.index.blocks[0].device)])
        for entity in range(num_known, index.num_entities):
            text = int(first_with_same_text[entity])
            is_mixed = text < num_known and self.mixing is not None and self.mixing.neighborhoods.count(text) > 0
            first.setdefault(text, entity if is_mixed else text)
        new = np.array([first[text] for text in first_with_same_text[num_known:].tolist()], dtype=np.int64)
        return replace(self, index=index, same_vector=np.concatenate([self.same_vector, new]))


@dataclass
class Mixing:
    """Mixes vectors with the mean of the vectors of neighbors.

    Attributes:
        texts: The vectors of all entities, as their texts give them.
        neighborhoods: The neighbors of all entities.
        weight: The weight w of the mean.
        unit: Whether mixed vectors are brought to unit length.
    """

    texts: EntityIndex
    neighborhoods: Neighborhoods
    weight: float
    unit: bool

    def __call__(self, vectors: Tensor, entities: np.ndarray) -> Tensor:
        """Returns vectors of entities, or of queries about them, mixed.

        Args:
            vectors: Float32 of shape (n, k).
            entities: Int of shape (n,). The vector of an entity without neighbors, or of one that is new to the graph,
                stays as it is.

        Returns:
            Float32 of shape (n, k).
        """
        known = np.minimum(entities, self.texts.num_entities - 1)
        rows = np.flatnonzero((self.neighborhoods.count(known) > 0) & (known == entities))
        if not len(rows):
            return vectors
        neighbors, starts = self.neighborhoods.gather(entities[rows])
        distinct, positions = np.unique(neighbors, return_inverse=True)
        neighbor_vectors = self.texts.vectors(distinct).cpu()
        means = embedding_bag(torch.from_numpy(positions), neighbor_vectors, torch.from_numpy(starts), mode="mean")
        result, row_tensor = vectors.clone(), torch.from_numpy(rows).to(vectors.device)
        mixed = (result[row_tensor] + self.weight * means.to(vectors.device)) / (1 + self.weight)
        result[row_tensor] = normalize(mixed, dim=-1) if self.unit else mixed
        return result


def mix_candidate_vectors(
    index: EntityIndex, first_with_same_text: np.ndarray, triplets: np.ndarray, weight: float, unit: bool
) -> CandidateVectors:
    """Makes candidate vectors of an entity index and of the neighbors that triplets give.

    Args:
        index: The vectors of all entities.
        first_with_same_text: The first entity with the same text, for each entity, int64 of shape (E,). Entities with
            the same text have the same vector in the index, and differ by their neighbors.
        triplets: Int of shape (n, 3), whose heads and tails are neighbors of each other.
        weight: The weight w of neighbors. With 0 the index is used as it is; else a mixed copy of it is in memory.
        unit: Whether mixed vectors are brought to unit length.

    Returns:
        The candidate vectors of all entities, without frequencies.
    """
    if not weight or not len(triplets):
        return CandidateVectors(index, first_with_same_text)
    neighborhoods = find_neighbors(triplets, first_with_same_text)
    mixing = Mixing(index, neighborhoods, weight, unit)
    entities = np.arange(len(first_with_same_text))
    parts = np.array_split(entities, range(ENTITIES_MIXED_AT_ONCE, len(entities), ENTITIES_MIXED_AT_ONCE))
    mixed = EntityIndex([mixing(index.vectors(first_with_same_text[part]).cpu(), part) for part in parts])
    return CandidateVectors(mixed, _first_with_same_vector(first_with_same_text, neighborhoods), mixing)


def find_neighbors(triplets: np.ndarray, first_with_same_text: np.ndarray) -> Neighborhoods:
    """Finds the neighbors of each entity: those that share a triplet with it, in any relation and direction.

    An entity with the same text is no neighbor. The first of several entities with the same text stands for all of them
    as a neighbor.

    Args:
        triplets: Int of shape (n, 3).
        first_with_same_text: The first entity with the same text, for each entity, int64 of shape (E,).

    Returns:
        The neighbors of all E entities.
    """
    entities, neighbors = neighbor_pairs(triplets, first_with_same_text)
    return Neighborhoods(np.searchsorted(entities, np.arange(len(first_with_same_text) + 1)), neighbors)


def _first_with_same_vector(first_with_same_text: np.ndarray, neighborhoods: Neighborhoods) -> np.ndarray:
    """Returns, for each entity, the first one with the same text and the same neighbors: int64 of shape (E,)."""
    result = np.arange(len(first_with_same_text))
    first: dict[tuple[int, bytes], int] = {}
    for entity in np.flatnonzero(
        np.bincount(first_with_same_text, minlength=len(first_with_same_text))[first_with_same_text] > 1
    ).tolist():
        neighbors = neighborhoods.entities[neighborhoods.offsets[entity] : neighborhoods.offsets[entity + 1]]
        result[entity] = first.setdefault((int(first_with_same_text[entity]), neighbors.tobytes()), entity)
    return result
