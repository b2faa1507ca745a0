"""`EntityAnswers`: all entities as answers, each with its vector mixed with those of its neighbours in the graph.

Text says what an entity is, training triplets what it belongs to: with `LassConfig.neighbour_weight` w the vector of an
answer becomes (t + w * mean(t of its neighbours)) / (1 + w), and that of a query (u + w * mean(t of its entity's
neighbours)) / (1 + w); then of unit length, where vectors are. It encodes no text and ranks nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from .index import EntityIndex


@dataclass
class EntityAnswers:
    """Entities as answers to queries of a model with separate encoding.

    `index`: one vector for each entity, as answer. `same_vector`: for each entity the first one with the same vector,
    int64 (E,), so that ties are exact. `means`: float32 (E, k), what a query about an entity is mixed with, with
    `weights`, float32 (E,), 0 where an entity has no neighbours; None where nothing is mixed. `unit`: whether vectors
    have unit length.
    """

    index: EntityIndex
    same_vector: np.ndarray
    means: Tensor | None = None
    weights: Tensor | None = None
    unit: bool = False

    def mixed(self, queries: Tensor, entities: np.ndarray) -> Tensor:
        """The vectors of queries about `entities`, (q, k); of those that the index lacks they stay as they are."""
        if self.means is None or self.weights is None:
            return queries
        old = np.flatnonzero(entities < len(self.means))
        asked = torch.from_numpy(entities[old])
        result, rows = queries.clone(), torch.from_numpy(old).to(queries.device)
        means, weights = (part[asked].to(queries.device) for part in (self.means, self.weights))
        result[rows] = _mix(queries[rows], means, weights, self.unit)
        return result

    def extended(self, vectors: Tensor) -> "EntityAnswers":
        """With new entities behind the others, which have no neighbours, from their vectors as answers, (n, k)."""
        index = EntityIndex([*self.index.blocks, vectors])
        new = np.arange(self.index.num_entities, index.num_entities)
        return replace(self, index=index, same_vector=np.concatenate([self.same_vector, new]))


def entity_answers(
    index: EntityIndex, same_text: np.ndarray, triplets: np.ndarray, weight: float, unit: bool
) -> EntityAnswers:
    """The entities of an index as answers, mixed with `weight` of those that `triplets`, int (n, 3), make neighbours.

    `same_text`: for each entity the first that reads the same, int64 (E,): they have one vector, and differ by their
    neighbours. `unit` brings the mixed vectors to unit length. With a weight they are a copy of the index in memory.
    """
    if not weight:
        return EntityAnswers(index, same_text)
    vectors = torch.cat([block.cpu() for block in index.blocks])[torch.from_numpy(same_text)]
    offsets, entities = neighbours(triplets, same_text)
    means = embedding_bag(torch.from_numpy(entities), vectors, torch.from_numpy(offsets[:-1]), mode="mean")
    weights = weight * torch.from_numpy(np.diff(offsets) > 0).float()
    answers = _mix(vectors, means, weights, unit)
    twins = np.flatnonzero(np.bincount(same_text, minlength=len(same_text))[same_text] > 1)
    same_vector = np.arange(len(same_text))
    same_vector[twins] = twins[_first_alike(answers[torch.from_numpy(twins)].numpy())]
    return EntityAnswers(EntityIndex([answers]), same_vector, means, weights, unit)


def neighbours(triplets: np.ndarray, same_text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of each entity e, `entities[offsets[e] : offsets[e + 1]]`, ascending, none twice, not itself.

    Of entities that read the same the first stands for all as a neighbour.
    """
    heads, tails = triplets[:, 0], triplets[:, 2]
    of, near = np.concatenate([heads, tails]), same_text[np.concatenate([tails, heads])]
    others = same_text[of] != near
    of, near = np.divmod(np.unique(of[others] * len(same_text) + near[others]), len(same_text))  # as one key: faster
    return np.searchsorted(of, np.arange(len(same_text) + 1)), near


def _mix(vectors: Tensor, means: Tensor, weights: Tensor, unit: bool) -> Tensor:
    mixed = (vectors + weights[:, None] * means) / (1 + weights[:, None])
    return normalize(mixed, dim=-1) if unit else mixed


def _first_alike(rows: np.ndarray) -> np.ndarray:
    """For each row the first one of the same bytes."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), place) for place, row in enumerate(rows)], dtype=np.int64)
