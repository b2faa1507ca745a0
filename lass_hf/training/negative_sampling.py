"""Corrupted triplets: vectorized, filtered, without replacement, and the same for the same (seed, epoch, triplet).

Random numbers are hashes of (seed, epoch, triplet, slot, counter), so a triplet's negatives depend neither on its batch
nor on the process that draws them, and a resumed run draws what it would have drawn. Arrays in, arrays out.
"""

import logging
from dataclasses import dataclass

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from .hard_negatives import HardNegatives

logger = logging.getLogger(__name__)

CORRUPTIONS = ("each_slot", "head_or_tail", "tail")
SMALL_VOCABULARY = 256  # up to here all values are put in random order at once, which also finds the last valid one
MAX_ROUNDS = 4
LAST = np.uint64(2**64 - 1)


@dataclass
class CorruptedTriplets:
    """`triplets`: int64 of shape (m, 3). `rows`: int64 of shape (m,), ascending, the positive each was made from."""

    triplets: np.ndarray
    rows: np.ndarray


class NegativeSampler:
    """Draws corrupted triplets uniformly from what is neither the triplet itself nor a known training triplet.

    Args:
        graph: the graph whose training triplets are never drawn.
        num_negatives: per slot (the paper: 5).
        corruption: "each_slot" corrupts head, relation and tail (Eq. 4); "head_or_tail" one of head and tail by coin
            flip (the published code's classification form, there with one negative); "tail" the tail, as the false
            triplets of WN11 and FB13 were made (Socher et al., 2013).
        replacement: draw with replacement, as the published code does; the paper draws without.
        seed: key of the random numbers.
        mined: wrong answers to draw from for heads and tails; relations are drawn as without.
        num_mined: how many of a slot's negatives come from there, no more than `num_negatives`; the rest is drawn
            uniformly, and may repeat one of them.
        pseudo_typed: draw heads and tails from the entities that stand in that slot of that relation in training
            (PyKEEN's PseudoTypedNegativeSampler); the false tails of FB13 are such ones.

    A slot with fewer valid values than `num_negatives` gives those there are, and says so once.
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
    ):
        if num_negatives < 1:
            raise LassError(f"num_negatives={num_negatives}; expected 1 or more")
        if not 0 <= num_mined <= num_negatives or (num_mined and hard_negatives is None):
            raise LassError(
                f"num_mined={num_mined}; expected 0 to num_negatives ({num_negatives}), and a retriever to mine with"
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
        self._every = np.arange(max(graph.num_entities, graph.num_relations))
        self._pools: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._told = False

    @property
    def num_slots(self) -> int:
        """How many slots of a positive are corrupted: how often it counts in Eq. 4."""
        return 3 if self.corruption == "each_slot" else 1

    def corrupt(self, triplets: np.ndarray, epoch: int = 0) -> CorruptedTriplets:
        """Corrupted triplets of positives of shape (n, 3)."""
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        keys = _mix(np.full(len(triplets), self.seed, dtype=np.uint64))
        for value in (np.full(len(triplets), epoch), *triplets.T):
            keys = _mix(keys ^ value.astype(np.uint64))
        if self.corruption == "each_slot":
            slots = [np.arange(len(triplets))] * 3
        elif self.corruption == "tail":
            slots = [np.empty(0, np.int64), np.empty(0, np.int64), np.arange(len(triplets))]
        else:
            heads = _mix(keys ^ np.uint64(3)) >> np.uint64(63) == 0
            slots = [np.flatnonzero(heads), np.empty(0, np.int64), np.flatnonzero(~heads)]
        rows, values, corrupted_slots = [], [], []
        for slot, chosen in enumerate(slots):
            slot_keys, count = _mix(keys[chosen] ^ np.uint64(slot)), self.num_negatives
            parts = []
            if self.hard_negatives is not None and slot != 1 and len(chosen):
                parts.append(self._draw_mined(self.hard_negatives.lookup(slot, triplets[chosen]), slot_keys))
                count -= self.num_mined
            if count:
                parts.append(self._draw(slot, triplets[chosen], slot_keys, count))
            for found, drawn in parts:
                rows.append(chosen[found])
                values.append(drawn)
                corrupted_slots.append(np.full(len(drawn), slot))
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        corrupted = triplets[row[order]]
        corrupted[np.arange(len(order)), np.concatenate(corrupted_slots)[order]] = np.concatenate(values)[order]
        if len(order) < self.num_slots * self.num_negatives * len(triplets) and not self._told:
            self._told = True
            logger.warning(
                "Some triplets have fewer than %d valid corruptions in a slot (few relations or entities, or nearly "
                "all of them known): those that there are, are used.",
                self.num_negatives,
            )
        return CorruptedTriplets(corrupted, row[order])

    def _draw_mined(self, mined: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`num_mined` of the mined values of each row, without repetition, or all where there are fewer."""
        count = min(self.num_mined, mined.shape[1])
        random = _mix(_mix(keys[:, None] ^ np.uint64(4)) + np.arange(mined.shape[1], dtype=np.uint64))
        chosen = np.argsort(random, axis=1)[:, :count]
        return np.repeat(np.arange(len(mined)), count), np.take_along_axis(mined, chosen, axis=1).ravel()

    def _draw(self, slot: int, triplets: np.ndarray, keys: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """Up to `wanted` valid values for `slot` of each triplet: row numbers and values, rows ascending."""
        pool, starts, counts = self._pool(slot, triplets)
        waiting, rows, values = np.arange(len(triplets)), [], []
        # Rejection: each row draws until it has enough; values come with repetitions, which are dropped.
        draws = 2 * wanted
        for _ in range(MAX_ROUNDS if counts.max(initial=0) > SMALL_VOCABULARY or self.replacement else 0):
            places = _mix(keys[waiting, None] + np.arange(draws, dtype=np.uint64))
            places %= np.maximum(counts[waiting, None], np.uint64(1))
            drawn = pool[starts[waiting, None] + places]
            valid = self._valid(slot, triplets[waiting], drawn) & (places < counts[waiting, None])
            if not self.replacement:
                valid &= ~_repeats(drawn)
            enough = valid.sum(axis=1) >= wanted
            kept = valid[enough] & (np.cumsum(valid[enough], axis=1) <= wanted)
            rows.append(waiting[enough][np.nonzero(kept)[0]])
            values.append(drawn[enough][kept])
            waiting = waiting[~enough]
            draws *= 2
            if not len(waiting):
                break
        # Few values, or few valid ones: put all of them in random order, a bounded number of rows at a time.
        step = max(1, 2**20 // max(1, int(counts.max(initial=0))))
        for start in range(0, len(waiting), step):
            block = waiting[start : start + step]
            size = max(1, int(counts[block].max()))
            places = np.arange(size, dtype=np.uint64)
            every = pool[np.minimum(starts[block, None] + places, np.uint64(len(pool) - 1))]
            order = _mix(_mix(keys[block, None]) + places)
            order[~self._valid(slot, triplets[block], every) | (places >= counts[block, None])] = LAST
            best = np.argsort(order, axis=1)[:, :wanted]
            kept = np.take_along_axis(order, best, 1) != LAST
            rows.append(block[np.nonzero(kept)[0]])
            values.append(np.take_along_axis(every, best, 1)[kept])
        if not rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        row = np.concatenate(rows)
        by_row = np.argsort(row, kind="stable")
        return row[by_row], np.concatenate(values)[by_row]

    def _pool(self, slot: int, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values to draw from, int64, and each triplet's part of them: first place and number, uint64 of shape (n,)."""
        known = self.graph.known_in_train
        if slot == 1 or not self.pseudo_typed:
            size = known.sizes[slot]
            return self._every, np.zeros(len(triplets), np.uint64), np.full(len(triplets), size, np.uint64)
        if slot not in self._pools:
            pairs = np.unique(self.graph["train"].positives[:, [1, slot]], axis=0)
            bounds = np.searchsorted(pairs[:, 0], np.arange(self.graph.num_relations + 1)).astype(np.uint64)
            self._pools[slot] = np.append(pairs[:, 1], 0), bounds  # one more, for relations that have none
        pool, bounds = self._pools[slot]
        starts = bounds[triplets[:, 1]]
        return pool, starts, bounds[triplets[:, 1] + 1] - starts

    def _valid(self, slot: int, triplets: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Which of `values`, shape (n, m), make a triplet other than the given one and the known training triplets."""
        candidates = np.repeat(triplets[:, None], values.shape[1], axis=1)
        candidates[:, :, slot] = values
        known = self.graph.known_in_train.contains(candidates.reshape(-1, 3)).reshape(values.shape)
        return ~known & (values != triplets[:, None, slot])


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64 (Steele et al., 2014): a bijection of 64-bit integers that looks random."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def _repeats(values: np.ndarray) -> np.ndarray:
    """Which entries of each row, shape (n, m), occurred earlier in it."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    again = np.zeros(values.shape, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeats = np.empty_like(again)
    np.put_along_axis(repeats, order, again, axis=1)
    return repeats
