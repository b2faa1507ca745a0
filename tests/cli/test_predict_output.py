"""`lass-hf predict --output`: predictions as files, in any format, with what they depend on."""

import json
from pathlib import Path

import pytest
from helpers.command_line import content_of, run
from helpers.kills import contents
from helpers.tiny import make_model, make_processor

from lass_hf import KnowledgeGraph, LassPredictor
from lass_hf.utils.fingerprints import graph_fingerprint
from lass_hf.writers.file_formats import FORMATS
from lass_hf.writers.tables import read_judged_triplets


@pytest.fixture
def folder(model_copy):
    """A saved model with a threshold and a Platt scaling, which labels every triplet true."""
    make_model(calibration={"threshold": -100.0, "slope": 0.5, "intercept": 0.25}).save_pretrained(model_copy)
    return model_copy


@pytest.mark.parametrize("slot", ["head", "relation", "tail"])
def test_the_file_has_what_json_has_and_the_names_of_the_query(slot, folder, graph, tmp_path):
    names = {"head": "cat", "relation": "eats", "tail": "food"}
    given = [part for name, value in names.items() if name != slot for part in (f"--{name}", value)]
    files = ["--json", tmp_path / "p.json", "--output", tmp_path / "new" / "p.tsv"]
    assert run("predict", "--model", folder, *given, "--include_known", "--top_k", 3, "--quiet", *files) == 0
    rows, metadata = read_judged_triplets(tmp_path / "new" / "p.tsv")
    predictions = content_of(tmp_path / "p.json")["predictions"]
    assert rows[slot].to_pylist() == [row["id"] for row in predictions]
    assert rows[f"{slot}_text"].to_pylist() == [row["text"] for row in predictions]
    for name in ("score", "probability", "known"):
        assert rows[name].to_pylist() == pytest.approx([row[name] for row in predictions], rel=1e-6)
    assert rows["rank"].to_pylist() == list(range(1, len(predictions) + 1))
    assert set(rows["label"].to_pylist()) == {True}
    for name in names.keys() - {slot}:
        vocabulary = graph.relations if name == "relation" else graph.entities
        assert set(rows[name].to_pylist()) == {names[name]}
        assert set(rows[f"{name}_text"].to_pylist()) == {vocabulary.texts[vocabulary.index[names[name]]]}
    assert (metadata.model, metadata.graph, metadata.model_revision) == (str(folder), None, None)
    assert metadata.graph_digest == graph_fingerprint(graph)
    assert metadata.settings["query"] == names | {slot: None}
    assert metadata.settings["top_k"] == 3
    assert ("evidence" in metadata.settings) == ("rerank" in metadata.settings) == (slot != "relation")


def test_a_text_of_the_query_becomes_the_id(folder, graph, tmp_path):
    text = graph.entities.texts[graph.entities.index["cat"]]
    question = ["--head", text, "--relation", "eats", "--quiet"]
    assert run("predict", "--model", folder, *question, "--output", tmp_path / "p.csv") == 0
    rows, _ = read_judged_triplets(tmp_path / "p.csv")
    assert set(rows["head"].to_pylist()) == {"cat"}


def test_ids_go_back_into_the_form_of_the_source(tmp_path, monkeypatch):
    pytest.importorskip("pyoxigraph")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.ttl").write_text(
        "@prefix ex: <http://example.org/pets#> . ex:cat ex:eats ex:mouse . ex:dog ex:eats ex:food ."
    )
    assert run("import", "pets.ttl", "--output", "pets", "--quiet") == 0
    make_model().save_pretrained("model")
    make_processor(KnowledgeGraph.from_directory("pets")).save_pretrained("model")
    question = ["--head", "ex:cat", "--relation", "ex:eats", "--tail", "ex:food", "--quiet", "--output", "judged.nt"]
    for graph in ("pets", "pets.ttl"):
        assert run("predict", "--model", "model", "--graph", graph, *question) == 0
        assert "#subject> <http://example.org/pets#cat> ." in (tmp_path / "judged.nt").read_text()
        (tmp_path / "judged.nt").unlink()


@pytest.mark.parametrize("name", ["train.tsv", "entity2text.txt"])
def test_predictions_never_overwrite_the_files_of_a_graph_folder(name, folder, graph, tmp_path, bad_input, monkeypatch):
    graph.save_directory(tmp_path / "graph")
    file = tmp_path / "graph" / name
    before = file.read_bytes()
    question = ["predict", "--model", folder, "--graph", tmp_path / "graph", "--head", "cat", "--relation", "eats"]
    with monkeypatch.context() as patch:
        patch.delattr(LassPredictor, "complete")  # it is an error before the work
        line = bad_input(*question, "--quiet", "--output_format", "jsonl", "--output", file)
    assert f"{file}: the graph's own source, which would be overwritten; name another file" in line
    assert file.read_bytes() == before
    other = tmp_path / "graph" / "predictions.jsonl"
    for _ in range(2):  # its own file of before is overwritten
        assert run(*question, "--quiet", "--output", other) == 0


@pytest.mark.parametrize("name", ["train.tsv", "relation2text.txt", "source.json", "valid.txt"])
def test_predictions_never_overwrite_or_join_a_graph_folder_that_is_not_given(name, folder, graph, tmp_path, bad_input):
    """A model does not know the folder of its graph."""
    made = tmp_path / "graph"
    graph.save_directory(made)
    (made / "source.json").write_text("{}")
    (tmp_path / "link.jsonl").symlink_to(made / name)
    before = contents(made)
    question = ["predict", "--model", folder, "--head", "cat", "--relation", "eats", "--quiet"]
    for file in (made / name, tmp_path / "link.jsonl"):
        for options in (["--output_format", "jsonl", "--output", file], ["--json", file]):
            line = bad_input(*question, *options)
            assert f"{file}: named as a file of a graph folder, " in line
            assert line.endswith("; name another file")
    assert contents(made) == before
    (tmp_path / "other").mkdir()
    assert run(*question, "--output_format", "jsonl", "--output", tmp_path / "other" / name) == 0


def test_predictions_never_overwrite_the_files_of_the_model(model_copy, bad_input):
    file = Path(model_copy, "config.json")
    before = file.read_bytes()
    question = ["predict", "--model", model_copy, "--head", "cat", "--relation", "eats", "--quiet"]
    line = bad_input(*question, "--output_format", "jsonl", "--output", file)
    assert f"{file}: a file of {model_copy} itself, which would be overwritten; name another file" in line
    assert file.read_bytes() == before


def test_predictions_and_results_are_two_files(folder, tmp_path, bad_input):
    question = ["predict", "--model", folder, "--head", "cat", "--relation", "eats", "--quiet"]
    file = tmp_path / "p.jsonl"
    line = bad_input(*question, "--output", file, "--json", tmp_path / "." / "p.jsonl")
    assert line.endswith(f"{file}: --json and --output are one file; name two")
    file = tmp_path / "p.tsv.metadata.json"
    line = bad_input(*question, "--output", tmp_path / "p.tsv", "--json", file)
    assert line.endswith(f"{file}: where --output has its metadata; name another file for --json")


def test_a_verdict_is_one_row(folder, tmp_path):
    question = ["--head_text", "=1+1, a new one", "--relation", "eats", "--tail", "food", "--quiet"]
    assert run("predict", "--model", folder, *question, "--output", tmp_path / "p.jsonl") == 0
    row = json.loads((tmp_path / "p.jsonl").read_text())
    assert (row["head"], row["relation"], row["tail"], row["rank"]) == ("=1+1, a new one", "eats", "food", None)
    assert row["label"] is True
    assert read_judged_triplets(tmp_path / "p.jsonl")[1].settings.keys() == {"query", "dtype", "long_text"}
    assert 0 <= row["probability"] <= 1


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_for_a_whole_triplet(format, folder, tmp_path, capsys):
    question = ["--head", "cat", "--relation", "eats", "--tail", "food", "--quiet"]
    code = run("predict", "--model", folder, *question, "--output", tmp_path / "out", "--output_format", format)
    if format == "sssom":
        assert code == 2
        assert "write the others in another format" in capsys.readouterr().err
    else:
        assert code == 0
        assert (tmp_path / "out").stat().st_size


def test_what_is_left_out_is_said(model_copy, tmp_path, capsys):
    make_model().save_pretrained(model_copy)  # without a threshold, which an earlier test may have fitted
    question = ["--head", "cat", "--relation", "eats", "--top_k", 2, "--quiet"]
    assert run("predict", "--model", model_copy, *question, "--output", tmp_path / "p.obo") == 2
    printed = capsys.readouterr()
    assert "none of the 2 triplets can be written" in printed.err
    assert len(printed.out.splitlines()) == 2  # the predictions, which took their time


def test_names_of_what_is_left_out_are_no_orders_to_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mapping, other = "http://www.w3.org/2004/02/skos/core#exactMatch", "eats\x1b[2J"
    graph = KnowledgeGraph.from_triplets([("a", mapping, "b"), ("a", other, "c")])
    make_model().save_pretrained("model")
    make_processor(graph).save_pretrained("model")
    question = ["--head", "a", "--tail", "b", "--include_known", "--quiet", "--output", "p.sssom.tsv"]
    capsys.readouterr()
    assert run("predict", "--model", "model", *question) == 0
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("p.sssom.tsv lacks 1 triplets of eats")
    assert "\x1b" not in said


def test_no_prediction_is_a_file_without_rows(tmp_path):
    processor = make_processor(KnowledgeGraph.from_triplets([("a", "r", "a"), ("a", "r", "b")]))
    make_model().save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    question = ["--head", "a", "--relation", "r", "--quiet", "--output", tmp_path / "p.tsv"]
    assert run("predict", "--model", tmp_path / "model", *question) == 0
    rows, metadata = read_judged_triplets(tmp_path / "p.tsv")
    assert len(rows) == 0
    assert metadata is not None


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (["--output", "p.xyz"], ["p.xyz: no ending of a known format", ".sssom.tsv"]),
        (["--output_format", "tsv"], ["--output_format needs --output"]),
        (["--output", "p.tsv", "--output_format", "word"], ["--output_format", "word"]),
        (["--output", "."], [".: no ending"]),
        (["--output", ".", "--output_format", "tsv"], [".: cannot be written"]),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(output, parts, tmp_path, monkeypatch, bad_input):
    monkeypatch.chdir(tmp_path)
    line = bad_input("predict", "--model", "no_model", "--head", "cat", "--relation", "eats", *output)
    assert all(part in line for part in parts)
    assert not list(tmp_path.iterdir())


def test_it_says_what_the_probability_means_where_there_is_one(folder, capsys):
    for tail in ([], ["--tail", "food"]):
        query = ["predict", "--model", folder, "--head", "cat", "--relation", "eats", *tail]
        assert run(*query) == 0
        assert "complete --check HEAD RELATION TAIL" in capsys.readouterr().out
        assert run(*query, "--quiet") == 0
        assert "--check" not in capsys.readouterr().out
