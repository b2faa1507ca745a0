"""Attention, against products of the encoder's weights and against loops; the model is not changed."""

import numpy as np
import pytest
import torch
from helpers.tiny import ENCODER_CONFIGS, byte_level_tokenizer, make_model, wordpiece_tokenizer
from transformers.utils import ModelOutput

from lass_hf import LassProcessor
from lass_hf.analysis.attention import SEGMENTS, TripletAttention, compute_attention
from lass_hf.core.errors import LassError

TEXTS = ("cat, a small animal", "is a", "animal")


@pytest.fixture(scope="module")
def processor():
    return LassProcessor(wordpiece_tokenizer())


def test_tokens_and_segments_are_those_of_the_sequence(model, processor):
    attention = compute_attention(model, processor, TEXTS)
    assert " ".join(attention.tokens) == "[CLS] cat , a small animal [SEP] is a [SEP] animal [SEP]"
    names = [SEGMENTS[segment] for segment in attention.segments]
    assert names == ["special", *["head"] * 5, "special", *["relation"] * 2, "special", "tail", "special"]


def test_without_separators_only_the_ends_are_special(model):
    attention = compute_attention(model, LassProcessor(wordpiece_tokenizer(), separators=False), TEXTS)
    assert [SEGMENTS[segment] for segment in attention.segments] == [
        "special", *["head"] * 5, *["relation"] * 2, "tail", "special",
    ]  # fmt: skip
    assert attention.between_segments().sum(axis=1) == pytest.approx(np.ones(4))


@pytest.mark.parametrize("kind", ENCODER_CONFIGS)
def test_every_encoder_spreads_all_of_its_attention(kind, processor):
    model = make_model(kind)
    attention = compute_attention(model, processor, TEXTS)
    assert attention.weights.dtype == np.float32
    assert attention.weights.shape == (2, 12, 12)
    assert attention.weights.min() >= 0
    assert attention.weights.sum(axis=-1) == pytest.approx(np.ones((2, 12)), abs=1e-5)
    assert (attention.layer, attention.num_layers) == (2, 2)


@pytest.mark.parametrize("layer", [1, 2])
def test_weights_are_softmax_of_queries_times_keys(layer, model, processor):
    inputs = processor([TEXTS])
    with torch.no_grad():
        hidden = model.encoder(input_ids=inputs["input_ids"], output_hidden_states=True).hidden_states[layer - 1]
        block = model.encoder.encoder.layer[layer - 1].attention.self
        query, key = (part(hidden)[0].double().view(12, 2, 16).transpose(0, 1) for part in (block.query, block.key))
        expected = torch.softmax(query @ key.transpose(1, 2) / 16**0.5, dim=-1)
    found = compute_attention(model, processor, TEXTS, layer)
    assert found.weights == pytest.approx(expected.numpy(), abs=1e-6)
    assert found.layer == layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_model_is_unchanged_afterwards(dtype, processor):
    model = make_model("bert").to(dtype).train()
    before = model.encoder.config._attn_implementation
    assert before == "sdpa"
    with torch.no_grad():
        scores = model(**processor([TEXTS])).scores
    assert compute_attention(model, processor, TEXTS).weights.dtype == np.float32
    assert model.encoder.config._attn_implementation == before
    assert model.config._attn_implementation == before
    assert model.training
    with torch.no_grad():
        assert torch.equal(model(**processor([TEXTS])).scores, scores)


# Shares


def loop_shares(attention: TripletAttention) -> np.ndarray:
    shares = np.zeros((4, 4))
    heads, length = attention.weights.shape[:2]
    for source in range(4):
        members = [token for token in range(length) if attention.segments[token] == source]
        for target in range(4):
            for head in range(heads):
                for row in members:
                    for column in range(length):
                        if attention.segments[column] == target:
                            shares[source, target] += float(attention.weights[head, row, column])
            shares[source, target] /= heads * len(members)
    return shares


@pytest.mark.parametrize("layer", [1, 2])
def test_shares_are_those_of_a_loop_and_sum_to_one(layer, model, processor):
    attention = compute_attention(model, processor, TEXTS, layer)
    shares = attention.between_segments()
    assert shares.shape == (4, 4)
    assert shares == pytest.approx(loop_shares(attention), abs=1e-6)
    assert shares.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-6)


def test_shares_by_hand():
    # head, relation, tail, special; the head token looks only at the tail, the others at themselves.
    weights = np.eye(4, dtype=np.float32)[[2, 1, 2, 3]][None]
    attention = TripletAttention(list("hrts"), np.arange(4), weights, 1, 1)
    assert attention.between_segments().tolist() == [[0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


# Tokens that people can read


def test_byte_level_tokens_lose_their_markers_and_keep_incomplete_characters(processor):
    model = make_model("roberta")
    attention = compute_attention(model, LassProcessor(byte_level_tokenizer()), ("cat é", "eats", "cat"))
    assert attention.tokens[:2] == ["<s>", "cat"]
    assert attention.tokens[3:5] == ["Ã", "©"]
    assert not any("Ġ" in token for token in attention.tokens[4:])


def test_a_text_that_looks_like_a_special_token_stays_text(model, processor):
    attention = compute_attention(model, processor, ("[SEP]", "is a", "animal"))
    assert attention.tokens.count("[SEP]") == 3
    assert [SEGMENTS[segment] for segment in attention.segments[:2]] == ["special", "head"]


# Bad input


@pytest.mark.parametrize("layer", [0, 3, -1])
def test_a_missing_layer_is_an_error_that_names_the_existing_ones(layer, model, processor):
    with pytest.raises(LassError, match=rf"layer {layer}; expected 1 to 2"):
        compute_attention(model, processor, TEXTS, layer)
    assert model.encoder.config._attn_implementation == "sdpa"


def test_an_encoder_without_attention_weights_is_an_error(model, processor, monkeypatch):
    monkeypatch.setattr(
        model.encoder, "forward", lambda **inputs: ModelOutput(last_hidden_state=torch.zeros(1, 12, 32))
    )
    with pytest.raises(LassError, match="BertModel: this encoder gives no attention weights"):
        compute_attention(model, processor, TEXTS)
    assert model.encoder.config._attn_implementation == "sdpa"


def test_an_encoder_that_attends_within_windows_is_an_error(model, processor, monkeypatch):
    windows = (torch.zeros(1, 2, 12, 5),)
    monkeypatch.setattr(model.encoder, "forward", lambda **inputs: ModelOutput(attentions=windows))
    with pytest.raises(LassError, match="of every token for every token"):
        compute_attention(model, processor, TEXTS)


def test_an_encoder_that_has_no_eager_attention_is_an_error(model, processor, monkeypatch):
    def refuse(name):
        raise ValueError(f"{name} is not supported\nand more")

    monkeypatch.setattr(model.encoder, "set_attn_implementation", refuse)
    with pytest.raises(LassError, match=r"BertModel: no attention weights can be computed \(eager is not supported\)"):
        compute_attention(model, processor, TEXTS)
