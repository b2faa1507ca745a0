"""LassForKGCompletion: scores, loss and gradients of any encoder."""

import numpy as np
import pytest
import torch
from helpers.forwards import KINDS, SHORT, TEXTS, loss_and_gradients, make_batch, pool, score, with_length_buckets
from helpers.tiny import make_model, one_line
from helpers.trainings import assert_close, make_trainer

from lass_hf import LassPredictor
from lass_hf.core.errors import ModelError
from lass_hf.core.modeling_lass import LassOutput


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


# What transformers promises of any model


def test_return_dict_false_gives_a_tuple_of_what_is_there(model):
    batch = make_batch()
    expected = model(**batch)
    for values in (model(**batch, return_dict=False), model(**batch, length_buckets=[(4, 1, 16)], return_dict=False)):
        assert isinstance(values, tuple)
        assert len(values) == len(expected)
        assert all(torch.equal(value, other) for value, other in zip(values, expected.to_tuple(), strict=True))


def test_a_configuration_that_wants_tuples_gives_them_and_scoring_and_training_work(tmp_path, graph, processor):
    model = make_model()
    expected = LassPredictor(make_model(), processor, "float32").score([("cat", "eats", "milk")])
    model.config.return_dict = False
    assert isinstance(model(**make_batch()), tuple)
    assert isinstance(model(**make_batch(), return_dict=True), LassOutput)
    assert LassPredictor(model, processor, "float32").score([("cat", "eats", "milk")]).tolist() == expected.tolist()
    make_trainer(tmp_path, graph, processor, model, max_steps=1).train()


@pytest.mark.parametrize("where", ["config", "encoder.config", "argument"])
@pytest.mark.parametrize("buckets", [None, [(1, 1, 9), (3, 1, 16)]])
def test_hidden_states_and_attentions_are_given_wherever_they_are_asked_for(where, buckets):
    model, batch = make_model(), make_batch()
    model.set_attn_implementation("eager")
    asked = {"output_hidden_states": True, "output_attentions": True}
    expected = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **asked)
    scores = model(**batch).scores
    if where != "argument":
        for name in asked:
            setattr(model.config if where == "config" else model.encoder.config, name, True)
    outputs = model(**batch, length_buckets=buckets, **(asked if where == "argument" else {}))
    for name in ("hidden_states", "attentions"):
        assert len(outputs[name]) == len(expected[name]) > 0
        assert all(torch.equal(value, other) for value, other in zip(outputs[name], expected[name], strict=True))
    torch.testing.assert_close(outputs.scores, scores)
    assert "hidden_states" not in model(**batch, output_hidden_states=False)


def test_attentions_of_an_attention_that_gives_none_are_refused(model):
    with pytest.raises(
        ModelError, match=r"output_attentions=True.*'sdpa'.*set_attn_implementation\(\"eager\"\)"
    ) as error:
        model(**make_batch(), output_attentions=True)
    one_line(error)


def test_arguments_of_the_encoder_reach_it_with_length_buckets_too(model):
    batch = make_batch()
    types = {"token_type_ids": torch.ones_like(batch["input_ids"])}
    scores = model(**batch, **types).scores
    assert torch.equal(model(**batch, **types, length_buckets=[(1, 1, 9), (3, 1, 16)]).scores, scores)
    assert not torch.allclose(scores, model(**batch).scores)
