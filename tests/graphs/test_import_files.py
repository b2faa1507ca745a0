"""What an import leaves beside the graph: the folder, the report, and the record of the source."""

import dataclasses
import hashlib
import json
import os

import pytest
from helpers.imports import make_source, named_triplets
from helpers.tiny import assert_same_graph

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.graphs.import_files import (
    REPORT_FILE,
    SOURCE_FILE,
    SourceRecord,
    check_output,
    describe_import,
    read_source_record,
    write_import,
)
from lass_hf.graphs.importing import ImportedGraph, to_graph_parts
from lass_hf.names.source import ReadingOptions


def imported(source):
    parts, texts = to_graph_parts(source)
    return ImportedGraph(KnowledgeGraph(*parts), source, texts)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "pets.ttl").write_bytes(b"pets")
    return tmp_path / "pets.ttl"


@pytest.fixture
def written(file, tmp_path):
    """The folder of an import, and its report."""
    source = make_source(path=file)
    source.files.append(file)
    folder = tmp_path / "my_graph"
    return folder, write_import(imported(source), file, ReadingOptions(language="en"), folder)


def test_the_folder_is_the_graph_and_report_and_record_do_not_disturb(written):
    folder, report = written
    assert {*os.listdir(folder)} == {"train.tsv", "entity2text.txt", "relation2text.txt", REPORT_FILE, SOURCE_FILE}
    assert_same_graph(KnowledgeGraph.from_directory(folder), imported(make_source()).graph)
    assert json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")) == report


def test_the_record_names_file_digest_options_and_the_forms_of_the_source(written, file):
    record = read_source_record(written[0])
    digest = hashlib.sha256(b"pets").hexdigest()
    assert record.files == [{"path": str(file), "sha256": digest, "bytes": 4}]
    assert (record.path, record.format, record.options) == (str(file), "Turtle", {"language": "en"})
    assert record.prefixes == {"ex": "http://example.org/"}
    assert record.entities == {"ex:mouse": "http://example.org/mouse", "ex:cat": "http://example.org/cat"}
    assert record.relations == {"ex:eats": "http://example.org/eats"}
    assert record.date.endswith("+00:00")


def test_a_folder_that_no_import_made_has_no_record(graph_folder):
    assert read_source_record(graph_folder) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"entities": ["x"]}, "entities is of type list"),
        ({"entities": {"a": 7}}, "entities: 'a' is 7"),
        ({"prefixes": {"a": None}}, "prefixes: 'a' is None"),
        ({"format": None}, "format is of type NoneType"),
        (None, "No such file|Expecting|JSON"),
    ],
)
def test_a_damaged_record_is_one_line(written, change, fault):
    file = written[0] / SOURCE_FILE
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text("{" if change is None else json.dumps(content | change))
    with pytest.raises(GraphError, match=rf"source\.json: not the record of a source, .*\(.*({fault})") as caught:
        read_source_record(written[0])
    assert "\n" not in str(caught.value)


def test_a_key_that_is_missing_from_a_record_is_named(written):
    file = written[0] / SOURCE_FILE
    for field in dataclasses.fields(SourceRecord):
        content = json.loads(file.read_text(encoding="utf-8"))
        (written[0] / SOURCE_FILE).write_text(json.dumps({key: content[key] for key in content if key != field.name}))
        with pytest.raises(GraphError, match=f"no {field.name} in it"):
            read_source_record(written[0])
        file.write_text(json.dumps(content))


# The folder


def test_an_import_replaces_what_an_import_made(written):
    folder, _ = written
    write_import(imported(make_source(relations={"id": []})), "pets", ReadingOptions(), folder)
    assert read_source_record(folder).path == "pets"


@pytest.mark.parametrize("extra", ["train.tsv", "notes.md"])
def test_an_import_leaves_a_folder_alone_that_none_made(tmp_path, extra):
    (tmp_path / extra).write_text("mine")
    with pytest.raises(GraphError, match=rf"it holds {extra}, and no import made it; name a new folder"):
        write_import(imported(make_source()), "pets", ReadingOptions(), tmp_path)
    assert os.listdir(tmp_path) == [extra]


def test_files_beside_an_import_are_kept_by_refusing(written):
    (written[0] / "notes.md").write_text("mine")
    with pytest.raises(GraphError, match=r"it holds notes\.md"):
        check_output(written[0])
    with pytest.raises(GraphError, match="a file; expected a folder"):
        check_output(written[0] / "notes.md")


# The report


def test_the_report_counts_relations_texts_and_what_was_left_out():
    report = describe_import(imported(make_source(notes=["owl:imports are not fetched"])), "pets.ttl")
    assert report["triplets"] == {"train": 4}
    assert report["relations"] == [
        {
            "id": "ex:isA",
            "text": "is a",
            "triplets": 3,
            "example": ["cat, a small animal that purrs", "is a", "animal"],
        },
        {
            "id": "ex:eats",
            "text": "feeds on",
            "triplets": 1,
            "example": ["cat, a small animal that purrs", "feeds on", "mouse, small rodent"],
        },
    ]
    expected = {"count": 5, "in_no_triplet": 1, "named": 2, "described": 1, "only_category": 1, "only_id": 2}
    assert report["entities"] == {**expected, "example": "ex:Animal"}
    assert report["text_length"] == {"median": 11, "p95": 27, "longest": 30}
    assert report["left_out"][0]["count"] == 12
    assert report["notes"] == ["owl:imports are not fetched"]


def test_a_relation_whose_tails_are_ids_only_is_warned_of():
    rows = [(f"ex:thing{number}", relation, f"ex:page{number}") for number in range(30) for relation in ("r", "s")]
    names = {"id": [head for head, relation, _ in rows if relation == "r"], "name": ["a thing"] * 30}
    rows += [(f"ex:thing{number}", "s", "ex:thing1") for number in range(5)]
    report = describe_import(imported(make_source(rows, names)), "pets")
    (sentence,) = report["bare_relations"]
    assert sentence.startswith("30 of 30 tails of 'r' have no text")


def test_false_triplets_are_no_examples_of_a_relation():
    splits = {"train": named_triplets([("a", "r", "b"), ("b", "r", "a")], [0, 1])}
    (row,) = describe_import(imported(make_source(splits=splits, entities={"id": []})), "pets")["relations"]
    assert (row["triplets"], row["example"]) == (1, ["b", "r", "a"])


def test_a_graph_that_was_one_already_has_a_report_too(graph):
    report = describe_import(ImportedGraph(graph), "pets")
    assert (report["format"], report["entities"]) == ("graph", {"count": 10, "in_no_triplet": 0})
    assert report["left_out"] == report["bare_relations"] == []
