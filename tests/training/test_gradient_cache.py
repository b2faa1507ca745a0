"""Gradient caching: a batch that is encoded in parts, twice, has the gradients of one that is encoded at once."""

import pytest
import torch
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.tiny import ENCODER_CONFIGS, make_graph, one_line
from helpers.trainings import assert_close, losses_of, make_trainer, parameters_of, trainer_of

from lass_hf import LassConfig, LassForKGCompletion
from lass_hf.core.errors import LassError
from lass_hf.scoring.length_buckets import cut_buckets
from lass_hf.training.data_collators import InBatchCollator

BUDGET = 40


@pytest.mark.parametrize("budget", [1, 7, 24, 1000])
def test_cut_buckets_hold_the_same_rows_and_few_tokens(budget):
    buckets = [(5, 3, 4), (1, 9, 9), (12, 10, 12), (2, 13, 13)]
    parts = cut_buckets(buckets, budget)
    assert all(rows == 1 or rows * longest <= budget for rows, _, longest in parts)
    for rows, *lengths in buckets:
        own = [part[0] for part in parts if list(part[1:]) == lengths]
        assert sum(own) == rows
        assert max(own) - min(own) <= 1
        assert len(own) == -(-rows // max(1, budget // lengths[1]))
    assert [part[1:] for part in parts] == sorted(part[1:] for part in parts)


def model_with_dropout(dropout):
    torch.manual_seed(0)
    config = ENCODER_CONFIGS["bert"]()
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    choices = {"architecture": "bi-encoder", "normalize": True, "scale": 12.0}
    return LassForKGCompletion(LassConfig(encoder_config=config, **choices)).train()


def cut_batch(graph, budget=BUDGET):
    """A batch of all triplets, with small length buckets."""
    batch = InBatchCollator(bi_encoder_processor(graph))(graph["train"])
    names = ("input_ids", "attention_mask", "segment_ids")
    return {name: batch[name] for name in names} | {"length_buckets": cut_buckets(batch["length_buckets"], budget)}


def loss_of(embeddings):
    """A loss of all vectors at once, which no part of them has."""
    return (embeddings @ embeddings.T).logsumexp(1).sum() + (3 * embeddings).sin().sum()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_and_random_numbers_are_those_of_one_pass(dropout, autocast):
    """The second pass of a part has the random numbers of its first one, and leaves no trace in later ones."""
    found = []
    for cache_gradients in (False, True):
        model, batch = model_with_dropout(dropout), cut_batch(make_graph())
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = model(**batch, cache_gradients=cache_gradients)
        loss = loss_of(outputs.embeddings)
        loss.backward()
        gradients = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
        found.append((loss.detach(), gradients, torch.rand(3)))
    (loss, gradients, after), (cached_loss, cached, cached_after) = found
    assert cached_loss == loss
    assert torch.equal(after, cached_after)
    assert len(gradients) > 20
    assert_close(cached, gradients, rtol=1e-5, atol=1e-5)


def kept_bytes(model, batch, **choices) -> int:
    """What a forward pass keeps for the backward pass."""
    weights = {value.data_ptr() for value in model.parameters()}
    kept = []
    pack = lambda one: kept.append(0 if one.data_ptr() in weights else one.nbytes) or one  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
        model(**batch, **choices)
    return sum(kept)


def test_parts_are_small_and_no_activations_are_kept():
    model, batch, shapes = model_with_dropout(0.0), cut_batch(make_graph()), []
    model.encoder.register_forward_pre_hook(
        lambda _, __, given: shapes.append(given["input_ids"].shape), with_kwargs=True
    )
    assert kept_bytes(model, batch, cache_gradients=True) < kept_bytes(model, batch) / 20
    shapes.clear()
    loss_of(model(**batch, cache_gradients=True).embeddings).backward()
    parts = len(batch["length_buckets"])
    assert parts > 8
    assert len(shapes) == 2 * parts
    assert sorted(shapes[:parts]) == sorted(shapes[parts:])
    assert all(rows * length <= BUDGET for rows, length in shapes)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"queue_size": 20},
        {"gradient_accumulation_steps": 2},
        {"activation_checkpointing": True},
    ],
)
def test_a_training_is_that_without_a_cache(choices, tmp_path):
    found = []
    for tokens in (0, BUDGET):
        model = bi_encoder_model().train()
        trainer = trainer_of(tmp_path, make_graph(), "bi-encoder", model, gradient_cache_tokens=tokens, **choices)
        trainer.train()
        found.append((losses_of(trainer), parameters_of(trainer.model)))
    (losses, weights), (cached_losses, cached_weights) = found
    assert cached_losses == pytest.approx(losses, rel=1e-5)
    assert_close(cached_weights, weights, rtol=1e-4, atol=1e-6)


def test_a_training_goes_on_with_another_cache(tmp_path):
    """What memory permits may be found out after the training began."""
    first = {"max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    trainer_of(tmp_path, make_graph(), "bi-encoder", **first).train()
    trainer = trainer_of(tmp_path, make_graph(), "bi-encoder", max_steps=4, gradient_cache_tokens=BUDGET)
    trainer.train(resume_from_checkpoint="last")
    assert trainer.resumes[0]["changed"]["gradient_cache_tokens"] == [None, BUDGET]


@pytest.mark.parametrize(
    ("architecture", "tokens", "message"),
    [
        ("cross-encoder", 8, 'gradient_cache_tokens=8 needs architecture="bi-encoder"'),
        ("bi-encoder", -1, "gradient_cache_tokens=-1; expected a finite number of 0 or more"),
        ("bi-encoder", 1.5, "gradient_cache_tokens=1.5; expected a whole number"),
    ],
)
def test_a_cache_that_does_not_fit_is_one_line(architecture, tokens, message, tmp_path):
    with pytest.raises(LassError) as error:
        trainer_of(tmp_path, make_graph(), architecture, gradient_cache_tokens=tokens)
    one_line(error, message)


def test_a_batch_that_is_encoded_as_a_whole_is_refused(tmp_path):
    graph = make_graph()
    processor = bi_encoder_processor(graph)
    made = InBatchCollator(processor, graph)
    collator = lambda features: {n: array for n, array in made(features).items() if n != "length_buckets"}  # noqa: E731
    given = (tmp_path, graph, processor, bi_encoder_model())
    trainer = make_trainer(*given, data_collator=collator, loss="softmax", gradient_cache_tokens=BUDGET)
    with pytest.raises(LassError) as error:
        trainer.train()
    one_line(error, f"gradient_cache_tokens={BUDGET} needs a batch in length buckets", "expected 0, or activation_ch")
