"""Folders of text files: written and read back as the same graph, and the layouts that benchmarks come in."""

import json
import logging
import os
from pathlib import Path

import pytest
from helpers.tiny import FALSE, TRAIN, assert_same_graph
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.core.vocabulary import BLANKS
from lass_hf.graphs import text_folder

DATA = os.environ.get("LASS_DATA_DIR")
FILES = ["dev.tsv", "entity2text.txt", "relation2text.txt", "test.tsv", "train.tsv"]


def write(folder, **files):
    """Writes files; a suffix is written as `__txt`."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return folder


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


# Writing

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\t"), min_size=1).filter(
    lambda text: text.strip(BLANKS).strip()
)


@st.composite
def graphs(draw):
    entities = draw(st.dictionaries(TEXTS.map(lambda text: text.strip(BLANKS)), TEXTS, min_size=1, max_size=5))
    relations = draw(st.dictionaries(TEXTS.map(lambda text: text.strip(BLANKS)), TEXTS, min_size=1, max_size=3))
    entity, relation = st.sampled_from(sorted(entities)), st.sampled_from(sorted(relations))
    row = st.tuples(entity, relation, entity)
    labeled = st.tuples(entity, relation, entity, st.sampled_from([0, 1]))
    return KnowledgeGraph.from_triplets(
        draw(st.lists(row, min_size=1, max_size=6)),
        draw(st.none() | st.lists(labeled, min_size=1, max_size=4)),
        draw(st.none() | st.lists(row, min_size=1, max_size=4)),
        entity_text=entities,
        relation_text=relations,
    )


@given(graph=graphs())
@example(graph=KnowledgeGraph.from_triplets([('"a', "r\r.", "b\u2028c"), ("#", "r\r.", "=1+1")]))
@settings(max_examples=20, deadline=None)
def test_a_graph_is_the_same_after_its_folder(graph, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "any_graph"
    graph.save_directory(folder)
    assert_same_graph(KnowledgeGraph.from_directory(folder), graph)


def test_a_folder_is_replaced_as_a_whole_but_not_one_with_other_files(tmp_path, graph):
    folder = tmp_path / "new" / "graph"
    graph.save_directory(folder)
    assert sorted(os.listdir(folder)) == FILES
    smaller = KnowledgeGraph.from_triplets(TRAIN[:2])
    smaller.save_directory(folder)
    assert sorted(os.listdir(folder)) == ["entity2text.txt", "relation2text.txt", "train.tsv"]
    (folder / "notes.md").write_text("mine")
    with pytest.raises(GraphError, match=r"graph: it holds notes\.md, which would be lost; name a new folder"):
        graph.save_directory(folder)
    assert_same_graph(KnowledgeGraph.from_directory(folder), smaller)
    assert os.listdir(folder.parent) == ["graph"]


def test_a_disk_that_fills_up_leaves_the_folder_as_it_was(tmp_path, graph, monkeypatch):
    graph.save_directory(tmp_path / "graph")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(text_folder, "write_table", full)
    with pytest.raises(GraphError, match=r"graph: cannot be written \(No space left on device\)"):
        KnowledgeGraph.from_triplets(TRAIN[:2]).save_directory(tmp_path / "graph")
    assert os.listdir(tmp_path) == ["graph"]
    assert_same_graph(KnowledgeGraph.from_directory(tmp_path / "graph"), graph)


@pytest.mark.parametrize("id", ["a\tb", "a\nb", "a\0b"])
@pytest.mark.parametrize("kind", ["entities", "relations"])
def test_an_id_that_a_line_cannot_hold_is_refused_by_name(tmp_path, kind, id):
    row = ("x", id, "y") if kind == "relations" else ("x", "r", id)
    with pytest.raises(GraphError) as caught:
        KnowledgeGraph.from_triplets([row]).save_directory(tmp_path / "graph")
    assert str(caught.value).startswith(f"{kind}: the id {id!r} has a tab, newline or NUL character")
    assert os.listdir(tmp_path) == []


def test_a_newline_in_a_text_becomes_a_space_and_is_said(tmp_path, caplog):
    texts = {"a": "one\n\ttwo", "b": "three"}
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text=texts)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        graph.save_directory(tmp_path / "graph")
    assert KnowledgeGraph.from_directory(tmp_path / "graph").entities.texts == ["one  two", "three"]
    (message,) = messages(caplog)
    assert "1 texts of entities hold newlines or tabs, which are written as spaces" in message


def test_a_graph_without_triplets_is_not_written(tmp_path, graph):
    nothing = KnowledgeGraph(graph.entities, graph.relations, {})
    with pytest.raises(GraphError, match="has no triplets"):
        nothing.save_directory(tmp_path / "graph")
    assert os.listdir(tmp_path) == []


# Layouts of benchmarks


def lines(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def test_false_triplets_may_have_a_file_of_their_own(tmp_path, caplog):
    true = TRAIN[:2]
    write(
        tmp_path, train__txt=lines(TRAIN), test__txt=lines(true), test_pos__txt=lines(true), test_neg__txt=lines(FALSE)
    )
    write(tmp_path, valid_pos__tsv=lines(true), valid_neg__tsv=lines(FALSE))
    write(tmp_path, o_test_neg__txt=lines(FALSE), o_test_pos__txt=lines(true))
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        graph = KnowledgeGraph.from_directory(tmp_path)
    expected = [[*row, "1"] for row in true] + [[*row, "0"] for row in FALSE]
    assert_same_graph(graph, KnowledgeGraph.from_triplets(TRAIN, expected, expected))
    (message,) = messages(caplog)
    assert message == f"{tmp_path}: left out o_test_neg.txt and 1 more of the kind, which belong to no split"


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"test_pos__txt": "a\tr\ta\n"}, "test.txt and test_pos.txt differ, and are the same split; keep one"),
        ({"valid_neg__txt": "a\tr\ta\n"}, "valid_neg.txt: false triplets of a split without true ones"),
        ({"test_neg__txt": "a\tr\ta\t0\n"}, "test_neg.txt, line 1: 4 columns; expected 3"),
        ({"test_neg__txt": "a\tr\n"}, "test_neg.txt, line 1: 2 tab-separated"),
        ({"entity2name__txt": "a\tx\n", "entity2label__txt": "a\tx\n"}, "are the same texts; keep one"),
        ({"relation2label__json": '{"r": 7}'}, "relation2label.json: the text of 'r' is 7; expected a text"),
        ({"relation2label__json": '["r"]'}, "relation2label.json: not a JSON object of ids and texts"),
        ({"entity2label__txt": "id\tname\na\tb\n"}, "entity2label.txt, line 1: a header (id, name)"),
    ],
)
def test_files_that_do_not_go_together_are_one_line(tmp_path, files, fault):
    write(tmp_path, train__txt="a\tr\tb\n", test__txt="b\tr\ta\n", **files)
    with pytest.raises(GraphError) as caught:
        KnowledgeGraph.from_directory(tmp_path)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_and_definitions_may_be_apart_and_relations_in_json(tmp_path, caplog):
    write(
        tmp_path, train__txt="Q1\tP1\tQ_2\nQ3\tP2\tQ1\n", relation2label__json=json.dumps({"P9": "x", "P1": " is  a"})
    )
    write(tmp_path, entity2label__txt="Q1\tone\nQ3\tthree\n", entity2definition__txt="Q_2\tit is even\nQ1\ta number\n")
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        graph = KnowledgeGraph.from_directory(tmp_path)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == {
        "Q1": "one, a number",
        "Q3": "three",
        "Q_2": "Q 2, it is even",
    }
    assert dict(zip(graph.relations.ids, graph.relations.texts, strict=True)) == {"P1": "is a", "P2": "P2"}
    (message,) = messages(caplog)
    assert message.startswith(f"{tmp_path / 'relation2label.json'}: no text for 'P2', which the triplets use: words of")


def test_a_folder_without_triplets_names_what_it_has_and_what_reads_it(tmp_path):
    write(tmp_path, nodes__csv="id\n", edges__csv="a\n")
    with pytest.raises(GraphError, match=r"which holds edges\.csv, nodes\.csv; .* lass-hf import reads other formats"):
        KnowledgeGraph.from_directory(tmp_path)


@pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")
def test_wiki27k_has_labels_names_and_definitions():
    graph = KnowledgeGraph.from_directory(Path(DATA, "formats", "wiki27k"))
    assert (graph.num_relations, len(graph["train"])) == (62, 74_793)
    for name, count in (("validation", 10_121), ("test", 10_122)):
        assert graph[name].labels.tolist() == [1] * count + [0] * count
    assert "DuckTales, American animated television series from 1987" in graph.entities.texts
