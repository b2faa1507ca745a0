"""Length buckets: batches of sequences of nearly equal length, so that next to no padding is computed."""

from collections.abc import Sequence

import numpy as np


def batch_cost(device_type: str) -> int:
    """Returns the cost of one more batch, besides its tokens, as a number of tokens that take the same time.

    The number for the CPU, where small matrix products are slower, was measured. The number for other devices, where a
    batch costs kernel launches, is an estimate.

    Args:
        device_type: The type of a torch device, such as "cpu" or "cuda".

    Returns:
        The number of tokens.
    """
    return 64 if device_type == "cpu" else 2048


def batches_by_length(lengths: np.ndarray, cost: int, token_budget: int | None = None) -> list[np.ndarray]:
    """Cuts sequences into the batches that cost least: padded tokens, plus a fixed cost for each batch.

    Args:
        lengths: Lengths of the sequences in tokens, int of shape (n,).
        cost: The cost of a batch, in tokens, see `batch_cost`.
        token_budget: The most tokens of a batch, padding included, unless it is a single sequence. None: no limit.

    Returns:
        The positions of the sequences of each batch, int64, every position once, shorter sequences first. The same
        arguments give the same batches.
    """
    if not len(lengths):
        return []
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    batches: list[np.ndarray] = []
    for rows, longest in _cheapest_runs(distinct, counts, cost):
        per_batch = len(lengths) if token_budget is None else max(1, token_budget // longest)
        batches += np.array_split(order[rows], -(-(rows.stop - rows.start) // per_batch))
    return batches


def cut_buckets(buckets: Sequence[tuple[int, int, int]], token_budget: int) -> list[tuple[int, int, int]]:
    """Cuts length buckets into smaller ones of the same lengths.

    Args:
        buckets: (rows, shortest length, longest length) of each bucket.
        token_budget: The most tokens of a smaller bucket, padding included, unless it is a single sequence.

    Returns:
        The smaller buckets, in the same order.
    """
    parts = []
    for rows, shortest, longest in buckets:
        count = -(-rows // max(1, token_budget // longest))
        parts += [(rows // count + (number < rows % count), shortest, longest) for number in range(count)]
    return parts


def _cheapest_runs(distinct: np.ndarray, counts: np.ndarray, cost: int) -> list[tuple[slice, int]]:
    """Returns the cheapest partition of ascending distinct lengths into runs: the rows of each, and its longest length.

    This is dynamic programming over the beginning of the last run, quadratic in the number of distinct lengths.
    """
    ends = np.concatenate([[0], np.cumsum(counts)])
    lowest_cost = np.zeros(len(distinct) + 1, dtype=np.int64)
    begin = np.zeros(len(distinct) + 1, dtype=np.int64)
    for last in range(1, len(distinct) + 1):
        costs = lowest_cost[:last] + (ends[last] - ends[:last]) * distinct[last - 1] + cost
        begin[last] = costs.argmin()
        lowest_cost[last] = costs[begin[last]]
    runs = []
    last = len(distinct)
    while last:
        first = int(begin[last])
        runs.append((slice(int(ends[first]), int(ends[last])), int(distinct[last - 1])))
        last = first
    return runs[::-1]
