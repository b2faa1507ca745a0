"""A model under torch: attention implementations, compilation, bfloat16, checkpointing, copies."""

import copy

import pytest
import torch
from helpers.forwards import KINDS, SHORT, TEXTS, loss_and_gradients, make_batch, pool, score, with_length_buckets
from helpers.tiny import make_model
from helpers.trainings import assert_close

from lass_hf import LassForKGCompletion

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


def test_compiled_model_gives_the_same_scores(model):
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager")
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
    whole, parts = with_length_buckets(make_batch(kind, [*TEXTS, *SHORT]))
    calls = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *_: calls.append(1))
    expected, plain = loss_and_gradients(model, whole), len(calls)
    model.activation_checkpointing_enable()
    assert_close(loss_and_gradients(model, whole), expected, rtol=1e-5, atol=1e-5)
    assert len(calls) - plain > plain
    assert_close(loss_and_gradients(model, parts), expected, rtol=1e-5, atol=1e-5)


def test_deepcopy_gives_equal_scores_and_own_weights(model):
    copied = copy.deepcopy(model)
    with torch.no_grad():
        copied.get_input_embeddings().weight.zero_()
    assert score(copied, make_batch()).tolist() != score(model, make_batch()).tolist()
    assert torch.equal(score(copy.deepcopy(model), make_batch()), score(model, make_batch()))
