"""Injected errors: what each kind is, that none is a fact, and that a seed gives the same ones."""

import numpy as np
from helpers.audits import ENTITIES, RELATIONS, random_facts, unit_vectors

from lass_hf.audit.injecting import KINDS, InjectedErrors, inject_errors, mirror_errors
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.structure.facts import Facts
from lass_hf.structure.structural_vectors import StructuralVectors

FACTS, TEXTS = random_facts(), unit_vectors()
KNOWN = KnownTriplets(FACTS.triplets, ENTITIES, RELATIONS)


def some_vectors(seed=3):
    rng = np.random.default_rng(seed)
    entities, relations = (rng.normal(size=(n, 4)).astype(np.float32) for n in (ENTITIES, 2 * RELATIONS))
    return StructuralVectors("distmult", entities, relations, np.ones(ENTITIES, bool))


def test_errors_are_of_all_kinds_and_no_facts():
    errors = inject_errors(FACTS, 30, TEXTS, some_vectors(), seed=1)
    assert np.bincount(errors.kinds).tolist() == [10, 10, 10]
    assert not KNOWN.contains(errors.triplets).any()
    assert len(np.unique(errors.triplets, axis=0)) == 30
    changed = errors.triplets != FACTS.triplets[errors.sources]
    assert (changed.sum(axis=1) == 1).all()
    assert not changed[errors.kinds > 0, 1].any()
    again = inject_errors(FACTS, 30, TEXTS, some_vectors(), seed=1)
    np.testing.assert_array_equal(again.triplets, errors.triplets)
    assert not np.array_equal(inject_errors(FACTS, 30, TEXTS, some_vectors(), seed=2).triplets, errors.triplets)


def test_similar_errors_stay_in_the_range_of_the_relation_and_prefer_similar_texts():
    similar, ranks = KINDS.index("similar"), []
    for seed in range(8):
        errors = inject_errors(FACTS, 30, TEXTS, None, seed)
        rows = errors.kinds == similar
        for error, source in zip(errors.triplets[rows], FACTS.triplets[errors.sources[rows]], strict=True):
            slot = int(np.flatnonzero(error != source)[0])
            in_range = np.unique(FACTS.triplets[FACTS.triplets[:, 1] == error[1], slot])
            assert error[slot] in in_range
            others = []
            for candidate in in_range.tolist():
                changed = source.copy()
                changed[slot] = candidate
                if not KNOWN.contains(changed[None])[0]:
                    others.append(TEXTS[candidate] @ TEXTS[source[slot]])
            ranks.append((np.array(others) > TEXTS[error[slot]] @ TEXTS[source[slot]]).mean())
    assert np.mean(ranks) < 0.15  # 0.5 if texts did not count


def test_adversarial_errors_are_among_the_best_answers(monkeypatch):
    monkeypatch.setattr("lass_hf.audit.injecting.BEST_ANSWERS", 2)
    vectors = some_vectors()
    errors = inject_errors(FACTS, 12, None, vectors, 0)
    rows = errors.kinds == KINDS.index("adversarial")
    assert rows.sum() == 6
    for error, source in zip(errors.triplets[rows], FACTS.triplets[errors.sources[rows]], strict=True):
        slot = int(np.flatnonzero(error != source)[0])
        scores = vectors.scores(source[None], slot, np.arange(ENTITIES))[0]
        _, answers = KNOWN.values(slot, source[None])
        scores[answers] = -np.inf
        assert error[slot] in np.argsort(-scores)[:2]


def test_half_of_the_errors_of_a_relation_that_is_stated_both_ways_get_a_mirror_image():
    pairs = np.array([(a, b) for a in range(12) for b in range(a + 1, a + 3)])
    both_ways = [np.insert(pairs, 1, 0, axis=1), np.insert(pairs[:, ::-1], 1, 1, axis=1)]  # 1 is the inverse of 0
    facts = Facts.from_triplets(np.concatenate([*both_ways, np.insert(pairs + 4, 1, 2, axis=1)]), 20, 3)
    wrong = np.array([(15, 0, b) for b in range(8)] + [(16, 1, 3), (17, 1, 4)] + [(18, 2, b) for b in range(6)])
    errors = InjectedErrors(wrong, np.arange(16, dtype=np.int8) % 3, np.arange(16))
    found = mirror_errors(facts, errors, seed=3)
    np.testing.assert_array_equal(found.triplets[:16], wrong)
    assert len(found.triplets) == 21
    for triplet, kind, source in zip(found.triplets[16:], found.kinds[16:], found.sources[16:], strict=True):
        head, relation, tail = wrong[source]
        assert triplet.tolist() == [tail, {0: 1, 1: 0}[int(relation)], head]
        assert kind == source % 3
    there = InjectedErrors(np.array([[1, 0, 9], [9, 1, 1]]), np.zeros(2, np.int8), np.arange(2))
    assert len(mirror_errors(facts, there).triplets) == 2  # each is the other's mirror image


def test_errors_of_a_relation_with_a_narrow_inverse_get_no_mirror_images_there():
    wide = np.array([(a, 0, b) for a in range(10) for b in range(a + 1, 10)])
    narrow = wide[:12, ::-1] + [0, 1, 0]  # of all links of 0 only a few are stated by the inverse, too
    facts = Facts.from_triplets(np.concatenate([wide, narrow]), 30, 2)
    of_wide, of_narrow = np.array([(10 + a, 0, a) for a in range(10)]), np.array([(20 + a, 1, a) for a in range(10)])
    errors = InjectedErrors(np.concatenate([of_wide, of_narrow]), np.zeros(20, np.int8), np.arange(20))
    found = mirror_errors(facts, errors).triplets[20:]
    assert len(found) == 5
    assert (found[:, 1] == 0).all()


def test_a_graph_that_has_all_triplets_gets_no_errors():
    full = Facts.from_triplets(np.array([[h, 0, t] for h in range(3) for t in range(3)]), 3, 1)
    errors = inject_errors(full, 9, unit_vectors(count=3), None)
    assert len(errors.triplets) == len(errors.kinds) == len(errors.sources) == 0
