"""No code that comes with a model is run, nor fetched, unless the caller asks for it: not by "y" on standard input."""

import io
import json
import shutil
import sys

import pytest
import torch
from helpers.command_line import run
from helpers.tiny import ENCODER_CONFIGS, VALIDATION, one_line, wordpiece_tokenizer
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, pipeline

from lass_hf import LassConfig, LassForKGCompletion, LassPredictor, LassProcessor
from lass_hf.core.errors import ModelError

KERNEL = "kernels-community/flash-attn2"
CODE = """
import pathlib
from transformers import BertConfig, BertModel
from transformers import PreTrainedTokenizerFast
pathlib.Path(SENTINEL).touch()
class CustomConfig(BertConfig):
    model_type = "custom-bert"
class CustomModel(BertModel):
    config_class = CustomConfig
class CustomTokenizer(PreTrainedTokenizerFast):
    pass
"""


def edit(folder, name="config.json", **values):
    """Changes values of a JSON file; a dotted name is that of a value in a value."""
    file = folder / name
    content = json.loads(file.read_text(encoding="utf-8"))
    for key, value in values.items():
        place = content["encoder_config"] if key.startswith("encoder_config.") else content
        place[key.removeprefix("encoder_config.")] = value
    file.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def foreign_folder(encoder_folder, tmp_path):
    """An encoder whose configuration, model and tokenizer are classes of its own; they leave `ran` behind."""
    folder = shutil.copytree(encoder_folder, tmp_path / "foreign")
    classes = {"AutoConfig": "custom.CustomConfig", "AutoModel": "custom.CustomModel"}
    edit(folder, model_type="custom-bert", auto_map=classes)
    tokenizer = {"AutoTokenizer": ["custom.CustomTokenizer", None]}
    edit(folder, "tokenizer_config.json", tokenizer_class="CustomTokenizer", auto_map=tokenizer)
    (folder / "custom.py").write_text(CODE.replace("SENTINEL", repr(str(folder / "ran"))), encoding="utf-8")
    return folder


@pytest.fixture
def unasked(monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt="": pytest.fail(f"asked: {prompt}"))


LOADERS = [
    LassForKGCompletion.from_encoder,
    LassForKGCompletion.from_pretrained,
    LassProcessor.from_encoder,
    LassProcessor.from_pretrained,
    LassPredictor.from_pretrained,
]


@pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__qualname__)
def test_code_that_comes_with_a_model_is_not_run_and_nobody_is_asked(load, foreign_folder, unasked):
    with pytest.raises(ModelError) as error:
        load(str(foreign_folder))
    one_line(error, str(foreign_folder))
    assert not (foreign_folder / "ran").exists()


def test_a_yes_on_standard_input_runs_nothing(
    foreign_folder, graph_folder, model_copy, tmp_path, monkeypatch, bad_input
):
    """`yes | lass-hf ...`: the other program's code is not run, nor are the copies of this one beside a model."""
    for path in model_copy.glob("*.py"):
        path.write_text(CODE.replace("SENTINEL", repr(str(foreign_folder / "ran"))), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 1000))
    predict = ["predict", "--head", "cat", "--relation", "eats", "--model"]
    assert run(*predict, model_copy, "--quiet") == 0
    train = ["train", "--graph", graph_folder, "--output_dir", tmp_path / "out", "--encoder", foreign_folder]
    assert "needs code that comes with it, which is not run" in bad_input(*train)
    assert f"{foreign_folder}: no processor_config.json" in bad_input(*predict, foreign_folder)
    assert sys.stdin.tell() == 0
    assert not (foreign_folder / "ran").exists()


def test_code_that_may_run_is_refused_for_a_model_that_could_not_be_loaded_again(foreign_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    with pytest.raises(ModelError, match=r"code of its own \(CustomModel\).*AutoModel\.register"):
        LassForKGCompletion.from_encoder(str(foreign_folder), trust_remote_code=True)
    assert (foreign_folder / "ran").exists()


def test_a_registered_class_of_ones_own_is_an_encoder(tmp_path, monkeypatch):
    """The remedy of that error: code that is imported, and not that of the folder."""

    class OwnConfig(BertConfig):
        model_type = "own-bert"

    class OwnModel(BertModel):
        config_class = OwnConfig

    AutoConfig.register("own-bert", OwnConfig, exist_ok=True)
    AutoModel.register(OwnConfig, OwnModel, exist_ok=True)
    OwnModel(OwnConfig(**ENCODER_CONFIGS["bert"]().to_diff_dict())).save_pretrained(tmp_path / "own")
    LassForKGCompletion.from_encoder(tmp_path / "own").save_pretrained(tmp_path / "trained")
    assert type(LassForKGCompletion.from_pretrained(tmp_path / "trained").encoder) is OwnModel


def test_the_code_that_an_encoder_of_a_trained_model_names_is_not_run(model_copy, unasked):
    edit(model_copy, **{"encoder_config.auto_map": {"AutoModel": "custom.CustomModel"}})
    (model_copy / "custom.py").write_text("raise SystemExit('code of the folder')", encoding="utf-8")
    assert type(LassForKGCompletion.from_pretrained(model_copy).encoder) is BertModel


# Kernels, which are code of the hub


@pytest.fixture
def no_kernels(monkeypatch):
    def fetch(name, *args, **kwargs):
        pytest.fail(f"fetched {name}")

    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", fetch)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("place", ["", "encoder_config."])
@pytest.mark.parametrize("value", [KERNEL, {"": KERNEL, "encoder_config": KERNEL}, "flash_attention_2"], ids=type)
def test_a_kernel_that_a_trained_model_names_is_not_fetched(key, place, value, model_copy, no_kernels):
    expected = LassPredictor.from_pretrained(str(model_copy)).score(VALIDATION)
    edit(model_copy, **{place + key: value})
    predictor = LassPredictor.from_pretrained(str(model_copy))
    assert predictor.scorer.model.encoder.config._attn_implementation == "sdpa"
    assert predictor.score(VALIDATION).tolist() == expected.tolist()
    pipe = pipeline("kg-completion", model=str(model_copy))
    assert pipe.model.encoder.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_that_an_encoder_names_is_not_fetched(key, encoder_folder, tmp_path, no_kernels):
    folder = edit(shutil.copytree(encoder_folder, tmp_path / "kernel"), **{key: KERNEL})
    assert LassForKGCompletion.from_encoder(folder).encoder.config._attn_implementation == "sdpa"
    chosen = LassForKGCompletion.from_encoder(folder, attn_implementation="eager")
    assert (chosen.config._attn_implementation, chosen.encoder.config._attn_implementation) == ("eager", "eager")


def test_attention_is_what_the_caller_chooses(model_folder):
    for chosen in ("eager", "sdpa"):
        model = LassForKGCompletion.from_pretrained(model_folder, attn_implementation=chosen)
        assert model.encoder.config._attn_implementation == chosen
        config = LassConfig.from_pretrained(model_folder, attn_implementation=chosen)
        assert LassForKGCompletion.from_pretrained(model_folder, config=config).encoder.config._attn_implementation == (
            chosen
        )


def test_the_tokenizer_that_a_trained_model_names_is_not_run(model_copy, unasked):
    edit(model_copy, "processor_config.json", saved_files=None)
    edit(model_copy, "tokenizer_config.json", auto_map={"AutoTokenizer": ["custom.CustomTokenizer", None]})
    (model_copy / "custom.py").write_text("raise SystemExit('code of the folder')", encoding="utf-8")
    assert (
        LassProcessor.from_pretrained(model_copy).tokenizer("cat").input_ids == wordpiece_tokenizer()("cat").input_ids
    )


# Weights in files that are unpickled


def by_index(folder, file):
    names = dict.fromkeys(load_file(folder / "model.safetensors"), file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def by_config(folder, file):
    edit(folder, transformers_weights=file)


@pytest.mark.parametrize(
    ("named", "file"), [(by_index, "weights.bin"), (by_index, "../model.safetensors"), (by_config, "adapter_model.bin")]
)
@pytest.mark.parametrize("load", LOADERS[:2], ids=["encoder", "model"])
def test_weights_that_would_be_unpickled_are_refused(
    load, named, file, encoder_folder, model_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("torch.load", lambda *args, **kwargs: pytest.fail("unpickled"))
    folder = shutil.copytree(encoder_folder if load is LOADERS[0] else model_folder, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / file if file.endswith(".bin") else tmp_path / "more")
    named(folder, file)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as error:
        load(folder)
    one_line(error, str(folder), "safetensors")


def test_weights_in_several_safetensors_files_are_read(encoder_folder, tmp_path):
    expected = LassForKGCompletion.from_encoder(encoder_folder)
    expected.encoder.save_pretrained(tmp_path / "encoder", max_shard_size="20KB")
    expected.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    for folder, load in ((tmp_path / "encoder", LOADERS[0]), (tmp_path / "model", LOADERS[1])):
        assert len(list(folder.glob("model-*.safetensors"))) > 1
        weights = load(folder).state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in expected.state_dict().items())
