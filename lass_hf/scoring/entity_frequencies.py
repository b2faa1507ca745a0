"""Counts of the training triplets of a relation that have an entity as head, or as tail.

A bi-encoder with `frequency_weight` adds them to its scores, and the frequency baseline ranks by them alone.
"""

import numpy as np


class EntityFrequencies:
    """Counts of entities in the head slot and the tail slot of each relation.

    The memory grows with the number of triplets, not with the number of relations times entities.

    Args:
        triplets: Int of shape (n, 3).
        num_entities: The number of entities of the graph.
    """

    def __init__(self, triplets: np.ndarray, num_entities: int):
        self.num_entities = num_entities
        self._keys, self._counts = {}, {}
        for slot in (0, 2):
            keys = np.sort(triplets[:, 1].astype(np.int64) * num_entities + triplets[:, slot])
            first = np.flatnonzero(np.diff(keys, prepend=-1) > 0)
            self._keys[slot], self._counts[slot] = keys[first], np.diff(first, append=len(keys))

    def counts(self, slot: int, relation: int, size: int | None = None) -> np.ndarray:
        """Returns the number of triplets of a relation that have each entity in a slot.

        Args:
            slot: 0 for heads, 2 for tails.
            relation: The relation.
            size: The number of entities, if some are new to the graph; their counts are 0. None: those of the graph.

        Returns:
            Float32 of shape (size,).
        """
        entities, found = self.of_relation(slot, relation)
        counts = np.zeros(size or self.num_entities, dtype=np.float32)
        counts[entities] = found
        return counts

    def of_relation(self, slot: int, relation: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the entities that a relation has in a slot, and the number of its triplets that have each of them.

        Args:
            slot: 0 for heads, 2 for tails.
            relation: The relation.

        Returns:
            Ascending entities, int64 of shape (n,), and float32 of shape (n,).
        """
        first_key = relation * self.num_entities
        part = slice(*np.searchsorted(self._keys[slot], [first_key, first_key + self.num_entities]))
        return self._keys[slot][part] - first_key, self._counts[slot][part].astype(np.float32)

    def lookup(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """Returns, for each of other triplets, the number of triplets of its relation that have its entity in a slot.

        Args:
            slot: 0 for heads, 2 for tails.
            triplets: Int of shape (n, 3).

        Returns:
            Float32 of shape (n,).
        """
        keys, wanted = self._keys[slot], triplets[:, 1].astype(np.int64) * self.num_entities + triplets[:, slot]
        places = np.searchsorted(keys, wanted)
        is_counted = np.append(keys, -1)[places] == wanted
        return np.where(is_counted, np.append(self._counts[slot], 0)[places], 0).astype(np.float32)

    def num_distinct(self, slot: int, num_relations: int) -> np.ndarray:
        """Returns the number of entities that each relation has in a slot: int64 of shape (num_relations,)."""
        return np.bincount(self._keys[slot] // self.num_entities, minlength=num_relations)
