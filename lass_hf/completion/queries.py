"""What is asked: the queries that make sense.

An entity is asked for the relations and sides that entities of its kind have.

A directed relation, as in `structure.facts`, is a relation with the side that the entity is on: d < R asks a head for
its tails, d + R asks a tail for its heads. The kind of an entity is its profile, the set of its directed relations.
"""

from collections.abc import Collection

import numpy as np
from scipy.sparse import csr_array
from sklearn.isotonic import IsotonicRegression

from ..scoring.entity_index import EntityIndex
from ..structure.facts import Facts

# An entity without a relation is asked for it if this share of the entities whose other relations speak for it as much
# has it. On WN18RR that makes 173,000 queries of 900,000, which are those of 94 % of the validation links whose entity
# has facts, where the queries that entities have in the facts are those of 57 %; .05 makes 253,000, of 97 %.
LEAST_CHANCE = 0.1
RARE = 2  # facts, below which an entity's profile says little, and its nearest texts are looked at
NEAREST = 20  # texts
LOG_ODDS_STEP = 0.25  # The width of the bins of log odds whose shares are measured.
MOST_LOG_ODDS = 40.0
CELLS_AT_ONCE = 2**22  # Pairs of a profile and a directed relation that are compared together.


def choose_queries(
    facts: Facts,
    relations: Collection[int] | None = None,
    entities: np.ndarray | None = None,
    slots: Collection[int] = (0, 2),
    index: EntityIndex | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the queries that make sense in a graph.

    An entity is asked for a relation on a side that it has in the facts; that its profile speaks for (see
    `LEAST_CHANCE`); or, if it has fewer than `RARE` facts, that enough of the entities with the nearest texts have.

    Args:
        facts: The facts.
        relations: The relations that may be asked for; None for all.
        entities: The entities that may be asked about, int of shape (n,); None for all.
        slots: The slots that may be asked for: 0, the heads of a relation, and 2, the tails.
        index: The text vectors of all entities; None where profiles alone count.

    Returns:
        Queries, int64 of shape (q, 3), with 0 in the slot that is asked for, and these slots, int64 of shape (q,);
        ordered by slot, relation and entity.
    """
    has = _profiles(facts)
    wanted = np.zeros(has.shape[1], dtype=bool)
    chosen = np.arange(facts.num_relations) if relations is None else np.fromiter(relations, dtype=np.int64)
    for slot in slots:
        wanted[chosen + (facts.num_relations if slot == 0 else 0)] = True
    pairs = [np.stack(has.nonzero()), _pairs_of_kinds(has, wanted)]
    if index is not None:
        pairs.append(_pairs_of_texts(facts, has, index))
    asked, directed = np.concatenate(pairs, axis=1)
    keep = wanted[directed]
    if entities is not None:
        may = np.zeros(facts.num_entities, dtype=bool)
        may[entities] = True
        keep &= may[asked]
    keys = np.unique(directed[keep] * facts.num_entities + asked[keep])
    directed, asked = np.divmod(keys, facts.num_entities)
    queries, slots_of = np.zeros((len(keys), 3), dtype=np.int64), np.where(directed < facts.num_relations, 2, 0)
    queries[:, 1] = directed % facts.num_relations
    queries[np.arange(len(keys)), 2 - slots_of] = asked
    order = np.argsort(slots_of, kind="stable")  # within a slot the keys ascend by relation and entity
    return queries[order], slots_of[order]


def observed_ranges(facts: Facts) -> dict[tuple[int, int], np.ndarray]:
    """Returns the entities that each slot of each relation has in the facts.

    Args:
        facts: The facts.

    Returns:
        For (slot, relation) the entities, int64, ascending; relations without facts are missing.
    """
    ranges: dict[tuple[int, int], np.ndarray] = {}
    for slot in (0, 2):
        keys = np.unique(facts.triplets[:, 1] * facts.num_entities + facts.triplets[:, slot])
        relations, entities = np.divmod(keys, max(1, facts.num_entities))
        found, starts = np.unique(relations, return_index=True)
        ranges |= {
            (slot, relation): own
            for relation, own in zip(found.tolist(), np.split(entities, starts[1:]), strict=len(found) > 0)
        }
    return ranges


def _profiles(facts: Facts) -> csr_array:
    """Returns which directed relations each entity has: float32 of shape (E, 2R), of ones."""
    heads, relations, tails = facts.triplets.T
    size = 2 * facts.num_relations
    keys = np.unique(np.concatenate([heads * size + relations, tails * size + relations + facts.num_relations]))
    rows, columns = np.divmod(keys, max(1, size))
    return csr_array((np.ones(len(keys), np.float32), (rows, columns)), shape=(facts.num_entities, size))


def _pairs_of_kinds(has: csr_array, wanted: np.ndarray) -> np.ndarray:
    """Returns entities and directed relations that their profiles speak for: int64 of shape (2, n).

    The log odds of a directed relation are those of naive Bayes, given that the entity has the others of its profile.
    As these depend on each other, the odds are exaggerated; so the share of entities that have the relation is measured
    where they are as high, over all directed relations together, which is what rare ones need.
    """
    known = np.flatnonzero(np.diff(has.indptr))  # without facts there is no kind
    if not len(known):
        return np.empty((2, 0), dtype=np.int64)
    profiles, profile_of, counts = _distinct_rows(has[known])
    weights = counts.astype(np.float64)
    together = (profiles.T @ (profiles * weights[:, None])).toarray()
    number, frequencies = weights.sum(), np.diagonal(together)
    prior = np.log((frequencies + 1) / (number - frequencies + 1))
    given = (together + 1) / (frequencies[None, :] + 2)
    others = (frequencies[:, None] - together + 1) / (number - frequencies[None, :] + 2)
    evidence = np.log(given) - np.log(others)  # of the row's directed relation for the column's
    np.fill_diagonal(evidence, 0)

    size = max(1, CELLS_AT_ONCE // has.shape[1])
    spans = [slice(start, min(start + size, profiles.shape[0])) for start in range(0, profiles.shape[0], size)]

    def bins_of(span: slice) -> tuple[np.ndarray, np.ndarray]:
        odds = np.clip(prior + profiles[span] @ evidence, -MOST_LOG_ODDS, MOST_LOG_ODDS)
        return np.rint((odds + MOST_LOG_ODDS) / LOG_ODDS_STEP).astype(np.int64), profiles[span].toarray() > 0

    num_bins = int(2 * MOST_LOG_ODDS / LOG_ODDS_STEP) + 1
    total, positive = np.zeros(num_bins), np.zeros(num_bins)
    for span in spans:
        bins, own = bins_of(span)
        of_cell = np.broadcast_to(weights[span, None], bins.shape)
        total += np.bincount(bins.reshape(-1), of_cell.reshape(-1), num_bins)
        positive += np.bincount(bins[own], of_cell[own], num_bins)
    filled = np.flatnonzero(total)
    shares = IsotonicRegression().fit(filled, positive[filled] / total[filled], total[filled]).predict(filled)
    speaks = filled[shares >= LEAST_CHANCE]
    lowest = speaks[0] if len(speaks) else num_bins
    asked = [np.empty((2, 0), dtype=np.int64)]
    for span in spans:
        bins, own = bins_of(span)
        rows, directed = np.nonzero((bins >= lowest) & wanted & ~own)
        asked.append(np.stack([rows + span.start, directed]))
    rows, directed = np.concatenate(asked, axis=1)
    return _expand(rows, directed, profile_of, known)


def _distinct_rows(matrix: csr_array) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """Returns the distinct rows of a matrix of ones, the number of the one that each row is, and their counts."""
    odd = np.random.default_rng(0).integers(2**62, size=matrix.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(odd[matrix.indices], dtype=np.uint64)])
    hashes = sums[matrix.indptr[1:]] - sums[matrix.indptr[:-1]]
    _, first, row_of, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    return matrix[first], row_of, counts


def _expand(rows: np.ndarray, directed: np.ndarray, profile_of: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns the entities with some profiles, each beside the profile's directed relation: int64 of shape (2, n)."""
    order = np.argsort(profile_of, kind="stable")
    starts = np.searchsorted(profile_of[order], rows)
    counts = np.searchsorted(profile_of[order], rows, side="right") - starts
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.stack([known[order[np.repeat(starts, counts) + within]], np.repeat(directed, counts)])


def _pairs_of_texts(facts: Facts, has: csr_array, index: EntityIndex) -> np.ndarray:
    """Returns entities with few facts, and directed relations of the nearest texts: int64 of shape (2, n)."""
    degrees = np.bincount(facts.triplets[:, [0, 2]].reshape(-1), minlength=facts.num_entities)
    rare, known = np.flatnonzero(degrees < RARE), np.flatnonzero(degrees)
    asked = [np.empty((2, 0), dtype=np.int64)]
    count = min(NEAREST, len(known) - 1)  # one of them may be the entity itself
    if count < 1:
        return asked[0]
    of_known = EntityIndex([index.vectors(known)])
    size = max(1, CELLS_AT_ONCE // max(len(known), has.shape[1]))
    for start in range(0, len(rare), size):
        own = rare[start : start + size]
        itself = np.flatnonzero(degrees[own])
        _, nearest = of_known.nearest(index.vectors(own), count, (itself, np.searchsorted(known, own[itself])))
        rows = np.repeat(np.arange(len(own)), count)
        share = np.full(len(rows), 1 / count, dtype=np.float32)
        mean = csr_array((share, (rows, known[nearest.reshape(-1)])), shape=(len(own), has.shape[0]))
        shares = (mean @ has).tocoo()
        likely = shares.data >= LEAST_CHANCE - 1e-6  # the mean has the rounding of float32
        asked.append(np.stack([own[shares.coords[0][likely]], shares.coords[1][likely].astype(np.int64)]))
    return np.concatenate(asked, axis=1)
