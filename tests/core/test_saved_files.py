"""Files of different saves do not load together, and a save that fails leaves the folder as it was."""

import json
import os
import shutil
import time
from unittest.mock import patch

import pytest
import torch
from helpers.tiny import TRAIN, forget_digests, make_model, make_processor, one_line, scores_of
from helpers.trainings import make_trainer
from transformers import AutoModel, AutoProcessor

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, push_to_hub
from lass_hf.core.errors import LassError, ModelError
from lass_hf.core.saved_files import replacing

PROCESSOR_FILES = ("tokenizer.json", "tokenizer_config.json", "vocabulary.json", "known_triplets.safetensors")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, graph):
    """Two saved models of which nothing is the same; do not change them."""
    place = tmp_path_factory.mktemp("folders")
    part = KnowledgeGraph.from_triplets(TRAIN[:5])
    for name, choices in (("one", {"margin": 1.0}), ("other", {"margin": 9.0, "seed": 1})):
        with replacing(place / name) as folder:
            make_model(**choices).save_pretrained(folder)
            processor = make_processor(graph if name == "one" else part, separators=name == "one")
            processor.tokenizer.add_tokens([f"of {name}"])
            processor.tokenizer.model_max_length = 60 + len(name)
            processor.save_pretrained(folder)
    return place


@pytest.fixture
def folder(folders, tmp_path):
    return shutil.copytree(folders / "one", tmp_path / "mixed")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("load", [LassForKGCompletion.from_pretrained, AutoModel.from_pretrained])
def test_a_configuration_with_the_weights_of_another_model_is_one_line(load, name, folder, folders):
    shutil.copy(folders / "other" / name, folder)
    with pytest.raises(ModelError) as error:
        load(str(folder))
    one_line(error, f"{folder}: model.safetensors is not the one that config.json was saved with", '"saved_files"')


@pytest.mark.parametrize("name", PROCESSOR_FILES)
@pytest.mark.parametrize("change", ["another", "missing", "one bit"])
def test_a_file_that_is_not_the_processors_is_one_line(change, name, folder, folders):
    if change == "another":
        shutil.copy(folders / "other" / name, folder)
    elif change == "missing":
        (folder / name).unlink()
    else:
        content = bytearray((folder / name).read_bytes())
        content[-3] ^= 1
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError) as error:
        LassProcessor.from_pretrained(str(folder))
    one_line(error, str(folder))


@pytest.mark.parametrize("load", [LassProcessor.from_pretrained, AutoProcessor.from_pretrained])
def test_a_missing_processor_configuration_is_no_default(load, folder):
    (folder / "processor_config.json").unlink()
    with pytest.raises(ModelError) as error:
        load(str(folder))
    one_line(error, f"{folder}: no processor_config.json; expected all files of")


def test_the_processor_of_another_model_that_was_saved_with_it_is_one_line(folder, folders):
    for name in ("processor_config.json", *PROCESSOR_FILES):
        shutil.copy(folders / "other" / name, folder)
    with pytest.raises(ModelError) as error:
        LassProcessor.from_pretrained(str(folder))
    one_line(error, f"{folder}: the processor was saved together with another model", '"model_files"')


def test_files_that_would_be_read_but_were_not_saved_are_one_line(folder, folders, graph):
    make_processor().save_pretrained(folder)  # without a graph
    assert not (folder / "vocabulary.json").exists()
    graph.save_pretrained(folder)
    with pytest.raises(ModelError) as error:
        LassProcessor.from_pretrained(str(folder))
    one_line(error, "known_triplets.safetensors is not the one that processor_config.json was saved with")
    make_model().save_pretrained(folder, max_shard_size="20KB")
    assert not (folder / "model.safetensors").exists()
    assert LassForKGCompletion.from_pretrained(str(folder))
    shutil.copy(folders / "other" / "model.safetensors", folder)  # is read before the parts
    with pytest.raises(ModelError) as error:
        LassForKGCompletion.from_pretrained(str(folder))
    one_line(error, "model.safetensors is not the one")


@pytest.mark.parametrize("named", [[], {"../x": "0"}, {"/etc/passwd": "0"}, "x", {"a": 1}])
def test_digests_that_are_none_are_one_line(named, folder):
    for name, load in (("config.json", LassForKGCompletion), ("processor_config.json", LassProcessor)):
        config = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**config, "saved_files": named}))
        with pytest.raises(ModelError) as error:
            load.from_pretrained(str(folder))
        one_line(error, str(folder))


def test_a_folder_of_an_earlier_version_loads_if_nothing_is_missing(folder, folders):
    forget_digests(folder)
    assert torch.equal(scores_of(str(folder)), scores_of(str(folders / "one")))


def test_configurations_may_be_edited_and_other_files_added(folder, folders):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "margin": 2.0}))
    (folder / "notes.txt").write_text("mine")
    assert torch.equal(scores_of(str(folder)), scores_of(str(folders / "one")) + 1)
    assert LassForKGCompletion.from_pretrained(str(folder)).config.saved_files is None


@pytest.mark.parametrize("order", [1, -1])
def test_model_and_processor_may_be_saved_apart_in_any_order(order, folders, tmp_path):
    model = LassForKGCompletion.from_pretrained(str(folders / "other"))
    processor = LassProcessor.from_pretrained(str(folders / "other"))
    for place in (tmp_path / "fresh", shutil.copytree(folders / "one", tmp_path / "used")):
        (place / "mine.txt").parent.mkdir(exist_ok=True)
        (place / "mine.txt").write_text("kept")
        for part in [model, processor][::order]:
            part.save_pretrained(place)
        assert torch.equal(scores_of(str(place)), scores_of(str(folders / "other")))
        assert (place / "mine.txt").read_text() == "kept"
        assert not list(place.glob(".saving-*"))


def test_a_trainers_folder_tells_weights_that_are_saved_over_its_own(graph, tmp_path):
    make_trainer(tmp_path, graph, make_processor(graph)).save_model()
    model = LassForKGCompletion.from_pretrained(str(tmp_path))
    model.save_pretrained(tmp_path)  # the same weights
    assert scores_of(str(tmp_path)).shape == (3,)
    make_model(seed=1).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="saved together with another model"):
        LassProcessor.from_pretrained(str(tmp_path))
    make_processor(graph).save_pretrained(tmp_path)
    assert scores_of(str(tmp_path)).shape == (3,)


def test_files_of_an_earlier_tokenizer_do_not_stay(folder):
    config = json.loads((folder / "processor_config.json").read_text())
    config["saved_files"]["added_tokens.json"] = "0"
    (folder / "processor_config.json").write_text(json.dumps(config))
    (folder / "added_tokens.json").write_text("{}")
    make_processor().save_pretrained(folder)
    assert not (folder / "added_tokens.json").exists()
    assert LassProcessor.from_pretrained(str(folder)).graph is None


@pytest.mark.parametrize(
    "place", ["transformers.modeling_utils.safe_save_file", "lass_hf.core.knowledge_graph.save_file"]
)
def test_a_save_that_fails_leaves_the_folder_as_it_was(place, folder, graph, tmp_path):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    trainer = make_trainer(folder, graph, make_processor(graph), make_model(seed=3))
    with patch(place, side_effect=OSError(28, "No space left on device")), pytest.raises(LassError, match="No space"):
        trainer.save_model()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path, processor):
    (tmp_path / "model").write_text("mine")
    for part in (make_model(), processor):
        with pytest.raises(ModelError, match="model: a file; expected a folder"):
            part.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_what_a_killed_save_left_is_swept_when_no_save_can_be_writing_there(folder):
    for name in (".saving-killed", ".saving-now"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(b"x")
    os.utime(folder / ".saving-killed", (time.time() - 4000,) * 2)
    make_model().save_pretrained(folder)
    assert [path.name for path in folder.glob(".saving-*")] == [".saving-now"]
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json: a save into this folder was interrupted; save the model"):
        LassForKGCompletion.from_pretrained(str(folder))


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_a_repository_with_files_of_different_saves_is_one_line(hub, folder, folders):
    push_to_hub(folder, "user/animals", include_graph="full")
    repository, whole = hub.repos["models", "user/animals"], hub.files("user/animals")
    for name, load in (("config.json", LassForKGCompletion), ("vocabulary.json", LassProcessor)):
        repository.commit(whole, "whole")
        assert load.from_pretrained("user/animals")
        repository.commit({**whole, name: (folders / "other" / name).read_bytes()}, "mixed")
        with pytest.raises(ModelError) as error:
            load.from_pretrained("user/animals")
        one_line(error, "user/animals: ", "is not the one that")


def test_a_half_copied_folder_is_not_pushed(folder, folders):
    shutil.copy(folders / "other" / "model.safetensors", folder)
    with pytest.raises(LassError, match=r"model\.safetensors is not the one"):
        push_to_hub(folder, "user/animals")
