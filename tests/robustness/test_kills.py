"""Saves and checkpoints that are killed at any file operation leave what was there, what was to come, or one line.

`pytest tests/robustness/test_kills.py -rP` prints how many kills there were.
"""

import json
import os
import shutil
import signal

import pytest
from helpers.kills import Kills, contents, watched
from helpers.tiny import make_model, make_processor, scores_of
from helpers.trainings import make_trainer
from transformers import pipeline

from lass_hf.core.errors import LassError
from lass_hf.core.saved_files import replacing
from lass_hf.training.checkpoints import find_checkpoint

OLD, NEW = {"seed": 0, "margin": 1.0}, {"seed": 1, "margin": 9.0}
CARD = ("README.md", "model_card.json")


def old_and_new(place, graph):
    """Saves two models with their processors, whose weights, margins and separators differ; returns their folders."""
    for name, choices in (("old", OLD), ("new", NEW)):
        with replacing(place / name) as folder:
            make_model(**choices).save_pretrained(folder)
            make_processor(graph, separators=name == "old").save_pretrained(folder)
    return place / "old", place / "new"


@pytest.fixture(scope="module")
def folders(tmp_path_factory, graph):
    """The folders of both; do not change them."""
    return old_and_new(tmp_path_factory.mktemp("folders"), graph)


def trainer_saves(folder, model, processor):
    make_trainer(folder, processor.graph, processor, model).save_model()


def pipeline_saves(folder, model, processor):
    pipeline("triplet-classification", model=model, processor=processor).save_pretrained(folder)


def pipeline_saves_shards(folder, model, processor):
    made = pipeline("triplet-classification", model=model, processor=processor)
    made.save_pretrained(folder, max_shard_size="20KB")


def outcome(folder):
    """The scores of a saved model, or that one line says why there are none."""
    try:
        return tuple(scores_of(str(folder)).tolist())
    except LassError as error:
        return "one line" if f"{folder}: " in str(error) and "\n" not in str(error) else str(error)


def forget_digests(folder):
    """Makes the folder one of an earlier version, whose configurations name no files."""
    for name in ("config.json", "processor_config.json"):
        config = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({key: config[key] for key in config if not key.endswith("_files")}))


@pytest.mark.parametrize(
    ("save", "before"),
    [
        (trainer_saves, "another model"),
        (trainer_saves, "nothing"),
        (pipeline_saves, "a model of an earlier version"),
        (pipeline_saves_shards, "another model"),
    ],
)
def test_a_killed_save_leaves_the_old_model_the_new_one_or_one_line(save, before, folders, graph, tmp_path):
    folder, old, new = tmp_path / "model", *map(outcome, folders)
    if before == "nothing":
        folder.mkdir()
        old = "one line"
    else:
        shutil.copytree(folders[0], folder)
    if before == "a model of an earlier version":
        forget_digests(folder)
    model, processor = make_model(**NEW), make_processor(graph, separators=False)
    kills = Kills(folder, lambda: save(folder, model, processor), tmp_path / "states")
    outcomes = [outcome(state) for state in kills.states]
    assert set(outcomes) == {old, new, "one line"}
    assert (outcomes[0], outcomes[-1]) == (old, new)
    print(f"{save.__name__} over {before}: {kills.number} kills, {len(kills.states)} different folders")


@pytest.mark.parametrize("part", ["model", "processor"])
def test_a_killed_save_of_one_part_leaves_no_mixture_in_a_folder_of_both(part, folders, graph, tmp_path):
    folder = shutil.copytree(folders[0], tmp_path / "model")
    saved = make_model(**NEW) if part == "model" else make_processor(graph, separators=False)
    kills = Kills(folder, lambda: saved.save_pretrained(folder), tmp_path / "states")
    # A processor that is saved alone is what its user makes it; a model tells the processor that is not its own.
    allowed = {outcome(folders[0]), "one line", outcome(folder)}
    outcomes = [outcome(state) for state in kills.states]
    assert set(outcomes) == allowed
    assert outcomes[-1] == ("one line" if part == "model" else outcome(folder))
    print(f"{part} alone over another: {kills.number} kills, {len(kills.states)} different folders")


def checkpointing(folder, graph, choices):
    processor = make_processor(graph)
    saving = {"save_strategy": "steps", "save_steps": 1, "max_steps": 1}
    return make_trainer(folder, graph, processor, make_model(**choices), **saving)


def test_a_killed_checkpoint_is_passed_over_or_whole(graph, tmp_path):
    folder, whole = tmp_path / "out", []
    checkpointing(folder, graph, OLD).train()
    shutil.copytree(folder / "checkpoint-1", folder / "checkpoint-0")
    whole.append(contents(folder / "checkpoint-1"))
    trainer = checkpointing(tmp_path / "elsewhere", graph, NEW)
    trainer.train()
    trainer.args.output_dir = str(folder)
    kills = Kills(folder, lambda: trainer._save_checkpoint(trainer.model, None), tmp_path / "states")
    whole.append(contents(folder / "checkpoint-1"))
    found = [find_checkpoint("last", state) for state in kills.states]
    assert {checkpoint[-12:] for checkpoint in found} == {"checkpoint-0", "checkpoint-1"}
    for checkpoint in found:  # never files of both trainings; the card, which is no part of a training, comes first
        files = {name: digest for name, digest in contents(checkpoint).items() if name not in CARD}
        assert any(all(one.get(name) == digest for name, digest in files.items()) for one in whole)
    assert (contents(found[0]), contents(found[-1])) == tuple(whole)
    print(f"checkpoint over another: {kills.number} kills, {len(kills.states)} different folders")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("operation", [5, 60, 150, 170])
def test_a_real_kill_leaves_what_the_look_before_an_operation_sees(operation, folders, graph, tmp_path):
    """Of the other tests' way to see what kills leave."""
    model, processor = make_model(**NEW), make_processor(graph, separators=False)
    seen = []

    def save(name, before):
        folder = shutil.copytree(folders[0], tmp_path / name)
        watched(lambda: pipeline_saves(folder, model, processor), lambda: before(folder))
        return folder

    def look(folder):
        seen.append(contents(folder) if len(seen) == operation else None)

    def kill(folder):
        seen.append(folder)
        if len(seen) > operation:
            os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        save("killed", kill)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    save("watched", look)
    assert sorted(contents(tmp_path / "killed").values()) == sorted(seen[operation].values())
