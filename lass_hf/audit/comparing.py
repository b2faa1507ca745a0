"""Compares numbers within groups: of relations, of queries, and each without its own help."""

import numpy as np


def percentiles(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the share of the numbers of the same group that are smaller, equal ones counted half.

    Args:
        values: Float of shape (n,); NaN where nothing is known.
        groups: Int of shape (n,), 0 or more.

    Returns:
        Float32 of shape (n,), above 0 and below 1; NaN where the value is.
    """
    result = np.full(len(values), np.nan, np.float32)
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        order = known[np.lexsort([values[known], groups[known]])]
        own, group = values[order], groups[order]
        is_new_group = np.diff(group, prepend=-1) != 0
        is_first = is_new_group | np.append(True, own[1:] != own[:-1])
        starts = np.flatnonzero(is_first)
        sizes = np.diff(starts, append=len(order))
        group_starts = np.maximum.accumulate(np.where(is_new_group, np.arange(len(order)), 0))[starts]
        below = np.repeat(starts - group_starts + sizes / 2, sizes)
        result[order] = below / np.bincount(group)[group]
    return result


def mean_of_others(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the mean of the other numbers of the same group; NaN where there are none.

    Args:
        values: Float of shape (n,); NaN does not count.
        groups: Int of shape (n,), 0 or more.

    Returns:
        Float32 of shape (n,).
    """
    known = ~np.isnan(values)
    own = np.where(known, values, 0).astype(np.float64)
    counts = np.bincount(groups, known)[groups] - known
    sums = np.bincount(groups, own)[groups] - own
    return divide(sums, counts)


def divide(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns quotients as float32; NaN where the divisor is 0 or less."""
    result = np.full(np.broadcast(one, other).shape, np.nan, np.float32)
    np.divide(one, other, out=result, where=other > 0, casting="unsafe")
    return result


def number_groups(*columns: np.ndarray) -> np.ndarray:
    """Returns for each row of int columns of shape (n,) the number of its group of equal rows: int64 of shape (n,)."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    order = np.lexsort(columns)
    is_first = np.zeros(len(order), bool)
    is_first[0] = True
    for column in columns:
        is_first[1:] |= np.diff(column[order]) != 0
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(is_first) - 1
    return groups
