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


def find_transitive(
    triplets: np.ndarray, num_entities: int, num_relations: int, seed: int = 0, least_share: float = LEAST_SHARE
) -> list[Regularity]:
    """Finds transitive relations: where (a, r, b) and (b, r, c) are true, (a, r, c) is.

    Args:
        triplets: different true triplets, int64 of shape (n, 3), sorted by head, relation and tail.
        num_entities: number of entities in the vocabulary.
        num_relations: number of relations in the vocabulary.
        seed: seed of the random numbers that choose `MOST_PATHS` paths of a relation that has more.
        least_share: the share of the cases from which a relation is transitive.

    Returns:
        The transitive relations, those with the most cases first. A case is a path over three different entities.
    """
    steps = triplets[triplets[:, 0] != triplets[:, 2]]
    steps = steps[np.argsort(steps[:, 1], kind="stable")]  # by relation, head, tail
    keys = steps[:, 1] * num_entities + steps[:, 0]
    groups = np.flatnonzero(np.diff(keys, prepend=-1))
    sizes = np.diff(groups, append=len(keys))
    # The steps that can follow one are those of its relation whose head is its tail. They stand together.
    next_keys = steps[:, 1] * num_entities + steps[:, 2]
    places = np.minimum(np.searchsorted(keys[groups], next_keys), len(groups) - 1)
    counts = np.where(keys[groups][places] == next_keys, sizes[places], 0)
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
    tails = steps[groups[places[first]] + paths - starts[first], 2]
    heads, relations = steps[first, 0], steps[first, 1]
    is_open = heads != tails
    heads, relations, tails = heads[is_open], relations[is_open], tails[is_open]
    closing = KnownTriplets(steps, num_entities, num_relations).contains(np.stack([heads, relations, tails], axis=1))
    found = _regular(relations, closing, num_relations, least_share)
    return [replace(one, is_sample=bool(np.diff(borders)[one.relation] > MOST_PATHS)) for one in found]


@dataclass(frozen=True)
class PairCounts:
    """How many triplets each relation has with each head, or with each tail.

    Attributes:
        relations: the relation of each pair that occurs, int64 of shape (m,).
        entities: its head or tail, int64 of shape (m,).
        counts: the number of its triplets, int64 of shape (m,).
        num_relations: number of relations in the vocabulary.
    """

    relations: np.ndarray
    entities: np.ndarray
    counts: np.ndarray
    num_relations: int

    @classmethod
    def of(cls, triplets: np.ndarray, slot: int, num_entities: int, num_relations: int) -> "PairCounts":
        """Counts the different triplets of each pair of a relation and an entity.

        Args:
            triplets: different triplets, int64 of shape (n, 3).
            slot: 0 for heads, 2 for tails.
            num_entities: number of entities in the vocabulary.
            num_relations: number of relations in the vocabulary.
        """
        keys = np.sort(triplets[:, 1] * num_entities + triplets[:, slot])
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        relations, entities = np.divmod(keys[first], num_entities)
        return cls(relations, entities, np.diff(first, append=len(keys)), num_relations)


def find_functional(pairs: PairCounts) -> list[Regularity]:
    """Finds functional relations, with one tail for each head; of the counts of tails inverse functional ones.

    Args:
        pairs: the counts of heads (or tails).

    Returns:
        The relations, those with the most cases first. A case is a different head (or tail) of the relation.
    """
    return _regular(pairs.relations, pairs.counts == 1, pairs.num_relations)


def find_constant(pairs: PairCounts) -> list[tuple[Regularity, int]]:
    """Finds relations of which nearly every triplet has the same tail, or the same head.

    Args:
        pairs: the counts of tails (or heads).

    Returns:
        The relations, those with the most triplets first, and the entity that is the same.
    """
    relations, counts = pairs.relations, pairs.counts
    cases = np.bincount(relations, weights=counts, minlength=pairs.num_relations).astype(np.int64)[relations]
    found = np.flatnonzero((counts >= LEAST_SHARE * cases) & (cases >= LEAST_CASES))
    found = found[np.argsort(-cases[found], kind="stable")]
    return [
        (Regularity(int(relations[row]), int(cases[row]), float(counts[row] / cases[row])), int(pairs.entities[row]))
        for row in found.tolist()
    ]


def _regular(
    relations: np.ndarray, holds: np.ndarray, num_relations: int, least_share: float = LEAST_SHARE
) -> list[Regularity]:
    """Returns the relations of whose cases enough hold, those with the most cases first."""
    cases = np.bincount(relations, minlength=num_relations)
    shares = np.bincount(relations, weights=holds, minlength=num_relations) / np.maximum(cases, 1)
    found = np.flatnonzero((cases >= LEAST_CASES) & (shares >= least_share))
    found = found[np.argsort(-cases[found], kind="stable")]
    return [Regularity(number, int(cases[number]), float(shares[number])) for number in found.tolist()]
