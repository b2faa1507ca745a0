"""The command line, called in-process: what it prints and writes, and one line for each bad input."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ENTITY_TEXT, TEST, TRAIN, VALIDATION, make_model, wordpiece_tokenizer, write_graph
from transformers.utils import logging as transformers_logging

import lass_hf
from lass_hf import (
    KnowledgeGraph,
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    evaluate_link_prediction,
    link_prediction,
)
from lass_hf.cli import main
from lass_hf.errors import LassError
from lass_hf.recipes import PRESETS, parse_training
from lass_hf.scoring import TripletScorer

SUBCOMMANDS = ["train", "evaluate", "classify", "analyze", "predict", "info"]


@pytest.fixture(autouse=True)
def _restore_verbosity():
    """--quiet speaks for the whole process."""
    verbosity = transformers_logging.get_verbosity()
    yield
    transformers_logging.set_verbosity(verbosity)
    transformers_logging.enable_progress_bar()


@pytest.fixture(scope="module")
def labelled_folder(tmp_path_factory, labelled_graph):
    """The labelled graph as a folder."""
    graph = labelled_graph
    ids, relations = graph.entities.ids, graph.relations.ids
    rows = {
        name: [
            (ids[h], relations[r], ids[t], str(label))
            for (h, r, t), label in zip(graph[name].triplets.tolist(), graph[name].labels.tolist(), strict=True)
        ]
        for name in ("validation", "test")
    }
    return write_graph(tmp_path_factory.mktemp("labelled"), validation=rows["validation"], test=rows["test"])


@pytest.fixture
def training(graph_folder, encoder_folder, tmp_path):
    """The arguments of a training of two steps into `tmp_path / "out"`."""
    return [
        *("--graph", graph_folder, "--encoder", encoder_folder, "--output_dir", tmp_path / "out"),
        *("--max_steps", 2, "--per_device_train_batch_size", 4, "--num_negatives", 2, "--save_strategy", "no"),
        *("--report_to", "none", "--quiet"),
    ]


def run(*argv) -> int:
    try:
        return main([str(argument) for argument in argv])
    except SystemExit as error:
        return error.code


def content_of(file):
    return json.loads(file.read_text(encoding="utf-8"))


class BadInput:
    """Runs a command that must fail with exit code 2 and one line on standard error, and gives that line."""

    def __init__(self, capsys, caplog):
        self.capsys = capsys
        self.caplog = caplog

    def __call__(self, *argv, quiet=True) -> str:
        self.capsys.readouterr()
        assert run(*argv, *(["--quiet"] if quiet else [])) == 2
        lines = self.capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert "Traceback" not in lines[0]
        assert not [record.getMessage() for record in self.caplog.records]  # what libraries log goes there too
        return lines[0]


@pytest.fixture
def bad_input(capsys, caplog):
    return BadInput(capsys, caplog)


# train


def test_train_writes_a_model_that_loads(training, tmp_path, capsys):
    assert run("train", *training) == 0
    predictor = LassPredictor.from_pretrained(str(tmp_path / "out"))
    assert predictor.score([("cat", "eats", "milk")]).shape == (1,)
    out = capsys.readouterr().out
    assert "train_loss" in out
    assert f"lass-hf evaluate --model {tmp_path / 'out'}" in out


def test_train_changes_the_encoders_weights(training, tmp_path, encoder_folder):
    assert run("train", *training, "--learning_rate", 0.01) == 0
    trained = LassForKGCompletion.from_pretrained(tmp_path / "out").state_dict()
    before = LassForKGCompletion.from_encoder(encoder_folder).state_dict()
    assert not all(torch.equal(trained[name], before[name]) for name in before)


def test_results_say_how_the_model_was_trained(training, graph_folder, tmp_path):
    assert run("train", *training, "--seed", 5) == 0
    file = tmp_path / "evaluate.json"
    model = ["--model", tmp_path / "out", "--graph", graph_folder, "--quiet", "--json", file]
    assert run("evaluate", *model, "--seed", 1, "--limit", 2) == 0
    content = content_of(file)
    assert (content["seed"], content["training"]["seed"]) == (1, 5)
    assert content["training"]["choices"]["max_steps"] == 2
    assert content["training"]["metrics"]["train_runtime"] > 0
    assert content["seconds"] > 0
    (tmp_path / "out" / "training.json").unlink()
    assert run("evaluate", *model) == 0
    assert content_of(file)["training"] is None


def test_train_writes_its_results_as_json(training, tmp_path):
    file = tmp_path / "results" / "train.json"
    assert run("train", *training, "--json", file) == 0
    content = content_of(file)
    assert np.isfinite(content["metrics"]["train_loss"])
    assert content["num_processes"] == 1
    assert content["versions"]["lass-hf"] == lass_hf.__version__
    assert content["arguments"]["max_steps"] == 2
    assert content["arguments"]["loss"] == "negative_sampling"
    assert not list(file.parent.glob("*.tmp"))


def test_recipe_gives_arguments_and_flags_override_them(training, tmp_path):
    recipe, file = tmp_path / "recipe.yaml", tmp_path / "train.json"
    values = {"margin": 3.5, "separators": False, "learning_rate": 1e-3, "loss": "mean_bce", "max_steps": 9}
    recipe.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert run("train", recipe, *training, "--margin", 4.5, "--json", file) == 0
    used = content_of(file)["arguments"]
    assert (used["margin"], used["max_steps"]) == (4.5, 2)
    assert (used["separators"], used["learning_rate"], used["loss"]) == (False, 1e-3, "mean_bce")
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.margin == 4.5
    assert LassProcessor.from_pretrained(tmp_path / "out").separators is False


def test_recipe_alone_is_enough(tmp_path, graph_folder, encoder_folder):
    recipe = tmp_path / "recipe.yaml"
    values = {"graph": str(graph_folder), "encoder": encoder_folder, "output_dir": str(tmp_path / "out")}
    settings = {"max_steps": 1, "save_strategy": "no", "report_to": "none", "quiet": True}
    recipe.write_text(yaml.safe_dump({**values, **settings}), encoding="utf-8")
    assert run("train", recipe) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_preset_sets_every_choice_that_changes_scores_or_loss(preset, training, tmp_path):
    file = tmp_path / "train.json"
    plain = [*training[: training.index("--num_negatives")], *training[training.index("--num_negatives") + 2 :]]
    assert run("train", *plain, "--preset", preset, "--json", file) == 0
    used = content_of(file)["arguments"]
    assert {name: used[name] for name in PRESETS[preset]} == PRESETS[preset]
    assert LassForKGCompletion.from_pretrained(tmp_path / "out").config.distance_scale == used["distance_scale"]
    assert LassProcessor.from_pretrained(tmp_path / "out").separators is used["separators"]


def test_training_resumes_from_a_checkpoint(training, tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    saving = ["--save_strategy", "steps", "--save_steps", 1]
    assert run("train", *training, *saving, "--output_dir", straight) == 0
    checkpoint = ["--resume_from_checkpoint", straight / "checkpoint-1"]
    assert run("train", *training, *checkpoint, "--output_dir", resumed) == 0
    first, second = (LassForKGCompletion.from_pretrained(folder).state_dict() for folder in (straight, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_evaluates_on_validation(training, tmp_path):
    file = tmp_path / "train.json"
    assert run("train", *training, "--eval_strategy", "steps", "--eval_steps", 1, "--json", file) == 0
    evaluations = [entry for entry in content_of(file)["log"] if "eval_mrr" in entry]
    assert [entry["step"] for entry in evaluations] == [1, 2]


def test_training_takes_the_package_s_own_graph(training, encoder_folder, tmp_path):
    assert run("train", *training, "--graph", "countries", "--max_steps", 1) == 0
    assert LassProcessor.from_pretrained(tmp_path / "out").graph.num_entities > 100


# Recipes, parsed only

REQUIRED = ["--graph", "g", "--encoder", "e", "--output_dir", "o"]


def parsed(tmp_path, recipe, *flags):
    """Both argument objects as one dictionary."""
    argv = [*REQUIRED, *flags]
    if recipe is not None:
        (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
        argv = [str(tmp_path / "recipe.yaml"), *argv]
    arguments, training = parse_training(argv)
    return {**vars(arguments), **vars(training)}


def test_defaults_are_the_papers_loss_and_negatives(tmp_path):
    used = parsed(tmp_path, None)
    assert (used["loss"], used["num_negatives"], used["corruption"]) == ("negative_sampling", 5, "each_slot")
    assert (used["margin"], used["separators"], used["replacement"]) == (7.0, True, False)


def test_recipe_s_own_value_wins_over_its_preset(tmp_path):
    used = parsed(tmp_path, "preset: published_code\nseparators: true\n")
    assert (used["separators"], used["loss"], used["replacement"]) == (True, "mean_bce", True)


def test_preset_flag_wins_over_the_recipe(tmp_path):
    used = parsed(tmp_path, "loss: mean_bce\nlearning_rate: 2e-5\n", "--preset", "paper")
    assert (used["loss"], used["learning_rate"], used["preset"]) == ("negative_sampling", 2e-5, "paper")


@pytest.mark.parametrize("recipe", [None, "preset: paper\n"])
def test_flag_wins_over_a_preset(recipe, tmp_path):
    flags = ["--distance_scale", "sqrt_dim", *([] if recipe else ["--preset", "paper"])]
    used = parsed(tmp_path, recipe, *flags)
    assert (used["preset"], used["distance_scale"]) == ("paper", "sqrt_dim")


def test_preset_may_be_joined_with_an_equals_sign(tmp_path):
    assert parsed(tmp_path, None, "--preset=published_code")["loss"] == "mean_bce"


def test_abbreviated_preset_is_never_ignored(tmp_path):
    try:
        used = parsed(tmp_path, None, "--prese", "published_code")
    except (LassError, SystemExit):
        return
    assert used["loss"] == "mean_bce"


def test_yaml_number_without_point_is_a_number(tmp_path):
    assert parsed(tmp_path, "learning_rate: 1e-4\nmax_steps: 7\nbf16: false\n")["learning_rate"] == 1e-4


def test_recipe_can_turn_a_switch_off_and_a_flag_on_again(tmp_path):
    assert parsed(tmp_path, "separators: false\n")["separators"] is False
    assert parsed(tmp_path, "separators: false\n", "--separators", "true")["separators"] is True


# evaluate, classify, predict, info


def test_evaluate_prints_and_writes_the_metrics(model_folder, graph_folder, tmp_path, capsys):
    file = tmp_path / "evaluate.json"
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--quiet", "--json", file) == 0
    graph = KnowledgeGraph.from_directory(graph_folder)
    processor = LassProcessor.from_pretrained(model_folder)
    expected = evaluate_link_prediction(make_model(), processor, graph, quiet=True)
    content = content_of(file)
    assert content["metrics"] == expected.metrics
    assert content["ranks"] == expected.ranks.tolist()
    assert content["num_processes"] == 1
    assert (content["split"], content["limit"]) == ("test", None)
    assert f"{expected.metrics['mrr']:.4f}" in capsys.readouterr().out


def test_evaluate_takes_a_split_a_limit_and_a_dtype(model_folder, graph_folder, tmp_path):
    file = tmp_path / "evaluate.json"
    choices = ["--split", "train", "--limit", 4, "--seed", 3, "--dtype", "float32", "--quiet", "--json", file]
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, *choices) == 0
    graph, processor = KnowledgeGraph.from_directory(graph_folder), LassProcessor.from_pretrained(model_folder)
    expected = evaluate_link_prediction(
        make_model(), processor, graph, split="train", limit=4, seed=3, dtype="float32", quiet=True
    )
    assert content_of(file)["metrics"] == expected.metrics
    assert content_of(file)["metrics"]["num_triplets"] == 4


def test_evaluate_ranks_relations_when_asked_to(model_folder, graph_folder, tmp_path):
    file = tmp_path / "evaluate.json"
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--relations", "--json", file) == 0
    assert content_of(file)["metrics"]["num_queries"] == len(TEST)


def test_evaluate_shows_progress_unless_quiet(model_folder, graph_folder, capsys):
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder) == 0
    assert "ranking heads" in capsys.readouterr().err
    assert run("evaluate", "--model", model_folder, "--graph", graph_folder, "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_evaluate_warns_of_other_texts_than_in_training(model_folder, tmp_path, capsys):
    folder = write_graph(tmp_path / "other", entity_text={**ENTITY_TEXT, "cat": "a feline", "dog": "a canine"})
    assert run("evaluate", "--model", model_folder, "--graph", folder, "--quiet") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "warning: 2 entities have other texts" in line


# An evaluation that is interrupted, and its progress on disk


@pytest.fixture
def own_model(model_folder, tmp_path):
    """A copy of the model's folder, to leave progress in."""
    return shutil.copytree(model_folder, tmp_path / "own_model")


@pytest.fixture
def interrupt(monkeypatch):
    """Makes evaluations rank two queries at a time, lets each score `calls` times, and interrupts it then."""
    original = TripletScorer.score
    monkeypatch.setitem(link_prediction.UNIT_SIZE, "joint", 20)

    def after(calls=10**9, seen=lambda: None):
        count = itertools.count()

        def score(self, *arguments, **choices):
            seen()
            if next(count) == calls:
                raise KeyboardInterrupt
            return original(self, *arguments, **choices)

        monkeypatch.setattr(TripletScorer, "score", score)
        return count

    return after


@pytest.fixture
def places(own_model, tmp_path):
    """--json or not, and a pattern for where the progress then lies."""
    file = tmp_path / "results" / "evaluate.json"
    return {"json": (["--json", file], Path(f"{file}.progress")), "model": ([], own_model / "links-test.progress")}


@pytest.mark.parametrize("place", ["json", "model"])
def test_evaluation_keeps_its_progress_from_the_first_ranks_until_it_ends(
    place, own_model, graph_folder, places, interrupt
):
    flags, folder = places[place]
    seen = []
    interrupt(seen=lambda: seen.append([name for name, (_, other) in places.items() if other.is_dir()]))
    assert run("evaluate", "--model", own_model, "--graph", graph_folder, "--quiet", *flags) == 0
    assert seen == [[], [place], [place]]  # one query for heads, three for tails, two at a time
    assert not folder.exists()


@pytest.mark.parametrize("place", ["json", "model"])
def test_interrupted_evaluation_continues_with_the_same_ranks(
    place, own_model, graph_folder, places, interrupt, tmp_path, capsys
):
    flags, folder = places[place]
    folder = folder.with_name(folder.name.replace("links-test", "links-train"))
    command = ["evaluate", "--model", own_model, "--graph", graph_folder, "--split", "train"]
    whole = interrupt()
    assert run(*command, "--json", tmp_path / "whole.json") == 0
    assert "continuing" not in capsys.readouterr().err
    units = next(whole)
    for finished in (3, 4):  # interrupted twice, first in the heads and then in the tails
        interrupt(finished)
        assert run(*command, *flags) == 130
        assert folder.is_dir()
        units -= finished
    capsys.readouterr()
    rest = interrupt()
    assert run(*command, *flags) == 0
    captured = capsys.readouterr()
    assert f"units of work are done in {folder}" in captured.err
    assert next(rest) == units > 0
    assert not folder.exists()
    expected = content_of(tmp_path / "whole.json")
    assert f"{expected['metrics']['mrr']:.4f}" in captured.out
    if place == "json":
        found = content_of(flags[1])
        assert found | {"seconds": 0} == expected | {"seconds": 0}


@pytest.mark.parametrize("place", ["json", "model"])
def test_progress_of_another_evaluation_is_refused_and_kept(
    place, own_model, graph_folder, places, interrupt, bad_input
):
    flags, folder = places[place]
    command = ["evaluate", "--model", own_model, "--graph", graph_folder, *flags]
    interrupt(2)
    assert run(*command, "--quiet") == 130
    interrupt()
    kept = (folder / "process-0.jsonl").read_bytes()
    assert kept.count(b"\n") == 3
    assert "limit was None, now 2" in bad_input(*command, "--limit", "2")
    make_model(seed=1).save_pretrained(own_model)
    line = bad_input(*command)
    assert f"delete {folder}" in line
    assert "model was " in line
    assert (folder / "process-0.jsonl").read_bytes() == kept


def test_classify_prints_and_writes_the_accuracy(model_folder, labelled_folder, tmp_path, capsys):
    file = tmp_path / "classify.json"
    assert run("classify", "--model", model_folder, "--graph", labelled_folder, "--quiet", "--json", file) == 0
    content = content_of(file)
    predictions = np.array(content["scores"]) > content["threshold"]
    labels = KnowledgeGraph.from_directory(labelled_folder)["test"].labels == 1
    assert content["metrics"]["accuracy"] == pytest.approx((predictions == labels).mean())
    assert content["num_processes"] == 1
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "question",
    [
        {"head": "cat", "relation": "eats"},
        {"relation": "eats", "tail": "food"},
        {"head": "cat", "tail": "food"},
    ],
    ids=["tail", "head", "relation"],
)
def test_predict_prints_and_writes_answers(question, model_folder, tmp_path, capsys):
    file = tmp_path / "answers" / "predict.json"
    flags = [part for slot, name in question.items() for part in (f"--{slot}", name)]
    assert run("predict", "--model", model_folder, *flags, "--top_k", 3, "--quiet", "--json", file) == 0
    expected = LassPredictor.from_pretrained(model_folder).predict(**question, top_k=3)
    content = content_of(file)
    assert [(a["id"], a["text"], a["score"], a["known"]) for a in content["answers"]] == [tuple(a) for a in expected]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(expected)
    assert all(answer.id in line and answer.text in line for answer, line in zip(expected, lines, strict=True))


def test_predict_leaves_known_answers_out_unless_asked(model_folder, capsys):
    question = ["predict", "--model", model_folder, "--head", "cat", "--relation", "eats", "--top_k", 20, "--quiet"]
    assert run(*question) == 0
    assert "(known)" not in capsys.readouterr().out
    assert run(*question, "--include_known") == 0
    assert capsys.readouterr().out.count("(known)") == 3


def test_predict_takes_an_entity_that_is_new_to_the_graph(model_folder, tmp_path):
    file = tmp_path / "predict.json"
    question = ["--head_text", "lion, a large cat", "--relation", "eats", "--top_k", 2, "--json", file]
    assert run("predict", "--model", model_folder, *question) == 0
    expected = LassPredictor.from_pretrained(model_folder).predict(
        head={"text": "lion, a large cat"}, relation="eats", top_k=2
    )
    assert [answer["id"] for answer in content_of(file)["answers"]] == [answer.id for answer in expected]


def test_predict_says_when_every_answer_is_known(tmp_path, capsys):
    processor = LassProcessor(wordpiece_tokenizer())
    processor.graph = KnowledgeGraph.from_triplets([("a", "r", "a"), ("a", "r", "b")])
    make_model().save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    assert run("predict", "--model", tmp_path / "model", "--head", "a", "--relation", "r", "--quiet") == 0
    assert "no answer" in capsys.readouterr().out


def save_encoder(tmp_path):
    wordpiece_tokenizer().save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def test_info_prints_and_writes_counts_and_token_lengths(graph_folder, encoder_folder, tmp_path, capsys):
    file = tmp_path / "info.json"
    assert run("info", "--graph", graph_folder, "--encoder", encoder_folder, "--quiet", "--json", file) == 0
    metrics = content_of(file)["metrics"]
    assert (metrics["entities"], metrics["relations"]) == (10, 3)
    assert {name: split["triplets"] for name, split in metrics["splits"].items()} == {
        "train": len(TRAIN),
        "validation": len(VALIDATION),
        "test": len(TEST),
    }
    assert metrics["tokens"]["sequence"]["max"] > metrics["tokens"]["entity_text"]["max"] > 0
    out = capsys.readouterr().out
    assert "entities_unseen_in_train" in out
    assert "tokens:" in out


def test_info_without_a_tokenizer_still_counts(graph_folder, tmp_path, capsys):
    assert run("info", "--graph", graph_folder, "--encoder", tmp_path / "nothing", "--quiet") == 0
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert "no token lengths" in line
    assert "relations" in captured.out


def test_info_knows_the_package_s_own_graph(encoder_folder, capsys):
    assert run("info", "--graph", "countries", "--encoder", encoder_folder, "--quiet") == 0
    assert "positives" in capsys.readouterr().out


# Help, version


@pytest.mark.parametrize("command", [[], *([name] for name in SUBCOMMANDS), ["serve"]], ids=" ".join)
def test_help_exits_0(command, capsys):
    assert run(*command, "--help") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: lass-hf")
    assert captured.err == ""


def test_help_names_every_subcommand(capsys):
    run("--help")
    out = capsys.readouterr().out
    assert all(name in out for name in [*SUBCOMMANDS, "serve"])


def test_help_of_train_names_its_own_arguments_and_the_trainers(capsys):
    run("train", "--help")
    out = capsys.readouterr().out
    names = ("recipe", "--graph", "--encoder", "--output_dir", "--preset", "--learning_rate", "--num_negatives")
    assert all(name in out for name in (*names, "--quiet", "--json"))


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_of_every_subcommand_has_quiet_and_json(command, capsys):
    run(command, "--help")
    out = capsys.readouterr().out
    assert "--quiet" in out
    assert "--json" in out


def test_version_in_process(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"lass-hf {lass_hf.__version__}"


def test_module_runs_as_a_program_and_its_error_is_one_line(encoder_folder, graph_folder):
    """In a process of its own, where nothing that libraries write to standard error is lost."""
    program = [sys.executable, "-m", "lass_hf.cli"]
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=120, check=False)
    assert (version.returncode, version.stdout.strip()) == (0, f"lass-hf {lass_hf.__version__}")
    command = ["evaluate", "--model", encoder_folder, "--graph", str(graph_folder)]
    failed = subprocess.run([*program, *command], capture_output=True, text=True, timeout=120, check=False)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert "from_encoder" in line


# Bad graphs


@pytest.fixture
def broken(tmp_path):
    """Gives the graph as a folder, with one file of other content."""

    def write(file, content):
        folder = write_graph(tmp_path / "graph")
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


@pytest.mark.parametrize("content", ["cat\tis_a\tanimal\ncat\tis_a\n", "cat\tis_a\tanimal\na\tb\tc\td\te\n"])
@pytest.mark.parametrize("command", ["info", "train", "evaluate"])
def test_wrong_number_of_columns_names_file_and_line(command, content, broken, bad_input, training, model_folder):
    folder = broken("train.tsv", content)
    arguments = {"info": [], "train": training[2:], "evaluate": ["--model", model_folder]}[command]
    line = bad_input(command, "--graph", folder, *arguments)
    assert f"{folder / 'train.tsv'}, line 2" in line
    assert "expected 3" in line


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("test.tsv", b"cat\tis_a\tanimal\ncat\tis_a\t\xff\n", "line 2: not UTF-8"),
        ("entity2text.txt", b"cat\tca\xe9t\n", "line 1: not UTF-8"),
        ("train.tsv", b"", "the file is empty"),
        ("train.tsv", b"\n\n", "the file is empty"),
        ("dev.tsv", b"", "the file is empty"),
        ("train.tsv", b"one column\n", "line 1: 1 tab-separated column"),
        ("train.tsv", b"cat\t\tanimal\n", "line 1: an empty field"),
        ("test.tsv", b"cat\tis_a\tanimal\t1\ncat\tis_a\tdog\ttrue\n", "line 2: label 'true'; expected 1"),
        ("entity2text.txt", b"cat\tone\ncat\ttwo\n", "line 2: a second, different text for 'cat'"),
        ("entity2text.txt", b"cat\ta cat\n", "no text for"),
        ("relation2text.txt", b"eats\n", "line 1: 1 tab-separated column"),
    ],
)
def test_bad_graph_file_names_file_and_line(file, content, expected, broken, bad_input):
    folder = broken(file, content)
    line = bad_input("info", "--graph", folder)
    assert str(folder / file) in line
    assert expected in line


def test_missing_graph_folder(tmp_path, bad_input):
    assert str(tmp_path / "nothing") in bad_input("info", "--graph", tmp_path / "nothing")


def test_graph_that_is_a_file(graph_folder, bad_input):
    assert "train.tsv" in bad_input("info", "--graph", graph_folder / "train.tsv")


def test_graph_folder_without_triplets(tmp_path, bad_input):
    line = bad_input("info", "--graph", tmp_path)
    assert str(tmp_path) in line
    assert "train.tsv" in line


def test_unknown_graph_name_lists_the_known_ones(bad_input):
    line = bad_input("info", "--graph", "country")
    assert "country:" in line
    assert "countries" in line


def test_benchmark_that_does_not_ship_says_what_to_do(bad_input):
    assert "download" in bad_input("info", "--graph", "wn18rr")


def test_graph_without_training_split_cannot_be_trained_on(tmp_path, bad_input, training):
    folder = write_graph(tmp_path / "graph", train=[])
    assert "no split 'train'" in bad_input("train", *training, "--graph", folder)


@pytest.mark.parametrize("command", ["evaluate", "classify"])
def test_unknown_split_lists_the_known_ones(command, model_folder, labelled_folder, bad_input):
    line = bad_input(command, "--model", model_folder, "--graph", labelled_folder, "--split", "dev")
    assert "no split 'dev'" in line
    assert "train, validation, test" in line


def test_long_texts_that_are_missing(graph_folder, bad_input):
    assert "entity2textlong.txt" in bad_input("info", "--graph", graph_folder, "--long_text")


def test_classification_without_labels(model_folder, graph_folder, bad_input):
    line = bad_input("classify", "--model", model_folder, "--graph", graph_folder)
    assert "no false triplet" in line
    assert "4th column" in line


# Bad models


@pytest.fixture
def with_model(graph_folder, labelled_folder, tmp_path):
    """The other arguments of each subcommand that takes a model."""
    return {
        "evaluate": ["--graph", graph_folder],
        "classify": ["--graph", labelled_folder],
        "analyze": ["--graph", labelled_folder, "--output", tmp_path / "analysis"],
        "predict": ["--head", "cat", "--relation", "eats"],
    }


@pytest.mark.parametrize("command", ["evaluate", "classify", "analyze", "predict"])
def test_bare_encoder_as_model_names_from_encoder(command, with_model, encoder_folder, bad_input):
    line = bad_input(command, "--model", encoder_folder, *with_model[command])
    assert encoder_folder in line
    assert "from_encoder" in line


@pytest.mark.parametrize("command", ["evaluate", "classify", "analyze", "predict"])
def test_model_that_does_not_exist(command, with_model, tmp_path, bad_input):
    assert str(tmp_path / "nothing") in bad_input(command, "--model", tmp_path / "nothing", *with_model[command])


def test_hub_model_without_hub(graph_folder, bad_input):
    line = bad_input("evaluate", "--model", "lass-hf/no-such-model", "--graph", graph_folder)
    assert "lass-hf/no-such-model" in line


def test_empty_folder_as_model(tmp_path, graph_folder, bad_input):
    assert str(tmp_path) in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_with_damaged_weights(tmp_path, processor, graph_folder, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:3000])
    assert str(tmp_path) in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_with_damaged_vocabulary(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (tmp_path / "vocabulary.json").write_text("{", encoding="utf-8")
    line = bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")
    assert str(tmp_path) in line


def test_model_with_damaged_triplets(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (tmp_path / "known_triplets.safetensors").write_bytes(b"nothing")
    line = bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")
    assert str(tmp_path) in line


def test_model_whose_weights_are_nan(tmp_path, processor, graph_folder, bad_input):
    model = make_model()
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert "NaN or infinite" in bad_input("evaluate", "--model", tmp_path, "--graph", graph_folder)


def test_model_saved_without_graph_cannot_predict(tmp_path, processor, bad_input):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="none")
    assert "no graph" in bad_input("predict", "--model", tmp_path, "--head", "cat", "--relation", "eats")


@pytest.mark.parametrize("encoder", ["no/such-encoder", "./no-such-folder"])
def test_encoder_that_does_not_exist(encoder, training, bad_input):
    assert encoder in bad_input("train", *training, "--encoder", encoder)


def test_encoder_folder_without_weights(tmp_path, training, bad_input):
    encoder = save_encoder(tmp_path)
    assert str(encoder) in bad_input("train", *training, "--encoder", encoder)


def test_a_trained_models_encoder_starts_another_model(model_folder, training):
    assert run("train", *training, "--encoder", model_folder, "--encoding", "separate", "--loss", "softmax") == 0


# Bad questions


def test_unknown_name_in_predict_gives_the_closest_matches(model_folder, bad_input):
    line = bad_input("predict", "--model", model_folder, "--head", "mousse", "--relation", "eats")
    assert "'mousse'" in line
    assert "did you mean 'mouse'" in line


def test_unknown_relation_in_predict_gives_the_closest_matches(model_folder, bad_input):
    line = bad_input("predict", "--model", model_folder, "--head", "cat", "--relation", "live in")
    assert "'lives in'" in line or "'lives_in'" in line


@pytest.mark.parametrize("question", [[], ["--head", "cat"], ["--head", "cat", "--relation", "eats", "--tail", "milk"]])
def test_predict_needs_two_slots(question, model_folder, bad_input):
    assert "exactly two of head, relation and tail" in bad_input("predict", "--model", model_folder, *question)


def test_name_and_text_of_a_slot_exclude_each_other(model_folder, bad_input):
    question = ["--head", "cat", "--head_text", "a cat", "--relation", "eats"]
    assert "--head_text" in bad_input("predict", "--model", model_folder, *question)


# Files that cannot be written


def test_output_dir_below_a_file(tmp_path, training, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert str(tmp_path / "file") in bad_input("train", *training, "--output_dir", tmp_path / "file" / "out")


def test_output_dir_that_is_a_file(tmp_path, training, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert str(tmp_path / "file") in bad_input("train", *training, "--output_dir", tmp_path / "file")


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_json_into_a_folder(command, with_model, model_folder, graph_folder, training, tmp_path, bad_input):
    arguments = {
        "train": training,
        "info": ["--graph", graph_folder],
        **{name: ["--model", model_folder, *more] for name, more in with_model.items()},
    }
    assert str(tmp_path) in bad_input(command, *arguments[command], "--json", tmp_path)


def test_json_below_a_file(tmp_path, graph_folder, bad_input):
    (tmp_path / "file").write_text("", encoding="utf-8")
    line = bad_input("info", "--graph", graph_folder, "--json", tmp_path / "file" / "info.json")
    assert str(tmp_path / "file") in line


# Bad recipes


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("learning_rat: 1\n", "unknown argument 'learning_rat'"),
        ("learning_rate: 1e-4\nbatch: 3\nepochs: 3\n", "unknown argument 'batch', 'epochs'"),
        ("learning_rate: [1\n", "no valid YAML"),
        ("- learning_rate\n", "`argument: value`"),
        ("", "`argument: value`"),
    ],
)
def test_bad_recipe_is_named(recipe, expected, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe, encoding="utf-8")
    line = bad_input("train", file, *training)
    assert str(file) in line
    assert expected in line


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("learning_rate: fast\n", "learning_rate"),
        ("learning_rate: [1, 2]\n", "learning_rate"),
        ("learning_rate:\n", "learning_rate"),
        ("separators: perhaps\n", "separators"),
        ("loss: hinge\n", "loss='hinge'"),
        ("preset: both\n", "preset 'both'"),
        ("preset: [paper]\n", "preset"),
        ("lr_scheduler_type: jumpy\n", "jumpy"),
        ("margin: {a: 1}\n", "margin"),
        ("max_length: long\n", "max_length"),
    ],
)
def test_bad_value_in_a_recipe(recipe, expected, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe, encoding="utf-8")
    assert expected in bad_input("train", file, *training)


@pytest.mark.parametrize("value", ["[bert]", "5", "{a: b}"])
def test_encoder_in_a_recipe_that_is_no_name(value, tmp_path, training, bad_input):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"encoder: {value}\n", encoding="utf-8")
    place = training.index("--encoder")
    bad_input("train", file, *training[:place], *training[place + 2 :])


def test_recipe_that_does_not_exist(tmp_path, training, bad_input):
    assert str(tmp_path / "nothing.yaml") in bad_input("train", tmp_path / "nothing.yaml", *training)


def test_recipe_that_is_not_utf8(tmp_path, training, bad_input):
    (tmp_path / "recipe.yaml").write_bytes(b"loss: \xff\n")
    assert str(tmp_path / "recipe.yaml") in bad_input("train", tmp_path / "recipe.yaml", *training)


def test_recipe_behind_flags_is_refused(tmp_path, training, bad_input):
    (tmp_path / "recipe.yaml").write_text("margin: 5.0\n", encoding="utf-8")
    assert "recipe" in bad_input("train", *training, tmp_path / "recipe.yaml")


# Bad flags


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--learning_rate", "fast"], "--learning_rate"),
        (["--margin", "wide"], "--margin"),
        (["--separators", "perhaps"], "--separators"),
        (["--max_steps", "2.5"], "--max_steps"),
        (["--loss", "hinge"], "loss='hinge'"),
        (["--corruption", "all"], "corruption='all'"),
        (["--distance_scale", "cosine"], "distance_scale='cosine'"),
        (["--preset", "both"], "both"),
        (["--num_negatives", "0"], "num_negatives=0"),
        (["--max_length", "5"], "max_length"),
        (["--max_length", "-5"], "max_length"),
        (["--eval_strategy", "often"], "often"),
        (["--lr_scheduler_type", "jumpy"], "jumpy"),
        (["--per_device_train_batch_size", "0"], "batch"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps"),
        (["--eval_triplets", "0"], "eval_triplets"),
        (["--no_such_flag", "1"], "--no_such_flag"),
        (["--resume_from_checkpoint", "nowhere"], "nowhere"),
    ],
)
def test_bad_value_of_a_training_flag(flags, expected, training, bad_input):
    assert expected in bad_input("train", *training, *flags)


def test_evaluation_without_validation_split_is_one_line(tmp_path, training, bad_input):
    folder = write_graph(tmp_path / "graph", validation=[])
    assert "eval" in bad_input("train", *training, "--graph", folder, "--eval_strategy", "epoch")


def test_training_that_diverges_is_one_line(training, bad_input):
    flags = ["--learning_rate", "1e30", "--max_grad_norm", "0", "--optim", "sgd", "--bf16", "false"]
    assert "lower the learning rate" in bad_input("train", *training, *flags)


def test_max_length_beyond_the_encoders_positions_is_one_line(tmp_path, training, bad_input):
    folder = write_graph(tmp_path / "graph", entity_text={**ENTITY_TEXT, "animal": "animal " * 100})
    assert "max_length" in bad_input("train", *training, "--graph", folder, "--max_length", 400)


@pytest.mark.parametrize(
    ("command", "flags", "expected"),
    [
        ("evaluate", ["--limit", "0"], "--limit"),
        ("evaluate", ["--limit", "many"], "--limit"),
        ("evaluate", ["--dtype", "float64"], "float64"),
        ("evaluate", ["--seed", "x"], "--seed"),
        ("classify", ["--dtype", "half"], "half"),
        ("predict", ["--top_k", "0"], "--top_k"),
        ("predict", ["--top_k", "-3"], "--top_k"),
        ("predict", ["--no_such_flag"], "--no_such_flag"),
    ],
)
def test_bad_value_of_a_flag(command, flags, expected, with_model, model_folder, bad_input):
    assert expected in bad_input(command, "--model", model_folder, *with_model[command], *flags)


@pytest.mark.parametrize("command", ["evaluate", "classify", "predict", "info", "train"])
def test_missing_argument_is_named(command, bad_input):
    expected = {"predict": "--model", "info": "--graph", "train": "--graph"}.get(command, "--model")
    assert expected in bad_input(command)


def test_unknown_subcommand(bad_input):
    assert "evalute" in bad_input("evalute", quiet=False)


def test_no_subcommand(bad_input):
    assert "COMMAND" in bad_input(quiet=False)


def test_missing_and_empty_model_folders_are_told_apart(tmp_path, bad_input):
    question = ("--head", "cat", "--relation", "eats")
    assert "no such folder" in bad_input("predict", "--model", tmp_path / "nowhere", *question)
    assert "no config.json" in bad_input("predict", "--model", tmp_path, *question)


def test_unknown_training_flag_is_named(training, bad_input):
    assert "unknown argument --lerning_rate" in bad_input("train", *training, "--lerning_rate", "3")
