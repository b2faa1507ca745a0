"""A training that is killed and resumed: the weights are those of one that was not, or one line says why not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from helpers.command_line import content_of, run
from helpers.kills import contents
from helpers.tiny import ENCODER_CONFIGS, ENTITY_TEXT, TRAIN, make_processor, wordpiece_tokenizer, write_graph
from helpers.trainings import make_trainer
from safetensors import SafetensorError
from transformers import BertModel

from lass_hf import LassForKGCompletion, LassTrainer
from lass_hf.cli.commands import main
from lass_hf.core.errors import LassError
from lass_hf.training.checkpoints import find_checkpoint
from lass_hf.utils.fingerprints import model_fingerprint

STEPS = 8  # two epochs of 14 positives in batches of 4, a checkpoint every other step

# Where a training is killed, after how many steps, and the newest whole checkpoint that it leaves.
KILLS = [
    ("training_step", 1, None),
    ("training_step", 7, 6),  # in the middle of the second epoch
    ("_save_rng_state", 6, 4),  # in the middle of a checkpoint: weights and optimizer are written, the state is not
    ("save_to_json", 4, 2),  # in the middle of a checkpoint's last file
]

KILLER = """
import json, os, signal, sys
from transformers.trainer_callback import TrainerState
from lass_hf import LassTrainer
from lass_hf.cli.commands import main

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def patch(where, step):
    owner = TrainerState if where == "save_to_json" else LassTrainer
    original = getattr(owner, where)

    def replacement(self, *arguments, **choices):
        if (self.global_step if owner is TrainerState else self.state.global_step) != step:
            return original(self, *arguments, **choices)
        if owner is TrainerState:
            original(self, *arguments)
            os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
        kill()

    setattr(owner, where, replacement)

for where, step, argv in json.loads(sys.argv[1]):
    child = os.fork()  # each training in a process of its own, which has nothing to import any more
    if not child:
        patch(where, step)
        os._exit(main(argv))
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, (where, step)
"""


@pytest.fixture(scope="module")
def training(graph_folder, encoder_folder):
    """The arguments of a training with dropout, without --output_dir; in float32, also in a process of its own."""
    return [
        *(
            "train",
            "--graph",
            str(graph_folder),
            "--architecture",
            "cross-encoder",
            "--encoder",
            encoder_folder,
            "--learning_rate",
            "1e-3",
        ),
        *("--max_steps", str(STEPS), "--per_device_train_batch_size", "4", "--num_negatives", "2"),
        *("--save_steps", "2", "--report_to", "none", "--bf16", "false", "--quiet"),
    ]


@pytest.fixture(scope="module")
def straight(training, tmp_path_factory):
    """The folder of a training that nothing interrupted; do not change it."""
    folder = tmp_path_factory.mktemp("straight")
    assert main([*training, "--output_dir", str(folder)]) == 0
    assert LassForKGCompletion.from_pretrained(folder).config.encoder_config.hidden_dropout_prob == 0.1
    return folder


@pytest.fixture(scope="module")
def killed(training, tmp_path_factory):
    """Folders of killed trainings, by where and when."""
    folder = tmp_path_factory.mktemp("killed")
    trainings = [
        (where, step, [*training, "--output_dir", str(folder / f"{where}-{step}")]) for where, step, _ in KILLS
    ]
    command = [sys.executable, "-c", KILLER, json.dumps(trainings)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    return folder


@pytest.fixture
def steps(monkeypatch):
    """Gets the number of each step that is computed."""
    computed = []
    original = LassTrainer.training_step

    def training_step(self, *arguments, **choices):
        computed.append(self.state.global_step)
        return original(self, *arguments, **choices)

    monkeypatch.setattr(LassTrainer, "training_step", training_step)
    return computed


def fingerprint_of(folder):
    return model_fingerprint(LassForKGCompletion.from_pretrained(folder))


def resume(training, output_dir, checkpoint, *flags) -> int:
    arguments = [*training, "--output_dir", output_dir, "--resume_from_checkpoint", checkpoint, *flags]
    return main([str(argument) for argument in arguments])


# Exactly as without the kill


@pytest.mark.slow
@pytest.mark.parametrize(("where", "step", "last"), KILLS)
def test_killed_training_ends_with_the_weights_of_an_uninterrupted_one(
    where, step, last, training, killed, straight, steps, capsys
):
    folder = killed / f"{where}-{step}"
    assert find_checkpoint("last", folder) == (last and str(folder / f"checkpoint-{last}"))
    assert not (folder / "model.safetensors").exists()
    assert resume(training, folder, "last") == 0
    assert ("training from the start" in capsys.readouterr().err) is (last is None)
    assert steps == list(range(last or 0, STEPS))
    assert fingerprint_of(folder) == fingerprint_of(straight)


def test_training_that_had_ended_is_not_trained_further(training, straight, tmp_path, steps):
    folder = shutil.copytree(straight, tmp_path / "out")
    assert resume(training, folder, "last") == 0
    assert steps == []
    assert fingerprint_of(folder) == fingerprint_of(straight)


def test_a_training_that_had_ended_keeps_its_results_card_and_evidence(training, straight, graph_folder, tmp_path):
    """And a kind of evidence that was not made is made for the same model."""
    folder = shutil.copytree(straight, tmp_path / "out")
    assert run("evaluate", "--model", folder, "--graph", graph_folder, "--quiet") == 0
    before = contents(folder)
    assert resume(training, folder, "last", "--json", tmp_path / "again.json") == 0
    assert contents(folder) == before
    trained, again = content_of(folder / "training.json"), content_of(tmp_path / "again.json")
    assert trained["metrics"]["train_loss"] > 0
    assert {name: again[name] for name in ("metrics", "log", "resumed")} == {
        name: trained[name] for name in ("metrics", "log", "resumed")
    }
    assert resume(training, folder, "last", "--evidence", "text,frequency") == 0
    assert content_of(folder / "training.json")["evidence"]["kinds"] == ["text", "frequency"]
    with_evidence = contents(folder)
    changed = {name for name in with_evidence if with_evidence[name] != before.get(name)}
    assert {name for name in changed if not name.startswith("evidence/")} == {"training.json", "README.md"}
    for evidence in ([], ["--evidence", "text,frequency"]):
        assert resume(training, folder, "last", *evidence) == 0
        assert contents(folder) == with_evidence
    assert resume(training, folder, "last", "--evidence", "text") == 0
    assert not (folder / "evidence").exists()
    assert content_of(folder / "training.json") == trained
    (folder / "vocabulary.json").unlink()  # What is not whole is saved anew.
    assert resume(training, folder, "last") == 0
    assert fingerprint_of(folder) == fingerprint_of(straight)
    assert (folder / "vocabulary.json").exists()


def test_the_card_of_weights_that_are_saved_again_keeps_their_evaluations(tmp_path, graph):
    def card_after(**choices):
        trainer = make_trainer(tmp_path, graph, make_processor(graph), eval_dataset=graph["validation"], **choices)
        trainer.train()
        return trainer

    choices = {"save_strategy": "steps", "save_steps": 1, "max_steps": 2}
    trainer = card_after(**choices)
    trainer.evaluate()
    trainer.save_model()
    before = content_of(tmp_path / "model_card.json")
    assert len(before["evaluations"]) > 0
    card_after(**choices, resume_from_checkpoint="last").save_model()
    assert content_of(tmp_path / "model_card.json") == before
    card_after(**{**choices, "max_steps": 3}, resume_from_checkpoint="last").save_model()
    assert content_of(tmp_path / "model_card.json")["evaluations"] == []


def test_last_without_any_checkpoint_says_that_it_trains_from_the_start(training, tmp_path, steps, capsys):
    assert resume(training, tmp_path, "last", "--max_steps", 1) == 0
    assert steps == [0]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"lass-hf: {tmp_path} has no whole checkpoint; training from the start"


# Refused


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Flags, by name, of trainings that differ in one choice."""
    folder = tmp_path_factory.mktemp("others")
    config = ENCODER_CONFIGS["bert"]()
    config.intermediate_size += 4
    BertModel(config).save_pretrained(folder / "encoder")
    wordpiece_tokenizer().save_pretrained(folder / "encoder")
    return {
        "margin": ["--margin", "3"],
        "distance": ["--distance_scale", "none"],
        "encoder": ["--encoder", folder / "encoder"],
        "graph": ["--graph", write_graph(folder / "graph", train=TRAIN[:-1])],
        "texts": ["--graph", write_graph(folder / "texts", entity_text=ENTITY_TEXT | {"cat": "a cat"})],
        "separators": ["--separators", "false"],
        "max_length": ["--max_length", "32"],
    }


@pytest.mark.parametrize("checkpoint", ["last", "checkpoint-4"])
@pytest.mark.parametrize("other", ["margin", "distance", "encoder", "graph", "texts", "separators", "max_length"])
def test_checkpoint_of_another_training_is_refused(checkpoint, other, training, straight, others, tmp_path, capsys):
    by_name = checkpoint != "last"
    folder = tmp_path if by_name else shutil.copytree(straight, tmp_path / "out")
    assert resume(training, folder, straight / checkpoint if by_name else "last", *others[other]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(straight / "checkpoint-4" if by_name else folder / "checkpoint-8") in line
    choice = {"distance": "distance_scale"}.get(other, other)
    expected = {"graph": "another graph", "texts": "other texts", "encoder": ": its training "}
    expected = expected.get(other, f": its training has {choice}=")
    assert expected in line


@pytest.mark.parametrize("other", ["graph", "texts"])
def test_a_refused_resume_leaves_the_finished_training_as_it_was(other, training, straight, others, tmp_path, capsys):
    folder = shutil.copytree(straight, tmp_path / "out")
    files = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert resume(training, folder, "last", *others[other]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert {"graph": "another graph", "texts": "other texts"}[other] in line
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == files


def write_checkpoint(folder, lacks="", state='{"global_step": 9}'):
    """The files that make a checkpoint whole, or some of them."""
    folder.mkdir(parents=True)
    configs = {"config.json", "processor_config.json", "checkpoint_files.json"}
    for name in {"model.safetensors", "optimizer.pt", "scheduler.pt", *configs} - {lacks}:
        (folder / name).write_text("{}", encoding="utf-8")
    if state is not None:
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "lacking"),
    [
        ({"state": None}, "trainer_state.json"),
        ({"state": ""}, "trainer_state.json"),
        ({"state": '{"global_step": 9, "log_his'}, "trainer_state.json"),
        ({"state": "{}"}, "trainer_state.json"),
        ({"state": "[1]"}, "trainer_state.json"),
        ({"lacks": "config.json"}, "config.json"),
        ({"lacks": "processor_config.json"}, "processor_config.json"),
        ({"lacks": "optimizer.pt"}, "optimizer.pt"),
        ({"lacks": "scheduler.pt"}, "scheduler.pt"),
        ({"lacks": "checkpoint_files.json"}, "checkpoint_files.json"),
        ({"lacks": "model.safetensors", "state": None}, "model.safetensors"),
    ],
)
def test_checkpoint_that_is_not_whole_is_passed_over_by_last_and_refused_by_name(damage, lacking, tmp_path):
    write_checkpoint(tmp_path / "checkpoint-9", **damage)
    assert find_checkpoint("last", tmp_path) is None
    write_checkpoint(tmp_path / "checkpoint-3")
    assert find_checkpoint("last", tmp_path) == str(tmp_path / "checkpoint-3")
    with pytest.raises(LassError, match=f"checkpoint-9: its {lacking} is missing, incomplete or changed; expected "):
        find_checkpoint(str(tmp_path / "checkpoint-9"), tmp_path)


def test_last_is_the_checkpoint_with_the_most_steps(tmp_path):
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-best", "checkpoint-", "other-11"):
        write_checkpoint(tmp_path / name)
    (tmp_path / "checkpoint-12").write_text("", encoding="utf-8")
    os.utime(tmp_path / "checkpoint-9", (2**31, 2**31))
    assert find_checkpoint("last", tmp_path) == str(tmp_path / "checkpoint-10")
    assert find_checkpoint("last", tmp_path / "nowhere") is None
    assert find_checkpoint(str(tmp_path / "checkpoint-9"), tmp_path) == str(tmp_path / "checkpoint-9")


def test_cut_checkpoint_by_name_is_one_line(training, straight, tmp_path, capsys):
    folder = shutil.copytree(straight / "checkpoint-4", tmp_path / "checkpoint-4")
    (folder / "trainer_state.json").write_text("{", encoding="utf-8")
    assert resume(training, tmp_path / "out", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder}: its trainer_state.json is missing, incomplete or changed" in line
    assert not Path(tmp_path, "out", "model.safetensors").exists()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "vocabulary.json", "tokenizer.json", "optimizer.pt", "scheduler.pt", "rng_state.pth"]
)
def test_damaged_checkpoint_is_one_line(name, training, straight, tmp_path, capsys):
    folder = shutil.copytree(straight / "checkpoint-4", tmp_path / "checkpoint-4")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert resume(training, tmp_path / "out", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder}: its {name} is missing, incomplete or changed; expected" in line


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("transformers.modeling_utils.safe_save_file", SafetensorError("Error while serializing: I/O error: no space")),
        ("torch.save", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 534")),
        ("torch.save", OSError(28, "No space left on device")),
    ],
)
def test_a_full_disk_is_one_clear_error_and_the_checkpoint_before_is_there(place, error, tmp_path, graph):
    choices = {"save_strategy": "steps", "save_steps": 1, "max_steps": 3}
    make_trainer(tmp_path, graph, make_processor(graph), **{**choices, "max_steps": 1}).train()
    trainer = make_trainer(tmp_path, graph, make_processor(graph), **choices)
    checkpoint = find_checkpoint("last", tmp_path)
    with patch(place, side_effect=error), pytest.raises(LassError, match=r"cannot be saved .*; free space there"):
        trainer.train(resume_from_checkpoint=checkpoint)
    assert find_checkpoint("last", tmp_path) == checkpoint
    trainer = make_trainer(tmp_path, graph, make_processor(graph), **choices)
    trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.state.global_step == 3
