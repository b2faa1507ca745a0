"""`CandidateVectors`: one vector for each candidate, mixed with those of the entity's neighbors in the graph.

Text says what an entity is, training triplets what it belongs to: with `LassConfig.neighbor_weight` w the vector of an
answer becomes (t + w * mean(t of its neighbors)) / (1 + w), and that of a query (u + w * mean(t of its entity's
neighbors)) / (1 + w); then of unit length, where vectors are. It encodes no text and ranks nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from .entity_frequencies import AnswerFrequencies
from .entity_index import EntityIndex

ENTITIES_AT_ONCE = 2**16  # mixed together: with 20 neighbors each 2 GB of 384 dimensions


@dataclass
class Neighborhoods:
    """The neighbors of each entity e: `entities[offsets[e] : offsets[e + 1]]`, int64, ascending, none twice."""

    offsets: np.ndarray
    entities: np.ndarray

    def count(self, asked: np.ndarray | int) -> np.ndarray:
        """How many neighbors the entities `asked`, (n,), have, int64 (n,)."""
        return self.offsets[asked + 1] - self.offsets[asked]

    def of(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All neighbors of the entities `asked`, (n,), one after the other, and where those of each begin, (n,)."""
        counts = self.count(asked)
        starts = np.cumsum(counts) - counts
        return self.entities[np.arange(counts.sum()) + np.repeat(self.offsets[asked] - starts, counts)], starts


@dataclass
class CandidateVectors:
    """Entities as candidates of the queries of a bi-encoder.

    `index`: one vector for each entity, as answer. `same_vector`: for each entity the first one with the same vector,
    int64 (E,), so that ties are exact. `mixing`: how queries are mixed as the index was, None where it was not.
    `frequencies`: of entities as answers in training, None where they do not count; `frequency_weight`: how much.
    """

    index: EntityIndex
    same_vector: np.ndarray
    mixing: "Mixing | None" = None
    frequencies: AnswerFrequencies | None = None
    frequency_weight: float = 0.0

    def bonus(self, slot: int, relation: int, entities: np.ndarray) -> np.ndarray:
        """What `entities`, (c,), old or new ones, get for their frequency as answers: float32 (c,)."""
        if self.frequencies is None:
            return np.zeros(len(entities), dtype=np.float32)
        counts = self.frequencies.of(slot, relation, self.index.num_entities)[entities]
        return np.float32(self.frequency_weight) * np.log1p(counts)

    def mixed(self, queries: Tensor, entities: np.ndarray) -> Tensor:
        """The vectors of queries about `entities`, (q, k); of those that are new to the graph they stay as they are."""
        return queries if self.mixing is None else self.mixing(queries, entities)

    def among(self, candidates: np.ndarray) -> tuple[EntityIndex, np.ndarray]:
        """An index for candidates, int (c,), and the place of each in it: the whole one, unless they are few."""
        places = self.same_vector[candidates]
        if 2 * len(candidates) > self.index.num_entities:
            return self.index, places  # a copy of the rest would be as large
        distinct, places = np.unique(places, return_inverse=True)
        return EntityIndex([self.index.vectors(distinct)]), places

    def extended(self, vectors: Tensor, same_text: np.ndarray) -> "CandidateVectors":
        """With n new entities behind the others, which have no neighbors, from their vectors as answers, (n, k).

        `same_text`: for each entity, old or new, the first that reads the same, int64 (E + n,).
        """
        known = self.index.num_entities
        first: dict[int, int] = {}
        index = EntityIndex([*self.index.blocks, vectors.to(self.index.blocks[0].device)])
        for entity in range(known, index.num_entities):
            text = int(same_text[entity])
            mixed = text < known and self.mixing is not None and self.mixing.neighborhoods.count(text) > 0
            first.setdefault(text, entity if mixed else text)
        new = np.array([first[text] for text in same_text[known:].tolist()], dtype=np.int64)
        return replace(self, index=index, same_vector=np.concatenate([self.same_vector, new]))


@dataclass
class Mixing:
    """Mixes vectors with `weight` times the mean of what the neighbors' `texts` give; `unit`: to unit length."""

    texts: EntityIndex
    neighborhoods: Neighborhoods
    weight: float
    unit: bool

    def __call__(self, vectors: Tensor, entities: np.ndarray) -> Tensor:
        """Vectors about `entities`, (n, k), mixed; one that has no neighbors or is new to the graph is left alone."""
        known = np.minimum(entities, self.texts.num_entities - 1)
        rows = np.flatnonzero((self.neighborhoods.count(known) > 0) & (known == entities))
        if not len(rows):
            return vectors
        near, starts = self.neighborhoods.of(entities[rows])
        distinct, places = np.unique(near, return_inverse=True)
        near_vectors = self.texts.vectors(distinct).cpu()
        means = embedding_bag(torch.from_numpy(places), near_vectors, torch.from_numpy(starts), mode="mean")
        result, at = vectors.clone(), torch.from_numpy(rows).to(vectors.device)
        mixed = (result[at] + self.weight * means.to(vectors.device)) / (1 + self.weight)
        result[at] = normalize(mixed, dim=-1) if self.unit else mixed
        return result


def candidate_vectors(
    index: EntityIndex, same_text: np.ndarray, triplets: np.ndarray, weight: float, unit: bool
) -> CandidateVectors:
    """The entities of an index as answers, mixed with `weight` of those that `triplets`, int (n, 3), make neighbors.

    `same_text`: for each entity the first that reads the same, int64 (E,): they have one vector, and differ by their
    neighbors. `unit` brings the mixed vectors to unit length. With a weight they are a copy of the index in memory.
    """
    if not weight or not len(triplets):
        return CandidateVectors(index, same_text)
    found = neighbors(triplets, same_text)
    mixing = Mixing(index, found, weight, unit)
    spans = np.array_split(np.arange(len(same_text)), range(ENTITIES_AT_ONCE, len(same_text), ENTITIES_AT_ONCE))
    mixed = EntityIndex([mixing(index.vectors(same_text[span]).cpu(), span) for span in spans])
    return CandidateVectors(mixed, _same_vector(same_text, found), mixing)


def neighbors(triplets: np.ndarray, same_text: np.ndarray) -> Neighborhoods:
    """Of each entity those that share a triplet with it, in any relation and direction, and do not read like it.

    Of entities that read the same the first stands for all as a neighbor.
    """
    heads, tails = triplets[:, 0], triplets[:, 2]
    of, near = np.concatenate([heads, tails]), same_text[np.concatenate([tails, heads])]
    others = same_text[of] != near
    keys = np.sort(of[others] * len(same_text) + near[others])  # not by np.unique, which hashes: 50 times slower
    of, near = np.divmod(keys[np.diff(keys, prepend=-1) > 0], len(same_text))
    return Neighborhoods(np.searchsorted(of, np.arange(len(same_text) + 1)), near)


def _same_vector(same_text: np.ndarray, found: Neighborhoods) -> np.ndarray:
    """For each entity the first one that reads the same and has the same neighbors."""
    same = np.arange(len(same_text))
    first: dict[tuple[int, bytes], int] = {}
    for entity in np.flatnonzero(np.bincount(same_text, minlength=len(same_text))[same_text] > 1).tolist():
        near = found.entities[found.offsets[entity] : found.offsets[entity + 1]]
        same[entity] = first.setdefault((int(same_text[entity]), near.tobytes()), entity)
    return same
