"""Odd entities: pairs that may be one thing twice, and entities whose text fits none of their triplets."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ..structure.facts import Facts
from .signals import SIGNALS, Signals

SAME_TEXT = 0.999  # cosine
NEAR_TEXT, NEAR_NEIGHBORS = 0.9, 0.3  # the cosine and the share of common neighbors from which two are near-duplicates
MOST_COMPARED = 100_000  # entities whose texts are compared with each other, at a cost that grows with their square
ENTRIES = 1 << 23  # cosines that are in memory at once
LEAST_TRIPLETS = 3  # of an entity whose text is said to fit none
MISFIT = 0.1  # the share within the relation that its triplets have in the mean


@dataclass(frozen=True)
class EntityFindings:
    """Odd entities.

    Attributes:
        duplicates: Int64 of shape (d, 2): pairs of entities, the most alike first.
        cosines: Float32 of shape (d,): of their texts.
        common: Float32 of shape (d,): their common neighbors as a share of all neighbors of both.
        misfits: Int64 of shape (m,): entities whose text fits none of their triplets, the worst first.
        fits: Float32 of shape (m,): the mean share of the relation's triplets whose texts fit worse.
        are_compared: Whether duplicates were searched for.
    """

    duplicates: np.ndarray
    cosines: np.ndarray
    common: np.ndarray
    misfits: np.ndarray
    fits: np.ndarray
    are_compared: bool = True


def find_odd_entities(facts: Facts, texts: np.ndarray, adjacency: csr_array, signals: Signals) -> EntityFindings:
    """Finds odd entities.

    Args:
        facts: The facts.
        texts: Float32 of shape (E, k), of length 1. In graphs of more than 100,000 entities no duplicates are
            searched for.
        adjacency: The neighbors, as `simple_adjacency` returns them.
        signals: The signals of the facts.
    """
    degrees = np.diff(adjacency.indptr)
    occurring = np.flatnonzero(degrees)
    are_compared = len(occurring) <= MOST_COMPARED
    pairs = _nearest_pairs(texts, occurring) if are_compared else np.empty((0, 2), np.int64)
    cosines = np.einsum("nk,nk->n", texts[pairs[:, 0]], texts[pairs[:, 1]])
    one, other = pairs.T
    both = np.asarray((adjacency[one] * adjacency[other]).sum(axis=1), np.float32)
    # Two that are linked to each other have each other as neighbors, which is nothing against them.
    linked = 2 * np.asarray(adjacency[one, other]).reshape(-1)
    common = both / np.maximum(degrees[one] + degrees[other] - linked - both, 1)
    kept = np.flatnonzero((cosines >= SAME_TEXT) | ((cosines >= NEAR_TEXT) & (common >= NEAR_NEIGHBORS)))
    kept = kept[np.argsort(-(cosines + common)[kept], kind="stable")]
    misfits, fits = _misfits(facts, signals)
    return EntityFindings(pairs[kept], cosines[kept], common[kept].astype(np.float32), misfits, fits, are_compared)


def _nearest_pairs(texts: np.ndarray, entities: np.ndarray) -> np.ndarray:
    """Returns each entity with that of the nearest text, int64 of shape (n, 2): the smaller number first, no twice."""
    if len(entities) < 2:
        return np.empty((0, 2), np.int64)
    own, nearest = texts[entities], np.empty(len(entities), np.int64)
    step = max(1, ENTRIES // len(entities))
    for start in range(0, len(entities), step):
        alike = own[start : start + step] @ own.T
        row = np.arange(len(alike))
        alike[row, start + row] = -2
        nearest[start : start + step] = alike.argmax(axis=1)
    return np.unique(np.sort(np.stack([entities, entities[nearest]], axis=1), axis=1), axis=0)


def _misfits(facts: Facts, signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """Returns the entities whose triplets all look odd by text, and how odd."""
    is_text = [SIGNALS[name][0] == "text" for name in signals.names]
    shares = Signals(tuple(np.array(signals.names)[is_text]), signals.values[is_text], signals.relations)
    within = shares.within_relations()
    known = ~np.isnan(within)
    fit = np.where(known, within, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    ends, both = facts.triplets[:, ::2].reshape(-1), np.repeat(fit, 2)
    counts = np.bincount(ends, minlength=facts.num_entities)
    means = np.bincount(ends, both, facts.num_entities) / np.maximum(counts, 1)
    misfits = np.flatnonzero((counts >= LEAST_TRIPLETS) & (means <= MISFIT))
    misfits = misfits[np.argsort(means[misfits], kind="stable")]
    return misfits, means[misfits].astype(np.float32)
