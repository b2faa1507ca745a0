"""The Trainer's `push_to_hub` and `hub_strategy`: what they upload, and that a hub that fails costs no training."""

import logging
from concurrent.futures import Future
from threading import Event

import pytest
import torch
from helpers.evidence import some_evidence
from helpers.hub_server import TOKEN
from helpers.tiny import scores_of
from helpers.trainings import make_trainer

from lass_hf import LassProcessor, LassTrainingArguments, push_to_hub
from lass_hf.cli.commands import main
from lass_hf.core.errors import HubError, LassError
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.evidence.evidence_files import save_evidence
from lass_hf.training import trainer_files
from lass_hf.utils.hub_client import api
from lass_hf.utils.result_files import read_results

NAME = "user/animals"
PICKLES = (".bin", ".pkl", ".pickle")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # see tests/test_hub.py


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "animals"


def pushing(folder, graph, processor, **choices):
    """Four steps in two epochs of two; a push to the hub unless it is told otherwise."""
    defaults = {"push_to_hub": True, "hub_model_id": NAME, "num_train_epochs": 2, "per_device_train_batch_size": 7}
    return make_trainer(folder, graph, processor, **{**defaults, "save_strategy": "epoch", **choices})


def top(files):
    return {name for name in files if "/" not in name}


def test_hub_gets_what_a_training_saved(hub, folder, graph, processor):
    trainer = pushing(folder, graph, processor, save_total_limit=1)
    trainer.train()
    assert "Training in progress, step 2" in hub.repos["models", NAME].messages
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"checkpoint-4"}  # nothing is left of a push
    (folder / "entity_index").mkdir()
    (folder / "entity_index" / "part.safetensors").write_bytes(b"x")
    (folder / "training.json").write_text("{}")
    trainer.save_model()
    files = hub.files(NAME)
    assert hub.repos["models", NAME].messages[-1] == "Model save"
    assert torch.equal(scores_of(NAME), scores_of(folder))
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert top(files) == set(files)
    assert not {TRIPLETS_FILE, "training.json", "trainer_state.json", "training_args.bin"} & set(files)
    assert not [name for name in files if name.endswith(PICKLES)]
    assert {VOCABULARY_FILE, "modeling_lass.py", "processing_lass.py", "processor_config.json", "README.md"} <= set(
        files
    )
    assert f"LassPredictor.from_pretrained('{NAME}')" in files["README.md"].decode()
    assert (folder / TRIPLETS_FILE).is_file()
    assert len(LassProcessor.from_pretrained(folder).graph.known) == 20


@pytest.mark.parametrize("include", ["full", "none"])
def test_hub_gets_as_much_of_the_graph_as_the_arguments_say(include, hub, folder, graph, processor):
    trainer = pushing(folder, graph, processor, hub_include_graph=include, max_steps=1, hub_strategy="checkpoint")
    trainer.train()
    trainer.push_to_hub()
    files = {VOCABULARY_FILE, TRIPLETS_FILE} if include == "full" else set()
    for prefix in ("", "last-checkpoint/"):
        found = {file for file in (VOCABULARY_FILE, TRIPLETS_FILE) if prefix + file in hub.files(NAME)}
        assert found == files, prefix
    assert (folder / TRIPLETS_FILE).is_file()
    graph_of_checkpoint = LassProcessor.from_pretrained(NAME, subfolder="last-checkpoint").graph
    assert (graph_of_checkpoint is None) == (include == "none")
    assert torch.equal(scores_of(NAME, subfolder="last-checkpoint"), scores_of(folder / "checkpoint-1"))
    texts = [text.encode() for text in graph.entities.texts if " " in text]
    assert any(text in data for text in texts for data in hub.files(NAME).values()) == (include == "full")


def test_hub_forgets_the_triplets_of_checkpoints_that_a_later_push_leaves_out(hub, folder, graph, processor):
    choices = {"hub_include_graph": "full", "hub_always_push": True}
    pushing(folder, graph, processor, hub_strategy="all_checkpoints", **choices).train()
    assert f"checkpoint-2/{TRIPLETS_FILE}" in hub.files(NAME)
    push_to_hub(folder / "checkpoint-4", NAME)
    names = {VOCABULARY_FILE, f"checkpoint-2/{VOCABULARY_FILE}", f"checkpoint-4/{VOCABULARY_FILE}"}
    assert {name for name in hub.files(NAME) if name.endswith((VOCABULARY_FILE, TRIPLETS_FILE))} == names
    pushing(folder, graph, processor, hub_strategy="checkpoint", hub_include_graph="none").train()
    assert not [name for name in hub.files(NAME) if name.endswith((VOCABULARY_FILE, TRIPLETS_FILE))]


def test_hub_arguments_refuse_an_unknown_choice_of_the_graph(tmp_path):
    with pytest.raises(LassError, match="hub_include_graph='all'; expected one of full, vocabulary, none"):
        LassTrainingArguments(output_dir=str(tmp_path), hub_include_graph="all")


@pytest.mark.parametrize(
    ("strategy", "folders"),
    [
        ("end", set()),
        ("every_save", set()),
        ("checkpoint", {"last-checkpoint"}),
        ("all_checkpoints", {"checkpoint-2", "checkpoint-4"}),
    ],
)
def test_hub_strategy_says_what_is_pushed_in_training(strategy, folders, hub, folder, graph, processor):
    trainer = pushing(folder, graph, processor, hub_strategy=strategy, hub_always_push=True)
    trainer.train()
    files, messages = hub.files(NAME), hub.repos["models", NAME].messages
    steps = [message for message in messages if message.startswith("Training in progress")]
    names = ["Training in progress, step 2", "Training in progress, step 4"]
    assert [message for message in steps if "checkpoint" not in message] == ([] if strategy == "end" else names)
    assert {name.partition("/")[0] for name in files if "/" in name} == folders
    assert ("model.safetensors" in files) == (strategy != "end")
    for name in folders:
        sent = {path.rpartition("/")[2]: data for path, data in files.items() if path.startswith(f"{name}/")}
        step = "4" if name == "last-checkpoint" else name[-1]
        here = folder / f"checkpoint-{step}"
        assert sent.keys() == {path.name for path in here.iterdir()} - {
            TRIPLETS_FILE,
            "training_args.bin",
            "model_card.json",
            "README.md",
        }
        del sent["processor_config.json"]  # which names no triplets
        assert all((here / path).read_bytes() == data for path, data in sent.items())


def test_hub_checkpoint_with_the_triplets_is_resumed_from_elsewhere(hub, folder, graph, processor, tmp_path):
    choices = {"hub_strategy": "checkpoint", "hub_include_graph": "full", "hub_always_push": True}
    whole = pushing(folder, graph, processor, **choices)
    whole.train()
    begun = pushing(tmp_path / "begun", graph, processor, hub_model_id="user/begun", num_train_epochs=1, **choices)
    begun.train()
    pulled = tmp_path / "pulled" / "checkpoint-2"
    pulled.mkdir(parents=True)
    for name, data in hub.files("user/begun").items():
        if name.startswith("last-checkpoint/"):
            (pulled / name.rpartition("/")[2]).write_bytes(data)
    rest = pushing(tmp_path / "pulled", graph, processor, push_to_hub=False)
    rest.train(resume_from_checkpoint=str(pulled))
    assert rest.state.global_step == 4
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in rest.model.state_dict().items())


def test_hub_push_by_hand_needs_no_argument_of_the_training(hub, folder, graph, processor):
    trainer = pushing(folder, graph, processor, push_to_hub=False, hub_model_id=None, max_steps=1)
    trainer.train()
    assert not hub.repos
    info = trainer.push_to_hub(private=True, token=TOKEN, license="apache-2.0")
    repo = hub.repos["models", NAME]  # the output folder's name, of the token's user
    assert repo.private
    assert info.oid == list(repo.commits)[-1]
    assert "license: apache-2.0" in repo.files["README.md"].decode()
    assert torch.equal(scores_of(NAME), scores_of(folder))


def test_hub_push_in_the_background_gives_a_future(hub, folder, graph, processor):
    job = pushing(folder, graph, processor, max_steps=1).push_to_hub("In the background", blocking=False)
    assert isinstance(job, Future)
    assert job.result(timeout=60).oid == list(hub.repos["models", NAME].commits)[-1]
    assert hub.repos["models", NAME].messages[-1] == "In the background"


def test_hub_push_in_the_background_sends_what_was_saved_for_it(hub, folder, graph, processor, monkeypatch):
    trainer = pushing(folder, graph, processor, max_steps=1, hub_strategy="end")
    go_on, upload = Event(), trainer_files.upload
    monkeypatch.setattr(trainer_files, "upload", lambda *args, **kwargs: go_on.wait(60) and upload(*args, **kwargs))
    job = trainer.push_to_hub(blocking=False)
    sent = (folder / "model.safetensors").read_bytes()
    assert trainer.push_in_progress.jobs == [job]
    (folder / "model.safetensors").write_bytes(b"the next save")
    go_on.set()
    job.result(timeout=60)
    assert hub.files(NAME)["model.safetensors"] == sent
    assert not [path for path in folder.iterdir() if path.name.startswith("_push-")]


def test_hub_push_in_the_background_sends_the_evidence_too(hub, folder, graph, processor):
    choices = {"hub_strategy": "end", "hub_include_graph": "full"}
    trainer = pushing(folder, graph, processor, max_steps=1, **choices)
    trainer.save_model(_internal_call=True)
    save_evidence(some_evidence(graph, trainer.model, processor), folder / "evidence", graph)
    trainer.push_to_hub()
    sent = hub.files(NAME)
    assert "evidence/fusion.json" in sent
    trainer.push_to_hub(blocking=False).result(timeout=60)
    assert hub.files(NAME) == sent


def test_hub_trainer_sweeps_what_a_killed_push_left(hub, folder, graph, processor):
    (folder / "_push-1").mkdir(parents=True)
    (folder / "_push-1" / "model.safetensors").write_bytes(b"x")
    pushing(folder, graph, processor)
    assert not (folder / "_push-1").exists()


# What goes wrong


def test_hub_that_refuses_the_token_is_found_out_before_the_training(hub, folder, graph, processor):
    with pytest.raises(HubError, match="the hub does not accept the token"):
        pushing(folder, graph, processor, hub_token="hf_wrong")
    assert not hub.repos


def test_hub_that_fails_in_training_stops_nothing(hub, folder, graph, processor, caplog):
    hub.fail("POST", "/commit/", times=1000)
    trainer = pushing(folder, graph, processor, hub_strategy="checkpoint", hub_always_push=True)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        trainer.train()
        api().run_as_future(int).result(timeout=60)  # runs in the one thread that pushes, after what that still says
    assert trainer.state.global_step == 4
    warnings = [record.getMessage() for record in caplog.records if record.name == "lass_hf.training.trainer_files"]
    assert len(warnings) == 2  # of each checkpoint
    assert all("a checkpoint was not pushed" in line and "broke off" in line and "\n" not in line for line in warnings)
    assert set(hub.files(NAME)) == {".gitattributes"}
    with pytest.raises(HubError, match="the connection to the hub broke off") as caught:
        trainer.save_model()
    assert "another push uploads them" in str(caught.value)
    assert "\n" not in str(caught.value)
    hub.faults.clear()
    trainer.push_to_hub()
    assert torch.equal(scores_of(NAME), scores_of(folder))


def test_hub_that_fails_at_the_end_costs_one_line_and_nothing_that_is_here(
    hub, tmp_path, graph_folder, encoder_folder, capsys
):
    arguments = [
        *(
            "train",
            "--graph",
            graph_folder,
            "--architecture",
            "cross-encoder",
            "--encoder",
            encoder_folder,
            "--output_dir",
            tmp_path / "out",
        ),
        *("--max_steps", 1, "--per_device_train_batch_size", 4, "--num_negatives", 2, "--save_strategy", "no"),
        *("--report_to", "none", "--quiet", "--push_to_hub", "--hub_model_id", NAME),
    ]
    hub.fail("PUT", "/lfs/", times=1000)
    assert main([str(argument) for argument in arguments]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert NAME in last
    assert "the connection to the hub broke off" in last
    assert read_results(tmp_path / "out" / "training.json")["metrics"]  # it says that the training ended
    hub.faults.clear()
    push_to_hub(tmp_path / "out", NAME)
    assert torch.equal(scores_of(NAME), scores_of(tmp_path / "out"))


def test_hub_that_refuses_the_token_ends_the_command_in_one_line(hub, tmp_path, graph_folder, encoder_folder, capsys):
    arguments = [
        "train",
        "--graph",
        graph_folder,
        "--architecture",
        "cross-encoder",
        "--encoder",
        encoder_folder,
        "--output_dir",
        tmp_path / "out",
    ]
    arguments += ["--max_steps", 1, "--report_to", "none", "--push_to_hub", "--hub_model_id", NAME]
    code = main([str(argument) for argument in [*arguments, "--hub_token", "hf_wrong"]])
    assert code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert NAME in last
    assert "the hub does not accept the token" in last
