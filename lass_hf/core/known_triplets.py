"""Which triplets are known: sorted arrays and binary search. Integers only; no names, no texts."""

import numpy as np

from .errors import GraphError


class KnownTriplets:
    """Sorted-array index over triplets: membership, and all values of a slot given the other two, for arrays at once.

    A triplet is one int64 key; a lookup is a binary search, so n lookups among m triplets cost O(n log m) and no
    Python object per triplet. `triplets` has shape (m, 3).
    """

    def __init__(self, triplets: np.ndarray, num_entities: int, num_relations: int):
        self.sizes = (num_entities, num_relations, num_entities)
        if num_entities * num_relations * num_entities >= 2**63:
            raise GraphError(
                f"{num_entities} entities and {num_relations} relations: their triplets do not fit 64-bit keys"
            )
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        keys = np.sort(self._pair_keys(2, triplets) + triplets[:, 2])
        distinct = keys[np.diff(keys, prepend=-1) > 0]  # np.unique hashes: 50 times slower
        self._keys = {2: distinct}  # by the slot that varies fastest

    def _pair_keys(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        first, second = (other for other in (0, 1, 2) if other != slot)
        return (triplets[:, first] * self.sizes[second] + triplets[:, second]) * self.sizes[slot]

    def _sorted_keys(self, slot: int) -> np.ndarray:
        if slot not in self._keys:
            pairs, tails = np.divmod(self._keys[2], self.sizes[2])
            triplets = np.stack([*np.divmod(pairs, self.sizes[1]), tails], axis=1)
            self._keys[slot] = np.sort(self._pair_keys(slot, triplets) + triplets[:, slot])
        return self._keys[slot]

    def __len__(self) -> int:
        """Number of distinct triplets."""
        return len(self._sorted_keys(2))

    def contains(self, triplets: np.ndarray) -> np.ndarray:
        """Is each triplet, shape (n, 3), known? Returns bool, shape (n,)."""
        triplets = np.asarray(triplets, dtype=np.int64)
        keys, wanted = self._sorted_keys(2), self._pair_keys(2, triplets) + triplets[:, 2]
        if not len(keys):
            return np.zeros(len(wanted), dtype=bool)
        return keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted

    def values(self, slot: int, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All known values of `slot` given each triplet's other two; its own entry in `slot` is ignored.

        Returns `rows` and `values`, both int64 of the same length: `values[i]` is known for `triplets[rows[i]]`.
        Rows ascend, and the values of a row ascend.
        """
        triplets = np.asarray(triplets, dtype=np.int64)
        keys, pairs = self._sorted_keys(slot), self._pair_keys(slot, triplets)
        starts, counts = self._ranges(slot, pairs)
        rows = np.repeat(np.arange(len(triplets)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, keys[np.repeat(starts, counts) + within] - np.repeat(pairs, counts)

    def count(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """How many values of `slot` are known given each triplet's other two: int64, shape (n,)."""
        return self._ranges(slot, self._pair_keys(slot, np.asarray(triplets, dtype=np.int64)))[1]

    def _ranges(self, slot: int, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys = self._sorted_keys(slot)
        starts = np.searchsorted(keys, pairs)
        return starts, np.searchsorted(keys, pairs + self.sizes[slot]) - starts
