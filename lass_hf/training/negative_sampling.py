"""Corrupted triplets, drawn by array operations: never known training triplets, and without replacement.

Random numbers are hashes of (seed, epoch, triplet, slot, counter). So the negatives of a triplet depend neither on its
batch nor on the process that draws them, and a training that is resumed draws what it would have drawn.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import NamedTuple

import numpy as np

from ..core.choices import CORRUPTIONS
from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.token_store import TokenStore
from .hard_negatives import HardNegatives

logger = logging.getLogger(__name__)

SMALL_VOCABULARY = 256  # Up to so many values are put in random order all at once, which also finds the last valid one.
MAX_ROUNDS = 4  # Rounds of rejection, each with twice as many draws, before all values are put in random order.
VALUES_AT_ONCE = 2**20  # Values that are put in random order together.
LAST = np.uint64(2**64 - 1)  # The sort key of values that are not valid.

RowsAndValues = tuple[np.ndarray, np.ndarray]


@dataclass
class CorruptedTriplets:
    """Corrupted triplets of positives.

    Attributes:
        triplets: Int64 of shape (m, 3).
        rows: The positive that each was made from, int64 of shape (m,), ascending.
    """

    triplets: np.ndarray
    rows: np.ndarray


class NegativeSampler:
    """Draws corrupted triplets uniformly, except the triplet itself and the known training triplets.

    A slot with fewer valid values than `num_negatives` gives all of them, and logs a warning once.

    Args:
        graph: The graph whose training triplets are never drawn.
        num_negatives: The number of negatives for each corrupted slot (the paper: 5).
        corruption: "each_slot" corrupts head, relation and tail (Eq. 4). "head_or_tail" corrupts one of head and tail,
            chosen by coin flip (the published code's classification form, there with one negative). "tail" corrupts the
            tail, as the false triplets of WN11 and FB13 were made (Socher et al., 2013).
        replacement: Whether to draw with replacement, as the published code does; the paper draws without.
        seed: Key of the random numbers.
        hard_negatives: Hard negatives to draw from for heads and tails. Relations are always drawn uniformly.
        num_mined: The number of a slot's negatives that are hard negatives, at most `num_negatives`, or all of them if
            there are fewer. The rest are drawn uniformly, and can repeat one of them.
        pseudo_typed: Whether to draw heads and tails from the entities that occur in that slot of that relation in
            training (PyKEEN's PseudoTypedNegativeSampler), as the false tails of FB13 do.
        store: The graph's texts as token ids. With it, a triplet that reads the same as the positive or as a known one
            is not drawn either, because a text model cannot tell the two apart. None compares integers alone.

    Raises:
        LassError: A number or the corruption is not one of these.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        num_negatives: int = 5,
        corruption: str = "each_slot",
        replacement: bool = False,
        seed: int = 42,
        hard_negatives: HardNegatives | None = None,
        num_mined: int = 0,
        pseudo_typed: bool = False,
        store: TokenStore | None = None,
    ):
        for name, value, least in (("num_negatives", num_negatives, 1), ("seed", seed, 0)):
            if not isinstance(value, Integral) or value < least:
                raise LassError(f"{name}={value!r}; expected a whole number of {least} or more")
        if not 0 <= num_mined <= num_negatives or (num_mined and hard_negatives is None):
            raise LassError(
                f"num_mined={num_mined}; expected 0 to num_negatives ({num_negatives}), and hard negatives to draw from"
            )
        if corruption not in CORRUPTIONS:
            raise LassError(f"corruption={corruption!r}; expected one of {', '.join(CORRUPTIONS)}")
        self.graph = graph
        self.num_negatives = num_negatives
        self.corruption = corruption
        self.replacement = replacement
        self.seed = seed
        self.hard_negatives = hard_negatives
        self.num_mined = num_mined
        self.pseudo_typed = pseudo_typed
        self.store = store if store is not None and store.shares_texts else None
        self._all_values = np.arange(max(graph.num_entities, graph.num_relations))
        self._typed_values: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._has_warned = False

    @cached_property
    def _known(self) -> KnownTriplets:
        """The triplets that are never drawn."""
        return self.graph.known_in_train if self.store is None else self.store.known_in_train(self.graph)

    @property
    def num_slots(self) -> int:
        """The number of slots of a positive that are corrupted, which is its weight in Eq. 4."""
        return 3 if self.corruption == "each_slot" else 1

    def corrupt(self, triplets: np.ndarray, epoch: int = 0) -> CorruptedTriplets:
        """Draws corrupted triplets of positives.

        Args:
            triplets: Int of shape (n, 3).
            epoch: The epoch, which is a part of the key of the random numbers.

        Returns:
            The corrupted triplets of each positive in turn: those of the head, of the relation, and of the tail.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        keys = _mix(np.full(len(triplets), self.seed, dtype=np.uint64))
        for value in (np.full(len(triplets), epoch), *triplets.T):
            keys = _mix(keys ^ value.astype(np.uint64))
        rows, values, slots = [], [], []
        for slot, positives in enumerate(self._positives_of_slots(keys)):
            slot_keys = _mix(keys[positives] ^ np.uint64(slot))
            for part_rows, part_values in self._draw(slot, triplets[positives], slot_keys):
                rows.append(positives[part_rows])
                values.append(part_values)
                slots.append(np.full(len(part_values), slot))
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        corrupted = triplets[row[order]]
        corrupted[np.arange(len(order)), np.concatenate(slots)[order]] = np.concatenate(values)[order]
        if len(order) < self.num_slots * self.num_negatives * len(triplets) and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Some triplets have fewer than %d valid corruptions in a slot, because the graph has few entities or "
                "relations, or nearly all of them are known there. All valid ones are used.",
                self.num_negatives,
            )
        return CorruptedTriplets(corrupted, row[order])

    def _positives_of_slots(self, keys: np.ndarray) -> list[np.ndarray]:
        """Returns the positives whose head, relation and tail is corrupted, given the keys of all positives."""
        every_positive, none = np.arange(len(keys)), np.empty(0, np.int64)
        if self.corruption == "each_slot":
            return [every_positive] * 3
        if self.corruption == "tail":
            return [none, none, every_positive]
        is_head = _mix(keys ^ np.uint64(3)) >> np.uint64(63) == 0
        return [np.flatnonzero(is_head), none, np.flatnonzero(~is_head)]

    def _draw(self, slot: int, triplets: np.ndarray, keys: np.ndarray) -> list[RowsAndValues]:
        """Returns the negatives for a slot of triplets: hard ones, then uniform ones, each as rows and values."""
        if self.hard_negatives is None or slot == 1 or not len(triplets):
            return [self._draw_uniform(slot, triplets, keys, self.num_negatives)]
        rows, values = self._draw_hard(self.hard_negatives.lookup(slot, triplets), keys)
        parts, left = [(rows, values)], self.num_negatives - np.bincount(rows, minlength=len(triplets))
        for count in np.unique(left[left > 0]).tolist():  # one count, unless queries have fewer than `num_mined`
            some = np.flatnonzero(left == count)
            rows, values = self._draw_uniform(slot, triplets[some], keys[some], count)
            parts.append((some[rows], values))
        return parts

    def _draw_hard(self, hard_negatives: np.ndarray, keys: np.ndarray) -> RowsAndValues:
        """Draws `num_mined` of the hard negatives of each row, without repetition, or all if there are fewer."""
        random = _mix(_mix(keys[:, None] ^ np.uint64(4)) + np.arange(hard_negatives.shape[1], dtype=np.uint64))
        random[hard_negatives < 0] = LAST
        chosen = np.argsort(random, axis=1)[:, : self.num_mined]
        values = np.take_along_axis(hard_negatives, chosen, axis=1)
        return np.nonzero(values >= 0)[0], values[values >= 0]

    def _draw_uniform(self, slot: int, triplets: np.ndarray, keys: np.ndarray, count: int) -> RowsAndValues:
        """Draws up to `count` valid values for a slot of each triplet; rows ascend."""
        pool, left = self._pool(slot, triplets), np.arange(len(triplets))
        parts: list[RowsAndValues] = []
        if pool.counts.max(initial=0) > SMALL_VOCABULARY or self.replacement:
            left, parts = self._draw_by_rejection(slot, triplets, keys, count, pool)
        parts += self._draw_from_all(slot, triplets, keys, count, pool, left)
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        by_row = np.argsort(rows, kind="stable")
        return rows[by_row], values[by_row]

    def _draw_by_rejection(
        self, slot: int, triplets: np.ndarray, keys: np.ndarray, count: int, pool: "_Pool"
    ) -> tuple[np.ndarray, list[RowsAndValues]]:
        """Draws values with repetition until `count` are valid and distinct; also returns the other rows."""
        left, parts = np.arange(len(triplets)), []
        draws = 2 * count
        for _ in range(MAX_ROUNDS):
            positions = _mix(keys[left, None] + np.arange(draws, dtype=np.uint64))
            positions %= np.maximum(pool.counts[left, None], np.uint64(1))
            drawn = pool.values[pool.starts[left, None] + positions]
            valid = self._is_valid(slot, triplets[left], drawn) & (positions < pool.counts[left, None])
            if not self.replacement:
                valid &= ~_is_repeated(drawn)
            enough = valid.sum(axis=1) >= count
            kept = valid[enough] & (np.cumsum(valid[enough], axis=1) <= count)
            parts.append((left[enough][np.nonzero(kept)[0]], drawn[enough][kept]))
            left = left[~enough]
            draws *= 2
            if not len(left):
                break
        return left, parts

    def _draw_from_all(
        self, slot: int, triplets: np.ndarray, keys: np.ndarray, count: int, pool: "_Pool", rows: np.ndarray
    ) -> list[RowsAndValues]:
        """Puts all values of some rows in random order, and takes the first `count` valid ones."""
        parts = []
        step = max(1, VALUES_AT_ONCE // max(1, int(pool.counts.max(initial=0))))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            positions = np.arange(max(1, int(pool.counts[block].max())), dtype=np.uint64)
            values = pool.values[np.minimum(pool.starts[block, None] + positions, np.uint64(len(pool.values) - 1))]
            order = _mix(_mix(keys[block, None]) + positions)
            order[~self._is_valid(slot, triplets[block], values) | (positions >= pool.counts[block, None])] = LAST
            first = np.argsort(order, axis=1)[:, :count]
            kept = np.take_along_axis(order, first, 1) != LAST
            parts.append((block[np.nonzero(kept)[0]], np.take_along_axis(values, first, 1)[kept]))
        return parts

    def _pool(self, slot: int, triplets: np.ndarray) -> "_Pool":
        """Returns the values to draw from for a slot of triplets."""
        if slot == 1 or not self.pseudo_typed:
            size = self.graph.known_in_train.sizes[slot]
            return _Pool(self._all_values, np.zeros(len(triplets), np.uint64), np.full(len(triplets), size, np.uint64))
        if slot not in self._typed_values:
            pairs = np.unique(self.graph["train"].positives[:, [1, slot]], axis=0)
            bounds = np.searchsorted(pairs[:, 0], np.arange(self.graph.num_relations + 1)).astype(np.uint64)
            # One more value, so that a relation without values has a position to read from.
            self._typed_values[slot] = np.append(pairs[:, 1], 0), bounds
        values, bounds = self._typed_values[slot]
        starts = bounds[triplets[:, 1]]
        return _Pool(values, starts, bounds[triplets[:, 1] + 1] - starts)

    def _is_valid(self, slot: int, triplets: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns whether values, (n, m), make triplets other than the n given ones and the known training triplets."""
        if self.store is not None:  # What reads the same is the same.
            triplets = self.store.canonical_triplets(triplets)
            values = self.store.first_with_same_text[slot == 1][values]
        candidates = np.repeat(triplets[:, None], values.shape[1], axis=1)
        candidates[:, :, slot] = values
        known = self._known.contains(candidates.reshape(-1, 3)).reshape(values.shape)
        return ~known & (values != triplets[:, None, slot])


class _Pool(NamedTuple):
    """Values to draw from, int64, and the part of them for each row: its start and its length, uint64 of shape (n,)."""

    values: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


def _mix(values: np.ndarray) -> np.ndarray:
    """Returns 64-bit integers that look random, by a bijection: the finalizer of splitmix64 (Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _is_repeated(values: np.ndarray) -> np.ndarray:
    """Returns whether each value, of shape (n, m), occurred earlier in its row."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    equals_previous = np.zeros(values.shape, dtype=bool)
    equals_previous[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(equals_previous)
    np.put_along_axis(repeated, order, equals_previous, axis=1)
    return repeated
