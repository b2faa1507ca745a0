"""Models saved and loaded: the same scores, Auto classes, and one line for each fault."""

from pathlib import Path

import pytest
import torch
from helpers.forwards import KINDS, TEXTS, make_batch, score
from helpers.tiny import ENCODER_CONFIGS, forget_digests, make_model, one_line, wordpiece_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer

from lass_hf import LassConfig, LassForKGCompletion, LassProcessor
from lass_hf.core.errors import ModelError


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_model_gives_identical_scores(kind, tmp_path):
    model, batch = make_model(kind, margin=2.5, distance_scale="none"), make_batch(kind)
    model.save_pretrained(tmp_path)
    loaded = LassForKGCompletion.from_pretrained(tmp_path)
    assert torch.equal(score(loaded, batch), score(model, batch))
    assert (loaded.config.margin, loaded.config.distance_scale) == (2.5, "none")
    assert not loaded.training


def test_auto_model_loads_a_lass_model(model_folder):
    model = AutoModel.from_pretrained(model_folder)
    assert type(model) is LassForKGCompletion
    assert torch.equal(score(model, make_batch()), score(make_model(), make_batch()))


def test_auto_config_loads_a_lass_config_with_a_typed_encoder_config(model_folder):
    config = AutoConfig.from_pretrained(model_folder)
    assert type(config) is LassConfig
    assert type(config.encoder_config) is type(ENCODER_CONFIGS["bert"]())
    assert config.encoder_config.hidden_size == 32


def test_auto_processor_loads_a_lass_processor(model_folder):
    assert type(AutoProcessor.from_pretrained(model_folder)) is LassProcessor


def test_auto_tokenizer_loads_the_tokenizer(model_folder):
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    expected = wordpiece_tokenizer()
    assert tokenizer.get_vocab() == expected.get_vocab()
    assert tokenizer(TEXTS[0][0])["input_ids"] == expected(TEXTS[0][0])["input_ids"]


def test_output_loading_info_still_gives_both(model_folder):
    model, info = LassForKGCompletion.from_pretrained(model_folder, output_loading_info=True)
    assert isinstance(model, LassForKGCompletion)
    assert not info["missing_keys"]


def test_state_dict_can_be_given_to_from_pretrained(model_folder):
    other = make_model(seed=5)
    loaded = LassForKGCompletion.from_pretrained(None, config=other.config, state_dict=other.state_dict())
    assert torch.equal(score(loaded, make_batch()), score(other, make_batch()))


def test_from_pretrained_of_a_bare_encoder_names_from_encoder(encoder_folder):
    with pytest.raises(ModelError, match="from_encoder") as error:
        LassForKGCompletion.from_pretrained(encoder_folder)
    assert encoder_folder in one_line(error)


@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_name_that_does_not_exist_is_one_line(door, tmp_path):
    missing = str(tmp_path / "no_such_folder")
    with pytest.raises(ModelError) as error:
        getattr(LassForKGCompletion, door)(missing)
    assert missing in one_line(error)


@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_hub_name_without_hub_is_one_line(door):
    with pytest.raises(ModelError, match="lass-hf/no-such-model") as error:
        getattr(LassForKGCompletion, door)("lass-hf/no-such-model")
    one_line(error)


@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_empty_folder_is_one_line(door, tmp_path):
    with pytest.raises(ModelError) as error:
        getattr(LassForKGCompletion, door)(str(tmp_path))
    assert str(tmp_path) in one_line(error)


@pytest.mark.parametrize("door", ["from_pretrained", "from_encoder"])
def test_folder_whose_config_is_no_json_is_one_line(door, tmp_path):
    (tmp_path / "config.json").write_text("{not json", encoding="utf-8")
    with pytest.raises(ModelError) as error:
        getattr(LassForKGCompletion, door)(str(tmp_path))
    assert str(tmp_path) in one_line(error)


def test_folder_with_config_but_without_weights_is_one_line(tmp_path):
    make_model().config.save_pretrained(tmp_path)
    with pytest.raises(ModelError) as error:
        LassForKGCompletion.from_pretrained(str(tmp_path))
    assert str(tmp_path) in one_line(error)


def test_truncated_weights_file_is_one_line(tmp_path):
    make_model().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError) as error:
        LassForKGCompletion.from_pretrained(str(tmp_path))
    assert str(tmp_path) in one_line(error)


def test_lass_checkpoint_that_lacks_a_weight_raises(tmp_path):
    make_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    deleted = next(name for name in weights if name.endswith("layer.0.attention.self.query.weight"))
    del weights[deleted]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    forget_digests(tmp_path)
    with pytest.raises(ModelError, match="lacks 1 weights") as error:
        LassForKGCompletion.from_pretrained(str(tmp_path))
    assert deleted in one_line(error)


def test_lass_checkpoint_with_a_weight_of_another_shape_raises(tmp_path):
    make_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.0.output.dense.weight"))
    weights[name] = weights[name][:, :5].contiguous()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as error:
        LassForKGCompletion.from_pretrained(str(tmp_path))
    assert str(tmp_path) in one_line(error)


def test_a_saved_model_does_not_contain_the_path_of_its_encoder(encoder_folder, tmp_path):
    LassForKGCompletion.from_encoder(str(encoder_folder)).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert f'"_name_or_path": "./{Path(encoder_folder).name}"' in text
    assert str(Path(encoder_folder).parent) not in text
