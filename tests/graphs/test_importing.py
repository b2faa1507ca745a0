"""Sources become graphs: order of entities, texts of names and descriptions, and what is said about the rest."""

import logging
from pathlib import Path

import pytest
from helpers.imports import ENTITIES, RELATIONS, TRIPLETS, make_source, named_triplets
from helpers.tiny import assert_same_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.graphs import importing
from lass_hf.graphs.importing import import_graph, to_graph_parts
from lass_hf.names.source import ReadingOptions


def graph_of(source):
    return KnowledgeGraph(*to_graph_parts(source)[0])


def texts_of(names):
    return dict(zip(names.ids, names.texts, strict=True))


def entity_texts(**columns):
    """The texts of entities of a source with these columns; the first id is in a triplet with itself."""
    first = columns["id"][0]
    return list(texts_of(graph_of(make_source([(first, "r", first)], columns, {"id": []})).entities).values())


@pytest.fixture
def read(monkeypatch):
    """Puts a source in the place of the file that is read."""

    def give(source):
        monkeypatch.setattr(importing, "read_source", lambda path, options: source)
        return source.path

    return give


def messages(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_entities_are_those_of_the_source_then_those_of_the_triplets_and_relations_those_in_use():
    graph = graph_of(make_source())
    assert graph.entities.ids == ["ex:mouse", "ex:cat", "ex:unused", "ex:Animal", "ex:dog"]
    assert graph.relations.ids == ["ex:eats", "ex:isA"]
    names = [
        tuple(
            vocabulary.ids[number]
            for vocabulary, number in zip((graph.entities, graph.relations, graph.entities), row, strict=True)
        )
        for row in graph["train"].triplets
    ]
    assert names == TRIPLETS


def test_a_text_is_name_and_description_or_name_and_category_or_words_of_the_id():
    graph = graph_of(make_source())
    assert texts_of(graph.entities) == {
        "ex:mouse": "mouse, small rodent",
        "ex:cat": "cat, a small animal that purrs",
        "ex:unused": "unused, pet",
        "ex:Animal": "animal",
        "ex:dog": "dog",
    }
    assert texts_of(graph.relations) == {"ex:eats": "feeds on", "ex:isA": "is a"}


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"name": ["cat"]}, "cat"),
        ({"name": ["cat"], "description": ["cat"]}, "cat"),
        ({"name": ["cat"], "description": [" \t "]}, "cat"),
        ({"name": [" "], "description": ["it purrs"]}, "small cat, it purrs"),
        ({"name": ["cat"], "description": ["it purrs"], "category": ["Pet"]}, "cat, it purrs"),
        ({"category": ["biolink:SmallMolecule;biolink:Thing"]}, "small cat, small molecule"),
        ({"name": ["a\r\nb\x00c\u2028d  e\xa0"]}, "a b c d e"),
        ({"name": ["قطة 🐈"]}, "قطة 🐈"),
        ({}, "small cat"),
    ],
)
def test_the_parts_of_a_text_that_are_missing_are_left_out(columns, text):
    assert entity_texts(id=["ex:SmallCat"], **columns) == [text]


@pytest.mark.parametrize(
    ("id", "text"),
    [
        ("plain_id", "plain id"),
        ("McDonald", "McDonald"),
        ("http://example.org/things#SmallCat", "small cat"),
        ("GO:0008150", "GO:0008150"),
        ("a: b", "a: b"),
    ],
)
def test_words_are_made_of_what_is_an_iri_or_a_prefixed_name(id, text):
    assert entity_texts(id=[id]) == [text]


@pytest.mark.parametrize(("name", "text"), [("domainIncludes", "domain includes"), ("has domain", "has domain")])
def test_a_relations_name_that_only_repeats_its_id_becomes_words(name, text):
    row = {"id": ["schema:domainIncludes"], "name": [name]}
    assert graph_of(make_source([("a", row["id"][0], "b")], relations=row)).relations.texts == [text]


def test_what_the_texts_are_made_of_is_counted():
    (_, counts) = to_graph_parts(make_source())
    assert (counts.named, counts.described, counts.only_category, counts.only_id) == (2, 1, 1, 2)
    assert counts.example == "ex:Animal"


def test_splits_and_labels_of_a_source_are_kept_and_empty_splits_are_none():
    splits = {"train": named_triplets(TRIPLETS), "test": named_triplets(TRIPLETS[:2], [1, 0])}
    graph = graph_of(make_source(splits=splits))
    assert graph["test"].labels.tolist() == [1, 0]
    assert (graph["test"].triplets == graph["train"].triplets[:2]).all()
    empty = named_triplets(TRIPLETS)
    empty.codes = empty.codes[:0]
    assert list(graph_of(make_source(splits={**splits, "test": empty})).splits) == ["train"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"triplets": []}, r"pets\.ttl: no triplets \(Turtle\)"),
        ({"entities": {"id": ["a", "a"]}}, r"pets\.ttl: entities, number 0: a second one has the id 'a'"),
    ],
)
def test_a_source_that_makes_no_graph_is_one_line(change, fault):
    with pytest.raises(GraphError, match=fault):
        to_graph_parts(make_source(**change))


# Files


def test_from_file_gives_the_graph_and_says_in_a_line_what_was_left_out(read, caplog):
    source = make_source(files=[Path("pets.ttl")])
    with caplog.at_level(logging.INFO, logger="lass_hf"):
        graph = KnowledgeGraph.from_file(read(source))
    assert_same_graph(graph, graph_of(source))
    assert messages(caplog) == [
        (
            "WARNING",
            "pets.ttl: Turtle, 5 entities, 2 relations, 4 triplets; 12 statements or values left out: "
            "lass-hf import shows them",
        ),
        ("WARNING", "pets.ttl: 2 of 5 entities have no text, such as 'ex:Animal': their ids stand in for it"),
    ]


def test_nothing_is_said_aloud_of_a_file_that_was_read_as_a_whole(read, caplog):
    entities = {"id": ["ex:cat", "ex:mouse", "ex:Animal", "ex:dog"], "name": ["cat", "mouse", "animal", "dog"]}
    with caplog.at_level(logging.INFO, logger="lass_hf"):
        KnowledgeGraph.from_file(read(make_source(entities=entities, left_out=[])))
    assert messages(caplog) == [("INFO", "pets.ttl: Turtle, 4 entities, 2 relations, 4 triplets")]


def test_a_graph_of_ids_alone_is_warned_of_with_what_it_costs(read, caplog):
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        KnowledgeGraph.from_file(read(make_source(entities={"id": []}, left_out=[])))
    ((_, message),) = messages(caplog)
    assert message.startswith("pets.ttl: 4 of 4 entities have no text, such as 'ex:cat'")
    assert "learns little from words: give names (name_of, or a table of nodes)" in message


def test_options_reach_the_reader(monkeypatch):
    given = []
    monkeypatch.setattr(importing, "read_source", lambda path, options: given.append(options) or make_source())
    KnowledgeGraph.from_file("pets.ttl", relations=["isA"], language="en")
    assert given == [ReadingOptions(relations=("isA",), language="en")]
    with pytest.raises(TypeError, match="langauge"):
        KnowledgeGraph.from_file("pets.ttl", langauge="en")


def test_a_folder_of_text_files_is_a_graph_already_which_options_do_not_change(graph_folder, graph):
    assert_same_graph(KnowledgeGraph.from_file(graph_folder), graph)
    imported = import_graph(graph_folder)
    assert_same_graph(imported.graph, graph)
    assert (imported.source, imported.texts) == (None, None)
    for load in (import_graph, lambda path, options: KnowledgeGraph.from_file(path, relations=["eats"])):
        with pytest.raises(GraphError, match="relations means nothing for a graph that is one already"):
            load(graph_folder, ReadingOptions(relations=("eats",)))


def test_look_alike_ids_of_a_source_are_two_and_said(read, caplog):
    rows = [("caf\xe9", "r", "b"), ("cafe\u0301", "r", "b")]
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        assert len(KnowledgeGraph.from_file(read(make_source(rows, {"id": []}, RELATIONS))).entities) == 3
    assert "look like another one" in messages(caplog)[-1][1]


def test_a_listed_entity_keeps_its_place_whatever_the_triplets_use():
    entities = {**ENTITIES, "id": list(reversed(ENTITIES["id"]))}
    assert graph_of(make_source(entities=entities)).entities.ids[:3] == ["ex:unused", "ex:cat", "ex:mouse"]


ANY_TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(texts=st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_the_texts_of_a_source_are_the_same_in_memory_and_after_the_folder(texts, tmp_path_factory):
    ids = [f"ex:id{number}" for number in range(len(texts))]
    columns = dict(zip(("name", "description", "category"), map(list, zip(*texts, strict=True)), strict=True))
    graph = graph_of(
        make_source([(ids[0], "r", ids[-1])], {"id": ids, **columns}, {"id": ["r"], "name": [texts[0][0]]})
    )
    folder = tmp_path_factory.getbasetemp() / "any_source"
    graph.save_directory(folder)
    assert_same_graph(KnowledgeGraph.from_directory(folder), graph)


# Objects


def test_pandas_and_networkx_objects_are_the_same_graph_as_their_file(tmp_path, caplog):
    pandas, networkx = pytest.importorskip("pandas"), pytest.importorskip("networkx")
    edges = pandas.DataFrame({"head": ["cat", "dog"], "relation": ["is_a", "is_a"], "tail": ["animal", "animal"]})
    nodes = pandas.DataFrame({"id": ["cat", "dog", "animal"], "name": ["a cat", "a dog", "an animal"]})
    edges.to_csv(tmp_path / "edges.csv", index=False)
    nodes.to_csv(tmp_path / "nodes.csv", index=False)
    expected = KnowledgeGraph.from_file(tmp_path)
    assert expected.entities.texts == ["a cat", "a dog", "an animal"]
    assert_same_graph(KnowledgeGraph.from_pandas(edges, nodes), expected)
    graph = networkx.DiGraph()
    graph.add_nodes_from((row.id, {"name": row.name_}) for row in nodes.rename(columns={"name": "name_"}).itertuples())
    graph.add_edges_from((row.head, row.tail, {"relation": row.relation}) for row in edges.itertuples())
    assert_same_graph(KnowledgeGraph.from_networkx(graph), expected)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        assert len(KnowledgeGraph.from_pandas(edges.rename(columns={"head": "who"}), head_column="who")["train"]) == 2
        assert "3 of 3 entities have no text" in messages(caplog)[-1][1]
        KnowledgeGraph.from_pandas(edges.assign(weight=[1, 2]), nodes)
    assert messages(caplog)[-1][1].endswith("2 statements or values left out: 2 values of column weight of edges")
