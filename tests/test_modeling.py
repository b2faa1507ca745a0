"""LassForKGCompletion: any encoder, its two doors, and what torch and transformers do to a model."""

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ENCODER_CONFIGS, byte_level_tokenizer, make_model, wordpiece_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

from lass_hf import LassConfig, LassForKGCompletion, LassProcessor
from lass_hf.errors import LassError, ModelError
from lass_hf.losses import negative_sampling_loss

TEXTS = [
    ("cat, a small animal that purrs", "is a", "animal"),
    ("milk", "eats", "milk"),
    ("garden", "lives in", "house, a building to live in"),
    ("dog, a loyal animal", "eats", "cheese, food made of milk"),
]
SHORT = [("milk", "eats", "food"), ("food", "eats", "milk")]  # of equal length
KINDS = sorted(ENCODER_CONFIGS)


def make_batch(kind="bert", texts=TEXTS):
    tokenizer = byte_level_tokenizer() if kind == "roberta" else wordpiece_tokenizer()
    return dict(LassProcessor(tokenizer)(texts))


def with_micro_batches(batch):
    """The rows from short to long, and the same with `micro_batches`: rows of equal length, one row, the rest."""
    lengths, order = batch["attention_mask"].sum(1).sort(stable=True)
    batch = {name: value[order] for name, value in batch.items()}
    bounds = [0, 2, 3, len(lengths)]
    parts = [lengths[start:end].tolist() for start, end in itertools.pairwise(bounds)]
    return batch, {**batch, "micro_batches": [(len(part), part[0], part[-1]) for part in parts]}


def score(model, batch):
    with torch.no_grad():
        return model(**batch).scores


def loss_and_gradients(model, batch):
    """The loss, and by its name the gradient of each parameter that gets one."""
    model.zero_grad()
    labels = torch.zeros(len(batch["input_ids"]), dtype=torch.int64)
    labels[0] = 1
    loss = model(**batch, labels=labels).loss
    loss.backward()
    named = model.named_parameters()
    gradients = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
    return {"loss": loss.detach(), **gradients}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def pool(hidden, segment_ids, segment):
    """The mean of the vectors of one segment, in Python floats."""
    rows = [vector.tolist() for vector, number in zip(hidden, segment_ids.tolist(), strict=True) if number == segment]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def one_line(error) -> str:
    message = str(error.value)
    assert message.strip()
    assert "\n" not in message
    return message


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


# Scores


@pytest.mark.parametrize("distance_scale", ["sqrt_dim", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_equation_1_over_mean_pooled_segments(kind, distance_scale):
    model, batch = make_model(kind, margin=3.0, distance_scale=distance_scale), make_batch(kind)
    with torch.no_grad():
        hidden = model.encoder(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state.double()
    expected = []
    for vectors, segment_ids in zip(hidden, batch["segment_ids"], strict=True):
        head, relation, tail = (pool(vectors, segment_ids, segment) for segment in (1, 2, 3))
        squares = sum((h + r - t) ** 2 for h, r, t in zip(head, relation, tail, strict=True))
        expected.append(3.0 - 0.5 * squares / (len(head) ** 0.5 if distance_scale == "sqrt_dim" else 1))
    np.testing.assert_allclose(score(model, batch).numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_are_the_segment_means(kind):
    model, batch = make_model(kind), make_batch(kind)
    with torch.no_grad():
        output = model(**batch)
        hidden = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    for segment, embeddings in (
        (1, output.head_embeddings),
        (2, output.relation_embeddings),
        (3, output.tail_embeddings),
    ):
        expected = [pool(hidden[row].double(), batch["segment_ids"][row], segment) for row in range(len(TEXTS))]
        np.testing.assert_allclose(embeddings.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_change_scores(kind):
    model = make_model(kind)
    together = score(model, make_batch(kind))
    alone = torch.cat([score(model, make_batch(kind, [texts])) for texts in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_does_not_change_scores(kind):
    model, batch = make_model(kind), make_batch(kind)
    changed = torch.where(batch["attention_mask"] == 0, 7, batch["input_ids"])
    assert (changed != batch["input_ids"]).any()
    expected = score(model, batch)
    torch.testing.assert_close(score(model, {**batch, "input_ids": changed}), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_unpadded_sequences_need_no_attention_mask(kind):
    model, batch = make_model(kind), make_batch(kind, SHORT)
    expected = score(model, batch)
    assert batch.pop("attention_mask").all()
    torch.testing.assert_close(score(model, batch), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_change_neither_scores_nor_loss_nor_gradients(kind):
    model = make_model(kind).train()
    whole, parts = with_micro_batches(make_batch(kind, [*TEXTS, *SHORT]))
    widths = []
    hook = model.encoder.register_forward_pre_hook(
        lambda _, __, inputs: widths.append((*inputs["input_ids"].shape, inputs["attention_mask"] is None)),
        with_kwargs=True,
    )
    found = {**loss_and_gradients(model, parts), "scores": score(model, parts)}
    hook.remove()
    expected = [(rows, longest, shortest == longest) for rows, shortest, longest in parts["micro_batches"]]
    assert widths == expected * 2
    assert [unpadded for *_, unpadded in expected] == [True, True, False]
    assert_close(found, {**loss_and_gradients(model, whole), "scores": score(model, whole)})


def test_micro_batches_without_attention_mask_are_unpadded_sequences(model):
    batch = make_batch(texts=SHORT)
    del batch["attention_mask"]
    parts = [(1, 7, 7)] * len(SHORT)
    torch.testing.assert_close(score(model, {**batch, "micro_batches": parts}), score(model, batch))


def test_missing_segment_ids_are_a_model_error(model):
    batch = make_batch()
    del batch["segment_ids"]
    with pytest.raises(ModelError, match="segment_ids are missing") as error:
        model(**batch)
    one_line(error)


def test_scores_differ_between_triplets(model):
    assert len(set(score(model, make_batch()).tolist())) == len(TEXTS)


def test_labels_give_the_loss_of_equation_4(model):
    labels = torch.tensor([1, 0, 1, 0])
    output = model(**make_batch(), labels=labels)
    pairs = zip(output.scores.tolist(), labels.tolist(), strict=True)
    terms = [3 * np.logaddexp(0, -score) if label else np.logaddexp(0, score) for score, label in pairs]
    assert output.loss.item() == pytest.approx(sum(terms) / 2, rel=1e-5)


def test_without_labels_there_is_no_loss(model):
    assert model(**make_batch()).loss is None


def test_hidden_states_and_attentions_are_given_when_asked_for():
    config = ENCODER_CONFIGS["bert"]()
    config._attn_implementation = "eager"
    model = LassForKGCompletion(LassConfig(encoder_config=config, attn_implementation="eager")).eval()
    output = model(**make_batch(), output_hidden_states=True, output_attentions=True)
    assert len(output.hidden_states) == config.num_hidden_layers + 1
    assert len(output.attentions) == config.num_hidden_layers
    plain = model(**make_batch())
    assert plain.hidden_states is None
    assert plain.attentions is None


# Saving, loading


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_model_gives_identical_scores(kind, tmp_path):
    model, batch = make_model(kind, margin=2.5, distance_scale="none"), make_batch(kind)
    model.save_pretrained(tmp_path)
    loaded = LassForKGCompletion.from_pretrained(tmp_path)
    assert torch.equal(score(loaded, batch), score(model, batch))
    assert (loaded.config.margin, loaded.config.distance_scale) == (2.5, "none")
    assert not loaded.training


@pytest.mark.parametrize("kind", KINDS)
def test_no_pooler_parameters(kind):
    assert not [name for name, _ in make_model(kind).named_parameters() if "pooler" in name]


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


# The other door


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


def test_from_encoder_takes_a_dtype(encoder_folder):
    model = LassForKGCompletion.from_encoder(encoder_folder, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("kind", ENCODER_CONFIGS)
def test_dropout_is_that_of_every_layer(kind, tmp_path):
    """Without dropout training mode computes what evaluation mode does; with it, no two passes are equal."""
    AutoModel.from_config(ENCODER_CONFIGS[kind]()).save_pretrained(tmp_path)
    model = LassForKGCompletion.from_encoder(tmp_path, dropout=0.0)
    assert torch.equal(model.train()(**make_batch(kind)).scores, model.eval()(**make_batch(kind)).scores)
    model = LassForKGCompletion.from_encoder(tmp_path, dropout=0.5).train()
    assert not torch.equal(model(**make_batch(kind)).scores, model(**make_batch(kind)).scores)


def test_dropout_is_the_encoders_own_by_default(encoder_folder):
    config = LassForKGCompletion.from_encoder(encoder_folder).config.encoder_config
    assert config.hidden_dropout_prob == BertConfig.from_pretrained(encoder_folder).hidden_dropout_prob > 0


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range(encoder_folder, dropout):
    with pytest.raises(ModelError, match=r"dropout=.*expected 0 or more, and less than 1"):
        LassForKGCompletion.from_encoder(encoder_folder, dropout=dropout)


def test_from_encoder_takes_the_encoder_of_a_lass_model(model_folder):
    trained = LassForKGCompletion.from_pretrained(model_folder)
    other = LassForKGCompletion.from_encoder(model_folder, margin=3.0, encoding="separate", normalize=True, dropout=0.3)
    assert (other.config.margin, other.config.encoding, trained.config.encoding) == (3.0, "separate", "joint")
    assert other.config.encoder_config.hidden_dropout_prob == 0.3
    assert type(other.encoder) is type(trained.encoder)
    expected = dict(trained.encoder.named_parameters())
    assert all(torch.equal(value, expected[name]) for name, value in other.encoder.named_parameters())


def test_from_encoder_refuses_a_bad_distance_scale(encoder_folder):
    with pytest.raises(LassError, match=r"distance_scale='cosine'.*sqrt_dim, none"):
        LassForKGCompletion.from_encoder(encoder_folder, distance_scale="cosine")


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


# Attention implementation


def attention_of(model):
    return model.config._attn_implementation, model.encoder.config._attn_implementation


def test_attention_is_sdpa_by_default(encoder_folder):
    assert attention_of(LassForKGCompletion.from_encoder(encoder_folder)) == ("sdpa", "sdpa")


def test_chosen_attention_is_kept_by_from_encoder(encoder_folder):
    model = LassForKGCompletion.from_encoder(encoder_folder, attn_implementation="eager")
    assert attention_of(model) == ("eager", "eager")


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_is_kept_by_deepcopy(implementation, encoder_folder):
    model = LassForKGCompletion.from_encoder(encoder_folder, attn_implementation=implementation)
    assert attention_of(copy.deepcopy(model)) == (implementation, implementation)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_chosen_attention_is_kept_by_from_pretrained(implementation, model_folder):
    model = LassForKGCompletion.from_pretrained(model_folder, attn_implementation=implementation)
    assert attention_of(model) == (implementation, implementation)


def test_attention_is_sdpa_by_default_after_loading(model_folder):
    assert attention_of(LassForKGCompletion.from_pretrained(model_folder)) == ("sdpa", "sdpa")


def test_attention_implementations_give_the_same_scores(model_folder):
    eager, sdpa = (
        score(LassForKGCompletion.from_pretrained(model_folder, attn_implementation=name), make_batch())
        for name in ("eager", "sdpa")
    )
    torch.testing.assert_close(eager, sdpa, rtol=1e-5, atol=1e-5)


# What torch does to a model


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_model_gives_the_same_scores(backend, model):
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend)
    torch.testing.assert_close(score(compiled, make_batch()), score(model, make_batch()), rtol=1e-5, atol=1e-5)


def test_model_compiles_into_one_graph(model):
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(score(compiled, make_batch()), score(model, make_batch()), rtol=1e-5, atol=1e-5)


def test_autocast_to_bfloat16_is_close_and_scores_are_float32(model):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**make_batch(), labels=torch.tensor([1, 0, 0, 0]))
    assert output.scores.dtype == output.loss.dtype == output.head_embeddings.dtype == torch.float32
    torch.testing.assert_close(output.scores.detach(), score(model, make_batch()), rtol=0.02, atol=0.02)


def test_means_and_equation_1_are_float32_under_autocast():
    model, batch = make_model(distance_scale="none"), make_batch()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**batch)
        hidden = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    head, relation, tail = (
        torch.tensor([pool(hidden[row].double(), batch["segment_ids"][row], segment) for row in range(len(TEXTS))])
        for segment in (1, 2, 3)
    )
    torch.testing.assert_close(output.head_embeddings, head, rtol=1e-5, atol=1e-6)
    expected = 7.0 - 0.5 * (head + relation - tail).square().sum(-1)
    torch.testing.assert_close(output.scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_weights_are_close_and_scores_are_float32(kind):
    model, batch = make_model(kind), make_batch(kind)
    expected = score(model, batch)
    scores = score(model.to(torch.bfloat16), batch)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "albert"])  # transformers' ALBERT has none
def test_activation_checkpointing_runs_layers_again_and_gives_the_same_loss_and_gradients(kind):
    model = make_model(kind).train()
    whole, parts = with_micro_batches(make_batch(kind, [*TEXTS, *SHORT]))
    calls = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *_: calls.append(1))
    expected, plain = loss_and_gradients(model, whole), len(calls)
    model.activation_checkpointing_enable()
    assert_close(loss_and_gradients(model, whole), expected)
    assert len(calls) - plain > plain
    assert_close(loss_and_gradients(model, parts), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind):
    model = make_model(kind).train()
    found = loss_and_gradients(model, make_batch(kind))
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad and name not in found]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_nonzero_but_for_key_biases(kind):
    """Softmax ignores a constant added to all keys, so a bias of the key projection alone may have none."""
    model = make_model(kind).train()
    found = loss_and_gradients(model, make_batch(kind))
    zero = [name for name, gradient in found.items() if not gradient.abs().max() > 0]
    assert not [name for name in zero if "key" not in name and "k_lin" not in name]


def test_new_model_keeps_the_weights_of_its_encoder():
    torch.manual_seed(3)
    encoder = BertModel(ENCODER_CONFIGS["bert"](), add_pooling_layer=False)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = LassForKGCompletion(LassConfig(encoder_config=encoder.config), encoder=encoder)
    assert all(torch.equal(model.encoder.state_dict()[name], value) for name, value in before.items())


def test_a_saved_model_tells_nobody_where_its_encoder_lay(encoder_folder, tmp_path):
    LassForKGCompletion.from_encoder(str(encoder_folder)).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text(encoding="utf-8")
    assert f'"_name_or_path": "./{Path(encoder_folder).name}"' in text
    assert str(Path(encoder_folder).parent) not in text


def test_deepcopy_gives_equal_scores_and_own_weights(model):
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.get_input_embeddings().weight.zero_()
    assert score(copied, make_batch()).tolist() != score(model, make_batch()).tolist()
    assert torch.equal(score(copy.deepcopy(model), make_batch()), score(model, make_batch()))


def test_input_embeddings_are_the_encoders(model):
    assert model.get_input_embeddings() is model.encoder.get_input_embeddings()
    new = torch.nn.Embedding(400, 32)
    model.set_input_embeddings(new)
    assert model.encoder.get_input_embeddings() is new


def test_forward_loss_is_the_loss_of_its_scores(model):
    labels = torch.tensor([1, 0, 0, 1])
    output = model(**make_batch(), labels=labels)
    assert output.loss.item() == pytest.approx(negative_sampling_loss(output.scores, labels).item())


# LassConfig


def test_config_defaults_are_the_papers_margin_and_the_scaled_distance():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["bert"]())
    assert (config.margin, config.distance_scale) == (7.0, "sqrt_dim")


@pytest.mark.parametrize("distance_scale", ["cosine", "", "SQRT_DIM"])
def test_config_refuses_an_unknown_distance_scale(distance_scale):
    with pytest.raises(LassError, match="expected one of sqrt_dim, none"):
        LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), distance_scale=distance_scale)


@pytest.mark.parametrize("kind", KINDS)
def test_config_survives_json(kind, tmp_path):
    config = LassConfig(encoder_config=ENCODER_CONFIGS[kind](), margin=4, distance_scale="none")
    config.save_pretrained(tmp_path)
    loaded = LassConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert type(loaded.encoder_config) is type(config.encoder_config)
    assert (loaded.margin, loaded.distance_scale) == (4.0, "none")


def test_config_json_holds_its_fields(tmp_path):
    LassConfig(encoder_config=ENCODER_CONFIGS["bert"](), margin=4).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert content["model_type"] == "lass"
    assert content["encoder_config"]["model_type"] == "bert"
    assert (content["margin"], content["distance_scale"]) == (4.0, "sqrt_dim")


def test_config_accepts_the_encoder_config_as_a_dict():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["roberta"]().to_dict())
    assert type(config.encoder_config) is type(ENCODER_CONFIGS["roberta"]())


def test_text_config_is_the_encoders():
    config = LassConfig(encoder_config=ENCODER_CONFIGS["bert"]())
    assert config.get_text_config() is config.encoder_config
