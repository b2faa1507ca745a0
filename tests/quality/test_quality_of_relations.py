"""Regularities of relations, against plain loops over all pairs and paths."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from helpers.clean_graph import with_rows
from helpers.tiny import integer_graph

from lass_hf import KnowledgeGraph
from lass_hf.quality import regularities
from lass_hf.quality.faults import find_faults
from lass_hf.quality.regularities import PairCounts, Regularity, find_constant, find_functional, find_transitive


def random_triplets(seed, entities=14, relations=4):
    """Triplets of which some relations are nearly transitive, functional and constant."""
    rng = np.random.default_rng(seed)
    rows = {(a, 0, b) for a in range(entities) for b in range(a, entities) if rng.random() < 0.97}
    rows |= {(a, 1, int(rng.integers(entities))) for a in range(entities)} | {(0, 1, 1)}
    rows |= {(a, 2, 3) for a in range(entities)} | {(2, 2, 5)}
    rows |= {(int(a), 3, int(b)) for a, b in rng.integers(0, entities, (40, 2))}
    return np.array(sorted(rows)), entities, relations


def as_shares(cases):
    """Relation -> (cases, share), of lists of truth values, where the thresholds hold."""
    shares = {relation: (len(values), sum(values) / len(values)) for relation, values in cases.items()}
    return {
        relation: (count, share)
        for relation, (count, share) in shares.items()
        if count >= regularities.LEAST_CASES and share >= regularities.LEAST_SHARE
    }


def found(regular):
    return {one.relation: (one.cases, pytest.approx(one.share)) for one in regular}


@pytest.mark.parametrize("seed", range(5))
def test_transitive_relations_are_those_of_a_plain_loop(seed):
    triplets, *sizes = random_triplets(seed)
    rows, cases = set(map(tuple, triplets.tolist())), defaultdict(list)
    for a, r, b in rows:
        for other, s, c in rows:
            if r == s and other == b and len({a, b, c}) == 3:
                cases[r].append((a, r, c) in rows)
    expected = as_shares(cases)
    assert 0 in expected
    assert found(find_transitive(triplets, *sizes)) == expected


@pytest.mark.parametrize("slot", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_functional_and_constant_relations_are_those_of_a_plain_loop(seed, slot):
    triplets, *sizes = random_triplets(seed)
    counts = Counter((r, (h, r, t)[slot]) for h, r, t in triplets.tolist())
    singles, totals = defaultdict(list), Counter(triplets[:, 1].tolist())
    for (relation, _), count in counts.items():
        singles[relation].append(count == 1)
    pairs = PairCounts.of(triplets, slot, *sizes)
    assert found(find_functional(pairs)) == as_shares(singles)
    constant = {
        (relation, entity, totals[relation])
        for (relation, entity), count in counts.items()
        if count >= 0.9 * totals[relation] and totals[relation] >= 10
    }
    assert {(one.relation, entity, one.cases) for one, entity in find_constant(pairs)} == constant
    assert constant == ({(2, 3, 15)} if slot == 2 else set())


def test_a_relation_with_many_paths_is_judged_by_a_sample(monkeypatch):
    triplets = np.array([(a, 0, b) for a in range(30) for b in range(a + 1, 30)])  # 4,060 paths
    assert find_transitive(triplets, 30, 1) == [
        Regularity(0, 4060 if regularities.MOST_PATHS > 4060 else 2000, 1.0, True)
    ]
    monkeypatch.setattr(regularities, "MOST_PATHS", 5000)
    assert find_transitive(triplets, 30, 1) == [Regularity(0, 4060, 1.0)]
    monkeypatch.setattr(regularities, "MOST_PATHS", 400)
    half = triplets[(triplets[:, 2] - triplets[:, 0]) % 10 > 0]
    monkeypatch.setattr(regularities, "LEAST_SHARE", 0.0)
    (all_paths,) = find_transitive(half, 30, 1, seed=1)
    monkeypatch.setattr(regularities, "MOST_PATHS", 10_000)
    (exact,) = find_transitive(half, 30, 1)
    assert all_paths.share == pytest.approx(exact.share, abs=0.06)
    assert all_paths.is_sample
    assert not exact.is_sample


def test_no_triplets_have_no_regularity():
    nothing = np.empty((0, 3), dtype=np.int64)
    assert find_transitive(nothing, 5, 2) == []
    assert find_functional(PairCounts.of(nothing, 0, 5, 2)) == find_constant(PairCounts.of(nothing, 0, 5, 2)) == []


# As findings


def kinds(rows, **relation_text):
    texts = {str(number): f"entity number {number}" for number in range(40)}
    graph = KnowledgeGraph.from_triplets(rows, entity_text=texts, relation_text=relation_text or None)
    return {one.kind: one for one in find_faults(graph) if "relations" in one.kind}


def test_mirrors_are_named_with_their_share():
    pairs = [(str(a), str((a * 7 + b) % 40)) for a in range(20) for b in (1, 2)]
    pairs = [(h, t) for h, t in pairs if h != t and (t, h) not in pairs]
    rows = [(h, "near", t) for h, t in pairs] + [(t, "near", h) for h, t in pairs]
    faults = kinds(rows)
    assert faults["symmetric_relations"].example == f"near (100.0%, {2 * len(pairs)} triplets)"
    rows = [(h, "above", t) for h, t in pairs] + [(t, "below", h) for h, t in pairs[:-1]]
    faults = kinds(rows, above="lies above", below="lies below")
    example = f"lies below (below) and lies above (above) (100.0%, {len(pairs) - 1} triplets)"
    assert (faults["inverse_relations"].count, faults["inverse_relations"].example) == (1, example)
    faults = kinds([(h, relation, t) for h, t in pairs for relation in ("above", "over")])
    assert (faults["repeated_relations"].severity, faults["repeated_relations"].count) == ("doubtful", 1)


def test_a_constant_relation_names_the_constant():
    rows = [(str(number), "is a", "0") for number in range(1, 20)] + [("1", "is a", "2")]
    fault = kinds(rows)["constant_relations"]
    assert (fault.severity, fault.example) == ("doubtful", "is a (entity number 0 (0) is the tail of 95.0%)")


def test_functional_and_transitive_relations_are_named_with_share_and_cases():
    rows = [(str(number), "lives in", str(number % 7 + 20)) for number in range(20)]
    rows += [(str(a), "before", str(b)) for a in range(7) for b in range(a + 1, 7)]
    faults = kinds(rows)
    assert faults["functional_relations"].example == "lives in (100.0% of 20 heads)"
    assert faults["transitive_relations"].example == "before (100.0% of 35 chains)"
    assert faults["functional_relations"].severity == faults["transitive_relations"].severity == "fact"
    assert "inverse_functional_relations" not in faults


def test_a_relation_with_one_triplet():
    graph = with_rows("train", ("amber", "under", "flint"), relations={"under": "lies under"})
    (fault,) = find_faults(graph)
    assert (fault.kind, fault.count, fault.severity) == ("relations_with_one_triplet", 1, "fact")
    assert " -- lies under (under) --> " in fault.example


def test_many_relations_are_counted_and_three_are_shown():
    rows = [(number, relation, 20 + number % 10) for relation in range(5) for number in range(20)]
    graph = integer_graph(rows, 40, 5)
    fault = {one.kind: one for one in find_faults(graph)}["functional_relations"]
    assert fault.count == 5
    assert fault.example.count("of 20 heads") == 3
