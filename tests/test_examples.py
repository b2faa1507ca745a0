"""The example scripts, run in-process on the tiny graph."""

import ast
import json
import shutil
import sys
from functools import partial

import numpy as np
import pytest
from helpers.kills import contents
from helpers.scripts import ROOT, train_example
from helpers.tiny import ENTITY_TEXT, write_graph

import lass_hf
import lass_hf.runs.retriever
from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, evaluate_triplet_classification
from lass_hf.cli.commands import main
from lass_hf.graphs.import_files import SourceRecord
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.utils.result_files import read_results

NAMES = sorted(path.stem.removeprefix("run_") for path in (ROOT / "examples").glob("run_*.py"))


@pytest.fixture
def run(encoder_folder, tmp_path):
    """Runs a script by name with a graph, a short training and more arguments; gives its exit code."""
    return partial(train_example, encoder=encoder_folder, output_dir=tmp_path / "out")


def test_triplet_classification_trains_evaluates_and_records_both(run, labeled_folder, tmp_path):
    assert run("triplet_classification", labeled_folder, "--seed", 7, "--dropout", 0.2) == 0
    content = read_results(tmp_path / "out" / "triplet_classification.json")
    training = content["training"]
    assert (content["task"], training["seed"], training["choices"]["dropout"]) == ("triplet_classification", 7, 0.2)
    assert content["graph"] == labeled_folder.name
    assert training["metrics"]["train_runtime"] > 0
    model = LassForKGCompletion.from_pretrained(tmp_path / "out")
    assert model.config.encoder_config.hidden_dropout_prob == 0.2
    graph, processor = KnowledgeGraph.from_directory(labeled_folder), LassProcessor.from_pretrained(tmp_path / "out")
    expected = evaluate_triplet_classification(model, processor, graph, quiet=True).metrics
    assert {name: content["metrics"][name] for name in expected} == pytest.approx(expected)
    assert model.config.calibration["threshold"] == content["threshold"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"| {expected['accuracy']:.3f} | {expected['precision']:.3f} |" in card


def test_the_inductive_script_writes_the_graph_that_it_tested_on(run, graph_folder, tmp_path):
    bi_encoder = ("--architecture", "bi-encoder", "--normalize", "true", "--loss", "softmax", "--seed", 5)
    assert run("inductive", graph_folder, "--share", 0.4, *bi_encoder) == 0
    found = read_results(tmp_path / "out" / "inductive.json")["metrics"]
    file, model, graph = tmp_path / "cli.json", tmp_path / "out", tmp_path / "out" / "graph"
    assert main(["evaluate", "--model", str(model), "--graph", str(graph), "--json", str(file), "--quiet"]) == 0
    metrics = json.loads(file.read_text())["metrics"]
    assert {f"inductive_{name}": value for name, value in metrics.items()}.items() <= found.items()
    assert found["mrr_ratio"] == found["inductive_mrr"] / found["transductive_mrr"]
    tested = KnowledgeGraph.from_directory(graph)
    trained = tested["train"].triplets[:, [0, 2]]
    assert not np.isin(tested["test"].triplets[:, [0, 2]], trained).any()


def test_a_retriever_and_its_reranker(run, graph_folder, tmp_path, monkeypatch):
    file, graph = tmp_path / "cli.json", str(graph_folder)
    retriever = tmp_path / "retriever"
    bi_encoder = ("--architecture", "bi-encoder", "--normalize", "true", "--loss", "softmax", "--output_dir", retriever)
    assert run("link_prediction", graph_folder, *bi_encoder) == 0
    mined = ("--encoder", retriever, "--retriever", retriever, "--num_mined", 2, "--num_negatives", 3)
    assert run("link_prediction", graph_folder, *mined, "--fraction", 0.5) == 0
    made = read_results(tmp_path / "out" / "link_prediction.json")["training"]["choices"]
    assert (made["num_mined"], made["fraction"], made["retriever"]) == (2, 0.5, str(retriever))
    flags = ["--model", str(retriever), "--rerank", str(tmp_path / "out"), "--json", str(file), "--quiet"]
    assert main(["evaluate", *flags, "--graph", graph, "--rerank_top_k", "4"]) == 0
    content = json.loads(file.read_text())
    before = read_results(retriever / "link_prediction.json")["metrics"]
    assert content["retrieval"] == pytest.approx({name: before[name] for name in content["retrieval"]})
    assert content["metrics"]["num_queries"] == 6
    assert 0 <= content["recall"] <= 1
    assert set(content["tokens"]) == {"indexing", "retrieval", "fitting", "reranking"}
    assert content["tokens"]["indexing"] == 0  # the vectors were there, from the mining
    assert (retriever / "entity_index").is_dir()
    grown = write_graph(tmp_path / "grown", entity_text={**ENTITY_TEXT, "crow": "a crow"})
    asked, encode = [], TripletScorer.encode_entities
    monkeypatch.setattr(
        TripletScorer, "encode_entities", lambda *given: asked.extend(given[1].tolist()) or encode(*given)
    )
    for folder in (grown, graph_folder):  # and it still serves the graph that it was made for
        assert main(["evaluate", *flags[:2], "--graph", str(folder), "--quiet"]) == 0
    assert asked == [len(ENTITY_TEXT)]
    assert (
        main(["predict", *flags, "--head", "cat", "--relation", "eats", "--top_k", "2", "--retriever_weight", "0.5"])
        == 0
    )
    assert len(json.loads(file.read_text())["predictions"]) == 2


@pytest.mark.parametrize("task", ["link_prediction", "relation_prediction"])
def test_ranking_scripts_agree_with_the_evaluate_command(run, graph_folder, tmp_path, task):
    assert run(task, graph_folder) == 0
    content = read_results(tmp_path / "out" / f"{task}.json")
    relations = ["--relations"] if task == "relation_prediction" else []
    file = tmp_path / "cli.json"
    model = ["--model", str(tmp_path / "out"), "--graph", str(graph_folder), "--json", str(file), "--quiet"]
    assert main(["evaluate", *model, *relations]) == 0
    by_command = json.loads(file.read_text())
    assert content["metrics"] == by_command["metrics"]
    assert {name for name in content if content[name] != by_command[name]} <= {"command", "seconds"}
    assert content.keys() == by_command.keys()
    assert not list(tmp_path.rglob("*.progress"))
    assert "No evaluation is recorded" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_an_evaluation_of_other_triplets_takes_no_results_place(run, graph_folder, tmp_path):
    assert run("link_prediction", graph_folder) == 0
    model = ("--model", tmp_path / "out")
    before = (tmp_path / "out" / "link_prediction.json").read_bytes()
    assert run("link_prediction", graph_folder, *model, "--limit", 1) == 0
    assert run("link_prediction", graph_folder, *model, "--split", "validation") == 0
    assert (tmp_path / "out" / "link_prediction.json").read_bytes() == before
    assert read_results(tmp_path / "out" / "link_prediction-1.json")["metrics"]["num_triplets"] == 1
    assert read_results(tmp_path / "out" / "link_prediction-validation.json")["split"] == "validation"


def test_a_trained_model_is_evaluated_without_training_and_keeps_its_record(run, graph_folder, tmp_path):
    assert run("link_prediction", graph_folder, "--seed", 5, "--learning_rate", 1e-3) == 0
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert run("relation_prediction", graph_folder, "--model", tmp_path / "out") == 0
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    training = read_results(tmp_path / "out" / "relation_prediction.json")["training"]
    assert (training["seed"], training["choices"]["learning_rate"]) == (5, 1e-3)


def test_a_model_of_another_graph_or_other_texts_is_refused(run, graph_folder, labeled_folder, tmp_path, capsys):
    assert run("link_prediction", graph_folder) == 0
    other = write_graph(tmp_path / "other", test=[("cat", "eats", "dog")])
    reworded = write_graph(tmp_path / "reworded", entity_text=ENTITY_TEXT | {"cat": "a cat"})
    for graph, argv, message in (
        (other, [], "names or triplets are not those"),
        (shutil.copytree(tmp_path / "out", tmp_path / "model"), [], "the folder of a model"),
        (graph_folder, ["--long_text", "true"], "long"),
        (reworded, [], "trained on other texts than those of"),
    ):
        assert run("link_prediction", graph, "--model", tmp_path / "out", *argv) == 2
        assert message in capsys.readouterr().err


def test_a_model_of_a_ranking_script_has_the_record_of_its_graphs_source(run, graph_folder, tmp_path):
    """And none of an earlier model: answers would go back into a form that is not the graph's."""
    graph, out = shutil.copytree(graph_folder, tmp_path / "graph"), tmp_path / "out"
    record = SourceRecord("edges.csv", "a table", [], {}, {}, {"cat": "http://e.org/Cat"}, {}, "1", "2026-01-01")
    (graph / "source.json").write_text(record.as_json(), encoding="utf-8")
    assert run("link_prediction", graph) == 0
    assert (out / "source.json").read_text(encoding="utf-8") == record.as_json()
    (out / "recipe.yaml").write_text("preset: paper\n", encoding="utf-8")
    assert run("link_prediction", graph_folder) == 0
    assert not {"source.json", "recipe.yaml"} & {path.name for path in out.iterdir()}


@pytest.mark.parametrize("script", NAMES)
def test_a_model_of_a_script_is_not_saved_among_the_files_of_its_graph(run, graph_folder, tmp_path, capsys, script):
    graph = shutil.copytree(graph_folder, tmp_path / "graph")
    before = contents(graph)
    assert run(script, graph, output_dir=graph) == 2
    assert f"{graph}: the folder of the graph; choose another --output_dir" in capsys.readouterr().err
    assert contents(graph) == before


def test_low_resource_trains_with_hard_negatives(run, labeled_folder, tmp_path, monkeypatch):
    """They are mined from each part of the training triplets."""
    retriever = tmp_path / "retriever"
    bi_encoder = ("--architecture", "bi-encoder", "--normalize", "true", "--loss", "softmax", "--output_dir", retriever)
    assert run("link_prediction", labeled_folder, *bi_encoder) == 0
    mined, mine = [], lass_hf.runs.retriever.mine_hard_negatives

    def recorded(scorer, split, *more):
        mined.append(len(split))
        return mine(scorer, split, *more)

    monkeypatch.setattr(lass_hf.runs.retriever, "mine_hard_negatives", recorded)
    flags = ("--retriever", retriever, "--num_mined", 2, "--num_negatives", 3, "--fractions", 0.5, 1.0)
    assert run("low_resource", labeled_folder, *flags) == 0
    assert mined == [7, 14]


def test_low_resource_evaluates_on_the_triplets_that_were_trained_on(run, labeled_folder, monkeypatch):
    """Evidence and names of neighbors would come from the other triplets, too."""
    known = []

    def recorded(model, processor, graph, **more):
        known.append(len(graph["train"]))
        return evaluate_triplet_classification(model, processor, graph, **more)

    monkeypatch.setattr(lass_hf, "evaluate_triplet_classification", recorded)
    assert run("low_resource", labeled_folder, "--fractions", 0.5, 1.0, "--num_neighbors", 2) == 0
    assert known == [7, 14]


def test_low_resource_takes_its_shares_from_fractions_alone(run, labeled_folder, capsys):
    assert run("low_resource", labeled_folder, "--fraction", 0.5) == 2
    assert "fraction=0.5; expected --fractions" in capsys.readouterr().err


def test_low_resource_refuses_the_file_of_another_task(run, labeled_folder, tmp_path, capsys):
    file = tmp_path / "other.json"
    assert run("triplet_classification", labeled_folder, "--json", file) == 0
    before = file.read_bytes()
    assert run("low_resource", labeled_folder, "--fractions", 0.5, "--json", file) == 2
    assert f"{file}: results of other arguments, graph, seed or task" in capsys.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--scoring_dtype", "foo"], "scoring_dtype='foo'; expected one of auto, float32, bfloat16"),
        (["--split", "tset"], "the graph has no split 'tset'"),
        (["--limit", 0], "limit=0; expected 1 or more"),
        (["--max_steps", -1, "--num_train_epochs", 0], "num_train_epochs=0.0; expected a number above 0"),
        (["--model", "nowhere"], "nowhere: no training.json of a training that ended"),
    ],
)
def test_bad_arguments_of_a_ranking_end_before_the_training(run, graph_folder, tmp_path, capsys, argv, message):
    assert run("link_prediction", graph_folder, *argv) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_limit_of_a_classification_ends_before_the_training(run, labeled_folder, tmp_path, capsys):
    assert run("triplet_classification", labeled_folder, "--limit", 2) == 2
    assert "limit changes nothing for task='triplet_classification'; leave it out" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_training_is_not_resumed_with_other_choices(run, graph_folder, tmp_path, capsys):
    """Its schedule and its results file would describe neither training."""
    steps = ["--save_strategy", "steps", "--save_steps", 1]
    assert run("link_prediction", graph_folder, *steps, "--max_steps", 1) == 0
    resume = [*steps, "--resume_from_checkpoint", "last"]
    for argv, name in (
        (["--learning_rate", 0.5], "learning_rate"),
        (["--seed", 9], "seed"),
        (["--optim", "sgd"], "optim"),
    ):
        assert run("link_prediction", graph_folder, *resume, "--max_steps", 1, *argv) == 2
        assert f": its training has {name}=" in capsys.readouterr().err
    for steps, resumed in ((1, False), (2, True)):
        assert run("link_prediction", graph_folder, *resume, "--max_steps", steps) == 0
        assert read_results(tmp_path / "out" / "training.json")["resumed"] is resumed


def test_record_holds_every_argument_that_a_model_depends_on(run, graph_folder, tmp_path):
    argv = ["--optim", "sgd", "--max_grad_norm", 0.5, "--logging_steps", 1, "--gradient_accumulation_steps", 2]
    assert run("link_prediction", graph_folder, *argv) == 0
    choices = read_results(tmp_path / "out" / "training.json")["choices"]
    assert (choices["optim"], choices["max_grad_norm"], choices["positives_per_step"]) == ("sgd", 0.5, 8)
    assert not {"logging_steps", "output_dir", "save_strategy", "report_to"} & set(choices)


def test_low_resource_trains_on_nested_parts_and_goes_on_where_it_stopped(run, labeled_folder, tmp_path, capsys):
    script = "low_resource"
    assert run(script, labeled_folder, "--fractions", 0.3) == 0
    first = read_results(tmp_path / "out" / "low_resource.json")["metrics"]["0.3"]
    assert run(script, labeled_folder, "--fractions", 0.6, 0.3) == 0
    assert "30% of train: done before" in capsys.readouterr().out
    metrics = read_results(tmp_path / "out" / "low_resource.json")["metrics"]
    assert metrics["0.3"] == first
    assert [values["train_triplets"] for values in metrics.values()] == [round(0.3 * 14), round(0.6 * 14)]
    parts = [LassProcessor.from_pretrained(tmp_path / "out" / name).graph["train"].triplets for name in ("0.3", "0.6")]
    small, large = ({tuple(row) for row in part.tolist()} for part in parts)
    assert small < large
    assert (tmp_path / "out" / "low_resource.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("fraction", [0, 1.5, -0.1, "nan"])
def test_low_resource_refuses_fractions_out_of_range(run, labeled_folder, tmp_path, capsys, fraction):
    assert run("low_resource", labeled_folder, "--fractions", 0.5, fraction) == 2
    assert f"fraction={float(fraction)}; expected more than 0 and at most 1" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("other", [("--learning_rate", 0.5), ("--evidence", "text,frequency")])
def test_low_resource_refuses_to_mix_results_of_other_arguments(run, labeled_folder, capsys, other):
    assert run("low_resource", labeled_folder, "--fractions", 0.5) == 0
    assert run("low_resource", labeled_folder, "--fractions", 1, *other) == 2
    assert "of other arguments, graph, seed or task" in capsys.readouterr().err


@pytest.mark.parametrize("script", NAMES)
def test_bad_input_is_one_line_and_no_training(run, graph_folder, tmp_path, capsys, script):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("learning_rat: 1\n", encoding="utf-8")
    assert run(script, graph_folder, recipe=[recipe]) == 2
    error = capsys.readouterr().err
    assert "unknown argument 'learning_rat'" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("script", ["triplet_classification", "low_resource"])
def test_classification_of_a_graph_without_labels_ends_before_the_training(run, graph_folder, tmp_path, capsys, script):
    assert run(script, graph_folder) == 2
    assert "no false triplet" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("script", NAMES)
def test_a_script_uses_public_names_only(script):
    tree = ast.parse((ROOT / "examples" / f"run_{script}.py").read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names} == {"lass_hf"}
