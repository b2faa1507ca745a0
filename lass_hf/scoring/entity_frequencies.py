"""How often an entity answers a relation in training: what no text tells, and a baseline ranks by alone."""

import numpy as np


class AnswerFrequencies:
    """Counts entities in the head slot (0) and the tail slot (2) of each relation of int triplets, shape (n, 3).

    Memory goes with the triplets, not with relations times entities.
    """

    def __init__(self, triplets: np.ndarray, num_entities: int):
        self.num_entities = num_entities
        self._keys, self._counts = {}, {}
        for slot in (0, 2):
            keys = np.sort(triplets[:, 1].astype(np.int64) * num_entities + triplets[:, slot])
            first = np.flatnonzero(np.diff(keys, prepend=-1) > 0)
            self._keys[slot], self._counts[slot] = keys[first], np.diff(first, append=len(keys))

    def of(self, slot: int, relation: int, size: int | None = None) -> np.ndarray:
        """How many triplets of a relation have each entity in the slot: float32, (E,), or (size,) with new entities."""
        first = relation * self.num_entities
        found = slice(*np.searchsorted(self._keys[slot], [first, first + self.num_entities]))
        counts = np.zeros(size or self.num_entities, dtype=np.float32)
        counts[self._keys[slot][found] - first] = self._counts[slot][found]
        return counts
