"""How a completion is measured: what is hidden, what counts as a hit, the floor of frequency, and calibration error."""

from collections import Counter

import numpy as np
import pytest
from helpers.suggested import NUM_ENTITIES, STANDINGS, draw_facts, draw_suggestions, make_graph, true_chances

from lass_hf.completion import measuring
from lass_hf.completion.measuring import (
    Completion,
    describe_evaluation,
    evaluate_completion,
    hide_links,
    list_by_frequency,
    measure_part,
)
from lass_hf.core.errors import GraphError

COUNT = 1500


def as_set(triplets):
    return {tuple(row) for row in np.asarray(triplets).tolist()}


def make_case(split):
    """A graph whose held-out links are drawn by known chances, and a completion that knows these chances."""
    suggestions, standings = draw_suggestions(COUNT)
    truth = true_chances(suggestions, standings)
    is_link = np.random.default_rng(4).random(COUNT) < truth
    facts = draw_facts(200, suggestions)
    half = np.arange(COUNT) % 2 == 0
    splits = {"validation": suggestions.triplets[is_link]}
    if split == "test":
        splits = {name: suggestions.triplets[is_link & own] for name, own in (("validation", half), ("test", ~half))}
    # An exhaustive list of queries, of which the one side asks for tails and the other for heads.
    queries = np.repeat(suggestions.triplets, 2, axis=0)
    slots = np.tile([0, 2], COUNT)

    def complete(rest):
        is_known = rest.known.contains(suggestions.triplets)
        order = np.argsort(-truth, kind="stable")
        listed = order[~is_known[order] & (standings[order] != 1)]  # what is implied is no part of the list
        return Completion(queries, slots, suggestions, standings, truth / 2, listed)

    return make_graph(facts, **splits), complete, suggestions, standings, truth


# What is hidden


def test_the_test_split_is_hidden_where_there_is_one():
    graph, *_ = make_case("test")
    ((rest, hidden),) = hide_links(graph)
    assert list(rest.splits) == ["train", "validation"]
    assert as_set(hidden) == as_set(graph["test"].triplets)


def test_links_that_the_rest_of_the_graph_has_are_not_hidden():
    graph = make_graph([[0, 0, 1], [1, 0, 2]], test=[[0, 0, 1], [2, 0, 3], [2, 0, 3]])
    ((_, hidden),) = hide_links(graph)
    assert hidden.tolist() == [[2, 0, 3]]


def test_halves_of_validation_part_pairs_of_entities_and_lose_nothing():
    rng = np.random.default_rng(0)
    links = np.stack([rng.integers(12, size=300), rng.integers(4, size=300), rng.integers(12, size=300)], axis=1)
    graph = make_graph([[0, 0, 199]], validation=links)
    (first, one), (second, other) = hide_links(graph)
    assert as_set(one) | as_set(other) == as_set(links)
    assert not as_set(one) & as_set(other)
    assert as_set(first["validation"].triplets) == as_set(other)
    assert as_set(second["validation"].triplets) == as_set(one)
    pairs = [{frozenset((head, tail)) for head, _, tail in own} for own in (as_set(one), as_set(other))]
    assert not pairs[0] & pairs[1]
    assert all(len(own) > 20 for own in pairs)
    assert [as_set(hidden) for _, hidden in hide_links(graph, seed=43)] != [as_set(one), as_set(other)]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({}, "no validation and no test split, so no links were held out of training to measure by"),
        ({"validation": [[0, 0, 1]]}, "expected some to measure with, between two pairs of entities or more"),
        ({"test": [[0, 0, 199]]}, "the test split has too few links that train lacks: expected some to measure with"),
    ],
)
def test_a_graph_with_nothing_to_hide_is_refused(splits, message):
    with pytest.raises(GraphError, match=message):
        hide_links(make_graph([[0, 0, 199]], **splits))


# Hits


@pytest.mark.parametrize("split", ["test", "validation"])
def test_hits_are_those_of_a_plain_loop(monkeypatch, split):
    monkeypatch.setattr(measuring, "DEPTHS", (5, 40, 300))
    graph, complete, suggestions, standings, _ = make_case(split)
    results = evaluate_completion(graph, complete, STANDINGS)
    expected = {method: {depth: [0, 0] for depth in (5, 40, 300)} for method in ("list", "score")}
    by_relation, shares, num_hidden = Counter(), Counter(), 0
    best = np.nanmax(suggestions.log_probabilities, axis=1)
    for rest, hidden in hide_links(graph):
        num_hidden += len(hidden)
        known = as_set(rest["train"].triplets) | as_set(rest["validation"].triplets)
        by_score = [n for n in np.argsort(-best, kind="stable") if tuple(suggestions.triplets[n]) not in known]
        for method, order in (("list", complete(rest).listed), ("score", by_score)):
            for depth, counts in expected[method].items():
                for number in order[:depth]:
                    is_hit = tuple(suggestions.triplets[number]) in as_set(hidden)
                    counts[0] += 1
                    counts[1] += is_hit
                    if method == "list" and depth == 40:
                        by_relation[suggestions.triplets[number, 1], is_hit] += 1
                    if method == "list" and depth == 300:
                        shares[STANDINGS[standings[number]]] += 1
    for method, depths in expected.items():
        for depth, (listed, hits) in depths.items():
            row = results["methods"][method]["depths"][str(depth)]
            assert (row["listed"], row["hits"]) == (listed, hits)
            assert row["precision"] == pytest.approx(hits / listed)
            assert row["recall"] == pytest.approx(hits / num_hidden)
    assert results["num_hidden"] == num_hidden == sum(row["hidden"] for row in results["by_relation"])
    for row in results["by_relation"]:
        relation = int(row["relation"][1:])
        assert row["hits"]["40"] == by_relation[relation, True]
        assert row["listed"]["40"] == by_relation[relation, True] + by_relation[relation, False]
    whole = sum(shares.values())
    assert results["methods"]["list"]["standings"] == {name: shares[name] / whole for name in STANDINGS}


def test_a_short_list_has_the_precision_of_what_it_lists():
    graph, complete, *_ = make_case("test")

    def short(rest):
        found = complete(rest)
        return Completion(*(getattr(found, name) for name in list(vars(found))[:-1]), found.listed[:10])

    row = evaluate_completion(graph, short, STANDINGS)["methods"]["list"]["depths"]["1000"]
    assert row["listed"] == 10
    assert row["precision"] == row["hits"] / 10


def test_a_link_and_its_mirror_image_are_found_once():
    pairs = np.stack([np.arange(0, 40, 2), np.arange(1, 41, 2)], axis=1)
    both = np.concatenate([np.insert(pairs, 1, 0, axis=1), np.insert(pairs[:, ::-1], 1, 0, axis=1)])
    suggestions, standings = draw_suggestions(COUNT)
    links = np.array([[50, 0, 51], [51, 0, 50], [60, 0, 61], [70, 1, 71], [71, 1, 70]])
    suggestions.triplets[:5] = links
    rest, hidden = make_graph(both), links[[0, 1, 2, 3]]
    listed = np.array([1, 4, 0, 2, 3, 9])
    completion = Completion(links, np.full(5, 2), suggestions, standings, None, listed)
    part = measure_part(rest, hidden, completion)
    assert part.hidden.tolist() == [[50, 0, 51], [60, 0, 61], [70, 1, 71]]
    assert part.is_hit["list"].tolist() == [True, False, False, True, True, False]  # relation 1 is not symmetric


# Frequency


def test_the_floor_lists_the_most_frequent_answers_of_each_slot():
    graph, complete, *_ = make_case("test")
    queries, slots = complete(graph).queries[:300], complete(graph).slots[:300]
    listed = list_by_frequency(queries, slots, graph, 400)
    known, train = as_set(graph.known.triplets()), graph["train"].triplets.tolist()
    assert len(as_set(listed) - known) == len(listed) == 400
    counts = [Counter((row[1], row[slot]) for row in train) for slot in (0, 2)]
    possible = Counter()
    for (head, relation, tail), slot in zip(queries.tolist(), slots.tolist(), strict=True):
        for (asked, answer), count in counts[slot // 2].items():
            made = (answer, relation, tail) if slot == 0 else (head, relation, answer)
            if asked == relation and made not in known:
                possible[made] = max(possible[made], count)
    expected = sorted(possible.values(), reverse=True)[:400]
    assert [possible[tuple(row)] for row in listed.tolist()] == expected


def test_the_floor_is_seeded_and_ends_with_the_answers():
    graph = make_graph([[0, 0, 1], [2, 0, 1]])
    queries = np.array([[number, 0, 0] for number in range(5)])
    listed = list_by_frequency(queries, np.full(5, 2), graph, 50)
    assert as_set(listed) == {(1, 0, 1), (3, 0, 1), (4, 0, 1)}
    assert listed.tolist() == list_by_frequency(queries, np.full(5, 2), graph, 50).tolist()
    assert list_by_frequency(queries[:0], np.full(0, 2), graph, 50).shape == (0, 3)


# Chances


def test_chances_are_compared_with_all_hidden_links_in_proportion_to_those_of_the_fit():
    suggestions, standings = draw_suggestions(COUNT)
    chances = np.full(COUNT, 0.1)
    links = suggestions.triplets[:450]
    rest = make_graph([[0, 0, NUM_ENTITIES - 1]], validation=links[:150])
    completion = Completion(suggestions.triplets, np.full(COUNT, 2), suggestions, standings, chances, np.arange(0))
    part = measure_part(rest, links[150:], completion)
    assert part.chances == pytest.approx(np.full(COUNT, 0.2))  # twice as many are hidden as were fitted on
    assert part.is_hidden.sum() == 300


@pytest.mark.parametrize("split", ["test", "validation"])
def test_chances_that_are_right_have_a_small_error(split):
    graph, complete, *_ = make_case(split)
    results = evaluate_completion(graph, complete, STANDINGS)
    assert results["reliability"]["ece"] < 0.03
    assert results["reliability_of_first"]["ece"] < 0.04
    assert sum(results["reliability"]["counts"]) == COUNT * results["num_lists"]


# Printed


def test_the_table_says_what_was_measured():
    graph, complete, *_ = make_case("validation")
    results = evaluate_completion(graph, complete, STANDINGS)
    lines = describe_evaluation(results)
    assert lines[0].startswith(f"{results['num_hidden']} hidden facts (halves of validation, in 2 lists")
    assert [line[:20].strip() for line in lines[3:6]] == ["the list", "sorted by raw score", "by frequency"]
    row = results["methods"]["list"]["depths"]["50"]
    assert lines[3].split()[2:5] == [str(row["hits"]), f"{row['precision']:.3f}", f"{row['recall']:.3f}"]
    assert "implied" not in lines[6]
    assert lines[7].startswith("ECE ")
    assert len({len(line) for line in lines[1:6]}) == 1


def test_without_chances_no_error_is_measured():
    graph, complete, *_ = make_case("test")

    def bare(rest):
        found = complete(rest)
        return Completion(found.queries, found.slots, found.suggestions, found.standings, None, found.listed)

    results = evaluate_completion(graph, bare, STANDINGS)
    assert results["reliability"] is results["reliability_of_first"] is None
    assert describe_evaluation(results)[-1] == "no probability, and so no calibration error"
