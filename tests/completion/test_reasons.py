"""Reasons for suggestions: each sentence names facts of the graph, and none gives a number of an entity."""

import numpy as np
import pytest
from helpers.evidence import some_evidence
from helpers.rule_sets import make_rules
from helpers.tiny import make_graph

from lass_hf import KnowledgeGraph
from lass_hf.completion import reasons as reasons_module
from lass_hf.completion.reasons import write_reasons
from lass_hf.completion.suggestions import Answers


@pytest.fixture(scope="module")
def graph():
    return make_graph()


@pytest.fixture(scope="module")
def bound(graph):
    return some_evidence(graph).bind(graph)


def numbers(graph, *triplets):
    find = graph.entities.find
    return np.array([(find(head), graph.relations.find(relation), find(tail)) for head, relation, tail in triplets])


SUGGESTED = [("mouse", "is_a", "animal"), ("cat", "lives_in", "garden"), ("milk", "is_a", "food")]


def test_a_rule_stands_on_the_facts_it_names(graph, bound):
    reasons = write_reasons(numbers(graph, *SUGGESTED), bound)
    rule = "mouse is a rodent and rodent is a animal; where that is so, this follows in 50 % of 2 cases."
    assert reasons[0][0] == rule
    assert sum("rodent is a animal" in sentence and "mouse is a rodent" in sentence for sentence in reasons[0]) == 1


def test_the_fact_of_the_relation_that_is_most_alike_is_named(graph, bound, monkeypatch):
    monkeypatch.setattr(reasons_module, "LEAST_SIMILARITY", -1.0)
    head, relation, tail = numbers(graph, SUGGESTED[1])[0]
    lives_in = graph["train"].triplets[graph["train"].triplets[:, 1] == relation]
    entities = np.unique(lives_in[:, [0, 2]])
    vectors = bound.entity_vectors(np.arange(graph.num_entities))[0].astype(np.float64)
    vectors -= vectors[entities].mean(axis=0)

    def cosine(one, other):
        return vectors[one] @ vectors[other] / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other])

    likes = [(min(cosine(head, one), cosine(tail, other)), one, other) for one, _, other in lives_in.tolist()]
    _, one, other = max(likes)
    name = graph.entities.ids
    start = f"It is a fact that {name[one]} lives in {name[other]}, and "
    (sentence,) = (reason for reason in write_reasons(numbers(graph, *SUGGESTED), bound)[1] if "It is a fact" in reason)
    parts = [
        f"{name[mine]} is like {name[its]} ({cosine(mine, its):.2f})"
        for mine, its in ((head, one), (tail, other))
        if mine != its
    ]
    assert sentence == start + " and ".join(parts) + "."


def test_a_neighbor_in_common_is_named_with_its_facts(graph, bound):
    (reasons,) = write_reasons(numbers(graph, ("cheese", "eats", "dog")), bound)
    assert "They share food: cheese is a food and dog eats food." in reasons
    (reasons,) = write_reasons(numbers(graph, ("cat", "is_a", "dog")), bound)
    # Animal, food and house; food has most links, and animal and house have three each.
    shares = [reason for reason in reasons if reason.startswith("They share 3 neighbors, such as ")]
    assert len(shares) == 1
    assert "such as food" not in shares[0]


def sentences_of_neighbors(facts, triplet):
    graph = KnowledgeGraph.from_triplets(facts)
    bound = some_evidence(graph, kinds=("frequency",), rules=make_rules()).bind(graph)
    (reasons,) = write_reasons(numbers(graph, triplet), bound)
    return [reason for reason in reasons if reason.startswith("They share")]


def test_head_and_tail_are_no_neighbors_that_they_share():
    facts = [("e0", "r", "e2"), ("e1", "r", "e2"), ("e0", "r", "e0"), ("e0", "q", "e1")]
    assert sentences_of_neighbors(facts, ("e0", "r", "e1")) == ["They share e2: e0 r e2 and e1 r e2."]


@pytest.mark.parametrize(("links_of_tail", "count"), [(300, "at least 200"), (150, "150"), (200, "200")])
def test_neighbors_that_are_counted_in_part_are_at_least_so_many(links_of_tail, count):
    links = [(head, number) for head, count in (("a", 300), ("b", links_of_tail)) for number in range(count)]
    facts = [("c", "q", "d"), *((head, "r", f"n{number}") for head, number in links)]
    (sentence,) = sentences_of_neighbors(facts, ("a", "q", "b"))
    assert sentence.startswith(f"They share {count} neighbors, such as n")


def test_what_else_was_close_is_told_with_its_probability(graph, bound):
    triplets = numbers(
        graph,
        ("milk", "is_a", "food"),
        ("milk", "is_a", "animal"),
        ("milk", "is_a", "rodent"),
        ("cheese", "is_a", "animal"),
        ("mouse", "is_a", "animal"),
    )
    slots, ranks = np.array([2, 2, 2, 0, 0], np.int8), np.array([1, 2, 3, 1, 2], np.int32)
    chances = np.log(np.array([0.5, 0.25, 0.12, 0.6, 0.3], np.float32))
    answers = Answers(triplets, slots, chances, ranks, np.zeros(5, np.float32))
    asked = numbers(graph, ("milk", "is_a", "food"), ("mouse", "is_a", "animal"), ("cat", "lives_in", "garden"))
    reasons = write_reasons(asked, bound, answers)
    assert 'Other answers to "milk is a …": animal (25 %), rodent (12 %).' in reasons[0]
    assert 'Other answers to "… is a animal": cheese (60 %).' in reasons[1]
    assert not any("Other answers" in sentence for sentence in reasons[2])


def test_reasons_are_few_and_without_numbers_of_entities(graph, bound):
    triplets = numbers(graph, *SUGGESTED)
    assert all(len(own) <= 1 for own in write_reasons(triplets, bound, most=1))
    assert write_reasons(triplets[:0], bound) == []
    milk = write_reasons(triplets, bound)[2]  # without facts and vectors
    assert all("milk" in sentence for sentence in milk)


def test_reasons_of_a_suggestion_do_not_depend_on_others(graph, bound):
    triplets = numbers(graph, *SUGGESTED)
    together = write_reasons(triplets, bound)
    assert [write_reasons(triplets[one : one + 1], bound)[0] for one in range(3)] == together


def test_a_rule_without_counts_is_told_with_its_confidence_and_a_weak_one_behind_it_is_not(graph):
    is_a = graph.relations.find("is_a")
    rodent = graph.entities.find("rodent")
    rules = make_rules(
        (is_a, (is_a, is_a, -1), -1, -1, 0, 0, 0.9, 0),
        (is_a, (is_a, -1, -1), graph.entities.find("animal"), rodent, 1, 10, 0.05, 1),
    )
    bound = some_evidence(graph, kinds=("rules",), rules=rules).bind(graph)
    (reasons,) = write_reasons(numbers(graph, SUGGESTED[0]), bound)
    assert reasons[0] == "mouse is a rodent and rodent is a animal; where that is so, this follows with confidence 0.9."
    assert not any("10 cases" in sentence for sentence in reasons)
