"""Which sequences are computed together: those of nearly equal length, because padding is work that nobody needs.

Lengths in, positions out; it knows no tokens and no models.
"""

import numpy as np
import torch

# What one more batch costs besides its tokens, as a number of tokens that could be computed instead: kernel launches
# on an accelerator, smaller matrix products on a CPU.
BATCH_COST = {"cpu": 64, "accelerator": 2048}


def batches_by_length(lengths: np.ndarray, token_budget: int | None = None) -> list[np.ndarray]:
    """Cuts sequences into batches that cost least: padded tokens, plus a constant for each batch.

    `lengths`: int, shape (n,), in tokens. Returns the positions of each batch, int64, every position once, shorter
    sequences first; with a `token_budget` no batch holds more tokens, padding included, unless it is one sequence.
    The same lengths give the same batches.
    """
    if not len(lengths):
        return []
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    batches: list[np.ndarray] = []
    for rows, longest in _groups(distinct, counts):
        per_batch = len(lengths) if token_budget is None else max(1, token_budget // longest)
        batches += np.array_split(order[rows], -(-(rows.stop - rows.start) // per_batch))
    return batches


def _groups(distinct: np.ndarray, counts: np.ndarray) -> list[tuple[slice, int]]:
    """The cheapest partition of ascending distinct lengths into runs: (rows in ascending order, longest length).

    Dynamic programming over where the last run begins; quadratic in the number of distinct lengths.
    """
    cost_of_batch = BATCH_COST["accelerator" if torch.accelerator.is_available() else "cpu"]
    ends = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(distinct) + 1, dtype=np.int64)
    begin = np.zeros(len(distinct) + 1, dtype=np.int64)
    for last in range(1, len(distinct) + 1):
        costs = best[:last] + (ends[last] - ends[:last]) * distinct[last - 1] + cost_of_batch
        begin[last] = costs.argmin()
        best[last] = costs[begin[last]]
    groups = []
    last = len(distinct)
    while last:
        first = int(begin[last])
        groups.append((slice(int(ends[first]), int(ends[last])), int(distinct[last - 1])))
        last = first
    return groups[::-1]
