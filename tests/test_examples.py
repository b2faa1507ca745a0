"""The example scripts, run in-process on the tiny graph; and the page that is rendered from their results files."""

import importlib.util
import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import write_graph

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, evaluate_triplet_classification
from lass_hf.results import read_results
from lass_hf.terminal import run_program

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def labelled_folder(tmp_path_factory, labelled_graph):
    """The labelled graph as a folder."""
    ids, relations = labelled_graph.entities.ids, labelled_graph.relations.ids
    rows = {
        name: [
            (ids[h], relations[r], ids[t], str(label))
            for (h, r, t), label in zip(split.triplets.tolist(), split.labels.tolist(), strict=True)
        ]
        for name, split in labelled_graph.splits.items()
        if name != "train"
    }
    return write_graph(tmp_path_factory.mktemp("labelled"), validation=rows["validation"], test=rows["test"])


@pytest.fixture
def run(monkeypatch, encoder_folder, tmp_path):
    """Runs a script with a graph and the arguments of a short training; gives its exit code."""

    def run(script: str, graph, *argv, recipe=()) -> int:
        spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
        module = importlib.util.module_from_spec(spec)
        short = ["--max_steps", 2, "--per_device_train_batch_size", 4, "--save_strategy", "no", "--report_to", "none"]
        given = [*recipe, "--graph", graph, "--encoder", encoder_folder, "--output_dir", tmp_path / "out", *short]
        monkeypatch.syspath_prepend(ROOT / "examples")
        monkeypatch.setattr(sys, "argv", [script, *map(str, given), "--quiet", *map(str, argv)])
        monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        return run_program(Path(script).name, module.main)

    return run


def test_triplet_classification_trains_evaluates_and_records_both(run, labelled_folder, tmp_path):
    assert run("examples/run_triplet_classification.py", labelled_folder, "--seed", 7, "--dropout", 0.2) == 0
    content = read_results(tmp_path / "out" / "triplet_classification.json")
    assert (content["task"], content["seed"], content["choices"]["dropout"]) == ("triplet_classification", 7, 0.2)
    assert content["graph"] == labelled_folder.name
    assert content["training"]["metrics"]["train_runtime"] > 0
    model = LassForKGCompletion.from_pretrained(tmp_path / "out")
    assert model.config.encoder_config.hidden_dropout_prob == 0.2
    graph, processor = KnowledgeGraph.from_directory(labelled_folder), LassProcessor.from_pretrained(tmp_path / "out")
    expected = evaluate_triplet_classification(model, processor, graph, quiet=True).metrics
    assert {name: content["metrics"][name] for name in expected} == pytest.approx(expected)


def test_the_inductive_script_writes_the_graph_that_it_tested_on(run, graph_folder, tmp_path):
    from lass_hf.cli import main

    separate = ("--encoding", "separate", "--normalize", "true", "--loss", "softmax", "--seed", 5)
    assert run("examples/run_inductive.py", graph_folder, "--share", 0.4, *separate) == 0
    found = read_results(tmp_path / "out" / "inductive.json")["metrics"]
    file, model, graph = tmp_path / "cli.json", tmp_path / "out", tmp_path / "out" / "graph"
    assert main(["evaluate", "--model", str(model), "--graph", str(graph), "--json", str(file), "--quiet"]) == 0
    metrics = json.loads(file.read_text())["metrics"]
    assert {f"inductive_{name}": value for name, value in metrics.items()}.items() <= found.items()
    assert found["mrr_ratio"] == found["inductive_mrr"] / found["transductive_mrr"]
    tested = KnowledgeGraph.from_directory(graph)
    trained = tested["train"].triplets[:, [0, 2]]
    assert not np.isin(tested["test"].triplets[:, [0, 2]], trained).any()


def test_a_retriever_and_its_reranker(run, graph_folder, tmp_path):
    from lass_hf.cli import main

    file, graph = tmp_path / "cli.json", str(graph_folder)
    retriever = tmp_path / "retriever"
    separate = ("--encoding", "separate", "--normalize", "true", "--loss", "softmax", "--output_dir", retriever)
    assert run("examples/run_link_prediction.py", graph_folder, *separate) == 0
    mined = ("--encoder", retriever, "--retriever", retriever, "--num_mined", 2, "--num_negatives", 3)
    assert run("examples/run_link_prediction.py", graph_folder, *mined, "--fraction", 0.5) == 0
    made = read_results(tmp_path / "out" / "link_prediction.json")["choices"]
    assert (made["num_mined"], made["fraction"], made["retriever"]) == (2, 0.5, str(retriever))
    flags = ["--model", str(retriever), "--rerank", str(tmp_path / "out"), "--json", str(file), "--quiet"]
    assert main(["evaluate", *flags, "--graph", graph, "--top_k", "4"]) == 0
    content = json.loads(file.read_text())
    before = read_results(retriever / "link_prediction.json")["metrics"]
    assert content["retrieval"] == pytest.approx({name: before[name] for name in content["retrieval"]})
    assert content["metrics"]["num_queries"] == 6
    assert 0 <= content["recall"] <= 1
    assert set(content["tokens"]) == {"retrieval", "fitting", "reranking"}
    assert (retriever / "entity_index").is_dir()
    assert main(["predict", *flags, "--head", "cat", "--relation", "eats", "--top_k", "2", "--blend", "0.5"]) == 0
    assert len(json.loads(file.read_text())["answers"]) == 2


@pytest.mark.parametrize("task", ["link_prediction", "relation_prediction"])
def test_ranking_scripts_agree_with_the_evaluate_command(run, graph_folder, tmp_path, task):
    from lass_hf.cli import main

    assert run(f"examples/run_{task}.py", graph_folder) == 0
    content = read_results(tmp_path / "out" / f"{task}.json")
    relations = ["--relations"] if task == "relation_prediction" else []
    file = tmp_path / "cli.json"
    model = ["--model", str(tmp_path / "out"), "--graph", str(graph_folder), "--json", str(file), "--quiet"]
    assert main(["evaluate", *model, *relations]) == 0
    assert content["metrics"] == pytest.approx(json.loads(file.read_text())["metrics"])
    assert not list(tmp_path.rglob("*.progress"))


def test_a_trained_model_is_evaluated_without_training_and_keeps_its_record(run, graph_folder, tmp_path):
    assert run("examples/run_link_prediction.py", graph_folder, "--seed", 5, "--learning_rate", 1e-3) == 0
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert run("examples/run_relation_prediction.py", graph_folder, "--model", tmp_path / "out") == 0
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before
    content = read_results(tmp_path / "out" / "relation_prediction.json")
    assert (content["seed"], content["choices"]["learning_rate"]) == (5, 1e-3)


def test_a_model_of_another_graph_or_other_texts_is_refused(run, graph_folder, labelled_folder, tmp_path, capsys):
    assert run("examples/run_link_prediction.py", graph_folder) == 0
    other = write_graph(tmp_path / "other", test=[("cat", "eats", "dog")])
    for graph, argv, message in (
        (other, [], "names or triplets are not those"),
        (tmp_path / "out", [], "tmp"),
        (graph_folder, ["--long_text", "true"], "long"),
    ):
        assert run("examples/run_link_prediction.py", graph, "--model", tmp_path / "out", *argv) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--dtype", "foo"], "dtype='foo'; expected one of auto, float32, bfloat16"),
        (["--split", "tset"], "the graph has no split 'tset'"),
        (["--limit", 0], "limit=0; expected 1 or more"),
        (["--model", "nowhere"], "nowhere: no training.json of a training that ended"),
    ],
)
def test_bad_arguments_of_a_ranking_end_before_the_training(run, graph_folder, tmp_path, capsys, argv, message):
    assert run("examples/run_link_prediction.py", graph_folder, *argv) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_training_is_not_resumed_with_other_choices(run, graph_folder, tmp_path, capsys):
    """Its schedule and its record would be of neither."""
    steps = ["--save_strategy", "steps", "--save_steps", 1]
    assert run("examples/run_link_prediction.py", graph_folder, *steps, "--max_steps", 1) == 0
    resume = [*steps, "--resume_from_checkpoint", "last"]
    for argv, name in (
        (["--learning_rate", 0.5], "learning_rate"),
        (["--seed", 9], "seed"),
        (["--optim", "sgd"], "optim"),
    ):
        assert run("examples/run_link_prediction.py", graph_folder, *resume, "--max_steps", 1, *argv) == 2
        assert f"of a training with {name}=" in capsys.readouterr().err
    assert run("examples/run_link_prediction.py", graph_folder, *resume, "--max_steps", 1) == 0
    assert read_results(tmp_path / "out" / "training.json")["resumed"] is True


def test_record_holds_every_argument_that_a_model_depends_on(run, graph_folder, tmp_path):
    argv = ["--optim", "sgd", "--max_grad_norm", 0.5, "--logging_steps", 1, "--gradient_accumulation_steps", 2]
    assert run("examples/run_link_prediction.py", graph_folder, *argv) == 0
    choices = read_results(tmp_path / "out" / "training.json")["choices"]
    assert (choices["optim"], choices["max_grad_norm"], choices["positives_per_step"]) == ("sgd", 0.5, 8)
    assert not {"logging_steps", "output_dir", "save_strategy", "report_to"} & set(choices)


def test_low_resource_trains_on_nested_parts_and_goes_on_where_it_stopped(run, labelled_folder, tmp_path, capsys):
    script = "examples/run_low_resource.py"
    assert run(script, labelled_folder, "--fractions", 0.3) == 0
    first = read_results(tmp_path / "out" / "low_resource.json")["metrics"]["0.3"]
    assert run(script, labelled_folder, "--fractions", 0.6, 0.3) == 0
    assert "30% of train: done before" in capsys.readouterr().out
    metrics = read_results(tmp_path / "out" / "low_resource.json")["metrics"]
    assert metrics["0.3"] == first
    assert [values["train_triplets"] for values in metrics.values()] == [round(0.3 * 14), round(0.6 * 14)]
    parts = [LassProcessor.from_pretrained(tmp_path / "out" / name).graph["train"].triplets for name in ("0.3", "0.6")]
    small, large = ({tuple(row) for row in part.tolist()} for part in parts)
    assert small < large
    assert (tmp_path / "out" / "low_resource.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("fraction", [0, 1.5, -0.1, "nan"])
def test_low_resource_refuses_fractions_out_of_range(run, labelled_folder, tmp_path, capsys, fraction):
    assert run("examples/run_low_resource.py", labelled_folder, "--fractions", 0.5, fraction) == 2
    assert f"fraction={float(fraction)}; expected more than 0 and at most 1" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_low_resource_refuses_to_mix_results_of_other_arguments(run, labelled_folder, capsys):
    assert run("examples/run_low_resource.py", labelled_folder, "--fractions", 0.5) == 0
    assert run("examples/run_low_resource.py", labelled_folder, "--fractions", 1, "--learning_rate", 0.5) == 2
    assert "of other arguments, graph or seed" in capsys.readouterr().err


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "examples").glob("run_*.py")))
def test_bad_input_is_one_line_and_no_training(run, graph_folder, tmp_path, capsys, script):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("learning_rat: 1\n", encoding="utf-8")
    assert run(f"examples/{script}", graph_folder, recipe=[recipe]) == 2
    error = capsys.readouterr().err
    assert "unknown argument 'learning_rat'" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("script", ["run_triplet_classification.py", "run_low_resource.py"])
def test_classification_of_a_graph_without_labels_ends_before_the_training(run, graph_folder, tmp_path, capsys, script):
    assert run(f"examples/{script}", graph_folder) == 2
    assert "no false triplet" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.safetensors"))


def test_nested_parts_of_a_graph(graph):
    parts = [graph.low_resource(fraction, seed=3) for fraction in (0.1, 0.25, 0.5, 1.0)]
    rows = [{tuple(row) for row in part["train"].triplets.tolist()} for part in parts]
    assert all(small <= large for small, large in pairwise(rows))
    assert [len(part["train"]) for part in parts] == [
        max(1, round(f * len(graph["train"]))) for f in (0.1, 0.25, 0.5, 1)
    ]
    assert np.array_equal(parts[-1]["train"].triplets, graph["train"].triplets)
    assert not np.array_equal(graph.low_resource(0.5, seed=4)["train"].triplets, parts[2]["train"].triplets)
    assert np.array_equal(parts[0]["test"].triplets, graph["test"].triplets)
    assert len(parts[0].known_in_train) == len(rows[0])


@pytest.fixture
def results_folder(run, labelled_folder, graph_folder, tmp_path, monkeypatch):
    """A folder like results/, with runs of two seeds; and a function that renders it and gives the page."""
    shutil.copytree(ROOT / "results", tmp_path / "page" / "results", ignore=shutil.ignore_patterns("*.json"))
    folder = tmp_path / "page" / "results"
    (tmp_path / "page" / "docs").mkdir()
    wn11, umls = tmp_path / "wn11", tmp_path / "umls"
    shutil.copytree(labelled_folder, wn11)
    shutil.copytree(graph_folder, umls)
    for seed in (1, 2):
        file = folder / f"wn11_{seed}.json"
        assert run("examples/run_triplet_classification.py", wn11, "--seed", seed, "--json", file) == 0
    assert run("examples/run_link_prediction.py", umls, "--json", folder / "umls.json") == 0
    assert run("examples/run_low_resource.py", wn11, "--fractions", 0.5, "--json", folder / "low.json") == 0
    return folder


def render(folder: Path) -> tuple[int, Path]:
    spec = importlib.util.spec_from_file_location("render", folder / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return run_program("make results", module.main), folder.parent / "docs" / "results.md"


def test_page_shows_mean_and_spread_of_the_files_and_labels_the_rest(results_folder):
    code, page = render(results_folder)
    assert code == 0
    text = page.read_text(encoding="utf-8")
    values = [read_results(results_folder / f"wn11_{seed}.json")["metrics"]["accuracy"] for seed in (1, 2)]
    expected = f"**{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}**"
    row = next(line for line in text.splitlines() if "seed 1, 2" in line)
    assert expected in row
    assert row.startswith("| **measured**")
    ranks = read_results(results_folder / "umls.json")["metrics"]
    assert f"{ranks['mr']:.3f} | {ranks['mrr']:.3f}" in text
    assert "| the paper: LASS-BERT-base | 93.3 |" in text
    assert "| cited: KG-BERT (Yao et al., 2019) | 93.5 |" in text
    first = page.read_bytes()
    assert render(results_folder)[0] == 0
    assert page.read_bytes() == first


def test_page_shows_an_interval_for_a_choice_of_triplets(run, results_folder, tmp_path):
    file = results_folder / "umls.json"
    assert run("examples/run_link_prediction.py", tmp_path / "umls", "--limit", 2, "--json", file) == 0
    _, page = render(results_folder)
    of_triplet = np.array(read_results(file)["ranks"]).reshape(2, 2).mean(axis=0)  # both sides of each
    half = 1.96 * np.std(of_triplet, ddof=1) / np.sqrt(2)
    text = page.read_text(encoding="utf-8")
    assert "2 test triplets" in text
    assert f"| {of_triplet.mean():.3f} ({of_triplet.mean() - half:.3f} to {of_triplet.mean() + half:.3f}) |" in text


def test_page_names_what_flags_changed_and_keeps_it_apart(run, results_folder, tmp_path):
    file = results_folder / "wn11_other.json"
    assert run("examples/run_triplet_classification.py", tmp_path / "wn11", "--optim", "sgd", "--json", file) == 0
    _, page = render(results_folder)
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| **measured**")]
    assert sum("seed 1, 2 |" in row for row in rows) == 1
    assert sum("seed 42 |" in row for row in rows) >= 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("split", "validation", "split 'validation'; the page shows test"),
        ("graph", "my_graph", "graph 'my_graph'; the page shows umls"),
        ("task", "benchmark", "task 'benchmark'; the page shows"),
        ("seed", 2, "are the same run with seed 2: keep one"),
    ],
)
def test_page_refuses_runs_that_it_cannot_show(results_folder, capsys, name, value, message):
    content = json.loads((results_folder / "wn11_1.json").read_text(encoding="utf-8"))
    (results_folder / "wn11_1.json").write_text(json.dumps({**content, name: value}), encoding="utf-8")
    code, page = render(results_folder)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not page.exists()


def test_committed_page_is_what_the_committed_files_say(tmp_path):
    shutil.copytree(ROOT / "results", tmp_path / "results")
    (tmp_path / "docs").mkdir()
    code, page = render(tmp_path / "results")
    assert code == 0
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 1, "metrics": {}}', "results of format 1, expected 2"),
        ('{"metrics": {}}', "results of format None, expected 2"),
        ("[]", "not a results file"),
        ("{", "not a results file"),
        ('{"format": 2, "metrics": {}}', "no task in it"),
    ],
)
def test_page_refuses_files_that_it_would_misread(results_folder, capsys, content, message):
    (results_folder / "old.json").write_text(content, encoding="utf-8")
    code, page = render(results_folder)
    assert code == 2
    assert "old.json" in (error := capsys.readouterr().err)
    assert message in error
    assert not page.exists()
