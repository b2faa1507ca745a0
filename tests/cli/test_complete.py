"""`lass-hf complete`: what it writes, prints and refuses."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from accelerate import PartialState
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.judged import write_decisions

from lass_hf import KnowledgeGraph
from lass_hf.cli.commands import main
from lass_hf.completion.settings import CompletionSettings
from lass_hf.hub.card_files import model_card_data, write_card
from lass_hf.runs import automatic
from lass_hf.scoring.output_folders import LOCK_FILE
from lass_hf.utils.atomic_files import lock_file
from lass_hf.utils.result_files import write_results


@pytest.fixture(scope="module")
def saved(tmp_path_factory, graph):
    folder = tmp_path_factory.mktemp("saved")
    bi_encoder_model().save_pretrained(folder)
    bi_encoder_processor(graph).save_pretrained(folder)
    return folder


@pytest.fixture
def complete(saved, graph_folder):
    return ["complete", "--model", str(saved), "--graph", str(graph_folder), "--dtype", "float32", "--quiet"]


def test_it_writes_the_list_and_says_where_and_how_much(complete, tmp_path, capsys):
    assert (
        main([*complete, "--output", str(tmp_path / "out"), "--json", str(tmp_path / "found.json"), "--max", "7"]) == 0
    )
    shown = capsys.readouterr().out
    assert str(tmp_path / "out" / "suggestions.tsv") in shown
    assert "no probability" in shown
    lines = (tmp_path / "out" / "suggestions.tsv").read_text().splitlines()
    metrics = json.loads((tmp_path / "found.json").read_text())["metrics"]
    assert metrics["listed"] == len(lines) - 1 == 7


def test_options_choose_relations_entities_and_the_side(complete, tmp_path):
    (tmp_path / "names").write_text("cat\n\n dog \n")
    chosen = ["--relations", "eats,is_a", "--entities", str(tmp_path / "names"), "--heads_only", "--any_candidate"]
    assert main([*complete, *chosen, "--output", str(tmp_path / "out"), "--per_query", "2", "--per_relation", "3"]) == 0
    identity = json.loads((tmp_path / "out" / "completion.json").read_text())["identity"]
    assert identity["relations"] == ["eats", "is_a"]
    assert identity["entities"] == ["cat", "dog"]
    assert (identity["side"], identity["any_candidate"]) == ("heads", True)
    assert (identity["per_query"], identity["per_relation"], identity["most"]) == (2, 3, 10_000)


def test_what_the_command_line_leaves_open_is_as_the_settings_have_it(complete, tmp_path):
    assert main([*complete, "--output", str(tmp_path / "out")]) == 0
    identity = json.loads((tmp_path / "out" / "completion.json").read_text())["identity"]
    usual = asdict(CompletionSettings())
    assert {name: identity[name] for name in usual} == usual


def test_one_link_of_the_list_is_checked(complete, tmp_path, capsys, bad_input):
    out = ["--output", str(tmp_path / "out")]
    assert main([*complete, *out]) == 0
    header, first, *_ = (line.split("\t") for line in (tmp_path / "out" / "suggestions.tsv").read_text().splitlines())
    row, file = dict(zip(header, first, strict=True)), tmp_path / "checked.json"
    capsys.readouterr()
    assert main([*complete, *out, "--check", row["head"], row["relation"], row["tail"], "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert row["kind"] in shown
    own = tmp_path / "out" / "completion.json"
    before = own.read_bytes()
    refused = bad_input(*complete[:-1], *out, "--check", row["head"], row["relation"], row["tail"], "--json", own)
    assert f"{own}: a file of {tmp_path}/out itself" in refused
    assert own.read_bytes() == before
    assert json.loads(file.read_text())["metrics"]["score"] == pytest.approx(float(row["score"]), rel=1e-4)


def test_why_a_link_is_no_suggestion_is_printed_once(complete, tmp_path, capsys, monkeypatch):
    out, file = ["--output", str(tmp_path / "out")], tmp_path / "checked.json"
    assert main([*complete, *out, "--relations", "eats"]) == 0
    command = [*complete, *out, "--check", "cat", "is_a", "dog"]
    capsys.readouterr()
    assert main([*command, "--json", str(file)]) == 0
    why = "it was not asked for: the completion asked for other relations"
    assert capsys.readouterr().out == f"no suggestion: {why}\n"
    assert json.loads(file.read_text())["no_suggestion"] == why
    monkeypatch.setattr(PartialState, "is_main_process", property(lambda _: False))
    assert main(command) == 0
    assert capsys.readouterr().out == ""


def test_evaluate_prints_a_table_and_writes_the_figures(complete, tmp_path, capsys):
    assert main([*complete, "--evaluate", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["metrics"]
    assert (found["hidden"], found["num_hidden"]) == ("test", 3)
    assert "200" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "neither --output, a folder for the list, nor --evaluate"),
        (["--evaluate", "--output", "out"], "leave --output out"),
        (["--output", "out", "--relations", ","], "holds no name"),
        (["--output", "out", "--relations", "flies"], "flies"),
        (["--output", "out", "--entities", "nowhere.txt"], "--entities nowhere.txt: cannot be read (No such file"),
        (["--output", "out", "--entities", "."], "--entities .: cannot be read"),
        (
            ["--output", "out", "--entities", "empty.txt"],
            "--entities empty.txt: the file is empty; expected ids or texts",
        ),
        (["--output", "out", "--heads_only", "--tails_only"], "not allowed with"),
        (["--output", "out", "--max", "0"], "'0' is not a positive integer"),
        (["--output", "out", "--rerank_top_k", "5"], "--rerank_top_k and --retriever_weight need --rerank"),
        (["--output", "out", "--rerank", "nowhere"], "nowhere"),
        (["--output", "out", "--evidence", "rules"], "no evidence in its folder"),
        (["--output", "out", "--check", "cat", "eats", "cat"], "completion.json"),
        (["--output", "out", "--check", "cat", "eats", "cat", "--max", "3"], "--check takes --max from the completion"),
        (["--evaluate", "--check", "cat", "eats", "cat"], "by the completion in --output, which is not given"),
    ],
)
def test_bad_input_is_one_line(complete, options, message, tmp_path, monkeypatch, bad_input):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    assert message in bad_input(*complete, *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "out"], "neither --model nor --graph"),
        (["--graph", "nowhere", "--evaluate"], "--evaluate needs --model"),
        (["--graph", "nowhere", "--output", "out", "--evidence", "rules"], "--evidence rules needs --model"),
        (
            ["--graph", "nowhere", "--output", "out", "--minutes", "0"],
            "argument --minutes: '0' is not a number above 0",
        ),
        (
            ["--graph", "nowhere", "--output", "out", "--minutes", "two"],
            "argument --minutes: 'two' is not a number above 0",
        ),
        (["--model", "nowhere", "--output", "out", "--minutes", "3"], "--minutes is for a model that is trained"),
        (["--graph", "nowhere", "--output", "out"], "nowhere"),
    ],
)
def test_without_a_model_bad_input_is_one_line(options, message, tmp_path, monkeypatch, bad_input):
    monkeypatch.chdir(tmp_path)
    assert message in bad_input("complete", *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("there", "options", "message"),
    [
        (None, ["--rerank", "nowhere"], "nowhere"),
        (None, ["--rerank", "SAVED"], "rerank needs a cross-encoder to rerank with; it is a bi-encoder"),
        ("findings.tsv", [], "has findings.tsv, the output of another command; choose another --output"),
        ("suggestions.tsv", [], "has suggestions.tsv but no completion.json; choose another --output"),
        ("completion.json", [], "has completion.json of another run; choose another --output"),
    ],
)
def test_what_is_wrong_is_told_before_a_model_is_trained(
    there, options, message, saved, graph_folder, tmp_path, monkeypatch, bad_input
):
    monkeypatch.setattr(automatic, "plan_training", lambda *_: pytest.fail("it trains"))
    (tmp_path / "out").mkdir()
    if there:
        (tmp_path / "out" / there).write_text("{}")
    options = [str(saved) if word == "SAVED" else word for word in options]
    assert message in bad_input("complete", "--graph", graph_folder, "--output", tmp_path / "out", *options)


@pytest.mark.parametrize("place", ["out", "out/model"])
def test_the_error_of_a_second_run_names_the_option_that_complete_has(
    place, graph_folder, tmp_path, monkeypatch, bad_input
):
    monkeypatch.setattr(automatic, "plan_training", lambda *_: None)
    monkeypatch.setattr(automatic, "run_plan", lambda *_: pytest.fail("it trains"))
    (tmp_path / place).mkdir(parents=True)
    with lock_file(tmp_path / place / LOCK_FILE):
        line = bad_input("complete", "--graph", graph_folder, "--output", tmp_path / "out")
    assert line.endswith(
        f"{tmp_path / place}: another run is writing there; wait until it has ended, or choose another --output"
    )


def test_links_that_were_false_in_training_are_warned_of(saved, graph, graph_folder, tmp_path, capsys):
    folder, out = shutil.copytree(saved, tmp_path / "model"), tmp_path / "out"
    train = graph["train"]
    labeled = np.concatenate([train.triplets, train.triplets[:5, ::-1]])
    labels = np.append(np.ones(len(train)), np.zeros(5)).astype(np.int8)
    processor = bi_encoder_processor(KnowledgeGraph(graph.entities, graph.relations, {"train": (labeled, labels)}))
    write_card(folder, {**model_card_data(bi_encoder_model(), processor), "training": None, "evaluations": []}, graph)
    training = {"graph": "mine", "graph_fingerprint": "", "recipe": None, "changed": {}, "seed": 1, "bf16": False}
    training |= {"choices": {}, "command": "", "resumed": False, "decisions": {"file": "d.tsv", "rejected": 3}}
    write_results(folder / "training.json", {"loss": 1.0}, **training)
    decisions = ["--decisions", str(write_decisions(tmp_path, (("cat", "eats", "dog"), False)))]
    graph_option = ["--graph", str(graph_folder)]
    of_decisions = f"{folder} was trained with --decisions (d.tsv), and the list may suggest what people decided there"
    of_labels = f"{folder} was trained with 2 triplets that its graph labels false"
    for number, (options, expected) in enumerate(
        [
            ([], [of_decisions, of_labels]),
            (decisions, [of_labels]),
            (graph_option, [of_decisions]),
            ([*decisions, *graph_option], []),
        ]
    ):
        command = ["complete", "--model", str(folder), "--quiet", "--output", str(out / str(number))]
        assert main([*command, *options]) == 0
        warnings = [line for line in capsys.readouterr().err.splitlines() if "was trained with" in line]
        assert [line.split(": ", 2)[2].startswith(start) for line, start in zip(warnings, expected, strict=True)] == [
            True for _ in expected
        ]


def test_an_output_that_is_a_file_is_refused(complete, tmp_path, bad_input):
    (tmp_path / "out").write_text("mine")
    assert "cannot be written" in bad_input(*complete, "--output", str(tmp_path / "out"))


@pytest.mark.parametrize(
    "command", [["complete", "--model", "nowhere"], ["complete", "--graph", "nowhere"], ["audit", "--graph", "nowhere"]]
)
def test_the_folder_of_a_model_is_refused_before_the_work(command, saved, bad_input):
    before = sorted(saved.iterdir())
    line = bad_input(*command, "--output", saved)
    assert f"{saved}: has config.json of a trained model" in line
    assert sorted(saved.iterdir()) == before
