"""Finds regularities of relations: transitive, functional and constant ones.

All different triplets count, each once. Array operations do it, in bounded memory: of the two-step paths of a relation
a sample is enough.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..core.known_triplets import KnownTriplets

LEAST_CASES = 10  # below, chance makes a pattern
LEAST_SHARE = 0.9  # of the cases
MOST_PATHS = 2000  # of a relation; the share of a sample of this size is known to about 0.01


@dataclass(frozen=True)
class Regularity:
    """How far a pattern holds for a relation.

    Attributes:
        relation: the number of the relation.
        cases: the number of cases that were looked at.
        share: the share of them for which it holds.
        is_sample: whether there are more cases, of which these were drawn at random.
    """

    relation: int
    cases: int
    share: float
    is_sample: bool = False


def find_transitive(known: KnownTriplets, seed: int = 0) -> list[Regularity]:
    """Finds transitive relations: where (a, r, b) and (b, r, c) are true, (a, r, c) is.

    Args:
        known: the triplets.
        seed: seed of the random numbers that choose `MOST_PATHS` paths of a relation that has more.

    Returns:
        The transitive relations, those with the most cases first. A case is a path over three different entities.
    """
    num_entities, num_relations, _ = known.sizes
    steps = known.triplets()
    steps = steps[steps[:, 0] != steps[:, 2]]
    steps = steps[np.argsort(steps[:, 1], kind="stable")]  # by relation, head, tail
    keys = steps[:, 1] * num_entities + steps[:, 0]
    next_keys = steps[:, 1] * num_entities + steps[:, 2]
    next_starts = np.searchsorted(keys, next_keys)
    counts = np.searchsorted(keys, next_keys, side="right") - next_starts
    # The paths are numbered by their first steps. Only those that are looked at are made.
    starts = np.concatenate([[0], np.cumsum(counts)])
    borders = starts[np.searchsorted(steps[:, 1], np.arange(num_relations + 1))]
    random = np.random.default_rng(seed)
    chosen = [
        np.arange(start, end) if end - start <= MOST_PATHS else random.integers(start, end, MOST_PATHS)
        for start, end in pairwise(borders.tolist())
    ]
    paths = np.concatenate(chosen)
    first = np.searchsorted(starts, paths, side="right") - 1
    tails = steps[next_starts[first] + paths - starts[first], 2]
    closing = np.stack([steps[first, 0], steps[first, 1], tails], axis=1)
    closing = closing[closing[:, 0] != closing[:, 2]]
    found = _regular(closing[:, 1], known.contains(closing), num_relations)
    return [replace(one, is_sample=bool(np.diff(borders)[one.relation] > MOST_PATHS)) for one in found]


def find_functional(known: KnownTriplets, slot: int) -> list[Regularity]:
    """Finds functional relations, which have one tail for a head; or inverse functional ones, with one head for a tail.

    Args:
        known: the triplets.
        slot: 2 for one tail, 0 for one head.

    Returns:
        The relations, those with the most cases first. A case is a different head (or tail) of the relation.
    """
    triplets = known.triplets()
    keys = np.sort(triplets[:, 1] * known.sizes[0] + triplets[:, 2 - slot])
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    is_single = np.diff(first, append=len(keys)) == 1
    return _regular(keys[first] // known.sizes[0], is_single, known.sizes[1])


def find_constant(known: KnownTriplets, slot: int) -> list[tuple[Regularity, int]]:
    """Finds relations of which nearly every triplet has the same tail, or the same head.

    Args:
        known: the triplets.
        slot: 2 for the same tail, 0 for the same head.

    Returns:
        The relations, those with the most triplets first, and the entity that is the same.
    """
    triplets = known.triplets()
    keys = np.sort(triplets[:, 1] * known.sizes[0] + triplets[:, slot])
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(first, append=len(keys))
    relations, entities = np.divmod(keys[first], known.sizes[0])
    cases = np.bincount(triplets[:, 1], minlength=known.sizes[1])[relations]
    found = np.flatnonzero((counts >= LEAST_SHARE * cases) & (cases >= LEAST_CASES))
    found = found[np.argsort(-cases[found], kind="stable")]
    return [
        (Regularity(int(relations[row]), int(cases[row]), float(counts[row] / cases[row])), int(entities[row]))
        for row in found.tolist()
    ]


def _regular(relations: np.ndarray, holds: np.ndarray, num_relations: int) -> list[Regularity]:
    """Returns the relations of whose cases enough hold, those with the most cases first."""
    cases = np.bincount(relations, minlength=num_relations)
    shares = np.bincount(relations, weights=holds, minlength=num_relations) / np.maximum(cases, 1)
    found = np.flatnonzero((cases >= LEAST_CASES) & (shares >= LEAST_SHARE))
    found = found[np.argsort(-cases[found], kind="stable")]
    return [Regularity(number, int(cases[number]), float(shares[number])) for number in found.tolist()]
