"""Finds Horn rules in facts: walks between the entities of sampled triplets, counts, and fits the confidences.

Bodies are the paths that lead from the head to the tail of known triplets without using the triplet itself; rules with
constants are what the entities of known triplets have in common. A rule answers for one side: the confidences of
r(x, y) <- ... for tails y, and of its mirror image for heads, are fitted each on their own (`rule_mining_fit`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from .facts import Facts
from .rule_mining_counts import BodyCounts, count_bodies
from .rule_mining_fit import fit_weights, temper
from .rule_mining_paths import expand, follow_links, reverse_bodies, voices, walk_between
from .rules import MAX_LENGTH, RuleSet

LEAST_SUPPORT = 3  # triplets that a rule must lead to
LEAST_CONFIDENCE = 0.01  # of a rule with constants alone, before the fit
LEAST_WEIGHT = 0.0001  # after the fit
LEAST_WEIGHT_WITH_ENTITY = 0.001  # of a rule with b(x, d): most rules are such, and the weak ones say nothing new
DIGITS = 6  # of a confidence
PRIOR = 5.0  # pairs that a body is said to hold for in vain: AnyBURL's correction for what was not seen
MOST_BODIES = 300  # of a relation: those with the most support
MOST_TRIPLETS_OF_RELATION = 5_000
MOST_TRIPLETS = 300_000
MOST_STEPS_OF_THREE = 1_000  # of a walk of three atoms, in the mean: where it costs more, the graph is not sparse
PARTS = 8  # of the sampled triplets: a search that is out of time has walked between the first of each relation


@dataclass(frozen=True)
class _Sample:
    """Sampled triplets, in ascending order of the relation, and the path bodies that hold for them.

    Attributes:
        triplets: Int64 of shape (n, 3).
        owners: Int64 of shape (m,), ascending: the position of a triplet.
        bodies: Int64 of shape (m,): the position of a body in `distinct`, no pair twice.
        counts: Int64 of shape (m,): the number of its paths.
        distinct: Int32 of shape (b, 3).
    """

    triplets: np.ndarray
    owners: np.ndarray
    bodies: np.ndarray
    counts: np.ndarray
    distinct: np.ndarray


def find_rules(
    facts: Facts,
    *,
    minutes: float | None = None,
    seed: int = 42,
    on_progress: Callable[[float, int], None] | None = None,
) -> RuleSet:
    """Finds the rules of a graph.

    Args:
        facts: The facts.
        minutes: The time after which the search ends with what it has found; None for no limit.
        seed: The seed of the sample of triplets. Without a limit of time, equal seeds find equal rules.
        on_progress: Is called now and then with the share of the work that is done, and the number of rules.

    Returns:
        The rules, by head, the most confident first.
    """
    begin = time.monotonic()

    def is_late(share: float) -> bool:
        return minutes is not None and time.monotonic() - begin > share * minutes * 60

    def tell(share: float, count: int) -> None:
        if on_progress is not None:
            on_progress(float(share), count)

    sample = _walk(facts, seed, lambda: is_late(0.25), tell)
    rules = _PathRules(facts, sample, lambda: is_late(0.6), tell)
    parts, count = [], 0
    relations = np.unique(sample.triplets[:, 1]).tolist()
    for number, relation in enumerate(relations):
        for head in (relation, relation + facts.num_relations):
            parts.append(_rules_of_head(facts, sample, rules, head, with_constants=not is_late(0.9)))
            count += len(parts[-1])
        tell(0.6 + 0.4 * (number + 1) / len(relations), count)
    return RuleSet.concatenate(parts)


def _walk(facts: Facts, seed: int, is_late: Callable[[], bool], tell: Callable[[float, int], None]) -> _Sample:
    """Samples triplets of each relation, and walks between their entities."""
    chosen, ranks = _sample_triplets(facts, seed)
    lengths = [1, 2]
    if len(chosen):
        degrees = np.diff(facts.links.starts)
        if degrees[chosen[:, [0, 2]]].prod(axis=1).mean() <= MOST_STEPS_OF_THREE:
            lengths.append(MAX_LENGTH)
    size = 2 * facts.num_relations + 1
    bounds = np.unique(np.geomspace(1, max(ranks.max(initial=0) + 1, 2), PARTS + 1).astype(int))
    bounds[0] = 0
    owners, codes, counts = ([np.empty(0, np.int64)] for _ in range(3))
    walked = 0
    for number, (low, high) in enumerate(pairwise(bounds.tolist())):
        part = np.flatnonzero((ranks >= low) & (ranks < high))
        for length in lengths:
            for paths in walk_between(facts, chosen[part], length):
                one, two, three = paths.bodies.astype(np.int64).T + 1
                distinct, body = np.unique((one * size + two) * size + three, return_inverse=True)
                keys, paths_of_key = np.unique(paths.owners * max(len(distinct), 1) + body, return_counts=True)
                owner, body = np.divmod(keys, max(len(distinct), 1))
                owners.append(part[owner])
                codes.append(distinct[body])
                counts.append(paths_of_key)
        walked = high
        tell(0.25 * (number + 1) / PARTS, 0)
        if is_late():
            break
    used = np.flatnonzero(ranks < walked)
    distinct, bodies = np.unique(np.concatenate(codes), return_inverse=True)
    places = np.searchsorted(used, np.concatenate(owners))
    order = np.argsort(places, kind="stable")
    atoms = np.stack([distinct // size**2, distinct // size % size, distinct % size], axis=1) - 1
    return _Sample(chosen[used], places[order], bodies[order], np.concatenate(counts)[order], atoms.astype(np.int32))


def _sample_triplets(facts: Facts, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns sampled triplets in ascending order of the relation, and the rank of each among those of its relation."""
    triplets = facts.triplets
    order = np.lexsort([np.random.default_rng(seed).random(len(triplets)), triplets[:, 1]])
    counts = np.bincount(triplets[:, 1], minlength=facts.num_relations)
    ranks = np.arange(len(triplets)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = MOST_TRIPLETS_OF_RELATION
    while np.minimum(counts, most).sum() > MOST_TRIPLETS and most > 1:
        most = most * 9 // 10
    kept = ranks < most
    return triplets[order[kept]], ranks[kept]


class _PathRules:
    """The path bodies that each relation's rules may have, with their counts.

    Attributes:
        relations: Int64 of shape (n,), ascending: the relation of the head.
        bodies: Int64 of shape (n,): the position of the body among the sample's.
        counts: How often the bodies hold.
        owners: Int64 of shape (m,), ascending: the triplets for which
        rules: int64 of shape (m,): which rules fire, by
        fires: float32 of shape (m,): how many paths.
    """

    def __init__(
        self, facts: Facts, sample: _Sample, is_late: Callable[[], bool], tell: Callable[[float, int], None]
    ) -> None:
        size = max(len(sample.distinct), 1)
        keys = sample.triplets[sample.owners, 1] * size + sample.bodies
        distinct, rules, supports = np.unique(keys, return_inverse=True, return_counts=True)
        relations, bodies = np.divmod(distinct, size)
        order = np.lexsort([-supports, relations])
        firsts = np.searchsorted(relations, np.arange(facts.num_relations + 1))
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - firsts[relations]
        kept = np.flatnonzero((supports >= LEAST_SUPPORT) & (ranks < MOST_BODIES))
        # The bodies with the most support are counted first: a search that is out of time leaves out the others.
        best = np.zeros(size, np.int64)
        np.maximum.at(best, bodies[kept], supports[kept])
        kept = kept[np.lexsort([bodies[kept], -best[bodies[kept]]])]
        starts = np.flatnonzero(np.diff(bodies[kept], prepend=-1))

        def is_over(number: int) -> bool:
            if number % 100 == 0:
                tell(0.25 + 0.35 * number / len(starts), 0)
            return is_late()

        heads = np.split(relations[kept], starts[1:]) if len(kept) else []
        counts = count_bodies(facts, sample.distinct[bodies[kept[starts]]], heads, is_over)
        order = np.argsort(kept)[~np.isnan(counts.known[np.argsort(kept)])]
        self.counts = BodyCounts(*(values[order] for values in vars(counts).values()))
        kept = kept[order]
        self.relations, self.bodies = relations[kept], bodies[kept]
        places = np.full(len(distinct), -1)
        places[kept] = np.arange(len(kept))
        is_kept = places[rules] >= 0
        self.owners, self.rules = sample.owners[is_kept], places[rules[is_kept]]
        self.fires = voices(sample.counts[is_kept])


def _rules_of_head(facts: Facts, sample: _Sample, paths: _PathRules, head: int, *, with_constants: bool) -> RuleSet:
    """Finds the rules of a directed relation."""
    relation, turned = head % facts.num_relations, head >= facts.num_relations
    start, end = np.searchsorted(sample.triplets[:, 1], [relation, relation + 1])
    entities, answers = sample.triplets[start:end, [2, 0] if turned else [0, 2]].T
    matrix = facts.adjacency[head]
    scale = matrix.nnz / (end - start)
    low, high = np.searchsorted(paths.relations, [relation, relation + 1])
    first, last = np.searchsorted(paths.owners, [start, end])
    owners, rules = paths.owners[first:last] - start, paths.rules[first:last] - low
    bodies = sample.distinct[paths.bodies[low:high]]
    bodies = reverse_bodies(bodies, facts.num_relations) if turned else bodies
    fires = paths.fires[first:last]
    sums, supports = np.bincount(rules, fires, high - low) * scale, np.bincount(rules, minlength=high - low) * scale
    # A path that the known pair itself is a part of proves nothing, and is no path in vain.
    known = paths.counts.known[low:high]
    own = np.where(known > 0, np.maximum(known - sums, 0), 0)
    own_pairs = np.maximum(paths.counts.known_pairs[low:high] - supports, 0)  # that no other path joins
    sums = np.maximum(paths.counts.paths[low:high, int(turned)] - own, sums)
    pairs = np.maximum(paths.counts.pairs[low:high, int(turned)] - own_pairs, supports)
    constants = _Constants.none()
    if with_constants:
        constants = _find_constants(facts, head, entities, answers, scale)
    owners = np.concatenate([owners, constants.owners])
    rules = np.concatenate([rules, constants.rules + (high - low)])
    fires = np.concatenate([fires, np.ones(len(constants.owners), np.float32)])
    sums, pairs = np.concatenate([sums, constants.counts]), np.concatenate([pairs, constants.counts])
    supports = np.bincount(rules, minlength=len(sums)) * scale
    # A constant's support holds the triplet itself: without it, one less.
    held_out = np.where(np.arange(len(sums)) < high - low, 1, 1 - scale / np.maximum(supports, scale))
    matrix_of_fires = csr_array((fires, (owners, rules)), shape=(end - start, len(sums)))
    weights, power = fit_weights(matrix_of_fires, sums, held_out, scale, PRIOR)
    missing = np.full(high - low, -1)
    body_constants = np.append(missing, constants.body_constants)
    kept = np.flatnonzero(weights >= np.where(body_constants >= 0, LEAST_WEIGHT_WITH_ENTITY, LEAST_WEIGHT))
    kept = kept[np.argsort(-weights[kept], kind="stable")]
    confidences = np.round(-np.expm1(-temper(weights[kept], sums[kept], power)), DIGITS)
    atoms = np.full((len(constants.counts), MAX_LENGTH), -1)
    atoms[:, 0] = constants.atoms
    return RuleSet(
        heads=np.full(len(kept), head, np.int32),
        bodies=np.concatenate([bodies, atoms])[kept].astype(np.int32),
        head_constants=np.append(missing, constants.head_constants)[kept].astype(np.int32),
        body_constants=body_constants[kept].astype(np.int32),
        supports=np.rint(supports[kept]).astype(np.int64),
        body_counts=np.rint(np.maximum(pairs, supports)[kept]).astype(np.int64),
        confidences=np.clip(confidences, 10.0**-DIGITS, 1 - 10.0**-DIGITS),
        groups=np.arange(len(kept), dtype=np.int32),
    )


@dataclass(frozen=True)
class _Constants:
    """Rules with constants of one head, and the triplets for which they fire.

    Attributes:
        atoms: The relation b of each rule; int of shape (n,).
        body_constants: The entity d of b(x, d), -1 for any.
        head_constants: The entity c of the head.
        counts: The entities x with an answer for which the body holds.
        owners: Int of shape (m,): the triplets for which
        rules: int of shape (m,): which rules fire.
    """

    atoms: np.ndarray
    body_constants: np.ndarray
    head_constants: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    rules: np.ndarray

    @classmethod
    def none(cls) -> "_Constants":
        return cls(*(np.empty(0, np.int64) for _ in range(6)))


def _find_constants(facts: Facts, head: int, entities: np.ndarray, answers: np.ndarray, scale: float) -> _Constants:
    """Finds rules with constants: what the entities with the same answer have in common.

    Args:
        facts: The facts.
        head: The directed relation.
        entities: The entities of the sampled triplets that are known.
        answers: Those that are asked for.
        scale: The number of triplets that one stands for.
    """
    links, size = facts.links, facts.num_entities
    # What each entity has: b(x, d), as b * (E + 1) + d + 1, and b(x, .), as b * (E + 1).
    with_answer = np.flatnonzero(np.diff(facts.adjacency[head].indptr))
    owner, place = follow_links(facts, with_answer)
    has = links.relations[place] * np.int64(size + 1) + links.others[place] + 1
    anything = np.unique(owner * np.int64(2 * facts.num_relations) + links.relations[place])
    owner_of_any, atom = np.divmod(anything, 2 * facts.num_relations)
    all_owners = np.concatenate([owner, owner_of_any])
    all_has = np.concatenate([has, atom * np.int64(size + 1)])
    distinct, feature, counts = np.unique(all_has, return_inverse=True, return_counts=True)
    frequent = counts[feature] >= LEAST_SUPPORT
    order = np.argsort(all_owners[frequent], kind="stable")
    features = feature[frequent][order]
    starts = np.searchsorted(all_owners[frequent][order], np.arange(len(with_answer) + 1))
    row = np.searchsorted(with_answer, entities)
    owners, places = expand(starts[row], starts[row + 1] - starts[row])
    found = features[places]
    # A triplet never supports itself: not as b(x, d), and not as b(x, .) of an entity without another answer.
    inverse = (head + facts.num_relations) % (2 * facts.num_relations)
    is_itself = np.zeros(len(found), bool)
    # A self loop is a fact of the inverse relation, too.
    for body, is_fact in ((head, np.ones(len(entities), bool)), (inverse, entities == answers)):
        alone = is_fact & (np.diff(facts.adjacency[body].indptr)[entities] == 1)
        any_other = body * np.int64(size + 1)
        is_itself |= (distinct[found] == any_other + answers[owners] + 1) & is_fact[owners]
        is_itself |= (distinct[found] == any_other) & alone[owners]
    owners, found = owners[~is_itself], found[~is_itself]
    keys, rules, supports = np.unique(
        answers[owners] * np.int64(len(distinct)) + found, return_inverse=True, return_counts=True
    )
    head_constants, found = np.divmod(keys, max(len(distinct), 1))
    body_counts = np.maximum(counts[found], supports * scale)
    kept = (supports >= LEAST_SUPPORT) & (supports * scale / (body_counts + PRIOR) >= LEAST_CONFIDENCE)
    kept |= distinct[found] % (size + 1) == 0
    numbers = np.cumsum(kept) - 1
    fires = kept[rules]
    atoms, body_constants = np.divmod(distinct[found[kept]], size + 1)
    return _Constants(
        atoms, body_constants - 1, head_constants[kept], body_counts[kept], owners[fires], numbers[rules[fires]]
    )
