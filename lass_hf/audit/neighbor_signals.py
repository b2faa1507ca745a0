"""Signals of the neighborhood: what else leads from the head of a triplet to its tail, in two steps and in three."""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, diags_array

from ..structure.facts import Facts

ENTRIES = 1 << 24  # of the dense matrix of walks that is in memory at once
ROUNDING = 1e-5  # of sums in float32, relative to what is subtracted from them


def simple_adjacency(facts: Facts) -> csr_array:
    """Returns which entities have a fact together, without loops: symmetric float32 of ones, shape (E, E)."""
    heads, _, tails = facts.triplets[facts.triplets[:, 0] != facts.triplets[:, 2]].T
    ones = np.ones(2 * len(heads), np.float32)
    shape = (facts.num_entities, facts.num_entities)
    matrix = csr_array((ones, (np.concatenate([heads, tails]), np.concatenate([tails, heads]))), shape=shape)
    matrix.data[:] = 1  # The constructor has summed the links of a pair.
    return matrix


def neighbor_signals(triplets: np.ndarray, adjacency: csr_array) -> dict[str, np.ndarray]:
    """Measures what leads from head to tail beside the link of the triplet itself.

    A walk counts by the product of 1 / degree of the entities between (resource allocation). The walks of three steps
    over the pair itself, such as from the head to the tail, back and again, are subtracted.

    Args:
        triplets: Int64 of shape (n, 3).
        adjacency: The neighbors, as `simple_adjacency` returns them; the triplets are among them.

    Returns:
        `shared_neighbors` and `longer_paths`: the logs of 1 + a thousand times the sums, float32 of shape (n,).
    """
    num_entities = adjacency.shape[0]
    degrees = np.diff(adjacency.indptr)
    weights = (1 / np.maximum(degrees, 1)).astype(np.float32)
    weighted = (adjacency @ diags_array(weights)).tocsr()  # [x, z] = 1 / degree of z
    around = np.asarray(weighted.sum(axis=1), np.float32)
    two, three = np.zeros((2, len(triplets)), np.float32)
    step = max(1, min(512, ENTRIES // max(num_entities, 1)))
    distinct, position = np.unique(triplets[:, 0], return_inverse=True)
    order = np.argsort(position, kind="stable")
    bounds = np.searchsorted(position[order], np.arange(0, len(distinct) + step, step))
    for number, (start, end) in enumerate(pairwise(bounds.tolist())):
        rows = order[start:end]
        row, tails = position[rows] - number * step, triplets[rows, 2]
        walks = weighted[distinct[number * step : (number + 1) * step]].toarray() @ adjacency
        two[rows] = walks[row, tails]
        three[rows] = ((walks * weights) @ adjacency)[row, tails]
    heads, _, tails = triplets.T
    own = weights[tails] * around[tails] + weights[heads] * around[heads] - weights[tails] * weights[heads]
    is_loop = heads == tails
    three -= np.where(is_loop, 0, own)
    three[three <= ROUNDING * own] = 0
    return {
        "shared_neighbors": np.log1p(1000 * np.where(is_loop, 0, two)).astype(np.float32),
        "longer_paths": np.log1p(1000 * np.where(is_loop, 0, three)).astype(np.float32),
    }
