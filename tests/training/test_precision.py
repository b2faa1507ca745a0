"""The precision of the weights that are trained: float32 unless another one is chosen, and said in any case."""

import pytest
import torch
from helpers.command_line import content_of, run
from helpers.tiny import make_model, one_line, wordpiece_tokenizer
from helpers.trainings import make_trainer
from safetensors.torch import load_file
from transformers import BertModel

from lass_hf import LassForKGCompletion
from lass_hf.core.errors import LassError
from lass_hf.training.training_args import check_trained_weights


@pytest.fixture(scope="module")
def small_folder(encoder_folder, tmp_path_factory):
    """An encoder that is stored in bfloat16, as many on the hub are."""
    folder = tmp_path_factory.mktemp("small")
    BertModel.from_pretrained(encoder_folder, dtype=torch.bfloat16).save_pretrained(folder)
    wordpiece_tokenizer().save_pretrained(folder)
    return folder


def share_of_weights_that_moved(trained, folder) -> float:
    before = load_file(folder / "model.safetensors")
    pairs = [(value.float(), before[name].float()) for name, value in trained.encoder.named_parameters()]
    names = [name for name, _ in trained.encoder.named_parameters()]
    kept = [pair for name, pair in zip(names, pairs, strict=True) if "LayerNorm" in name or "dense.weight" in name]
    return sum(int((new != old).sum()) for new, old in kept) / sum(old.numel() for _, old in kept)


@pytest.mark.parametrize(("flags", "dtype"), [((), "float32"), (("--dtype", "bfloat16"), "bfloat16")])
def test_train_trains_the_precision_that_was_chosen_and_says_which(
    flags, dtype, small_folder, training, tmp_path, caplog
):
    """With bfloat16 weights most updates are lost, so that nobody should get them unasked."""
    steps = ["--encoder", small_folder, "--max_steps", 6, "--warmup_steps", 0, "--learning_rate", "1e-5"]
    assert run("train", *[word for word in training if word != "--quiet"], *steps, *flags) == 0
    out = tmp_path / "out"
    trained = LassForKGCompletion.from_pretrained(out)
    assert {value.dtype for value in load_file(out / "model.safetensors").values()} == {getattr(torch, dtype)}
    assert str(trained.config.dtype) == f"torch.{dtype}"
    moved = share_of_weights_that_moved(trained, small_folder)
    assert moved > 0.95 if dtype == "float32" else moved < 0.5
    assert content_of(out / "training.json")["dtype"] == dtype
    assert f"; {dtype} weights, " in (out / "README.md").read_text(encoding="utf-8")
    assert ("bfloat16 weights are trained" in caplog.text) is (dtype == "bfloat16")


def test_a_precision_that_is_not_trained_in_is_one_line(training, bad_input):
    assert "dtype='float16'; expected one of float32, bfloat16" in bad_input("train", *training, "--dtype", "float16")


def test_a_training_with_autocast_leaves_float32_weights_on_disk(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, bf16=True, max_steps=2)
    trainer.train()
    trainer.save_model()
    assert {value.dtype for value in load_file(tmp_path / "model.safetensors").values()} == {torch.float32}
    model = LassForKGCompletion.from_pretrained(tmp_path)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert "; float32 weights, bfloat16 autocast" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("dtype", "arguments", "message"),
    [
        (torch.float16, {}, 'float16 weights, which cannot be trained: load it with dtype="float32"'),
        (torch.float16, {"bf16": True}, 'float16 weights, which cannot be trained: load it with dtype="float32"'),
    ],
)
def test_weights_that_cannot_be_trained_are_refused_before_the_training(
    dtype, arguments, message, tmp_path, graph, processor
):
    make_model().to(dtype).save_pretrained(tmp_path / "saved")
    model = LassForKGCompletion.from_pretrained(tmp_path / "saved")
    assert model.dtype == dtype
    with pytest.raises(LassError) as error:
        make_trainer(tmp_path, graph, processor, model, **arguments)
    one_line(error, message)
    remedied = LassForKGCompletion.from_pretrained(tmp_path / "saved", dtype="float32")
    make_trainer(tmp_path, graph, processor, remedied, max_steps=1).train()


def test_bfloat16_weights_do_not_go_with_fp16(tmp_path, graph, processor):
    arguments = make_trainer(tmp_path, graph, processor).args
    arguments.fp16 = True  # which a machine without a GPU refuses by itself
    with pytest.raises(LassError, match="fp16=True scales the gradients of float32 weights: load the model with"):
        check_trained_weights(make_model().to(torch.bfloat16), arguments)


def test_a_model_that_was_saved_in_bfloat16_is_not_trained_further_without_a_word(tmp_path, graph, processor, caplog):
    make_model().to(torch.bfloat16).save_pretrained(tmp_path / "saved")
    make_trainer(tmp_path, graph, processor, LassForKGCompletion.from_pretrained(tmp_path / "saved"))
    assert "bfloat16 weights are trained, without float32 copies" in caplog.text
    caplog.clear()
    frozen = LassForKGCompletion.from_pretrained(tmp_path / "saved")
    for weight in frozen.parameters():
        weight.requires_grad = False
    make_trainer(tmp_path, graph, processor, frozen)
    assert not caplog.text
