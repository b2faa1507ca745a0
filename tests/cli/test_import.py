"""`lass-hf import`: from files of other formats to a folder, a report and a summary in words."""

import builtins
import os

import pytest
from helpers.command_line import content_of, run
from helpers.imports import make_source
from helpers.tiny import TRAIN, assert_same_graph

from lass_hf import KnowledgeGraph
from lass_hf.graphs import importing
from lass_hf.graphs.import_files import read_source_record
from lass_hf.graphs.loading import load_graph

EDGES = 'subject,predicate,object,note\ncat,is_a,animal,x\n"big, red dog",is_a,animal,\ncat,eats,mouse,y\n'
NODES = "id,name,description\ncat,Cat,it purrs\nanimal,Animal,\nmouse,Mouse,a rodent\nunused,Unused,\n"
TURTLE = """@prefix ex: <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
ex:cat ex:eats ex:mouse ; rdfs:label "cat"@en ; rdfs:comment "it purrs"@en ; ex:age 7 .
ex:mouse rdfs:label "mouse"@en .
"""


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "edges.csv").write_text(EDGES)
    (folder / "nodes.csv").write_text(NODES)
    return folder


def texts_of(graph):
    return dict(zip(graph.entities.ids, graph.entities.texts, strict=True))


def test_tables_become_a_folder_with_report_and_record(tables, tmp_path, capsys):
    output, results = tmp_path / "my_graph", tmp_path / "results.json"
    assert run("import", tables, "--output", output, "--json", results) == 0
    graph = KnowledgeGraph.from_directory(output)
    assert texts_of(graph) == {
        "cat": "Cat, it purrs",
        "animal": "Animal",
        "mouse": "Mouse, a rodent",
        "unused": "Unused",
        "big, red dog": "big, red dog",
    }
    assert (graph.num_relations, len(graph["train"])) == (2, 3)
    assert content_of(results)["metrics"] == content_of(output / "import_report.json")
    assert content_of(results)["metrics"]["entities"]["only_id"] == 1
    assert {os.path.basename(file["path"]) for file in read_source_record(output).files} == {"edges.csv", "nodes.csv"}
    out = capsys.readouterr().out
    assert f"{output}: 5 entities, 2 relations; triplets: 3 train" in out
    assert "         2  is a  Cat, it purrs — is a — Animal" in out
    assert out.endswith(
        f"\nNext\n  lass-hf info --graph {output}\n  lass-hf train --graph {output} --output_dir runs/model\n"
        f"  lass-hf complete --graph {output} --output runs/links\n"
    )
    assert "Nothing would make results wrong, as far as this can be seen.\n" in out


def test_an_import_is_the_graph_that_from_file_reads_and_that_graph_accepts(tables, tmp_path):
    assert run("import", tables, "--output", tmp_path / "out", "--quiet") == 0
    graph = KnowledgeGraph.from_directory(tmp_path / "out")
    assert_same_graph(KnowledgeGraph.from_file(tables), graph)
    assert_same_graph(load_graph(tables), graph)


def test_a_turtle_file_is_imported(tmp_path, capsys):
    pytest.importorskip("pyoxigraph")
    (tmp_path / "pets.ttl").write_text(TURTLE)
    assert run("import", tmp_path / "pets.ttl", "--output", tmp_path / "out") == 0
    assert list(texts_of(KnowledgeGraph.from_directory(tmp_path / "out")).values()) == ["cat, it purrs", "mouse"]
    assert read_source_record(tmp_path / "out").prefixes["ex"] == "http://example.org/"
    assert "Left out" in capsys.readouterr().out


def test_options_choose_what_is_read(tables, tmp_path):
    arguments = ("import", tables, "--output", tmp_path / "out", "--quiet", "--relations")
    assert run(*arguments, "is_a") == 0
    assert KnowledgeGraph.from_directory(tmp_path / "out").relations.ids == ["is_a"]
    assert run(*arguments, "is_a, eats", "--limit", "1") == 0
    assert len(KnowledgeGraph.from_directory(tmp_path / "out")["train"]) == 1
    assert read_source_record(tmp_path / "out").options == {"relations": ["is_a", "eats"], "limit": 1}


def test_columns_may_be_named(tmp_path):
    (tmp_path / "facts.csv").write_text("wer,was,wen\ncat,eats,mouse\n")
    columns = ("--head_column", "wer", "--relation_column", "was", "--tail_column", "wen")
    assert run("import", tmp_path / "facts.csv", "--output", tmp_path / "out", "--quiet", *columns) == 0
    graph = KnowledgeGraph.from_directory(tmp_path / "out")
    assert (graph.entities.ids, graph.relations.ids) == (["cat", "mouse"], ["eats"])


def test_a_graph_of_any_name_is_imported(graph_folder, graph, tmp_path, capsys):
    assert run("import", graph_folder, "--output", tmp_path / "out") == 0
    assert_same_graph(KnowledgeGraph.from_directory(tmp_path / "out"), graph)
    assert run("import", "countries", "--output", tmp_path / "other") == 0
    assert_same_graph(KnowledgeGraph.from_directory(tmp_path / "other"), load_graph("countries"))
    assert "countries: graph" in capsys.readouterr().out


@pytest.mark.parametrize("second", ["out", "next"])
def test_an_import_of_what_an_import_made_keeps_the_record_of_the_source(second, tables, tmp_path):
    assert run("import", tables, "--output", tmp_path / "out", "--quiet") == 0
    record = read_source_record(tmp_path / "out")
    assert record.files
    assert run("import", tmp_path / "out", "--output", tmp_path / second, "--validation", 1, "--quiet") == 0
    assert (tmp_path / second / "dev.tsv").is_file()
    assert read_source_record(tmp_path / second) == record


def test_the_summary_tells_in_words_what_became_of_everything(tmp_path, capsys, monkeypatch):
    source = make_source(notes=["owl:imports are not fetched"])
    monkeypatch.setattr(importing, "read_source", lambda path, options: source)
    (tmp_path / "pets.ttl").write_text("")
    assert run("import", tmp_path / "pets.ttl", "--output", tmp_path / "out") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        f"{tmp_path}/pets.ttl: Turtle",
        "3 is a cat, a small animal that purrs — is a — animal",
        "1 feeds on cat, a small animal that purrs — feeds on — mouse, small rodent",
        "2 have a name",
        "1 have a description",
        "1 have a category only",
        "2 have nothing but their id, such as ex:Animal",
        "1 are in no triplet",
        "11 characters in the median; 95 % have at most 27, the longest 30",
        "12 literals of ex:age, such as ex:cat ex:age 7",
        "-> numbers are no entities",
        "- owl:imports are not fetched",
    ):
        assert line in lines


def test_what_may_be_wrong_is_in_report_and_summary_and_said_once(tmp_path, capsys, caplog):
    rows = ["head,relation,tail", "cat,is_a,animal", "Caf\xe9,is_a,animal", "Cafe\u0301,is_a,animal", "cat,eats,cat"]
    (tmp_path / "facts.csv").write_text("\n".join(rows), encoding="utf-8")
    assert run("import", tmp_path / "facts.csv", "--output", tmp_path / "out") == 0
    assert not caplog.records
    out, found = capsys.readouterr().out, content_of(tmp_path / "out" / "import_report.json")["findings"]
    assert {one["severity"] for one in found} == {"wrong", "doubtful", "fact"}
    for one in found:
        assert out.count(one["what"]) == (one["severity"] != "fact"), one["kind"]
    assert run("info", "--graph", tmp_path / "out", "--json", tmp_path / "info.json", "--quiet") == 0
    assert content_of(tmp_path / "info.json")["metrics"]["findings"] == found


def test_names_in_the_summary_cannot_write_to_the_terminal(tmp_path, capsys):
    (tmp_path / "facts.csv").write_text("head,relation,tail\na\x1b[31m,r\u202es,b\n", encoding="utf-8")
    assert run("import", tmp_path / "facts.csv", "--output", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert r"\x1b" in out


def test_quiet_prints_nothing(tables, tmp_path, capsys):
    assert run("import", tables, "--output", tmp_path / "out", "--quiet") == 0
    assert run("info", "--graph", tables, "--quiet") == 0
    assert capsys.readouterr().err == ""


# Bad input


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--relations", "likes"], "likes"),
        (["--relations", ","], "',' holds no name"),
        (["--limit", "0"], "'0' is not a positive integer"),
        (["--include", "everything"], "include='everything'; expected some of literals"),
        (["--language", "en"], "language"),
        (["--head_column", "who"], "who"),
        (["--seed", "3"], "give --validation or --test, too"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_written(tables, tmp_path, bad_input, arguments, fault):
    assert fault in bad_input("import", tables, "--output", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_options_for_a_graph_that_is_one_already_are_refused(tmp_path, bad_input):
    line = bad_input("import", "countries", "--output", tmp_path / "out", "--limit", "3")
    assert "countries: limit means nothing for a graph that is one already" in line


def test_sources_that_are_none_are_one_line(tmp_path, bad_input):
    assert "no such folder" in bad_input("import", tmp_path / "nowhere.ttl", "--output", tmp_path / "out")
    assert "known are countries" in bad_input("import", "nowhere", "--output", tmp_path / "out")
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in bad_input("import", tmp_path / "empty.csv", "--output", tmp_path / "out")


def test_a_split_is_not_lost_by_an_import_into_its_folder(graph_folder, tmp_path, bad_input):
    output = tmp_path / "my_graph"
    assert run("import", graph_folder / "train.tsv", "--output", output, "--test", 2, "--quiet") == 0
    before = (output / "test.tsv").read_bytes()
    assert "test.tsv would be lost" in bad_input("import", graph_folder / "train.tsv", "--output", output)
    assert (output / "test.tsv").read_bytes() == before
    assert run("import", graph_folder / "train.tsv", "--output", output, "--test", 1, "--quiet") == 0


def test_a_folder_that_no_import_made_is_not_touched(tables, graph_folder, tmp_path, bad_input):
    KnowledgeGraph.from_triplets(TRAIN).save_directory(tmp_path / "mine")
    line = bad_input("import", tables, "--output", tmp_path / "mine")
    assert "it holds entity2text.txt, and no import made it; name a new folder" in line
    assert len(KnowledgeGraph.from_directory(tmp_path / "mine")["train"]) == len(TRAIN)


@pytest.mark.parametrize(("file", "module", "extra"), [("x.ttl", "pyoxigraph", "rdf"), ("x.obo", "fastobo", "obo")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, bad_input, file, module, extra):
    content = {"x.ttl": TURTLE, "x.obo": "format-version: 1.2\n\n[Term]\nid: X:1\nname: x\n"}[file]
    (tmp_path / file).write_text(content)
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    line = bad_input("import", tmp_path / file, "--output", tmp_path / "out")
    assert f'pip install "lass-hf[{extra}]"' in line
