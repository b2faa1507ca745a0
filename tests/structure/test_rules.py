"""Rules against plain loops: walks, counts, scores, and what a triplet may not say for itself."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_mining import find_rules
from lass_hf.structure.rule_mining_counts import count_bodies
from lass_hf.structure.rule_mining_fit import temper
from lass_hf.structure.rule_mining_paths import reverse_bodies, walk_between
from lass_hf.structure.rule_scores import RuleScorer
from lass_hf.structure.rules import RuleSet

ENTITIES, RELATIONS = 6, 2
triplets_of_any_graph = st.lists(
    st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1)),
    min_size=1,
    max_size=25,
).map(lambda rows: np.array(rows, np.int64))


def links_of(triplets):
    """Returns all (x, directed relation, y, number of the triplet)."""
    rows = enumerate(triplets.tolist())
    return [link for i, (h, r, t) in rows for link in ((h, r, t, i), (t, r + RELATIONS, h, i))]


def paths_by_hand(links, start, end, length, without=-1):
    """Returns all paths as (relations, entities between)."""
    if length == 0:
        return [((), ())] if start == end else []
    found = []
    for one, relation, other, number in links:
        if one == start and number != without:
            for rest, between in paths_by_hand(links, other, end, length - 1, without):
                found.append(((relation, *rest), (other, *between)))
    return found


def graph_of_families(seed=0, size=60):
    """Makes a graph whose relation 1 is relation 0 turned, 2 is 0 twice, and 3 leads to a constant by 0."""
    rng = np.random.default_rng(seed)
    parents = [(child, 0, int(rng.integers(child))) for child in range(1, size)]
    turned = [(t, 1, h) for h, _, t in parents]
    parent = {h: t for h, _, t in parents}
    twice = [(h, 2, parent[t]) for h, _, t in parents if t in parent]
    constant = [(h, 3, size + t % 2) for h, _, t in parents if t < 4]
    return Facts.from_triplets(np.array(parents + turned + twice + constant), size + 2, 4)


def random_rules(facts, seed):
    """Makes some rules of every form, in groups of up to two rules."""
    rng = np.random.default_rng(seed)
    n, directed = 12, 2 * facts.num_relations
    lengths = rng.integers(1, 4, n)
    is_constant = rng.random(n) < 0.5
    bodies = rng.integers(0, directed, (n, 3))
    bodies[np.arange(3) >= np.where(is_constant, 1, lengths)[:, None]] = -1
    return RuleSet(
        heads=np.sort(rng.integers(0, directed, n)).astype(np.int32),
        bodies=bodies.astype(np.int32),
        head_constants=np.where(is_constant, rng.integers(0, facts.num_entities, n), -1).astype(np.int32),
        body_constants=np.where(is_constant, rng.integers(-1, facts.num_entities, n), -1).astype(np.int32),
        supports=np.ones(n, np.int64),
        body_counts=np.ones(n, np.int64),
        confidences=rng.uniform(0.05, 1.0, n),
        groups=rng.integers(0, 6, n).astype(np.int32),
    )


def score_by_hand(rules, links, known, answer, head, without=-1):
    """Returns the noisy-or of the rules of a head for one pair."""
    best = {}
    for i in np.flatnonzero(rules.heads == head).tolist():
        body = tuple(rules.bodies[i][rules.bodies[i] >= 0].tolist())
        if rules.head_constants[i] < 0:
            paths = paths_by_hand(links, known, answer, len(body), without)
            number = sum(relations == body for relations, _ in paths)
        else:
            ends = [y for x, r, y, i_ in links if x == known and r == body[0] and i_ != without]
            holds = bool(ends) if rules.body_constants[i] < 0 else rules.body_constants[i] in ends
            number = int(holds and rules.head_constants[i] == answer)
        if number:
            evidence = -np.log(1 - min(rules.confidences[i], 1 - 1e-6)) * (1 + np.log(number))
            best[rules.groups[i]] = max(best.get(rules.groups[i], 0), evidence)
    return sum(best.values())


@settings(max_examples=25, deadline=None)
@given(triplets_of_any_graph)
def test_walks_are_all_paths_without_the_triplet_itself(triplets):
    facts = Facts.from_triplets(triplets, ENTITIES, RELATIONS)
    links = links_of(facts.triplets)
    for length in (1, 2, 3):
        found = []
        for paths in walk_between(facts, facts.triplets, length):
            rows = zip(paths.owners.tolist(), paths.bodies.tolist(), paths.between.tolist(), strict=True)
            found += [(owner, tuple(body[:length]), tuple(way[: length - 1])) for owner, body, way in rows]
        expected = [
            (i, relations, between[:-1])
            for i, (h, _, t) in enumerate(facts.triplets.tolist())
            for relations, between in paths_by_hand(links, h, t, length, without=i)
        ]
        assert sorted(found) == sorted(expected)


@settings(max_examples=15, deadline=None)
@given(triplets_of_any_graph)
def test_bodies_are_counted_as_by_a_loop(triplets):
    facts = Facts.from_triplets(triplets, ENTITIES, RELATIONS)
    links = links_of(facts.triplets)
    bodies = np.array([[0, -1, -1], [0, 1, -1], [3, 2, -1], [1, 1, 0]], np.int32)
    bodies = bodies[[any(one[1] == body[0] for one in links) for body in bodies.tolist()]]
    counts = count_bodies(facts, bodies, [np.arange(RELATIONS)] * len(bodies), lambda number: False)
    for row, (body, relation) in enumerate(product(bodies.tolist(), range(RELATIONS))):
        atoms = tuple(one for one in body if one >= 0)
        numbers = {
            (x, y): sum(relations == atoms for relations, _ in paths_by_hand(links, x, y, len(atoms)))
            for x, y in product(range(ENTITIES), repeat=2)
        }
        for side, directed in enumerate((relation, relation + RELATIONS)):
            asked = {one[0] for one in links if one[1] == directed}
            over = [number for pair, number in numbers.items() if number and pair[side] in asked]
            assert counts.pairs[row, side] == len(over)
            assert counts.paths[row, side] == pytest.approx(sum(1 + np.log(number) for number in over), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(triplets_of_any_graph, st.integers(0, 99))
@example(np.array([[0, 0, 0]]), 35)  # A self loop is a fact of the inverse relation, too.
def test_scores_are_the_noisy_or_of_a_loop(triplets, seed):
    facts = Facts.from_triplets(triplets, ENTITIES, RELATIONS)
    rules, links = random_rules(facts, seed), links_of(facts.triplets)
    scorer = RuleScorer(rules, facts)
    for slot, shift in ((2, 0), (0, RELATIONS)):
        scores = scorer.scores(facts.triplets, slot).toarray()
        expected = [
            [score_by_hand(rules, links, row[2 - slot], y, row[1] + shift) for y in range(ENTITIES)]
            for row in facts.triplets.tolist()
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)
    alone = [
        score_by_hand(rules, links, h, t, r, i) + score_by_hand(rules, links, t, h, r + RELATIONS, i)
        for i, (h, r, t) in enumerate(facts.triplets.tolist())
    ]
    np.testing.assert_allclose(scorer.triplet_scores(facts.triplets), np.array(alone) / 2, rtol=1e-4, atol=1e-6)


def test_the_search_finds_the_rules_that_made_a_graph():
    facts = graph_of_families()
    rules = find_rules(facts)
    for head, inverse in ((0, 5), (1, 4)):
        turned = (rules.heads == head) & (rules.bodies == [inverse, -1, -1]).all(axis=1) & (rules.head_constants < 0)
        assert rules.confidences[turned].item() > 0.2
    twice = rules.select((rules.heads == 2) & (rules.head_constants < 0))
    assert [0, 0, -1] in twice.bodies.tolist()
    to_constant = rules.select((rules.heads == 3) & (rules.head_constants >= 0))
    assert {(0, t, 60 + t % 2) for t in range(3)} & set(
        zip(
            to_constant.bodies[:, 0].tolist(),
            to_constant.body_constants.tolist(),
            to_constant.head_constants.tolist(),
            strict=True,
        )
    )
    assert ((rules.confidences > 0) & (rules.confidences < 1)).all()
    np.testing.assert_array_equal(rules.confidences, rules.confidences.round(6))
    assert (rules.supports <= rules.body_counts).all()


def test_tempered_weights_are_more_alike_in_the_same_order_and_imply_as_much():
    weights, counts = np.array([0.9, 0.3, 0.01], np.float32), np.array([2.0, 5.0, 40.0])
    tempered = temper(weights, counts, 0.5)
    assert tempered @ counts == pytest.approx(weights @ counts)
    np.testing.assert_allclose((tempered / tempered[-1]) ** 2, weights / weights[-1], rtol=1e-6)
    np.testing.assert_allclose(temper(weights, counts, 1.0), weights)


def test_support_and_body_count_are_those_of_pairs_without_the_triplet_itself():
    """Of pairs that are facts, those count for which the body holds without them; several paths join one pair once."""
    rng = np.random.default_rng(1)
    designed = [(x, 0, 20 + y) for x in range(20) for y in rng.choice(6, 2, replace=False)]  # two tails for each head
    influenced = [(x, 1, int(y)) for x in range(20) for y in rng.choice(20, 2, replace=False)]
    facts = Facts.from_triplets(np.array(designed + influenced), 26, 2)
    places, ways = {tuple(one): i for i, one in enumerate(facts.triplets.tolist())}, {}
    for x, relation, y, number in links_of(facts.triplets):
        ways.setdefault((x, relation), []).append((y, number))

    def leads(x, y, atoms, without):
        ends = {x}
        for atom in atoms:
            ends = {other for end in ends for other, number in ways.get((end, atom), []) if number != without}
        return y in ends

    rules = find_rules(facts)
    paths = rules.select(rules.head_constants < 0)
    assert (paths.body_counts > 1.2 * paths.supports).mean() > 0.5
    uses_head = 0
    for head, body, support, body_count in zip(
        paths.heads.tolist(), paths.bodies.tolist(), paths.supports, paths.body_counts, strict=True
    ):
        atoms, asked = tuple(one for one in body if one >= 0), [x for x, relation in ways if relation == head]
        uses_head += bool({head, (head + 2) % 4} & set(atoms))
        holds, right = 0, 0
        for x, y in product(asked, range(26)):
            number = places.get((x, head, y) if head < 2 else (y, head - 2, x), -1)
            found = leads(x, y, atoms, without=number)
            holds, right = holds + found, right + (found and number >= 0)
        assert (support, body_count) == (right, holds), (head, atoms)
    assert uses_head > 3


def test_a_triplet_never_supports_itself():
    pairs = np.random.default_rng(0).permutation(40).reshape(-1, 2)
    facts = Facts.from_triplets(np.insert(pairs, 1, 0, axis=1), 40, 1)  # No two triplets share an entity.
    assert len(find_rules(facts)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_support_of_a_rule_with_constants_leaves_out_the_triplet_itself(seed):
    """A self loop is a fact of both directions, and its inverse says no more than itself."""
    rng = np.random.default_rng(seed)
    loops = [(x, relation, x) for x in range(8) for relation in range(RELATIONS)]
    others = rng.integers(0, [8, RELATIONS, 3], (12, 3)).tolist()
    facts = Facts.from_triplets(np.array(loops + others), 8, RELATIONS)
    links, rules = links_of(facts.triplets), find_rules(facts)
    rules = rules.select(rules.head_constants >= 0)
    assert len(rules)
    for row in range(len(rules)):
        head, asked = rules.heads[row], rules.head_constants[row]
        body, known = rules.bodies[row, 0], rules.body_constants[row]
        support = sum(
            any(x == one and b == body and known in (-1, d) and number != i for one, b, d, number in links)
            for x, relation, y, i in links
            if (relation, y) == (head, asked)
        )
        assert rules.supports[row] == support, (head, asked, body, known)


def test_a_self_loop_does_not_make_a_rule_frequent():
    a, b, c, d, e = range(5)
    rows = [(a, 0, a), (b, 0, a), (a, 0, b), (d, 0, a), (a, 0, d), (c, 0, a), (e, 0, e)]
    rules = find_rules(Facts.from_triplets(np.array(rows), 5, 1))
    found = zip(rules.heads, rules.head_constants, rules.bodies[:, 0], rules.body_constants, strict=True)
    assert (0, a, 1, a) not in list(found)  # b and d speak for it, and the loop of a does not


def test_equal_seeds_find_equal_rules_and_no_time_leaves_a_valid_set():
    facts = graph_of_families()
    one, other = find_rules(facts, seed=7), find_rules(facts, seed=7)
    for name in ("heads", "bodies", "head_constants", "body_constants", "confidences", "supports"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    hurried = find_rules(facts, minutes=0)
    assert len(hurried) <= len(one)
    assert np.isfinite(RuleScorer(hurried, facts).scores(facts.triplets, 2).toarray()).all()
    assert len(find_rules(Facts.from_triplets(np.empty((0, 3), np.int64), 3, 1))) == 0


def test_the_reasons_of_a_candidate_are_the_paths_that_hold():
    facts = graph_of_families()
    scorer = RuleScorer(find_rules(facts), facts)
    query = facts.triplets[facts.triplets[:, 1] == 2][-1]
    position, way = scorer.firing(query[None], 2)[0][0]
    body = scorer.rules.bodies[position]
    for relation, (one, other) in zip(body[body >= 0].tolist(), pairwise(way), strict=True):
        assert facts.adjacency[relation][[one], [other]] == 1
    assert way[0] == query[0]


def test_a_body_read_from_its_other_end_and_back_is_itself():
    bodies = np.array([[0, -1, -1], [1, 2, -1], [3, 0, 1]])
    assert reverse_bodies(bodies, 2).tolist() == [[2, -1, -1], [0, 3, -1], [3, 2, 1]]
    np.testing.assert_array_equal(reverse_bodies(reverse_bodies(bodies, 2), 2), bodies)
