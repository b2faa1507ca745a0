"""Splits the training triplets of a graph into train, validation and test.

All triplets of two entities stay together, in either direction and of every relation. So no triplet that is held out
has its duplicate, its mirror image or the same fact under another relation in training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.vocabulary import SPLITS, shown
from ..structure.relation_patterns import find_mirrors
from ..utils.dates import read_dates
from .split_report import SplitReport

if TYPE_CHECKING:
    import pyarrow as pa

Size = float | int  # of a split: a share of the triplets, below 1, or their number


def split_graph(
    graph: KnowledgeGraph,
    validation: Size = 0.05,
    test: Size = 0.05,
    *,
    seed: int = 42,
    dates: "Sequence[Any] | pa.ChunkedArray | None" = None,
) -> tuple[KnowledgeGraph, SplitReport]:
    """Takes validation and test triplets out of the training triplets of a graph.

    - Nothing is lost and nothing doubled; the order of the triplets stays.
    - All triplets of two entities are in one split: duplicates, mirror images, and other relations.
    - Every entity and relation keeps a true training triplet. If that leaves too few, the splits are smaller.
    - Pairs of entities with the same relations are drawn in the same share, so that each relation has about its share
      of the triplets in each split.
    - The seed decides, and not the order of the triplets. The test split does not depend on the size of validation.

    By date, the newest triplets become test, the next ones validation. A pair of entities has the date of its oldest
    triplet, triplets of one date stay together, and entities may have no training triplet.

    Args:
        graph: a graph with a train split, and none of those that are to be made.
        validation: the share of the training triplets, below 1, or their number as an int; 0 for no such split.
        test: the same for test.
        seed: the seed of the random choice.
        dates: one date per training triplet: numbers, such as years, or ISO 8601; None or blank if unknown.

    Returns:
        The graph, and what was found and done.

    Raises:
        GraphError: the graph has such a split or no train split, a size is out of range, a date cannot be read, or
            nothing can be held out.
    """
    train, asked = graph["train"], {"validation": validation, "test": test}
    for name, size in asked.items():
        if size and name in graph:
            raise GraphError(f"the graph has a {name} split; expected one without, or a size of 0 for it")
    wanted = {name: _count(name, size, len(train)) for name, size in asked.items()}
    if sum(wanted.values()) >= len(train):
        raise GraphError(f"{sum(wanted.values())} triplets to hold out of {len(train)}; expected some to train on")
    pairs, undated = _Pairs.of(train), None
    if dates is None:
        is_kept = pairs.find_kept(seed)
        sides = _draw(pairs, is_kept, wanted, seed)
    else:
        is_kept = np.zeros(len(pairs.sizes), dtype=bool)
        days, is_dated = read_dates(dates, len(train))
        undated = int((~is_dated).sum())
        sides = _split_by_date(pairs, days, is_dated, wanted)
    side = sides[pairs.of_triplets]
    parts = {name: train.select(np.flatnonzero(side == number)) for number, name in enumerate(SPLITS)}
    for name, count in wanted.items():
        if count and not len(parts[name]):
            raise GraphError(
                f"no triplet can be held out for {name}: of {len(train)}, each is the last one of an entity or a "
                "relation, or shares its entities with one that is; hold out entities instead (split --inductive)"
            )
    others = {name: split for name, split in graph.splits.items() if name != "train"}
    splits = {name: split for name, split in parts.items() if len(split)} | others
    result = KnowledgeGraph(
        graph.entities, graph.relations, {name: (split.triplets, split.labels) for name, split in splits.items()}
    )
    new = [name for name, count in wanted.items() if count]
    occurring = zip(result.occurring(*new), result.occurs_in_train(), strict=True)
    unseen = [int((held & ~seen).sum()) for held, seen in occurring]
    return result, SplitReport(
        sizes={name: len(split) for name, split in result.splits.items()},
        asked={name: count for name, count in wanted.items() if count},
        mirrors=find_mirrors(train.positives, graph.num_entities, graph.num_relations),
        kept_together=int(pairs.sizes[pairs.sizes > 1].sum()),
        only_ones=int(is_kept.sum()),
        unseen_entities=unseen[0],
        unseen_relations=unseen[1],
        undated=undated,
    )


def parse_size(text: str) -> Size:
    """Reads the size of a split.

    Args:
        text: a share, "5%" or "0.05", or a number of triplets, "500"; "0" for none.

    Returns:
        The share as a float below 1, or the number as an int.

    Raises:
        GraphError: the text is something else.
    """
    try:
        size: Size = float(text[:-1]) / 100 if text.endswith("%") else float(text) if "." in text else int(text)
    except ValueError:
        size = -1
    if not _is_size(size):
        raise GraphError(f"{text!r} is not the size of a split; expected a share, such as 5%, or a number of triplets")
    return size


def _is_size(size: Any) -> bool:
    most = 1 if isinstance(size, float) else float("inf")
    return isinstance(size, (int, float, np.integer)) and bool(0 <= size < most)


def _count(name: str, size: Size, total: int) -> int:
    """Returns a size as a number of triplets, 1 at least if it is not 0."""
    if not _is_size(size):
        expected = "a share of 0 or more and below 1, or a number of triplets as an int"
        raise GraphError(f"{name}={shown(size)}; expected {expected}")
    return max(1, round(size * total)) if isinstance(size, float) and size else int(size)


@dataclass(frozen=True)
class _Pairs:
    """The pairs of entities between which a split has triplets, in an order that depends on the ids alone.

    Attributes:
        of_triplets: the pair of each triplet, int64 of shape (triplets,).
        sizes: the number of triplets of each pair, int64 of shape (pairs,).
        ends: the two entities of each pair, int64 of shape (pairs, 2).
        relations: the relation of each triplet, by the order of the ids, int64 of shape (triplets,).
        is_true: whether each triplet is labeled true, bool of shape (triplets,).
        num_relations: the number of relations.
    """

    of_triplets: np.ndarray
    sizes: np.ndarray
    ends: np.ndarray
    relations: np.ndarray
    is_true: np.ndarray
    num_relations: int

    @classmethod
    def of(cls, split: GraphSplit) -> "_Pairs":
        """Finds the pairs of a split."""
        graph = split.graph
        entity_ranks, relation_ranks = _ranks(graph.entities.ids), _ranks(graph.relations.ids)
        ends = np.sort(entity_ranks[split.triplets[:, [0, 2]]], axis=1)
        keys = ends[:, 0] * graph.num_entities + ends[:, 1]
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        sizes = np.diff(starts, append=len(keys))
        of_triplets = np.empty(len(keys), dtype=np.int64)
        of_triplets[order] = np.repeat(np.arange(len(starts)), sizes)
        is_true = np.ones(len(keys), dtype=bool) if split.labels is None else split.labels == 1
        relations = relation_ranks[split.triplets[:, 1]]
        return cls(of_triplets, sizes, ends[order][starts], relations, is_true, graph.num_relations)

    def find_kept(self, seed: int) -> np.ndarray:
        """Chooses pairs that stay in training, so that each entity and relation keeps a true triplet there.

        Each entity and each relation keeps one: a pair that stays anyway, because it is the only one of the other
        entity, and else a random one.

        Args:
            seed: the seed.

        Returns:
            Bool of shape (pairs,).
        """
        is_kept, has_true = np.zeros(len(self.sizes), dtype=bool), np.zeros(len(self.sizes), dtype=bool)
        has_true[self.of_triplets[self.is_true]] = True
        true_pairs, num_entities = np.flatnonzero(has_true), int(self.ends.max(initial=-1)) + 1
        ends = self.ends[true_pairs]
        is_loop = ends[:, 0] == ends[:, 1]
        degrees = np.bincount(ends[:, 0], minlength=num_entities)
        degrees += np.bincount(ends[~is_loop, 1], minlength=num_entities)
        is_only = (degrees[ends] == 1).any(axis=1)
        order = np.lexsort((np.random.default_rng(seed).permutation(len(ends)), is_only))
        places = np.empty(len(self.sizes), dtype=np.int64)
        places[true_pairs[order]] = np.arange(len(order))
        # Where an index occurs several times, NumPy assigns the last value: here the pair that comes last in the order.
        chosen = np.full(num_entities, -1)
        chosen[ends[order].ravel()] = np.repeat(true_pairs[order], 2)
        is_kept[chosen[chosen >= 0]] = True
        true = np.flatnonzero(self.is_true)
        true = true[np.argsort(places[self.of_triplets[true]], kind="stable")]
        chosen = np.full(self.num_relations, -1)
        chosen[self.relations[true]] = self.of_triplets[true]
        is_kept[chosen[chosen >= 0]] = True
        return is_kept


def _ranks(ids: list[str]) -> np.ndarray:
    """Returns the rank of each id in the order of all, int64 of shape (n,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[pc.array_sort_indices(pa.array(ids, pa.large_string())).to_numpy()] = np.arange(len(ids))
    return ranks


def _draw(pairs: _Pairs, is_kept: np.ndarray, wanted: Mapping[str, int], seed: int) -> np.ndarray:
    """Draws the pairs of test and validation, in the same share of the pairs of each set of relations.

    Args:
        pairs: the pairs.
        is_kept: which of them stay in training.
        wanted: the number of triplets of validation and test.
        seed: the seed.

    Returns:
        The split of each pair, 0 to 2 as in `SPLITS`, int64 of shape (pairs,).
    """
    random = np.random.default_rng([seed, 1])
    # The sum of a random number for each relation stands for the set of the relations of a pair.
    codes = random.integers(0, 2**62, pairs.num_relations, dtype=np.uint64)
    order = np.argsort(pairs.of_triplets, kind="stable")
    starts = np.cumsum(pairs.sizes) - pairs.sizes
    sets = np.add.reduceat(codes[pairs.relations[order]], starts)
    order = np.lexsort((random.permutation(len(sets)), is_kept, sets))
    firsts = np.flatnonzero(np.append(True, sets[order][1:] != sets[order][:-1]))
    counts = np.diff(firsts, append=len(order))
    # Of n pairs of one set, the i-th stands at (i + a random number below 1) / n: any stretch from 0 to 1 holds about
    # the same share of each set, also of sets with few pairs.
    positions = np.arange(len(order)) - np.repeat(firsts - random.random(len(firsts)), counts)
    places = np.empty(len(order))
    places[order] = positions / np.repeat(counts, counts)
    free = np.argsort(places, kind="stable")
    free = free[~is_kept[free]]
    ends = np.cumsum(pairs.sizes[free])
    num_free, num_wanted = int(ends[-1]) if len(ends) else 0, sum(wanted.values())
    share = min(1.0, num_free / num_wanted) if num_wanted else 0.0
    sides, start, target = np.zeros(len(order), dtype=np.int64), 0, 0.0
    for name in ("test", "validation"):
        target += share * wanted[name]
        end = _nearest(ends, target, start + (wanted[name] > 0))
        sides[free[start:end]] = SPLITS.index(name)
        start = end
    return sides


def _nearest(ends: np.ndarray, target: float, least: int) -> int:
    """Returns after how many parts, `least` or more, their total size is the nearest to a target."""
    totals = np.append(0, ends)
    position = int(np.searchsorted(totals, target))
    if position and (position == len(totals) or target - totals[position - 1] < totals[position] - target):
        position -= 1
    return min(max(position, least), len(ends))


def _split_by_date(pairs: _Pairs, days: np.ndarray, is_dated: np.ndarray, wanted: Mapping[str, int]) -> np.ndarray:
    """Puts the newest pairs into test and the next ones into validation; returns sides as `_draw` does.

    Args:
        pairs: the pairs.
        days: the date of each triplet as a number.
        is_dated: which triplets have one.
        wanted: the number of triplets of validation and test.
    """
    oldest = np.full(len(pairs.sizes), np.inf)
    np.minimum.at(oldest, pairs.of_triplets[is_dated], days[is_dated].astype(np.float64))
    dates, positions = np.unique(-oldest[np.isfinite(oldest)], return_inverse=True)  # the newest first
    ends = np.cumsum(np.bincount(positions, weights=pairs.sizes[np.isfinite(oldest)], minlength=len(dates)))
    sides_of_dates, start, total = np.zeros(len(dates), dtype=np.int64), 0, 0.0
    for name in ("test", "validation"):
        end = _nearest(ends, total + wanted[name], start + 1) if wanted[name] else start
        sides_of_dates[start:end] = SPLITS.index(name)
        start, total = end, float(ends[end - 1]) if end else 0.0
    if len(dates) and start == len(dates) and np.isfinite(oldest).all():
        raise GraphError(f"{len(dates)} different dates: none is left to train on; split without dates")
    sides = np.zeros(len(pairs.sizes), dtype=np.int64)
    sides[np.isfinite(oldest)] = sides_of_dates[positions]
    return sides
