"""The command line starts at once: which libraries help and `info` import; what `--debug` shows."""

import subprocess
import sys
from dataclasses import fields

import pytest
from helpers.command_line import run
from helpers.reviews import write_list
from transformers import TrainingArguments
from transformers.debug_utils import DebugOption

from lass_hf import LassTrainingArguments, TrainArguments
from lass_hf.cli.commands import COMMANDS, TRAINER_DEBUG
from lass_hf.review.reviewing import Review

HEAVY = {"torch", "transformers", "huggingface_hub", "datasets", "pyarrow", "pandas", "numpy", "sklearn"}


def imported_by(*argv):
    """The top-level modules that a command line imports, in a process of its own."""
    code = (
        "import sys; from lass_hf.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return set(done.stderr.splitlines()[-1].split()), done.stdout


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_imports_no_library(command):
    modules, shown = imported_by(*filter(None, [command]), "--help")
    assert "usage: lass-hf" in shown
    assert not HEAVY & modules


@pytest.mark.parametrize("graph", ["countries", "folder"])
def test_info_imports_neither_torch_nor_transformers(graph, graph_folder, tmp_path):
    place = graph_folder if graph == "folder" else graph
    modules, shown = imported_by("info", "--graph", place, "--json", tmp_path / "info.json")
    assert "entities" in shown
    assert (tmp_path / "info.json").is_file()
    assert not {"torch", "transformers", "datasets"} & modules


def test_review_imports_neither_torch_nor_transformers(tmp_path):
    review = Review(write_list(tmp_path, graph="countries"))
    review.decide(0, "accept", "Ada")
    modules, shown = imported_by("review", tmp_path, "--export", tmp_path / "accepted.tsv")
    assert "accepted triplets" in shown
    assert not {"torch", "transformers", "datasets"} & modules


def test_every_subcommand_has_debug():
    for command in COMMANDS:
        assert "--debug" in imported_by(command, "--help")[1]


def test_help_of_train_names_every_argument_of_this_package(capsys):
    assert run("train", "--help") == 0
    shown = capsys.readouterr().out
    inherited = {one.name for one in fields(TrainingArguments)}
    own = [one.name for one in fields(LassTrainingArguments) if one.name not in inherited]
    own += [one.name for one in fields(TrainArguments) if one.init]
    assert [name for name in own if f"--{name}" not in shown] == []
    assert "every argument of transformers.TrainingArguments" in " ".join(shown.split())
    assert run("train", "recipe.yaml", "--margin", "3", "-h") == 0
    assert capsys.readouterr().out == shown


def test_the_choices_of_the_method_import_no_library():
    code = "import sys, lass_hf.core.choices, lass_hf.scoring.precision; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("command", ["info", "train"])
def test_debug_shows_the_traceback_before_the_line(command, training, capsys):
    arguments = training if command == "train" else []
    assert run(command, *arguments, "--graph", "nowhere", "--debug") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert "GraphError" in lines[-2]
    assert lines[-1].startswith("lass-hf: error: nowhere: no such folder")


@pytest.mark.parametrize("words", [("--debug", "info"), ("info", "--debug")])
def test_debug_may_stand_before_the_subcommand(words, capsys):
    assert run(*words, "--graph", "nowhere") == 2
    assert capsys.readouterr().err.startswith("Traceback")


def test_debug_may_stand_before_a_recipe(tmp_path, capsys):
    assert run("train", "--debug", tmp_path / "nowhere.yaml") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == f"lass-hf: error: {tmp_path / 'nowhere.yaml'}: cannot be read (No such file or directory)"


def test_debug_with_a_value_is_the_trainers_own(monkeypatch):
    assert {option.value for option in DebugOption} == set(TRAINER_DEBUG)
    given = []
    monkeypatch.setattr("lass_hf.cli.subcommands.train.run", given.extend)
    for words in (["--debug", "underflow_overflow"], ["--debug", "underflow_overflow tpu_metrics_debug"]):
        given.clear()
        assert run("train", *words, "--graph", "g", "--debug") == 0
        assert given == [*words, "--graph", "g"]
