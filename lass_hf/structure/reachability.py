"""Searches along links: what is reached from where, what two entities share, and by which way."""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from .rule_mining_paths import expand

STARTS = 4096  # searches that go on together
MOST_STEPS_IN_MEMORY = 1 << 22  # links that they follow together, or that pairs are compared by, in about 200 MB
MOST_REACHED = 1 << 17  # links that one search follows before it gives up


def is_reached(links: csr_array, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns whether a way of one step or more leads from starts to ends: bool of shape (n,).

    A search that follows more than `MOST_REACHED` links gives up, and has reached what it had until then.

    Args:
        links: The links from each entity, of shape (E, E).
        starts: Int entities of shape (n,).
        ends: Int entities of shape (n,).
    """
    distinct, row_of = np.unique(starts, return_inverse=True)
    keys, found = row_of * np.int64(links.shape[0]) + ends, np.zeros(len(starts), dtype=bool)
    order = np.argsort(row_of, kind="stable")
    for first in range(0, len(distinct), STARTS):
        last = min(first + STARTS, len(distinct))
        own = order[slice(*np.searchsorted(row_of[order], [first, last]).tolist())]
        found[own] = _is_in(keys[own], _search(links, distinct[first:last]) + first * np.int64(links.shape[0]))
    return found


def _search(links: csr_array, starts: np.ndarray) -> np.ndarray:
    """Returns what searches reach, as their row x E + entity: int64, ascending."""
    size, degrees = np.int64(links.shape[0]), np.diff(links.indptr)
    rows, entities = np.arange(len(starts)), starts
    reached, followed = np.empty(0, np.int64), np.zeros(len(starts), np.int64)
    while len(rows):
        followed += np.bincount(rows, degrees[entities], len(starts)).astype(np.int64)
        if followed.sum() > MOST_STEPS_IN_MEMORY and len(starts) > 1:
            half = len(starts) // 2
            return np.concatenate([_search(links, starts[:half]), _search(links, starts[half:]) + half * size])
        goes_on = followed[rows] <= MOST_REACHED
        rows, entities = rows[goes_on], entities[goes_on]
        owners, places = expand(links.indptr[entities].astype(np.int64), degrees[entities])
        keys = np.unique(rows[owners] * size + links.indices[places])
        keys = keys[~_is_in(keys, reached)]
        reached = np.sort(np.concatenate([reached, keys]), kind="stable")
        rows, entities = np.divmod(keys, size)
    return reached


def _is_in(keys: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Returns which keys are among others, which ascend."""
    if not len(ordered):
        return np.zeros(len(keys), dtype=bool)
    return ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys


def share_others(one: csr_array, other: csr_array, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns whether starts and ends have a link to the same entity: bool of shape (n,).

    Args:
        one: The links from starts, of shape (E, E).
        other: The links from ends, of shape (E, E).
        starts: Int entities of shape (n,).
        ends: Int entities of shape (n,).
    """
    costs = 1 + np.diff(one.indptr)[starts].astype(np.int64) + np.diff(other.indptr)[ends]
    parts = np.cumsum(costs) // MOST_STEPS_IN_MEMORY
    borders = np.flatnonzero(np.diff(parts, prepend=-1, append=-1)).tolist()
    found = np.zeros(len(starts), dtype=bool)
    for start, end in pairwise(borders):
        common = one[starts[start:end]].multiply(other[ends[start:end]]).tocsr()
        found[start:end] = np.diff(common.indptr) > 0
    return found


def find_way(links: csr_array, start: int, end: int) -> list[int]:
    """Returns the entities of a shortest way of one step or more, the first of them `start`; [] where there is none.

    Args:
        links: The links from each entity, of shape (E, E).
        start: The entity that it begins at.
        end: The entity that it leads to.
    """
    before: dict[int, int] = {}
    ends, followed = [start], 0
    while ends and end not in before and followed <= MOST_REACHED:
        found: dict[int, int] = {}
        for entity in ends:
            others = links.indices[links.indptr[entity] : links.indptr[entity + 1]].tolist()
            followed += len(others)
            found |= {other: entity for other in others if other not in before and other not in found}
        before |= found
        ends = list(found)
    way = [end] if end in before else []
    while way and (way[-1] != start or len(way) == 1):
        way.append(before[way[-1]])
    return way[::-1]
