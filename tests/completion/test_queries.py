"""Which queries are asked: compared with loops over entities and relations."""

from itertools import product
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.completion import queries as module
from lass_hf.completion.queries import choose_queries, observed_ranges
from lass_hf.scoring.entity_index import EntityIndex
from lass_hf.structure.facts import Facts

# Relation 0 leads from people (0 to 9) to towns (10 to 14), and relation 1 from towns to a country (15).
LIVES = [(person, 0, 10 + person % 5) for person in range(10)]
LIES = [(town, 1, 15) for town in range(10, 14)]  # nobody says where town 14 lies


def facts_of(triplets, entities=20, relations=2):
    return Facts.from_triplets(np.array(triplets, dtype=np.int64).reshape(-1, 3), entities, relations)


def as_pairs(queries, slots, relations=2):
    """(entity, directed relation) of each query."""
    return [
        (query[2 - slot], query[1] + (relations if slot == 0 else 0))
        for query, slot in zip(queries.tolist(), slots.tolist(), strict=True)
    ]


def profiles_by_loop(triplets, relations=2):
    found = {}
    for head, relation, tail in triplets:
        found.setdefault(head, set()).add(relation)
        found.setdefault(tail, set()).add(relation + relations)
    return found


def log_odds_by_loop(profiles, entity, directed):
    def count(*wanted):
        return sum(set(wanted) <= own for own in profiles.values())

    number, has = len(profiles), count(directed)
    odds = log((has + 1) / (number - has + 1))
    for other in profiles[entity] - {directed}:
        both = count(other, directed)
        odds += log((both + 1) / (has + 2)) - log((count(other) - both + 1) / (number - has + 2))
    return odds


def test_what_an_entity_has_is_asked_and_what_its_kind_has():
    asked = as_pairs(*choose_queries(facts_of(LIVES + LIES)))
    observed = {(entity, one) for entity, own in profiles_by_loop(LIVES + LIES).items() for one in own}
    assert observed < set(asked)
    assert (14, 1) in asked  # where does the last town lie?
    assert not {(person, 1) for person in range(10)} & set(asked)  # where does a person lie?
    assert not {entity for entity, _ in asked} & set(range(16, 20))  # they have no facts
    assert len(asked) == len(set(asked))


def test_queries_are_ordered_by_slot_relation_and_entity_with_0_in_the_open_slot():
    queries, slots = choose_queries(facts_of(LIVES + LIES))
    assert (queries.dtype, slots.dtype) == (np.int64, np.int64)
    assert not queries[np.arange(len(queries)), slots].any()
    keys = [(slot, query[1], query[2 - slot]) for query, slot in zip(queries.tolist(), slots.tolist(), strict=True)]
    assert keys == sorted(keys)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=16))
def test_the_profiles_that_speak_for_a_relation_are_those_of_naive_bayes_by_loops(triplets):
    profiles = profiles_by_loop(triplets, 3)
    cells = list(product(profiles, range(6)))
    odds = {cell: log_odds_by_loop(profiles, *cell) / module.LOG_ODDS_STEP for cell in cells}
    bins = {cell: round(own) for cell, own in odds.items()}
    if any(abs(odds[cell] % 1 - 0.5) < 1e-6 for cell in cells):  # rounding decides
        return
    queries, slots = choose_queries(facts_of(triplets, 8, 3))
    asked = set(as_pairs(queries, slots, 3))
    observed = {(entity, one) for entity, own in profiles.items() for one in own}
    # Some number of log odds divides what is asked from what is not, and those above it have the relation often enough.
    others, refused = [bins[cell] for cell in asked - observed], [bins[cell] for cell in set(cells) - asked]
    assert not others or not refused or min(others) > max(refused)
    between = [one for one in bins.values() if max(refused, default=one - 1) < one <= min(others, default=one)]
    above = [[cell for cell in cells if bins[cell] >= least] for least in set(between)]
    assert not others or any(len(observed.intersection(one)) >= module.LEAST_CHANCE * len(one) for one in above)


def test_many_equal_profiles_and_small_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    facts = facts_of(
        np.stack([rng.integers(60, size=150), rng.integers(5, size=150), rng.integers(60, size=150)], 1), 60, 5
    )
    expected = choose_queries(facts)
    monkeypatch.setattr(module, "CELLS_AT_ONCE", 17)
    for found, own in zip(choose_queries(facts), expected, strict=True):
        assert np.array_equal(found, own)


@pytest.mark.parametrize(
    "choice",
    [
        {"relations": [1]},
        {"entities": np.array([3, 12, 14])},
        {"slots": (0,)},
        {"slots": (2,), "relations": [0]},
        {"relations": []},
    ],
)
def test_choices_leave_out_the_others_and_change_nothing_else(choice):
    everything = choose_queries(facts_of(LIVES + LIES))
    keep = np.isin(everything[1], choice.get("slots", (0, 2)))
    keep &= np.isin(everything[0][:, 1], choice.get("relations", [0, 1]))
    entities = everything[0][np.arange(len(keep)), 2 - everything[1]]
    keep &= np.isin(entities, choice.get("entities", np.arange(20)))
    found = choose_queries(facts_of(LIVES + LIES), **choice)
    assert np.array_equal(found[0], everything[0][keep])
    assert np.array_equal(found[1], everything[1][keep])


def test_an_entity_seen_rarely_is_asked_what_the_nearest_texts_have():
    vectors = torch.zeros(20, 2)
    vectors[:10, 0], vectors[10:15, 1] = 1.0, 1.0
    vectors[15] = torch.tensor([-9.0, 0])
    vectors[16] = torch.tensor([0.9, 0])  # like people; no facts are about it
    vectors[17] = torch.tensor([0, 1.1])  # like towns
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(module, "NEAREST", 5)
        asked = as_pairs(*choose_queries(facts_of(LIVES + LIES), index=EntityIndex([vectors])))
    assert {one for entity, one in asked if entity == 16} == {0}
    assert {one for entity, one in asked if entity == 17} == {1, 2}
    assert set(as_pairs(*choose_queries(facts_of(LIVES + LIES)))) < set(asked)


def test_the_nearest_text_of_a_rare_entity_is_not_its_own():
    lonely = [(0, 0, 1), (0, 0, 2), (3, 1, 2), (3, 1, 1)]  # entity 4 has one fact, and stands alone
    facts = facts_of([*lonely, (4, 1, 1)], 5)
    vectors = torch.tensor([[0.0, 0], [9, 9], [9, 9], [5, 0], [0.1, 0]])
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(module, "NEAREST", 1)
        patches.setattr(module, "LEAST_CHANCE", 0.99)
        asked = as_pairs(*choose_queries(facts, index=EntityIndex([vectors])))
    assert (4, 0) in asked  # of its neighbor 0


@pytest.mark.parametrize("triplets", [[], [(0, 0, 0)]])
def test_a_graph_with_next_to_no_facts_has_next_to_no_queries(triplets):
    queries, slots = choose_queries(facts_of(triplets), index=EntityIndex([torch.zeros(20, 1)]))
    assert as_pairs(queries, slots) == [(0, 2), (0, 0)] * len(triplets) or len(queries) > 2
    assert queries.shape == (len(slots), 3)


def test_the_observed_range_of_a_side_is_what_stands_there():
    ranges = observed_ranges(facts_of(LIVES + LIES, relations=3))
    found = {key: own.tolist() for key, own in ranges.items()}
    assert found == {
        (0, 0): list(range(10)),
        (2, 0): list(range(10, 15)),
        (0, 1): list(range(10, 14)),
        (2, 1): [15],
    }
    assert observed_ranges(facts_of([])) == {}
