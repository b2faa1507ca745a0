"""Which sequences are computed together: those of nearly equal length, because padding is work that nobody needs.

Lengths in, positions out; it knows no tokens and no models.
"""

import numpy as np


def batch_cost(device_type: str) -> int:
    """What one more batch costs besides its tokens, as a number of tokens that could be computed instead.

    Smaller matrix products on a CPU (measured), kernel launches elsewhere (estimated).
    """
    return 64 if device_type == "cpu" else 2048


def batches_by_length(lengths: np.ndarray, cost: int, token_budget: int | None = None) -> list[np.ndarray]:
    """Cuts sequences into batches that cost least: padded tokens, plus `cost` for each batch.

    `lengths`: int, shape (n,), in tokens. Returns the positions of each batch, int64, every position once, shorter
    sequences first; with a `token_budget` no batch holds more tokens, padding included, unless it is one sequence.
    The same arguments give the same batches.
    """
    if not len(lengths):
        return []
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    batches: list[np.ndarray] = []
    for rows, longest in _groups(distinct, counts, cost):
        per_batch = len(lengths) if token_budget is None else max(1, token_budget // longest)
        batches += np.array_split(order[rows], -(-(rows.stop - rows.start) // per_batch))
    return batches


def _groups(distinct: np.ndarray, counts: np.ndarray, cost: int) -> list[tuple[slice, int]]:
    """The cheapest partition of ascending distinct lengths into runs: (rows in ascending order, longest length).

    Dynamic programming over where the last run begins; quadratic in the number of distinct lengths.
    """
    ends = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(distinct) + 1, dtype=np.int64)
    begin = np.zeros(len(distinct) + 1, dtype=np.int64)
    for last in range(1, len(distinct) + 1):
        costs = best[:last] + (ends[last] - ends[:last]) * distinct[last - 1] + cost
        begin[last] = costs.argmin()
        best[last] = costs[begin[last]]
    groups = []
    last = len(distinct)
    while last:
        first = int(begin[last])
        groups.append((slice(int(ends[first]), int(ends[last])), int(distinct[last - 1])))
        last = first
    return groups[::-1]
