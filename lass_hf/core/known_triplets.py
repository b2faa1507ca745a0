"""The index of known true triplets: sorted integer arrays and binary search, without names and texts."""

import numpy as np

from .errors import GraphError


class KnownTriplets:
    """Index over triplets that answers membership and completion queries for whole arrays.

    A triplet is stored as one int64 key. A lookup is a binary search, so n lookups among m triplets cost O(n log m),
    and no Python object exists for a single triplet. Duplicates are stored once.

    Args:
        triplets: integers of shape (m, 3): head, relation, tail.
        num_entities: number of entities in the vocabulary.
        num_relations: number of relations in the vocabulary.

    Raises:
        GraphError: num_entities² x num_relations does not fit in 63 bits, or a number is not one of the vocabulary: its
            key would be that of another triplet.
    """

    def __init__(self, triplets: np.ndarray, num_entities: int, num_relations: int):
        self.sizes = (num_entities, num_relations, num_entities)
        if num_entities * num_relations * num_entities >= 2**63:
            raise GraphError(
                f"{num_entities} entities and {num_relations} relations: their triplets do not fit 64-bit keys"
            )
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        if len(triplets) and ((triplets.min(axis=0) < 0) | (triplets.max(axis=0) >= self.sizes)).any():
            raise GraphError(f"triplets with numbers beyond {num_entities} entities and {num_relations} relations")
        keys = np.sort(self._pair_keys(2, triplets) + triplets[:, 2])
        distinct = keys[np.diff(keys, prepend=-1) > 0]  # np.unique uses hashing here, which is 50 times slower.
        # One sorted key array for each slot; the slot is the part of the key that varies fastest.
        self._keys = {2: distinct}

    def _pair_keys(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """Returns the keys of the triplets with 0 in the slot: int64 of shape (n,)."""
        first, second = (other for other in (0, 1, 2) if other != slot)
        return (triplets[:, first] * self.sizes[second] + triplets[:, second]) * self.sizes[slot]

    def _sorted_keys(self, slot: int) -> np.ndarray:
        """Returns the sorted keys in which the slot varies fastest; computes them on the first call."""
        if slot not in self._keys:
            triplets = self.triplets()
            self._keys[slot] = np.sort(self._pair_keys(slot, triplets) + triplets[:, slot])
        return self._keys[slot]

    def __len__(self) -> int:
        """Returns the number of distinct triplets."""
        return len(self._sorted_keys(2))

    def triplets(self) -> np.ndarray:
        """Returns the distinct triplets, ascending: int64 of shape (m, 3)."""
        pairs, tails = np.divmod(self._keys[2], self.sizes[2])
        return np.stack([*np.divmod(pairs, self.sizes[1]), tails], axis=1)

    def contains(self, triplets: np.ndarray) -> np.ndarray:
        """Checks which triplets are in the index.

        Args:
            triplets: integers of shape (n, 3).

        Returns:
            bool of shape (n,).
        """
        triplets = np.asarray(triplets, dtype=np.int64)
        keys, query_keys = self._sorted_keys(2), self._pair_keys(2, triplets) + triplets[:, 2]
        if not len(keys):
            return np.zeros(len(query_keys), dtype=bool)
        return keys[np.minimum(np.searchsorted(keys, query_keys), len(keys) - 1)] == query_keys

    def values(self, slot: int, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lists all known values of a slot, given the other two entries of each triplet.

        Args:
            slot: 0, 1 or 2 for head, relation or tail.
            triplets: integers of shape (n, 3); the column of the slot is ignored.

        Returns:
            `rows` and `values`, both int64 of shape (m,): `values[i]` completes `triplets[rows[i]]` to a known
            triplet. Rows ascend, and so do the values of a row.
        """
        triplets = np.asarray(triplets, dtype=np.int64)
        keys, pairs = self._sorted_keys(slot), self._pair_keys(slot, triplets)
        starts, counts = self._ranges(slot, pairs)
        rows = np.repeat(np.arange(len(triplets)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, keys[np.repeat(starts, counts) + within] - np.repeat(pairs, counts)

    def count(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """Counts the known values of a slot, given the other two entries of each triplet.

        Args:
            slot: 0, 1 or 2 for head, relation or tail.
            triplets: integers of shape (n, 3); the column of the slot is ignored.

        Returns:
            int64 of shape (n,).
        """
        return self._ranges(slot, self._pair_keys(slot, np.asarray(triplets, dtype=np.int64)))[1]

    def _ranges(self, slot: int, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns where the keys of each pair start, and how many there are: both int64 of shape (n,)."""
        keys = self._sorted_keys(slot)
        starts = np.searchsorted(keys, pairs)
        return starts, np.searchsorted(keys, pairs + self.sizes[slot]) - starts
