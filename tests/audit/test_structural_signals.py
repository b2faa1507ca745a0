"""Signals of neighbors, patterns and profiles, against plain loops over the graph without the triplet."""

import math
from collections import Counter, defaultdict
from itertools import product

import networkx
import numpy as np
import pytest
from helpers.audits import ENTITIES, RELATIONS, random_facts, without
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.audit.neighbor_signals import neighbor_signals, simple_adjacency
from lass_hf.audit.pattern_signals import pattern_signals
from lass_hf.audit.profile_signals import PRIOR, profile_signals
from lass_hf.audit.signals import mean_of_others, number_groups, percentiles
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.structure.facts import Facts

FACTS = [random_facts(seed) for seed in range(3)]


def neighbors_of(triplets):
    neighbors = defaultdict(set)
    for head, _, tail in triplets:
        if head != tail:
            neighbors[head].add(tail)
            neighbors[tail].add(head)
    return neighbors


@pytest.mark.parametrize("facts", FACTS)
def test_neighbors_count_walks_that_do_not_use_the_pair_itself(facts):
    signals = neighbor_signals(facts.triplets, simple_adjacency(facts))
    neighbors = neighbors_of(facts.triplets.tolist())
    weight = {one: 1 / len(others) for one, others in neighbors.items()}
    for number, (head, _, tail) in enumerate(facts.triplets.tolist()):
        two = three = 0.0
        if head != tail:
            others = {one: set(own) for one, own in neighbors.items()}
            others[head].discard(tail)
            others[tail].discard(head)
            two = sum(weight[z] for z in others[head] & others[tail])
            three = sum(
                weight[z] * weight[w] for z, w in product(others[head], others[tail]) if w in others[z] and z != w
            )
        assert signals["shared_neighbors"][number] == pytest.approx(math.log1p(1000 * two), abs=1e-3)
        assert signals["longer_paths"][number] == pytest.approx(math.log1p(1000 * three), abs=1e-3)


@pytest.mark.parametrize("facts", FACTS)
def test_patterns_are_those_of_the_other_triplets(facts):
    signals = pattern_signals(KnownTriplets(facts.triplets, ENTITIES, RELATIONS))
    for number, (head, relation, tail) in enumerate(facts.triplets.tolist()):
        rest = without(facts, number)
        same = [(h, t) for h, r, t in rest if r == relation]
        is_loop, mirrored = head == tail, (tail, relation, head) in rest
        of_others = [pair for pair in same if pair != (tail, head)] if mirrored else same
        symmetry = sum((t, h) in same and h != t for h, t in of_others) / max(len(of_others), 1)
        loops = sum(h == t for h, t in same) / max(len(same), 1)
        links = sum({(h, t), (t, h)} & {(head, tail)} != set() for h, _, t in rest)
        expected = {
            "mirror_missing": 0 if is_loop or mirrored else -symmetry,
            "mirror_present": symmetry - 1 if mirrored else 0,
            "self_loop": loops - 1 if is_loop else 0,
            "num_of_relation": math.log1p(len(same)),
        }
        if not is_loop:
            expected["other_links"] = math.log1p(links)
        for name, pairs, key in (("tail", same, head), ("head", [pair[::-1] for pair in same], tail)):
            counts = Counter(one for one, _ in pairs)
            share = sum(count == 1 for count in counts.values()) / max(len(counts), 1)
            expected[f"second_{name}"] = -share if counts[key] else 0
            expected[f"num_other_{name}s"] = math.log1p(counts[key])
        in_cycles = pairs_in_cycles([*same, (head, tail)])
        of_others = len(in_cycles - {(head, tail)}) / max(len(same), 1)
        expected["cycle"] = of_others - 1 if (head, tail) in in_cycles else 0
        for name, end in (("head", head), ("tail", tail)):
            expected[f"num_of_{name}"] = math.log1p(sum((h == end) + (t == end) for h, _, t in rest))
        for name, value in expected.items():
            assert signals[name][number] == pytest.approx(value, abs=1e-6), (name, number)


def pairs_in_cycles(pairs):
    """Returns the pairs that close a cycle of three or more of them."""
    graph = networkx.DiGraph(pairs)
    one_way = [(h, t) for h, t in set(pairs) if h != t and (t, h) not in pairs]
    return {(h, t) for h, t in one_way if networkx.has_path(graph, t, h)}


def known_of(facts):
    return KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)


@pytest.mark.parametrize("facts", FACTS)
def test_profiles_are_naive_bayes_in_which_the_entity_lacks_the_triplet(facts):
    found = profile_signals(facts, known_of(facts))
    names = {tuple(triplet) for triplet in facts.triplets.tolist()}
    frequencies = np.bincount(facts.triplets[:, 1], minlength=RELATIONS)

    def profiles_of(triplets):
        profiles = defaultdict(set)
        for head, relation, tail in triplets:
            if head != tail:
                profiles[head].add(relation)
                profiles[tail].add(relation + RELATIONS)
        return profiles

    everyone = profiles_of(facts.triplets.tolist())
    prior = [(sum(d in own for own in everyone.values()) + 0.5) / (len(everyone) + 1) for d in range(2 * RELATIONS)]
    for number, (head, relation, tail) in enumerate(facts.triplets.tolist()):
        rest = profiles_of(without(facts, number))
        for side, entity, directed in (("head", head, relation), ("tail", tail, relation + RELATIONS)):
            profiles = {**everyone, entity: rest[entity]}
            others = [own for one, own in profiles.items() if directed in own]
            total = 0.0
            for d in set(range(2 * RELATIONS)) - {directed}:
                p = (sum(d in own for own in others) + PRIOR * prior[d]) / (len(others) + PRIOR)
                total += math.log(p / prior[d] if d in profiles[entity] else (1 - p) / (1 - prior[d]))
            if head != tail:
                assert found.signals[f"{side}_profile"][number] == pytest.approx(total, abs=1e-4)
        if head == tail:
            continue
        scores = {relation: math.log(frequencies[relation]) + found.signals["profiles"][number]}
        for other in range(RELATIONS):
            if (head, other, tail) in names:
                continue  # no better one, but a fact
            scores[other] = math.log(frequencies[other] + 1)
            for entity, directed in ((head, other), (tail, other + RELATIONS)):
                others = [own for own in everyone.values() if directed in own]
                for d in set(range(2 * RELATIONS)) - {directed}:
                    p = (sum(d in own for own in others) + PRIOR * prior[d]) / (len(others) + PRIOR)
                    scores[other] += math.log(p / prior[d] if d in rest[entity] else (1 - p) / (1 - prior[d]))
        all_of_them = np.logaddexp.reduce(list(scores.values()))
        own, best = scores.pop(relation) - all_of_them, max(scores.values(), default=-np.inf) - all_of_them
        np.testing.assert_allclose(found.log_probabilities[number], [own, best], atol=1e-4)
        assert not scores or scores[found.best_relations[number]] == max(scores.values())
    values = found.signals
    np.testing.assert_allclose(values["profiles"], values["head_profile"] + values["tail_profile"], atol=1e-5)
    has_other = np.isfinite(found.log_probabilities[:, 1])
    assert (found.best_relations != facts.triplets[:, 1])[has_other].all()
    assert (np.exp(found.log_probabilities).sum(axis=1) <= 1 + 1e-5).all()


def test_one_relation_alone_has_no_better_one():
    facts = Facts.from_triplets(np.array([[0, 0, 1], [1, 0, 2]]), 3, 1)
    assert np.isneginf(profile_signals(facts, known_of(facts)).log_probabilities[:, 1]).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0, math.nan]), st.integers(0, 2)), max_size=12))
def test_numbers_are_compared_within_their_group(rows):
    values, groups = np.array([one for one, _ in rows]), np.array([one for _, one in rows], int)
    shares, means, numbers = percentiles(values, groups), mean_of_others(values, groups), number_groups(groups)
    for place, (value, group) in enumerate(rows):
        own = [one for one, other in rows if other == group and not math.isnan(one)]
        others = [one for i, (one, other) in enumerate(rows) if other == group and i != place and not math.isnan(one)]
        assert means[place] == pytest.approx(sum(others) / len(others) if others else math.nan, nan_ok=True)
        expected = math.nan
        if not math.isnan(value):
            expected = sum((one < value) + (one == value) / 2 for one in own) / len(own)
        assert shares[place] == pytest.approx(expected, nan_ok=True)
        assert [one == numbers[place] for one in numbers] == [other == group for _, other in rows]
