"""Finds relations that repeat each other: symmetric relations, pairs of inverse relations, and the same fact twice.

A model that saw (a, "part of", b) in training needs no understanding to answer (b, "has part", a). So a split keeps
such triplets together, and a report on data quality names the relations. A mirror is a pair of rules with one atom in
the body, of which the search for rules counts a sample. Here all triplets are counted, by one sort of their keys: that
takes a quarter of the time in which the links of `Facts`, which the search needs, are made.
"""

from dataclasses import dataclass

import numpy as np

from ..core.errors import GraphError

KINDS = ("symmetric", "inverse", "same")
LEAST_SHARE = 0.5  # of the smaller relation's triplets: WordNet's symmetric relations have 0.93 and more
LEAST_SUPPORT = 10  # triplets: below, chance makes relations look alike
CHUNK = 1 << 22  # pairs of triplets that are compared at once, in about 200 MB


@dataclass(frozen=True)
class Mirror:
    """Two relations, or one relation with itself, whose triplets are about the same pairs of entities.

    A symmetric relation whose triplets are stored in one direction only shows no such triplets, and is not found.

    Attributes:
        relation: the number of the relation with fewer triplets; of the smaller number among equals.
        other: the number of the other relation; `relation` itself if that is symmetric.
        kind: "symmetric" or "inverse": most (h, relation, t) have a (t, other, h); "same": most have an (h, other, t).
        support: the number of different triplets of `relation` for which this is so.
        share: `support` as a share of all triplets of `relation`.
        share_of_other: `support` as a share of all triplets of `other`: low where `relation` is the narrower one.
    """

    relation: int
    other: int
    kind: str
    support: int
    share: float
    share_of_other: float


def find_mirrors(
    triplets: np.ndarray,
    num_entities: int,
    num_relations: int,
    *,
    least_share: float = LEAST_SHARE,
    least_support: int = LEAST_SUPPORT,
) -> list[Mirror]:
    """Finds symmetric relations, inverse relations and relations that state the same facts, by co-occurrence.

    Duplicates count once. Self loops do not count, because each is its own mirror image.

    Args:
        triplets: int64 of shape (n, 3), of all splits together.
        num_entities: number of entities in the vocabulary.
        num_relations: number of relations in the vocabulary.
        least_share: the share of the smaller relation's triplets from which two relations are mirrors.
        least_support: the number of triplets from which they are.

    Returns:
        The mirrors: symmetric relations first, then inverse pairs, then pairs of the same facts; in each kind those
        with the most triplets first.

    Raises:
        GraphError: 2 * num_entities² * num_relations does not fit in 63 bits.
    """
    if 2 * num_entities**2 * num_relations >= 2**63:
        raise GraphError(f"{num_entities} entities and {num_relations} relations: too many to compare their triplets")
    heads, relations, tails = triplets[triplets[:, 0] != triplets[:, 2]].T
    # A key is the pair of entities in either order, the relation, and the direction. Sorted, each pair is one stretch.
    keys = np.minimum(heads, tails) * num_entities + np.maximum(heads, tails)
    keys = np.sort((keys * num_relations + relations) * 2 + (heads > tails))
    keys = keys[np.diff(keys, prepend=-1) > 0]
    pairs, codes = np.divmod(keys, 2 * num_relations)
    sizes = np.bincount(codes >> 1, minlength=num_relations)
    codes, supports = _count_meetings(pairs, codes, num_relations)
    codes, turned = np.divmod(codes, 2)
    relations, others = np.divmod(codes, num_relations)
    smaller = np.minimum(sizes[relations], sizes[others])
    # Each pair of two relations was counted from either side; it is kept from that of the smaller one.
    is_kept = (sizes[relations] < sizes[others]) | ((sizes[relations] == sizes[others]) & (relations < others))
    is_kept |= (relations == others) & (turned == 1)
    is_kept &= (supports >= least_support) & (supports >= least_share * smaller)
    found = []
    columns = (column[is_kept].tolist() for column in (turned, relations, others, supports))
    for is_turned, relation, other, support in zip(*columns, strict=True):
        kind = "same" if not is_turned else "symmetric" if relation == other else "inverse"
        shares = float(support / sizes[relation]), float(support / sizes[other])
        found.append(Mirror(relation, other, kind, support, *shares))
    return sorted(found, key=lambda one: (KINDS.index(one.kind), -one.support, one.relation, one.other))


def _count_meetings(pairs: np.ndarray, codes: np.ndarray, num_relations: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts how often two relations are between the same two entities, in the same and in the other direction.

    Args:
        pairs: the pair of entities of each triplet, ascending.
        codes: its relation times 2, plus its direction.
        num_relations: the number of relations.

    Returns:
        The combinations that occur, as (relation * num_relations + other relation) * 2 + (1 if the directions differ),
        ascending; and how often they do.
    """
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    counts = np.diff(starts, append=len(pairs))
    starts, counts = np.repeat(starts, counts), np.repeat(counts, counts)
    rows = np.flatnonzero(counts > 1)
    starts, counts = starts[rows], counts[rows]
    ends = np.cumsum(counts)
    borders = np.searchsorted(ends, np.arange(0, counts.sum(), CHUNK), side="right").tolist()
    found, sums = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start, end in zip(borders, [*borders, len(rows)][1:], strict=True):
        repeats = counts[start:end]
        within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        one, other = codes[np.repeat(rows[start:end], repeats)], codes[np.repeat(starts[start:end], repeats) + within]
        keys = np.sort((((one >> 1) * num_relations + (other >> 1)) << 1) | ((one ^ other) & 1))
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        found.append(keys[firsts])
        sums.append(np.diff(firsts, append=len(keys)))
    keys, supports = np.concatenate(found), np.concatenate(sums)
    order = np.argsort(keys, kind="stable")
    firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    return keys[order][firsts], np.add.reduceat(supports[order], firsts) if len(firsts) else supports
