"""Names of neighbors behind short texts: which ones an entity has, and which of them a sequence leaves out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHORT_TEXT = 20  # A text of fewer words is followed by names.
NAME_WORDS = 10  # The most words of a name.
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio: multiples of it are spread evenly.


@dataclass(frozen=True)
class NeighborNames:
    """The names of neighbors that follow the texts of entities.

    Attributes:
        of_entities: The number of each entity's own name, int32 of shape (E,); -1 for an entity that was added later.
            Entities can have the same name.
        chosen: The names that can follow the text of each entity, in this order, and -1 behind the last: int32 of shape
            (E, 2K). Of those that a sequence does not leave out, the first K are read.
        offsets: Int64 of shape (names + 1,): name i is `tokens[offsets[i] : offsets[i + 1]]` of the token store.
    """

    of_entities: np.ndarray
    chosen: np.ndarray
    offsets: np.ndarray

    def read_in(self, rows: np.ndarray, left_out: np.ndarray | None) -> np.ndarray:
        """Returns the names that follow the texts of sequences, and -1 for none: int32 of shape (n, 3, 2K).

        Args:
            rows: Int of shape (n, 3), as `TokenStore.assemble` takes them. Neither end names the other.
            left_out: Entities whose names are not read, int of shape (m,).
        """
        entities = rows[:, [0, 2]]
        own = np.where(entities >= 0, self.of_entities[entities], -1)
        names = self.chosen[entities]
        is_read = (names >= 0) & (entities >= 0)[..., None] & (names != own[:, ::-1, None])
        if left_out is not None:
            is_left_out = np.zeros(len(self.offsets), dtype=bool)
            is_left_out[self.of_entities[left_out]] = True
            is_read &= ~is_left_out[names]
        is_read &= np.cumsum(is_read, axis=2) <= names.shape[2] // 2
        result = np.full((len(rows), 3, names.shape[2]), -1, dtype=np.int32)
        result[:, [0, 2]] = np.where(is_read, names, -1)
        return result

    def pad(self, count: int) -> "NeighborNames":
        """Returns these names and those of `count` more entities, which have none."""
        of_entities = np.pad(self.of_entities, (0, count), constant_values=-1)
        return NeighborNames(of_entities, np.pad(self.chosen, ((0, count), (0, 0)), constant_values=-1), self.offsets)


def choose_names(texts: Sequence[str], triplets: np.ndarray, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Chooses the names of neighbors by hashing, so that no choice depends on the order of triplets.

    A name is what a text has before its first ", ".

    Args:
        texts: The text of each of E entities.
        triplets: Int of shape (n, 3), whose heads and tails are neighbors of each other.
        count: The most names that are read. Twice as many are chosen, because sequences leave some out.

    Returns:
        The distinct names, and `of_entities` and `chosen` of `NeighborNames`.
    """
    numbers: dict[str, int] = {}
    names = (" ".join(text.split(", ", 1)[0].split(maxsplit=NAME_WORDS)[:NAME_WORDS]) for text in texts)
    of_entities = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
    entities, neighbors = neighbor_pairs(triplets, of_entities)
    keys = entities * len(numbers) + neighbors
    order = np.lexsort((keys.astype(np.uint64) * ODD, entities))
    places = np.arange(len(keys)) - np.searchsorted(entities, entities)  # of each neighbor among its entity's
    count = min(count, int(places.max(initial=-1)) + 1)  # Columns that no entity fills are left out.
    first = places < 2 * count
    chosen = np.full((len(texts), 2 * count), -1, dtype=np.int32)
    chosen[entities[first], places[first]] = neighbors[order][first]
    chosen[[len(text.split()) >= SHORT_TEXT for text in texts]] = -1
    return list(numbers), of_entities.astype(np.int32), chosen


def neighbor_pairs(triplets: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the neighbors of each entity: those that share a triplet with it, in any relation and direction.

    Args:
        triplets: Int of shape (n, 3).
        codes: A number for each of E entities, int64 of shape (E,). Those with the same number are one neighbor, and
            none of each other.

    Returns:
        The distinct pairs of an entity and the number of a neighbor, ascending: two int64 arrays of shape (m,).
    """
    heads, tails = triplets[:, 0], triplets[:, 2]
    entities, neighbors = np.concatenate([heads, tails]), codes[np.concatenate([tails, heads])]
    others = codes[entities] != neighbors
    # Sorting finds the distinct pairs: np.unique, which hashes, takes 50 times as long.
    size = int(codes.max(initial=0)) + 1
    keys = np.sort(entities[others] * size + neighbors[others])
    return np.divmod(keys[np.diff(keys, prepend=-1) > 0], size)
