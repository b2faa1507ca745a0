"""`lass-hf compare`: the table, the files, and what is refused in one line."""

import sys

import pytest
from helpers.command_line import content_of, run
from helpers.embeddings import TableModel

from lass_hf.comparison.methods import EMBEDDINGS, METHODS
from lass_hf.core.errors import NonFiniteError


@pytest.fixture
def trainings(monkeypatch):
    return TableModel.instead_of_pykeen(monkeypatch)


def test_the_table_has_a_line_for_each_method_and_the_file_the_same_figures(
    trainings, model_folder, graph_folder, tmp_path, capsys
):
    asked = ("compare", "--graph", graph_folder, "--model", model_folder, "--json", tmp_path / "all.json")
    assert run(*asked, "--output", tmp_path / "out") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == [
        "method",
        "MRR",
        "Hits@1",
        "Hits@3",
        "Hits@10",
        "MR",
        "training",
        "s",
        "ranking",
        "s",
        "parameters",
    ]
    assert [line.split()[0].lower() for line in lines[1:]] == [*EMBEDDINGS, "rules", "ours"]
    assert len({len(line) for line in lines}) == 1
    content = content_of(tmp_path / "all.json")
    assert list(content["metrics"]) == list(METHODS)
    assert (content["task"], content["measured"], content["split"]) == ("comparison", "link_prediction", "test")
    assert content["choices"]["transe"]["source"] == "Bordes et al., 2013"
    mrr = content["metrics"]["transe"]["mrr"]
    assert f"{mrr:.4f}" in lines[1].split()
    assert content_of(tmp_path / "out" / "comparison.json")["metrics"] == content["metrics"]
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {*METHODS, "comparison"}
    assert f"1/{len(METHODS)} TransE" in captured.err
    assert len(trainings) == len(EMBEDDINGS)
    assert run(*asked, "--output", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert len(trainings) == len(EMBEDDINGS)


def test_a_labeled_graph_has_accuracies_and_quiet_prints_the_table_alone(trainings, labeled_folder, capsys):
    assert run("compare", "--graph", labeled_folder, "--methods", "TransE,rules", "--quiet") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("method  accuracy  per relation  ROC-AUC")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["TransE", "rules"]
    assert err == ""


def test_a_method_that_fails_is_named_below_the_table_and_the_others_are_written(
    graph_folder, tmp_path, monkeypatch, capsys
):
    TableModel.instead_of_pykeen(monkeypatch, fails={"NTN": NonFiniteError("NTN: the training diverged")})
    asked = ("compare", "--graph", graph_folder, "--methods", "ntn,transe", "--json", tmp_path / "all.json")
    assert run(*asked, "--quiet") == 2
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["method", "NTN", "TransE"]
    assert captured.err.splitlines() == ["lass-hf: error: no figures of NTN: the training diverged"]
    content = content_of(tmp_path / "all.json")
    assert content["metrics"]["ntn"] == {}
    assert content["metrics"]["transe"]["mrr"] > 0
    assert content["errors"] == {"ntn": "NTN: the training diverged"}


def test_without_a_model_the_default_is_every_other_method(trainings, graph_folder, tmp_path):
    assert run("compare", "--graph", graph_folder, "--json", tmp_path / "all.json", "--quiet") == 0
    assert list(content_of(tmp_path / "all.json")["metrics"]) == [*EMBEDDINGS, "rules"]


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (("--methods", "transe,transg"), ["method 'transg'", *METHODS]),
        (("--methods", "ours"), ["the method ours is a text model, and none is given: add --model"]),
        (
            ("--methods", "rules", "--model", "m"),
            ["a model is given, which is the method ours"],
        ),
        (
            ("--methods", "rules", "--dtype", "float32"),
            ["dtype='float32' is the precision of a text model"],
        ),
        (("--methods", "ours", "--model", "m", "--minutes", "5"), ["minutes=5 is for trainings"]),
        (("--methods", "rules", "--split", "future"), ["no split 'future'"]),
        (("--methods", "rules", "--minutes", "0"), ["--minutes", "not a number above 0"]),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(flags, parts, graph_folder, bad_input):
    line = bad_input("compare", "--graph", graph_folder, *flags)
    assert all(part in line for part in parts)


def test_without_pykeen_the_extra_is_named_and_nothing_is_trained(graph_folder, bad_input, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pykeen", None)
    monkeypatch.setattr("lass_hf.comparison.contenders.build_evidence", lambda *_, **__: pytest.fail("it began"))
    line = bad_input("compare", "--graph", graph_folder, "--methods", "rules,transe", "--output", tmp_path / "out")
    assert line.endswith('PyKEEN is not installed: pip install "lass-hf[compare]"')
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_command_is_refused(trainings, graph_folder, bad_input, tmp_path):
    (tmp_path / "findings.tsv").write_text("mine")
    line = bad_input("compare", "--graph", graph_folder, "--methods", "transe", "--output", tmp_path)
    assert "has findings.tsv, the output of another command" in line
    assert not trainings
