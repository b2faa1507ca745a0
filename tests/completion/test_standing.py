"""The standing of triplets against a graph, in the order in which standings count."""

import numpy as np
import pytest
from helpers.rule_sets import make_rules

from lass_hf.completion.standing import STANDINGS, Standings
from lass_hf.core.vocabulary import Vocabulary
from lass_hf.quality.relation_traits import find_traits
from lass_hf.structure.facts import Facts

RELATIONS = ["is a", "borders", "has part", "part of", "capital", "likes", "opposite of", "before"]
IS_A, BORDERS, HAS_PART, PART_OF, CAPITAL, LIKES, OPPOSITE, BEFORE = range(len(RELATIONS))
SIZE = 200


def make_facts():
    """A tree below 0 (children 1 to 3, of each three, of each two), and relations with a trait each."""
    children = [(child, 1 + (child - 4) // 3) for child in range(4, 13)]
    grandchildren = [(child, 4 + (child - 13) // 2) for child in range(13, 31)]
    facts = [(child, IS_A, parent) for child, parent in [(1, 0), (2, 0), (3, 0), *children, *grandchildren]]
    pairs = [(40 + 2 * number, 41 + 2 * number) for number in range(12)]
    facts += [(one, BORDERS, other) for one, other in pairs] + [(other, BORDERS, one) for one, other in pairs[1:]]
    facts += [(70 + number, HAS_PART, 90 + number) for number in range(12)]
    facts += [(90 + number, PART_OF, 70 + number) for number in range(1, 12)]
    facts += [(120 + number, CAPITAL, 145 + number % 24) for number in range(25)]
    facts += [(100 + number, LIKES, 110 + number // 2) for number in range(8)]
    facts += [(4 + 3 * number, OPPOSITE, 5 + 3 * number) for number in range(3)]
    facts += [(170 + number, BEFORE, 171 + number) for number in range(20)]
    return Facts.from_triplets(np.array(facts), SIZE, len(RELATIONS))


@pytest.fixture(scope="module")
def standings():
    return Standings(make_facts())


def test_the_traits_of_relations_are_found():
    traits = find_traits(make_facts())
    found = {(one.body, one.head) for one in traits.implications}
    shift = len(RELATIONS)
    assert found == {(BORDERS + shift, BORDERS), (HAS_PART + shift, PART_OF), (PART_OF + shift, HAS_PART)}
    assert traits.is_symmetric.nonzero()[0].tolist() == [BORDERS]
    assert traits.is_acyclic.nonzero()[0].tolist() == [IS_A, BEFORE]
    assert traits.parents.tolist() == [IS_A, *[-1] * 7]  # "before" has no branches
    assert not traits.transitive_shares.any()
    functional = {name for name, share in zip(RELATIONS, traits.functional_shares, strict=False) if share > 0}
    assert functional == {"is a", "borders", "capital", "before"}  # the others have too few heads to be sure
    assert traits.functional_shares[CAPITAL + shift] == 0  # 23 of 24 are too few


CASES = {
    (4, IS_A, 1): "known",
    (30, IS_A, 3): "implied",
    (30, IS_A, 0): "implied",  # by three steps
    (41, BORDERS, 40): "implied",
    (90, PART_OF, 70): "implied",
    (1, IS_A, 4): "reverse",
    (70, PART_OF, 90): "reverse",  # the inverse of what follows
    (100, LIKES, 110): "known",
    (110, LIKES, 100): "reverse",
    (100, CAPITAL, 110): "known by another relation",
    (110, CAPITAL, 100): "known by another relation",
    (4, IS_A, 5): "known by another relation",
    (6, IS_A, 5): "sibling",
    (6, OPPOSITE, 5): "new",  # all opposites are siblings
    (13, IS_A, 8): "conflict",  # a second parent
    (0, IS_A, 30): "conflict",  # a circle
    (199, IS_A, 199): "conflict",
    (120, CAPITAL, 199): "conflict",
    (199, CAPITAL, 145): "new",
    (189, BEFORE, 170): "conflict",
    (170, BEFORE, 172): "conflict",  # no hierarchy, so two steps are not one
    (198, LIKES, 199): "new",
}


def test_each_triplet_has_the_first_standing_that_fits(standings):
    codes = standings.classify(np.array(list(CASES)))
    assert dict(zip(CASES, (STANDINGS[code] for code in codes.tolist()), strict=True)) == CASES
    assert codes.dtype == np.int8


def test_a_parent_to_child_relation_is_a_hierarchy_read_backwards(standings):
    facts = standings.facts.triplets[standings.facts.triplets[:, 1] == IS_A]
    turned = Standings(Facts.from_triplets(facts[:, ::-1], SIZE, len(RELATIONS)))
    assert turned.traits.parents[IS_A] == IS_A + len(RELATIONS)
    asked = np.array([triplet[::-1] for triplet in CASES if triplet[1] == IS_A and triplet != (4, IS_A, 5)])
    expected = [name for triplet, name in CASES.items() if triplet[1] == IS_A and triplet != (4, IS_A, 5)]
    assert [STANDINGS[code] for code in turned.classify(asked).tolist()] == expected


def test_a_relation_whose_closure_is_stated_is_transitive():
    chains = [(start + one, 0, start + other) for start in range(0, 60, 6) for one in range(6) for other in range(one)]
    facts = Facts.from_triplets(np.array([fact for fact in chains if fact != (5, 0, 3)]), 70, 1)
    standings = Standings(facts)
    assert 0.75 < standings.traits.transitive_shares[0] < 1
    assert [STANDINGS[code] for code in standings.classify(np.array([(5, 0, 3), (5, 0, 9)]))] == ["implied", "new"]


def test_a_relation_often_beside_others_is_no_objection():
    pairs = [(number, number + 1) for number in range(0, 60, 2)]
    facts = [(one, 0, other) for one, other in pairs] + [(one, 1, other) for one, other in pairs[:15]]
    standings = Standings(Facts.from_triplets(np.array([*facts, (70, 0, 71)]), 80, 3))
    asked = np.array([(pairs[-1][0], 1, pairs[-1][1]), (70, 2, 71)])
    assert not standings.traits.is_symmetric.any()
    # All facts of relation 1 follow those of relation 0, but not the other way; relation 2 is never beside another.
    assert [STANDINGS[code] for code in standings.classify(asked)] == ["new", "known by another relation"]


def test_nothing_and_a_graph_without_facts_are_classified():
    nothing = np.empty((0, 3), dtype=np.int64)
    assert Standings(make_facts()).classify(nothing).tolist() == []
    assert Standings(Facts.from_triplets(nothing, 5, 2)).classify(np.array([[0, 1, 2]])).tolist() == [0]


def test_reasons_name_the_facts(standings):
    names = [f"e{number}, described" for number in range(SIZE)]
    entities, relations = Vocabulary("entities", names, names), Vocabulary("relations", RELATIONS, RELATIONS)
    expected = {
        (100, LIKES, 110): "",
        (198, LIKES, 199): "",
        (30, IS_A, 3): 'e30 is a e12 and e12 is a e3, and "is a" is a hierarchy, in which such steps lead on.',
        (41, BORDERS, 40): 'e40 borders e41, and 96 % of the 23 facts of "borders" hold in both directions.',
        (
            90,
            PART_OF,
            70,
        ): 'e70 has part e90, and 92 % of the 12 facts of "has part" read backwards are facts of "part of".',
        (70, PART_OF, 90): "The graph has it the other way round: e70 has part e90.",
        (110, CAPITAL, 100): "The graph links the two otherwise: e100 likes e110.",
        (6, IS_A, 5): "The two have the same parent: e6 is a e1 and e5 is a e1.",
        (120, CAPITAL, 199): 'e120 capital e145, and 100 % of the heads of "capital" have one tail only.',
        (199, IS_A, 199): 'Nothing leads back to itself by "is a".',
        (189, BEFORE, 170): 'e189 before e190, and 100 % of the heads of "before" have one tail only.',
        (190, BEFORE, 189): "The graph has it the other way round: e189 before e190.",
    }
    triplets = np.array(list(expected))
    sentences = standings.because(triplets, standings.classify(triplets), entities, relations)
    assert dict(zip(expected, sentences, strict=True)) == expected
    ring = standings.because(np.array([(0, IS_A, 30)]), np.array([STANDINGS.index("conflict")]), entities, relations)
    assert ring == ['It would close a circle, which "is a" does not have: e30 is a e12 and e12 is a e3 and e3 is a e0.']


def test_a_rule_that_people_declare_certain_implies_and_is_named():
    names = [f"e{number}" for number in range(SIZE)]
    vocabularies = Vocabulary("entities", names, names), Vocabulary("relations", RELATIONS, RELATIONS)
    declared = (LIKES + len(RELATIONS), (LIKES, -1, -1), -1, -1, 0, 0, 1.0, 0)
    learned = (CAPITAL, (LIKES, -1, -1), -1, -1, 9, 9, 0.99, 0)
    standings = Standings(make_facts(), make_rules(learned, declared))
    asked = np.array([(110, LIKES, 100), (100, CAPITAL, 110), (30, IS_A, 3)])
    codes = standings.classify(asked)
    assert [STANDINGS[code] for code in codes.tolist()] == ["implied", "known by another relation", "implied"]
    declared, _, hierarchy = standings.because(asked, codes, *vocabularies)
    assert declared == "e100 likes e110, and a rule with confidence 1 says that this follows."
    assert hierarchy.startswith("e30 is a e12")
