"""Tests of the search for symmetric, inverse and repeated relations, against a plain loop over sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lass_hf import GraphError, load_benchmark
from lass_hf.structure import relation_patterns
from lass_hf.structure.facts import Facts
from lass_hf.structure.relation_patterns import Mirror, find_mirrors
from lass_hf.structure.rule_mining import find_rules

SYMMETRIC, PART_OF, HAS_PART, NARROW, LIKES = range(5)


def pairs(relation, first, count, turned=False):
    """Returns (h, relation, h + 100) for `count` heads from `first`; with `turned` the other direction."""
    heads = np.arange(first, first + count)
    triplets = np.stack([heads, np.full(count, relation), heads + 100], axis=1)
    return triplets[:, ::-1] if turned else triplets


def find_by_loops(triplets, num_relations, least_share, least_support):
    facts = {tuple(triplet) for triplet in triplets.tolist() if triplet[0] != triplet[2]}
    by_relation = [{(h, t) for h, r, t in facts if r == relation} for relation in range(num_relations)]
    found = set()
    for one in range(num_relations):
        for two in range(num_relations):
            a, b = by_relation[one], by_relation[two]
            for kind, other in (("inverse", {(t, h) for h, t in b}), ("same", b)):
                if (len(a), one) > (len(b), two) or (one == two and kind == "same") or not a:
                    continue
                if (support := len(a & other)) >= max(least_support, least_share * len(a)):
                    named = "symmetric" if one == two else kind
                    found.add(Mirror(one, two, named, support, support / len(a), support / len(b)))
    return found


def test_each_kind_is_found_with_its_shares():
    triplets = np.concatenate(
        [
            *(pairs(SYMMETRIC, 0, 20), pairs(SYMMETRIC, 0, 20, turned=True), pairs(SYMMETRIC, 20, 10)),
            *(pairs(PART_OF, 30, 30), pairs(HAS_PART, 30, 24, turned=True)),
            *(pairs(LIKES, 60, 40), pairs(NARROW, 60, 12)),
        ]
    )
    assert find_mirrors(triplets, 300, 5) == [
        Mirror(SYMMETRIC, SYMMETRIC, "symmetric", 40, 0.8, 0.8),
        Mirror(HAS_PART, PART_OF, "inverse", 24, 1.0, 0.8),
        Mirror(NARROW, LIKES, "same", 12, 1.0, 0.3),
    ]


def test_few_triplets_self_loops_and_duplicates_are_no_evidence():
    loops = np.stack([np.arange(50), np.full(50, LIKES), np.arange(50)], axis=1)
    few = np.concatenate([pairs(SYMMETRIC, 0, 4), pairs(SYMMETRIC, 0, 4, turned=True)])
    assert find_mirrors(np.concatenate([loops, loops, few, few]), 300, 5) == []


@pytest.mark.parametrize("chunk", [1, 7, 1 << 22])
@given(triplets=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5)), max_size=60))
def test_the_arrays_find_what_loops_over_sets_find(chunk, triplets):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relation_patterns, "CHUNK", chunk)
        array = np.array(triplets, dtype=np.int64).reshape(-1, 3)
        found = find_mirrors(array, 6, 4, least_share=0.3, least_support=2)
    assert set(found) == find_by_loops(array, 4, 0.3, 2)
    assert len(set(found)) == len(found)


def test_a_graph_whose_keys_do_not_fit_is_refused():
    with pytest.raises(GraphError, match="too many to compare"):
        find_mirrors(np.empty((0, 3), np.int64), 2**31, 4)


def test_a_symmetric_relation_is_a_rule_with_the_same_support():
    graph = load_benchmark("countries")
    (mirror,) = find_mirrors(graph["train"].positives, graph.num_entities, graph.num_relations)
    assert mirror.kind == "symmetric"
    rules = find_rules(Facts.from_graph(graph))
    is_mirror = (rules.heads == mirror.relation) & (rules.bodies[:, 0] == mirror.relation + graph.num_relations)
    is_mirror &= (rules.bodies[:, 1] < 0) & (rules.head_constants < 0)
    assert rules.supports[is_mirror].tolist() == [mirror.support]
