"""Signals of patterns: second links of a pair, mirrors, functional relations, cycles, loops, and plain counts."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..core.known_triplets import KnownTriplets
from .signals import number_groups


def pattern_signals(known: KnownTriplets) -> dict[str, np.ndarray]:
    """Measures how each triplet keeps to the patterns of its relation, which are read from the other triplets.

    Args:
        known: All triplets.

    Returns:
        Float32 of shape (n,) for each signal, in the order of `known.triplets()`. What breaks a pattern is negative, by
        the share of the other triplets that keep to it. Signals of kind "context" are logs of 1 + counts.
    """
    triplets = known.triplets()
    heads, relations, tails = triplets.T
    is_loop, turned = heads == tails, triplets[:, ::-1]
    sizes = np.bincount(relations, minlength=1)[relations]
    mirrored = known.contains(turned) & ~is_loop
    symmetry = _share(np.bincount(relations, mirrored)[relations] - 2 * mirrored, sizes - 1 - mirrored)
    loops = _share(np.bincount(relations, is_loop)[relations] - is_loop, sizes - 1)
    other_tails, other_heads = known.count(2, triplets) - 1, known.count(0, triplets) - 1
    in_cycle = _in_cycle(triplets, known.sizes[0]) & ~mirrored & ~is_loop
    cycles = _share(np.bincount(relations, in_cycle)[relations] - in_cycle, sizes - 1)
    degrees = np.bincount(triplets[:, [0, 2]].reshape(-1), minlength=known.sizes[0])
    signals = {
        "other_links": np.log1p(known.count(1, triplets) - 1 + known.count(1, turned) - is_loop),
        "mirror_missing": -symmetry * (~mirrored & ~is_loop),
        "mirror_present": -(1 - symmetry) * mirrored,
        "second_tail": -_functionality(relations, heads, other_tails) * (other_tails > 0),
        "second_head": -_functionality(relations, tails, other_heads) * (other_heads > 0),
        "cycle": -(1 - cycles) * in_cycle,
        "self_loop": -(1 - loops) * is_loop,
        "num_other_tails": np.log1p(other_tails),
        "num_other_heads": np.log1p(other_heads),
        "num_of_relation": np.log1p(sizes - 1),
        "num_of_head": np.log1p(degrees[heads] - 1 - is_loop),
        "num_of_tail": np.log1p(degrees[tails] - 1 - is_loop),
    }
    return {name: values.astype(np.float32) for name, values in signals.items()}


def _share(count: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Returns shares; 0 of nothing."""
    return np.maximum(count, 0) / np.maximum(of, 1)


def _functionality(relations: np.ndarray, entities: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the share of the other queries of a relation, and of the own one without the triplet, with one answer."""
    groups = number_groups(entities, relations)
    _, first = np.unique(groups, return_index=True)
    num_queries = np.bincount(relations[first], minlength=relations.max(initial=0) + 1)[relations]
    singles = np.bincount(relations[first], others[first] == 0, minlength=relations.max(initial=0) + 1)[relations]
    return _share(singles - (others == 0) + (others == 1), num_queries - (others == 0))


def _in_cycle(triplets: np.ndarray, num_entities: int) -> np.ndarray:
    """Returns which triplets are in a cycle of their own relation: bool of shape (n,)."""
    heads, relations, tails = triplets.T
    nodes, numbers = np.unique(
        np.concatenate([relations * num_entities + heads, relations * num_entities + tails]), return_inverse=True
    )
    starts, ends = numbers.reshape(2, -1)
    links = csr_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(len(nodes), len(nodes)))
    _, component = connected_components(links, directed=True, connection="strong")
    return component[starts] == component[ends]
