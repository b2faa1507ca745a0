"""One training writes into an output folder at a time, and its checkpoints are of one training."""

import json
import os
import shutil
import threading

import pytest
import torch
from helpers.tiny import make_model, make_processor, one_line
from helpers.trainings import assert_equal, parameters_of, trainer_of
from safetensors.torch import load_file

from lass_hf import LassForKGCompletion, LassTrainer, TrainArguments, collect_run_metadata, train_and_record
from lass_hf.cli.commands import main
from lass_hf.core.errors import LassError
from lass_hf.hub.card_files import read_card_data
from lass_hf.runs.run import train
from lass_hf.scoring.output_folders import LOCK_FILE, only_writer
from lass_hf.training.recipes import parse_training
from lass_hf.utils.atomic_files import lock_file
from lass_hf.utils.result_files import read_results

SAVING = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}


def saving(folder, graph, **choices) -> LassTrainer:
    """A trainer that writes a checkpoint every other step."""
    return trainer_of(folder, graph, **{**SAVING, **choices})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, graph):
    """The folder of a training with checkpoints 2 and 4; do not change it."""
    folder = tmp_path_factory.mktemp("trained")
    saving(folder, graph).train()
    return folder


def contents_of(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Another training

OTHERS = {
    "seed": {"seed": 7},
    "learning_rate": {"learning_rate": 0.01},
    "num_negatives": {"num_negatives": 1},
    "weights": {"model": lambda: make_model(seed=1)},
    "margin": {"model": lambda: make_model(margin=3.0)},
    "triplets": {"train_dataset": lambda graph: graph["train"].select(range(12))},
}


def other_training(name, folder, graph):
    choices = dict(OTHERS[name])
    if "model" in choices:
        choices["model"] = choices["model"]()
    if "train_dataset" in choices:
        choices["train_dataset"] = choices["train_dataset"](graph)
    return saving(folder, graph, **choices)


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("name", OTHERS)
def test_a_checkpoint_belongs_to_its_training(name, resumed, trained, graph):
    before = contents_of(trained)
    with pytest.raises(LassError) as error:
        other_training(name, trained, graph).train(resume_from_checkpoint=resumed)
    told = {"weights": "began with other weights", "triplets": "was on other training triplets"}
    one_line(error, "checkpoint-4", told.get(name, f"has {name}="), "another" if resumed else "choose another")
    assert contents_of(trained) == before


def test_a_checkpoint_belongs_to_the_retriever_of_its_negatives(tmp_path, graph, graph_folder, encoder_folder):
    retriever = tmp_path / "retriever"
    flags = {"graph": graph_folder, "architecture": "cross-encoder", "encoder": encoder_folder, "retriever": retriever}
    flags |= {"mining_depth": 4, "output_dir": tmp_path / "out", "report_to": "none", "max_steps": 1, "save_steps": 1}
    command = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]

    def go_on(seed):
        shutil.rmtree(retriever, ignore_errors=True)
        make_model(seed=seed, architecture="bi-encoder").save_pretrained(retriever)
        make_processor(graph, architecture="bi-encoder").save_pretrained(retriever)
        train(*parse_training([*command, "--resume_from_checkpoint", "last", "--quiet"]))

    go_on(0)
    go_on(0)
    with pytest.raises(LassError, match=r"checkpoint-1: its training mined negatives with another retriever; resume"):
        go_on(1)


def test_a_checkpoint_that_names_no_training_is_refused(tmp_path, graph):
    saving(tmp_path, graph, max_steps=2).train()
    file = tmp_path / "checkpoint-2" / "trainer_state.json"
    state = json.loads(file.read_text())
    del state["stateful_callbacks"]["TrainingIdentity"]
    file.write_text(json.dumps(state))
    with pytest.raises(LassError, match="does not say of which training it is"):
        saving(tmp_path, graph, max_steps=2).train(resume_from_checkpoint=True)
    with pytest.raises(LassError, match="checkpoint-2 is of another training, which is not known"):
        saving(tmp_path, graph, max_steps=2).train()


def test_the_command_line_refuses_a_used_folder(trained, graph_folder, encoder_folder, capsys):
    training = [
        "train",
        "--graph",
        graph_folder,
        "--architecture",
        "cross-encoder",
        "--encoder",
        encoder_folder,
        "--output_dir",
        trained,
        "--quiet",
    ]
    assert main([*map(str, training), "--report_to", "none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{trained}: checkpoint-4 is of another training" in line
    assert "choose another --output_dir" in line


# The same training


@pytest.mark.parametrize("how", ["fresh", "of the checkpoint", "the same trainer", "last", "argument"])
def test_a_training_goes_on_from_its_own_checkpoint(how, trained, tmp_path, graph):
    folder = tmp_path / "out"
    trainer = saving(folder, graph, max_steps=2, num_train_epochs=1)
    trainer.train()
    checkpoint = {"last": "last", "argument": None}.get(how, True)
    if how == "the same trainer":
        trainer.args.max_steps = 4
    else:
        model = LassForKGCompletion.from_pretrained(folder / "checkpoint-2") if how == "of the checkpoint" else None
        given = {"resume_from_checkpoint": "last"} if how == "argument" else {}
        trainer = saving(folder, graph, model=model, **given)
    trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.resumes == [{"step": 2, "changed": {"max_steps": [2, 4]}}]
    straight = LassForKGCompletion.from_pretrained(trained / "checkpoint-4")
    assert_equal(parameters_of(trainer.model), parameters_of(straight))


def test_every_resume_is_in_the_record_and_on_the_card(tmp_path, graph):
    for steps, more in ((2, {}), (4, {"resume_from_checkpoint": "last"}), (6, {"resume_from_checkpoint": "last"})):
        trainer = saving(tmp_path, graph, max_steps=steps, **more)
        trainer.card.run_metadata = collect_run_metadata(TrainArguments("animals", "tiny"), trainer.args, graph)
        train_and_record(trainer)
    resumes = [
        {"step": 2, "changed": {"max_steps": [2, 4]}},
        {"step": 4, "changed": {"max_steps": [4, 6]}},
    ]
    assert read_results(tmp_path / "training.json")["resumes"] == resumes
    assert read_card_data(tmp_path)["training"]["resumes"] == resumes
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "It was resumed at step 4, with `max_steps` 6 instead of 4." in card


@pytest.mark.parametrize("given", [{"activation_checkpointing": True}, {"torch_empty_cache_steps": 1}])
def test_a_training_goes_on_with_less_memory(given, trained, tmp_path, graph):
    """As the error about memory asks for; its weights are the same."""
    saving(tmp_path, graph, max_steps=2).train()
    trainer = saving(tmp_path, graph, **given)
    trainer.train(resume_from_checkpoint=True)
    (resume,) = trainer.resumes
    assert resume["changed"].items() >= {name: [None, value] for name, value in given.items()}.items()
    straight = LassForKGCompletion.from_pretrained(trained / "checkpoint-4")
    assert_equal(parameters_of(trainer.model), parameters_of(straight))


def test_restored_callbacks_leave_the_resumes_of_a_training_whole(tmp_path, graph):
    for steps, last in ((2, False), (4, True), (6, True)):
        trainer = saving(tmp_path, graph, max_steps=steps, restore_callback_states_from_checkpoint=last)
        trainer.train(resume_from_checkpoint=last)
    changes = [[2, 4], [4, 6]]
    assert trainer.resumes == [{"step": old, "changed": {"max_steps": [old, new]}} for old, new in changes]
    state = json.loads((tmp_path / "checkpoint-6" / "trainer_state.json").read_text())
    assert state["stateful_callbacks"]["TrainingIdentity"]["args"]["resumes"] == trainer.resumes


def test_a_shorter_training_does_not_end_with_the_weights_of_a_longer_one(trained, graph):
    with pytest.raises(LassError, match="it is that of step 4, and the training has 3 steps"):
        saving(trained, graph, max_steps=3).train(resume_from_checkpoint=True)


@pytest.mark.parametrize("steps", [3, 4])
def test_a_training_that_was_at_its_end_is_not_trained_further(steps, tmp_path, graph):
    """Three steps end in the middle of an epoch of two."""
    saving(tmp_path, graph, max_steps=steps).train()
    resumed = saving(tmp_path, graph, max_steps=steps)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == steps
    assert [path.name for path in tmp_path.glob(f"checkpoint-{steps + 1}")] == []
    saved = load_file(tmp_path / f"checkpoint-{steps}" / "model.safetensors")
    for name, weight in resumed.model.state_dict().items():
        assert torch.equal(weight, saved[name]), name


def test_a_training_that_begins_again_says_what_it_replaces(tmp_path, graph, capsys):
    trainer = saving(tmp_path, graph, save_strategy="no")
    trainer.train()
    assert "lass-hf:" not in capsys.readouterr().err
    trainer.save_model()
    saving(tmp_path, graph).train()
    assert f"lass-hf: {tmp_path} holds a trained model, which this training replaces" in capsys.readouterr().err
    saving(tmp_path, graph).train()
    assert f"{tmp_path} has checkpoints of this very training, up to checkpoint-4" in capsys.readouterr().err


def test_an_earlier_model_stays_until_the_next_one_is_saved(tmp_path, graph, monkeypatch):
    """Its training.json too, which says how it was trained."""
    trainer = saving(tmp_path, graph, save_strategy="no")
    trainer.card.run_metadata = collect_run_metadata(TrainArguments("animals", "tiny"), trainer.args, graph)
    train_and_record(trainer)
    before = contents_of(tmp_path)
    monkeypatch.setattr(LassTrainer, "training_step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train_and_record(trainer)
    assert contents_of(tmp_path) == before


def test_nothing_to_resume_from_and_nothing_to_train_on(tmp_path, graph):
    with pytest.raises(LassError) as error:
        saving(tmp_path, graph).train(resume_from_checkpoint=True)
    one_line(error, str(tmp_path), "no whole checkpoint")
    trainer = saving(tmp_path, graph)
    trainer.train_dataset = None
    with pytest.raises(LassError, match="needs a training split"):
        trainer.train()


# One writer


def test_a_second_training_is_refused_while_one_writes(tmp_path, graph, graph_folder, encoder_folder, capsys):
    (tmp_path / "out").mkdir()
    with lock_file(tmp_path / "out" / LOCK_FILE):
        with pytest.raises(LassError) as error:
            trainer_of(tmp_path / "out", graph).train()
        one_line(error, f"{tmp_path / 'out'}: another run is writing there", "choose another --output_dir")
        training = ["train", "--graph", graph_folder, "--encoder", "nowhere", "--output_dir", tmp_path / "out"]
        assert main([*map(str, training), "--quiet", "--report_to", "none"]) == 2
        assert "another run is writing there" in capsys.readouterr().err  # before the encoder is loaded
        assert os.listdir(tmp_path / "out") == [LOCK_FILE]
    trainer_of(tmp_path / "out", graph).train()
    assert os.listdir(tmp_path / "out") == []


def test_a_training_is_alone_from_its_first_step_until_all_is_saved(tmp_path, graph, monkeypatch):
    """Also between the training and the saving of its model."""
    refused = []

    def try_lock(self, *args, **kwargs):
        with lock_file(tmp_path / LOCK_FILE) as alone:
            refused.append(not alone)
        return original(self, *args, **kwargs)

    original = LassTrainer.save_model
    monkeypatch.setattr(LassTrainer, "save_model", try_lock)
    trainer = saving(tmp_path, graph)
    trainer.card.run_metadata = collect_run_metadata(TrainArguments("animals", "tiny"), trainer.args, graph)
    train_and_record(trainer)
    assert refused == [True] * 3  # two checkpoints and the model


def test_the_lock_of_a_killed_training_holds_nobody_up(tmp_path):
    (tmp_path / LOCK_FILE).touch()
    with only_writer(tmp_path), only_writer(tmp_path):  # the same training may ask again
        assert os.listdir(tmp_path) == [LOCK_FILE]
    assert os.listdir(tmp_path) == []


def test_of_many_that_ask_one_has_the_lock(tmp_path):
    inside, most, had = [], [], []

    def ask():
        for _ in range(200):
            with lock_file(tmp_path / "lock") as alone:
                if alone:
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    had.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert had
    assert max(most) == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LassError) as error, only_writer(tmp_path / "file", "--output_dir"):
        pass
    one_line(error, f"{tmp_path / 'file'}: cannot be written", "choose another --output_dir")
