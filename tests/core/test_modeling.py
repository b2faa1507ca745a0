"""LassForKGCompletion: scores, loss and gradients of any encoder."""

import numpy as np
import pytest
import torch
from helpers.forwards import KINDS, SHORT, TEXTS, loss_and_gradients, make_batch, pool, score, with_length_buckets
from helpers.tiny import ENCODER_CONFIGS, make_model, one_line
from helpers.trainings import assert_close

from lass_hf import LassConfig, LassForKGCompletion
from lass_hf.core.errors import ModelError


@pytest.mark.parametrize(("kind", "distance_scale"), [*((kind, "sqrt_dim") for kind in KINDS), ("bert", "none")])
def test_scores_are_equation_1_over_mean_pooled_segments(kind, distance_scale):
    model, batch = make_model(kind, margin=3.0, distance_scale=distance_scale), make_batch(kind)
    with torch.no_grad():
        output = model(**batch)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        hidden = model.encoder(**inputs).last_hidden_state.double()
    expected, pooled = [], []
    for vectors, segment_ids in zip(hidden, batch["segment_ids"], strict=True):
        head, relation, tail = (pool(vectors, segment_ids, segment) for segment in (1, 2, 3))
        squares = sum((h + r - t) ** 2 for h, r, t in zip(head, relation, tail, strict=True))
        expected.append(3.0 - 0.5 * squares / (len(head) ** 0.5 if distance_scale == "sqrt_dim" else 1))
        pooled.append([head, relation, tail])
    found = torch.stack([output.head_embeddings, output.relation_embeddings, output.tail_embeddings], dim=1)
    np.testing.assert_allclose(found.numpy(), pooled, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(output.scores.numpy(), expected, rtol=1e-5, atol=1e-5)


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
def test_length_buckets_change_neither_scores_nor_loss_nor_gradients(kind):
    model = make_model(kind).train()
    whole, parts = with_length_buckets(make_batch(kind, [*TEXTS, *SHORT]))
    widths = []
    hook = model.encoder.register_forward_pre_hook(
        lambda _, __, inputs: widths.append((*inputs["input_ids"].shape, inputs["attention_mask"] is None)),
        with_kwargs=True,
    )
    found = {**loss_and_gradients(model, parts), "scores": score(model, parts)}
    hook.remove()
    expected = [(rows, longest, shortest == longest) for rows, shortest, longest in parts["length_buckets"]]
    assert widths == expected * 2
    assert [unpadded for *_, unpadded in expected] == [True, True, False]
    assert_close(found, {**loss_and_gradients(model, whole), "scores": score(model, whole)}, rtol=1e-5, atol=1e-5)


def test_length_buckets_without_attention_mask_are_unpadded_sequences(model):
    batch = make_batch(texts=SHORT)
    del batch["attention_mask"]
    parts = [(1, 7, 7)] * len(SHORT)
    torch.testing.assert_close(score(model, {**batch, "length_buckets": parts}), score(model, batch))


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


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_and_are_nonzero_but_for_key_biases(kind):
    """Softmax ignores a constant added to all keys, so a bias of the key projection alone may have none."""
    model = make_model(kind).train()
    found = loss_and_gradients(model, make_batch(kind))
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad and name not in found]
    zero = [name for name, gradient in found.items() if not gradient.abs().max() > 0]
    assert not [name for name in zero if "key" not in name and "k_lin" not in name]


def test_input_embeddings_are_the_encoders(model):
    assert model.get_input_embeddings() is model.encoder.get_input_embeddings()
    new = torch.nn.Embedding(400, 32)
    model.set_input_embeddings(new)
    assert model.encoder.get_input_embeddings() is new
