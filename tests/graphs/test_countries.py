"""The graph that ships with the package: it has the properties that its README states, and loads without network."""

import re
import socket

import numpy as np
import pytest

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.core.errors import GraphError
from lass_hf.graphs.benchmark_sources import BENCHMARKS
from lass_hf.graphs.loading import EMBEDDED, load_graph

FOLDER = EMBEDDED["countries"]


@pytest.fixture(scope="module")
def countries():
    return load_benchmark("countries")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"a connection was tried: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def every_triplet(graph):
    return np.concatenate([split.triplets for split in graph.splits.values()])


def test_the_splits_are_train_validation_and_test_without_labels(countries):
    assert list(countries.splits) == ["train", "validation", "test"]
    assert all(split.labels is None for split in countries.splits.values())


def test_there_are_at_least_1200_triplets(countries):
    assert len(every_triplet(countries)) >= 1200


def test_there_are_8_to_12_relations_and_about_200_entities(countries):
    assert 8 <= countries.num_relations <= 12
    assert 190 <= countries.num_entities <= 240


def test_no_triplet_is_a_duplicate(countries):
    every = every_triplet(countries)
    assert len(np.unique(every, axis=0)) == len(every)


def test_every_entity_and_relation_occurs_in_train(countries):
    entities, relations = countries.occurs_in_train()
    assert [countries.entities.ids[number] for number in np.flatnonzero(~entities)] == []
    assert relations.all()


def test_every_text_is_unique(countries):
    for vocabulary in (countries.entities, countries.relations):
        assert len({text.lower() for text in vocabulary.texts}) == len(vocabulary)


def test_at_most_a_tenth_of_the_test_triplets_are_reversed_in_train(countries):
    pairs = {(head, tail) for head, _, tail in countries["train"].triplets.tolist()}
    reversed_in_train = [row for row in countries["test"].triplets.tolist() if (row[2], row[0]) in pairs]
    assert len(reversed_in_train) <= 0.1 * len(countries["test"])
    assert countries.summary()["splits"]["test"]["reversed_in_train"] == len(reversed_in_train)


def test_every_text_is_a_label_and_a_short_description(countries):
    for text in countries.entities.texts:
        label, _, description = text.partition(", ")
        assert label, text
        assert 3 <= len(description.split()) <= 6, text


def test_no_description_contains_the_label_of_an_entity_or_the_name_of_a_language(countries):
    labels, descriptions = zip(*(text.split(", ", 1) for text in countries.entities.texts), strict=True)
    languages = [label.removesuffix(" language") for label in labels if label.endswith(" language")]
    assert len(languages) > 10
    words = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, [*labels, *languages])) + r")(?!\w)", re.IGNORECASE)
    given_away = {label: words.findall(text) for label, text in zip(labels, descriptions, strict=True)}
    assert {label: found for label, found in given_away.items() if found} == {}


def test_borders_exist_in_both_directions_and_in_one_split(countries):
    relation = countries.relations.index["shares_border_with"]
    for split in countries.splits.values():
        borders = {(h, t) for h, r, t in split.triplets.tolist() if r == relation}
        assert borders == {(t, h) for h, t in borders}


@pytest.mark.parametrize(
    ("head", "relation", "tail"),
    [
        ("france", "has_capital", "paris"),
        ("japan", "uses_currency", "yen"),
        ("brazil", "located_in_continent", "south_america"),
        ("egypt", "has_official_language", "arabic_language"),
        ("spain", "shares_border_with", "portugal"),
    ],
)
def test_some_facts_are_right(countries, head, relation, tail):
    entities, relations = countries.entities, countries.relations
    triplet = [entities.find(head), relations.find(relation), entities.find(tail)]
    assert countries.known.contains(np.array([triplet])).all()


def test_each_country_has_one_capital(countries):
    capitals = every_triplet(countries)
    capitals = capitals[capitals[:, 1] == countries.relations.index["has_capital"]]
    assert len(np.unique(capitals[:, 0])) == len(np.unique(capitals[:, 2])) == len(capitals)


@pytest.mark.parametrize("country", ["france", "japan", "egypt", "italy", "canada"])
def test_the_capital_of_a_well_known_country_is_in_the_test_split(countries, country):
    asked = (countries.entities.find(country), countries.relations.find("has_capital"))
    assert [name for name, split in countries.splits.items() if asked in [(h, r) for h, r, _ in split.triplets]] == [
        "test"
    ]


def test_the_table_of_the_readme_has_the_counts_of_the_files(countries):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", readme, re.MULTILINE)
    assert {name: text for name, text, *_ in rows} == dict(
        zip(countries.relations.ids, countries.relations.texts, strict=True)
    )
    for name, _, *printed in rows:
        relation = countries.relations.index[name]
        counts = [int((split.triplets[:, 1] == relation).sum()) for split in countries.splits.values()]
        assert [int(number) for number in printed] == [*counts, sum(counts)], name


def test_the_sentence_of_the_readme_has_the_counts_of_the_files(countries):
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    total = len(every_triplet(countries))
    sentence = f"{countries.num_entities} entities, {countries.num_relations} relations, {total:,} triplets"
    assert sentence in readme


# Loading


@pytest.mark.parametrize(
    ("table", "columns", "rows"),
    [
        ("triplets", ["head", "relation", "tail"], {"train": 1029, "validation": 102, "test": 156}),
        ("entities", ["id", "text"], {"train": 237}),
        ("relations", ["id", "text"], {"train": 12}),
    ],
)
def test_plain_load_dataset_reads_each_table_as_strings(no_network, tmp_path, table, columns, rows):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(FOLDER), table, cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in loaded.items()} == rows
    for split in loaded.values():
        assert split.column_names == columns
        assert all(feature.dtype == "string" for feature in split.features.values())
        assert all(value for column in columns for value in split[column])


def test_plain_load_dataset_gives_the_graph(no_network, tmp_path, countries):
    datasets = pytest.importorskip("datasets")
    tables = {
        name: datasets.load_dataset(str(FOLDER), name, cache_dir=str(tmp_path))
        for name in ("triplets", "entities", "relations")
    }
    graph = KnowledgeGraph.from_datasets(
        tables["triplets"], entities=tables["entities"]["train"], relations=tables["relations"]["train"]
    )
    assert (graph.entities.ids, graph.entities.texts) == (countries.entities.ids, countries.entities.texts)
    assert all(np.array_equal(graph[name].triplets, countries[name].triplets) for name in countries.splits)


def test_load_graph_takes_a_name_or_a_folder(countries, graph_folder):
    assert load_graph("countries").entities.ids == countries.entities.ids
    assert len(load_graph(graph_folder)["train"]) == 14
    assert len(load_graph(str(graph_folder))["train"]) == 14


def test_a_benchmark_is_read_from_the_folder_given_as_data_dir(graph_folder):
    assert len(load_benchmark("umls", data_dir=graph_folder)["train"]) == 14


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(GraphError, match="countries, umls, wn18rr, fb15k-237, wn11, fb13"):
        load_benchmark("freebase")


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("load", [load_benchmark, load_graph])
def test_a_benchmark_without_folder_says_how_to_give_one(tmp_path, monkeypatch, name, load):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraphError, match="data_dir"):
        load(name)


@pytest.mark.parametrize("name", ["no_such_graph", "no/such/folder"])
def test_load_graph_names_what_it_did_not_find(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraphError, match=name):
        load_graph(name)
