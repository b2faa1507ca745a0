"""NameResolver: names to integers and back."""

import pytest
from helpers.tiny import TRAIN

from lass_hf.core.errors import LassError, UnknownNameError
from lass_hf.prediction.name_resolver import NameResolver
from lass_hf.prediction.top_predictions import scored_triplets

LION, CROW = {"text": "lion, a large cat"}, {"text": "a crow"}


@pytest.fixture
def resolver(graph):
    return NameResolver(graph)


def test_triplets_are_those_of_the_graph(resolver, graph):
    assert resolver.resolve_triplets(TRAIN).tolist() == graph["train"].triplets.tolist()
    names = [
        tuple(resolver.name_of(integer, slot)[0] for slot, integer in enumerate(triplet))
        for triplet in graph["train"].triplets.tolist()
    ]
    assert names == TRAIN


def test_new_entities_are_numbered_behind_those_of_the_graph(resolver, graph):
    count = graph.num_entities
    assert resolver.resolve_triplets([(LION, "eats", CROW)]).tolist() == [
        [count, graph.relations.find("eats"), count + 1]
    ]
    assert resolver.new_texts == [LION["text"], CROW["text"]]
    assert resolver.name_of(count + 1, 2) == (CROW["text"], CROW["text"])


@pytest.mark.parametrize(("slot", "name"), list(enumerate(("head", "relation", "tail"))))
def test_a_query_has_its_open_slot(slot, name, resolver, graph):
    triplet = dict(zip(("head", "relation", "tail"), TRAIN[0], strict=True))
    expected = graph["train"].triplets[0].tolist()
    expected[slot] = 0
    for query in ({**triplet, name: None}, {key: value for key, value in triplet.items() if key != name}):
        integers, found = resolver.resolve_query(query)
        assert (integers.tolist(), found) == (expected, slot)


def test_candidates_ascend_and_none_is_there_twice(resolver, graph):
    names = ["milk", "cat", "cat, a small animal that purrs", CROW]
    expected = sorted([graph.entities.find("milk"), graph.entities.find("cat")])
    assert resolver.resolve_candidates(names, 2).tolist() == [*expected, graph.num_entities]
    with pytest.raises(LassError, match="expected a list of one name or more"):
        resolver.resolve_candidates([], 2)


def test_predictions_are_named_once_for_each_row(resolver):
    triplets = resolver.resolve_triplets([("cat", "eats", CROW), ("cat", "eats", "milk")])
    scored = scored_triplets(triplets, [1.5, 0.5])
    scored["label"][1], scored["probability"][1] = True, 0.75
    first, second = resolver.name_predictions(scored, 2)
    assert first == {"id": "a crow", "text": "a crow", "score": 1.5, "known": False}
    assert second["id"] == "milk"
    assert (second["label"], second["probability"]) == ("true", 0.75)


def test_suggestions_may_come_from_elsewhere(graph):
    asked = []
    resolver = NameResolver(graph, lambda name, slot: asked.append((name, slot)) or ["dog"])
    assert resolver.resolve("cat", 0) == graph.entities.find("cat")
    with pytest.raises(UnknownNameError, match=r"'catt' is not an id or text .* did you mean 'dog'\?"):
        resolver.resolve("catt", 2)
    assert asked == [("catt", 2)]
