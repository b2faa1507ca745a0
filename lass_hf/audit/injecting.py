"""Injects errors into a graph: false triplets of three kinds, each made of a true one, which stays.

Where a graph states links in both directions, its errors often are, too: half of those for a fit get a mirror image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..structure.facts import Facts
from ..structure.relation_patterns import find_mirrors
from ..structure.structural_vectors import StructuralVectors

KINDS = ("random", "similar", "adversarial")
SHARPNESS = 20  # of the choice by cosine: in proportion to exp(20 x cosine)
BEST_ANSWERS = 30  # of which an adversarial error is one
ROUNDS = 20  # of drawing: a small or dense graph may not have as many errors as are asked for
STATED_BOTH_WAYS = 0.75  # the share of a relation's facts with a mirror image, from which errors get one
ENTRIES = 1 << 22  # scores that are in memory at once


@dataclass(frozen=True)
class InjectedErrors:
    """m errors, distinct, none of which is a fact.

    Attributes:
        triplets: Int64 of shape (m, 3).
        kinds: Int8 of shape (m,): positions in `KINDS`.
        sources: Int64 of shape (m,): the positions of the facts that they were made of; -1 if it is unknown.
    """

    triplets: np.ndarray
    kinds: np.ndarray
    sources: np.ndarray


def inject_errors(
    facts: Facts, count: int, texts: np.ndarray | None, vectors: StructuralVectors | None, seed: int = 42
) -> InjectedErrors:
    """Makes errors of all kinds that can be made, as many of each.

    A random error has any other value in any slot. A similar one has another head or tail from the relation's own
    range, in proportion to exp(20 x cosine of the texts). An adversarial one has one of the 30 answers that structural
    vectors score highest and that are no facts.

    Args:
        facts: The facts.
        count: The number of errors; fewer are made where the graph has no more.
        texts: Float32 of shape (E, k), of length 1: vectors of texts; None leaves out similar errors.
        vectors: Structural vectors of the facts; None leaves out adversarial errors.
        seed: Seed of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    makers: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "random": lambda rows, _: _random_values(facts, rows, rng)
    }
    if texts is not None:
        makers["similar"] = lambda rows, slots: _similar_values(facts, rows, slots, texts, rng)
    if vectors is not None:
        makers["adversarial"] = lambda rows, slots: _adversarial_values(facts, rows, slots, vectors, rng)
    known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
    found, kinds, sources = np.empty((0, 3), np.int64), np.empty(0, np.int8), np.empty(0, np.int64)
    for number, (kind, make) in enumerate(makers.items()):
        wanted = count * (number + 1) // len(makers) - count * number // len(makers)
        for _ in range(ROUNDS):
            if not wanted:
                break
            rows = rng.integers(len(facts.triplets), size=wanted)
            made = make(rows, 2 * rng.integers(2, size=wanted))
            _, first = np.unique(made, axis=0, return_index=True)
            kept = np.sort(first[~known.contains(made[first])]) if len(first) else first
            kept = kept[(made[kept] >= 0).all(axis=1)]
            found = np.concatenate([found, made[kept]])
            kinds = np.append(kinds, np.full(len(kept), KINDS.index(kind), np.int8))
            sources = np.append(sources, rows[kept])
            known = KnownTriplets(np.concatenate([facts.triplets, found]), facts.num_entities, facts.num_relations)
            wanted -= len(kept)
    return InjectedErrors(found, kinds, sources)


def mirror_errors(facts: Facts, errors: InjectedErrors, seed: int = 42) -> InjectedErrors:
    """Adds the mirror images of half of the errors whose relation is stated in both directions.

    Without them a missing mirror image would tell all errors, and a fit would believe whatever is stated twice.

    Args:
        facts: The facts.
        errors: The errors.
        seed: Seed of the choice.

    Returns:
        The errors, then the mirror images that are neither facts nor errors, of the same kinds and sources.
    """
    partner = np.full(facts.num_relations, -1)
    for one in reversed(
        find_mirrors(facts.triplets, facts.num_entities, facts.num_relations, least_share=STATED_BOTH_WAYS)
    ):
        if one.kind != "same":  # Of several, that with the most facts counts.
            partner[one.relation] = one.other
            if one.share_of_other >= STATED_BOTH_WAYS:  # else the other one has many facts without a mirror image
                partner[one.other] = one.relation
    rows = np.flatnonzero(partner[errors.triplets[:, 1]] >= 0)
    rows = np.random.default_rng(seed).permutation(rows)[: len(rows) // 2]
    mirrored = errors.triplets[rows, ::-1].copy()
    mirrored[:, 1] = partner[mirrored[:, 1]]
    there = KnownTriplets(np.concatenate([facts.triplets, errors.triplets]), facts.num_entities, facts.num_relations)
    _, first = np.unique(mirrored, axis=0, return_index=True)
    kept = np.sort(first[~there.contains(mirrored[first])])
    rows = rows[kept]
    return InjectedErrors(
        np.concatenate([errors.triplets, mirrored[kept]]),
        np.append(errors.kinds, errors.kinds[rows]),
        np.append(errors.sources, errors.sources[rows]),
    )


def _random_values(facts: Facts, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns triplets with any value of the graph in a slot that is drawn."""
    triplets, slots = facts.triplets[rows].copy(), rng.integers(3, size=len(rows))
    for slot in range(3):
        chosen = np.flatnonzero(slots == slot)
        values = np.unique(facts.triplets[:, slot] if slot == 1 else facts.triplets[:, ::2])
        triplets[chosen, slot] = rng.choice(values, len(chosen))
    return triplets


def _similar_values(
    facts: Facts, rows: np.ndarray, slots: np.ndarray, texts: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns triplets with a value of the relation's range whose text is like that of the true value."""
    triplets, known = (
        facts.triplets[rows].copy(),
        KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations),
    )
    keys = triplets[:, 1] * 2 + slots // 2
    for key in np.unique(keys).tolist():
        relation, slot = key // 2, key % 2 * 2
        candidates = np.unique(facts.triplets[facts.triplets[:, 1] == relation, slot])
        places = np.full(facts.num_entities, -1)
        places[candidates] = np.arange(len(candidates))
        chosen = np.flatnonzero(keys == key)
        step = max(1, ENTRIES // len(candidates))
        for start in range(0, len(chosen), step):
            part = chosen[start : start + step]
            scores = SHARPNESS * (texts[triplets[part, slot]] @ texts[candidates].T)
            owners, answers = known.values(slot, triplets[part])
            scores[owners, places[answers]] = -np.inf
            scores += rng.gumbel(size=scores.shape)  # The largest is then drawn in proportion to exp(score).
            best = scores.argmax(axis=1)
            exists = np.isfinite(scores[np.arange(len(part)), best])
            triplets[part, slot] = np.where(exists, candidates[best], triplets[part, slot])
    return triplets


def _adversarial_values(
    facts: Facts, rows: np.ndarray, slots: np.ndarray, vectors: StructuralVectors, rng: np.random.Generator
) -> np.ndarray:
    """Returns triplets with one of the best answers by vectors that are no facts."""
    triplets, known = (
        facts.triplets[rows].copy(),
        KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations),
    )
    candidates = np.flatnonzero(vectors.has_vector)
    places = np.full(facts.num_entities, -1)
    places[candidates] = np.arange(len(candidates))
    rivals = vectors.candidate_vectors()[candidates].T
    most = min(BEST_ANSWERS, len(candidates))
    step = max(1, ENTRIES // len(candidates))
    for slot in (0, 2):
        chosen = np.flatnonzero(slots == slot)
        for start in range(0, len(chosen), step):
            part = chosen[start : start + step]
            scores = vectors.query_vectors(triplets[part], slot) @ rivals
            owners, answers = known.values(slot, triplets[part])
            scores[owners, places[answers]] = -np.inf
            best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
            row = np.arange(len(part))
            drawn = best[row, rng.integers(most, size=len(part))]
            exists = np.isfinite(scores[row, drawn])
            triplets[part, slot] = np.where(exists, candidates[drawn], triplets[part, slot])
    return triplets
