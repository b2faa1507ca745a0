"""`from_encoder`: every weight of a pre-trained encoder, its dropout, its choices, and what it refuses."""

import pytest
import torch
from helpers.forwards import make_batch, score
from helpers.tiny import ENCODER_CONFIGS, one_line, wordpiece_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertModel, GPT2Config, MambaConfig

from lass_hf import LassConfig, LassForKGCompletion, LassProcessor
from lass_hf.core.configuration_lass import with_dropout
from lass_hf.core.errors import LassError, ModelError


def no_dropout(config):
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return config


@pytest.fixture(scope="module")
def masked_lm_folder(tmp_path_factory):
    """A checkpoint as the hub has them: saved with a task head, its encoder under `bert.`"""
    folder = tmp_path_factory.mktemp("masked_lm")
    torch.manual_seed(1)
    BertForMaskedLM(no_dropout(ENCODER_CONFIGS["bert"]())).save_pretrained(folder)
    wordpiece_tokenizer().save_pretrained(folder)
    return folder


def test_from_encoder_keeps_every_weight(encoder_folder):
    expected = BertModel.from_pretrained(encoder_folder, add_pooling_layer=False).state_dict()
    weights = LassForKGCompletion.from_encoder(encoder_folder).encoder.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_from_encoder_loads_a_checkpoint_with_a_task_head(masked_lm_folder):
    saved = load_file(masked_lm_folder / "model.safetensors")
    assert any(name.startswith("bert.") for name in saved)
    model = LassForKGCompletion.from_encoder(str(masked_lm_folder))
    weights = dict(model.encoder.named_parameters())
    assert weights
    assert all(torch.equal(value, saved[f"bert.{name}"]) for name, value in weights.items())


def test_from_encoder_then_save_and_load_gives_identical_scores(masked_lm_folder, tmp_path):
    model = LassForKGCompletion.from_encoder(str(masked_lm_folder)).eval()
    model.save_pretrained(tmp_path)
    loaded = LassForKGCompletion.from_pretrained(tmp_path)
    assert torch.equal(score(loaded, make_batch()), score(model, make_batch()))


def test_from_encoder_takes_the_choices_of_equation_1(encoder_folder):
    config = LassForKGCompletion.from_encoder(encoder_folder, margin=3, distance_scale="none").config
    assert (config.margin, config.distance_scale) == (3.0, "none")


@pytest.fixture(params=[torch.bfloat16, torch.float16], ids=str)
def small_folder(request, encoder_folder, tmp_path):
    """A checkpoint in 16 bits, as many are stored."""
    BertModel.from_pretrained(encoder_folder, dtype=request.param).save_pretrained(tmp_path / "small")
    assert load_file(tmp_path / "small" / "model.safetensors")["embeddings.LayerNorm.weight"].dtype == request.param
    return tmp_path / "small"


def dtypes_of(model):
    return {parameter.dtype for parameter in model.parameters()}


def test_weights_are_float32_whatever_the_checkpoint_is_stored_in(small_folder):
    model = LassForKGCompletion.from_encoder(small_folder)
    assert dtypes_of(model) == {torch.float32}
    assert model.config.encoder_config.dtype == torch.float32
    stored = load_file(small_folder / "model.safetensors")
    assert all(torch.equal(value, stored[name].float()) for name, value in model.encoder.named_parameters())
    model.to(torch.bfloat16).save_pretrained(small_folder)
    assert dtypes_of(LassForKGCompletion.from_pretrained(small_folder)) == {torch.bfloat16}
    assert dtypes_of(LassForKGCompletion.from_encoder(small_folder)) == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, "float16", "auto"])
def test_weights_are_of_the_dtype_that_is_given(dtype, small_folder, encoder_folder):
    stored = BertModel.from_pretrained(small_folder).dtype
    expected = {"float16": torch.float16, "auto": stored}.get(dtype, dtype)
    model = LassForKGCompletion.from_encoder(small_folder, dtype=dtype, dropout=0.0, output_hidden_states=True)
    assert dtypes_of(model) == {expected}
    assert model.encoder.config.output_hidden_states


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_learned_scale_is_float32_beside_any_weights(dtype, encoder_folder, tmp_path):
    """In bfloat16 a scale of 20 would be 20.09."""
    scaled = {"architecture": "bi-encoder", "normalize": True, "scale": 20.0}
    model = LassForKGCompletion.from_encoder(encoder_folder, dtype=dtype, **scaled)
    assert (model.dtype, model.log_scale.dtype) == (dtype, torch.float32)
    model.save_pretrained(tmp_path)
    assert LassConfig.from_pretrained(tmp_path).dtype == dtype
    for given in ({}, {"dtype": "bfloat16"}, {"dtype": "float32"}):
        loaded = LassForKGCompletion.from_pretrained(tmp_path, **given)
        assert loaded.encoder.dtype == (getattr(torch, given["dtype"]) if given else dtype)
        assert torch.equal(loaded.log_scale, model.log_scale)
        assert torch.equal(loaded.distance_factor(), model.distance_factor())


@pytest.mark.parametrize("kind", ENCODER_CONFIGS)
def test_dropout_is_that_of_every_layer(kind, tmp_path):
    """Without dropout training mode computes what evaluation mode does; with it, no two passes are equal."""
    AutoModel.from_config(ENCODER_CONFIGS[kind]()).save_pretrained(tmp_path)
    model = LassForKGCompletion.from_encoder(tmp_path, dropout=0.0)
    assert torch.equal(model.train()(**make_batch(kind)).scores, model.eval()(**make_batch(kind)).scores)
    model = LassForKGCompletion.from_encoder(tmp_path, dropout=0.5).train()
    assert not torch.equal(model(**make_batch(kind)).scores, model(**make_batch(kind)).scores)


def test_dropout_is_set_by_the_names_of_gpt2_too():
    config = with_dropout(GPT2Config(), 0.0)
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0


def test_dropout_of_an_encoder_that_has_none_is_refused():
    with pytest.raises(ModelError, match=r"dropout=0\.1, but a mamba encoder has no dropout to set; leave it out"):
        with_dropout(MambaConfig(), 0.1)
    assert with_dropout(MambaConfig(), 0.0).to_dict() == MambaConfig().to_dict()


def test_dropout_is_the_encoders_own_by_default(encoder_folder):
    config = LassForKGCompletion.from_encoder(encoder_folder).config.encoder_config
    assert config.hidden_dropout_prob == BertConfig.from_pretrained(encoder_folder).hidden_dropout_prob > 0


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range(encoder_folder, dropout):
    with pytest.raises(ModelError, match=r"dropout=.*expected 0 or more, and less than 1"):
        LassForKGCompletion.from_encoder(encoder_folder, dropout=dropout)


def test_from_encoder_takes_the_encoder_of_a_lass_model(model_folder):
    trained = LassForKGCompletion.from_pretrained(model_folder)
    other = LassForKGCompletion.from_encoder(
        model_folder, margin=3.0, architecture="bi-encoder", normalize=True, dropout=0.3
    )
    assert (other.config.margin, other.config.architecture, trained.config.architecture) == (
        3.0,
        "bi-encoder",
        "cross-encoder",
    )
    assert other.config.encoder_config.hidden_dropout_prob == 0.3
    assert type(other.encoder) is type(trained.encoder)
    expected = dict(trained.encoder.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in other.encoder.named_parameters())


def test_attentions_that_are_asked_for_when_loading_are_given_then_and_after_saving(encoder_folder, tmp_path):
    model = LassForKGCompletion.from_encoder(encoder_folder, output_attentions=True).eval()
    expected = model(**make_batch())
    assert len(expected.attentions) == 2
    model.save_pretrained(tmp_path / "of_encoder")
    LassForKGCompletion.from_encoder(encoder_folder).save_pretrained(tmp_path / "plain")
    for loaded in (
        LassForKGCompletion.from_pretrained(tmp_path / "of_encoder"),
        LassForKGCompletion.from_pretrained(tmp_path / "plain", output_attentions=True),
    ):
        outputs = loaded(**make_batch())
        assert all(torch.equal(*pair) for pair in zip(outputs.attentions, expected.attentions, strict=True))
    assert LassForKGCompletion.from_pretrained(tmp_path / "plain")(**make_batch()).attentions is None


def test_from_encoder_refuses_a_bad_distance_scale(encoder_folder):
    with pytest.raises(LassError, match=r"distance_scale='cosine'.*sqrt_dim, none"):
        LassForKGCompletion.from_encoder(encoder_folder, distance_scale="cosine")


def test_from_encoder_refuses_an_old_name_with_the_new_one(encoder_folder):
    for kind in (LassForKGCompletion, LassProcessor):
        with pytest.raises(LassError, match="encoding is now called architecture") as error:
            kind.from_encoder(encoder_folder, encoding="separate")
        one_line(error)


def test_from_encoder_refuses_a_checkpoint_that_lacks_weights(encoder_folder, tmp_path):
    BertModel.from_pretrained(encoder_folder).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights.*encoder\.layer\.1\.output\.dense\.bias") as error:
        LassForKGCompletion.from_encoder(str(tmp_path))
    one_line(error)


def test_from_encoder_accepts_a_checkpoint_without_pooler(encoder_folder, tmp_path):
    BertModel.from_pretrained(encoder_folder, add_pooling_layer=False).save_pretrained(tmp_path)
    model = LassForKGCompletion.from_encoder(str(tmp_path)).eval()
    expected = LassForKGCompletion.from_encoder(encoder_folder).eval()
    assert torch.equal(score(model, make_batch()), score(expected, make_batch()))


def test_new_model_keeps_the_weights_of_its_encoder():
    torch.manual_seed(3)
    encoder = BertModel(ENCODER_CONFIGS["bert"](), add_pooling_layer=False)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = LassForKGCompletion(LassConfig(encoder_config=encoder.config), encoder=encoder)
    assert all(torch.equal(model.encoder.state_dict()[name], value) for name, value in before.items())
