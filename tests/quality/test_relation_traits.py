"""What facts show about relations: which links state the same fact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lass_hf.quality.relation_traits import find_traits
from lass_hf.structure.facts import Facts

BROADER, NARROWER, RELATED, MEMBER, WIDER = range(5)


def make_facts():
    """40 entities: two hierarchies in both directions, of which each holds where the other does, and a symmetric one.

    "member" has a mirror image for half of its facts only.
    """
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(40, size=(120, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    some, others, rest = pairs[:30], pairs[30:60], pairs[60:90]
    half = rest[: len(rest) // 2]
    facts = [
        *((head, BROADER, tail) for head, tail in some),
        *((tail, NARROWER, head) for head, tail in some),
        *((head, WIDER, tail) for head, tail in some),
        *((head, RELATED, tail) for head, tail in others),
        *((tail, RELATED, head) for head, tail in others),
        *((head, MEMBER, tail) for head, tail in rest),
        *((tail, MEMBER, head) for head, tail in half[: len(half) // 2]),
    ]
    return Facts.from_triplets(np.array(facts), 40, 5)


TRAITS = find_traits(make_facts())
links = st.tuples(st.integers(0, 39), st.integers(0, 4), st.integers(0, 39))


def the_same(head, relation, tail):
    """All links that state the fact of one, by hand."""
    if relation == RELATED:
        return {(head, relation, tail), (tail, relation, head)}
    if relation == MEMBER:
        return {(head, relation, tail)}
    low, high = (tail, head) if relation == NARROWER else (head, tail)
    return {(low, BROADER, high), (high, NARROWER, low), (low, WIDER, high)}


@given(links, links)
def test_links_have_one_form_where_they_state_the_same_fact(one, other):
    first, second = TRAITS.canonical(np.array([one, other])).tolist()
    assert (first == second) == (other in the_same(*one))
    assert tuple(first) in the_same(*one)


@given(links)
def test_the_other_links_of_a_fact_are_those_of_mirrors_and_equal_relations(one):
    assert {tuple(row) for row in TRAITS.restatements(np.array(one)).tolist()} == the_same(*one) - {one}


def test_without_rules_each_link_is_a_fact_of_its_own():
    traits = find_traits(Facts.from_triplets(np.array([[0, 0, 1]]), 3, 2))
    triplets = np.array([[0, 0, 1], [1, 0, 0], [1, 1, 0]])
    assert traits.canonical(triplets).tolist() == triplets.tolist()
    assert traits.restatements(triplets[0]).shape == (0, 3)


@pytest.mark.parametrize(("last", "forms"), [(range(2, 12), 1), (range(4, 14), 3)])
def test_relations_state_the_same_fact_only_if_each_does_what_each_other_one_does(last, forms):
    """Each relation has ten of twenty parts of the pairs: 0 and 2 share eight of them, or six, and eight with 1."""
    parts = np.arange(100).reshape(20, 5)
    facts = [
        (pair, relation, 100 + pair)
        for relation, own in enumerate((range(10), range(2, 12), last))
        for pair in parts[list(own)].ravel().tolist()
    ]
    traits = find_traits(Facts.from_triplets(np.array(facts), 200, 3))
    assert len(np.unique(traits.canonical(np.array([[0, relation, 100] for relation in range(3)])), axis=0)) == forms
