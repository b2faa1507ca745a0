"""Fingerprints are the same for the same contents, and change with whatever changes a score or a rank."""

import pytest
import torch
from helpers.tiny import (
    ENTITY_TEXT,
    RELATION_TEXT,
    TEST,
    TRAIN,
    VALIDATION,
    make_graph,
    make_model,
    make_processor,
    wordpiece_tokenizer,
)

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor
from lass_hf.utils.fingerprints import config_fingerprint, graph_fingerprint, model_fingerprint, texts_fingerprint

# Models


def with_one_weight_a_step_away():
    model = make_model()
    weights = list(model.state_dict().values())[-1].view(-1)
    weights[-1] = torch.nextafter(weights[-1], torch.tensor(9.0))
    return model


def with_larger_epsilon():
    model = make_model()
    model.config.encoder_config.layer_norm_eps *= 2
    return model


@pytest.mark.parametrize(
    "other",
    [
        with_one_weight_a_step_away,
        with_larger_epsilon,
        lambda: make_model(seed=1),
        lambda: make_model(margin=7.5),
        lambda: make_model(distance_scale="none"),
        lambda: make_model("roberta"),
        lambda: make_model().to(torch.bfloat16),
    ],
    ids=["weight", "epsilon", "seed", "margin", "distance_scale", "encoder", "dtype"],
)
def test_another_model_has_another_fingerprint(other):
    assert model_fingerprint(other()) != model_fingerprint(make_model())


def test_what_changes_no_score_changes_no_fingerprint():
    model = make_model().train().requires_grad_(False)
    layer = model.encoder.encoder.layer[0].output.dense
    layer.weight.data = layer.weight.data.T.contiguous().T  # the same values in another order of memory
    assert not layer.weight.is_contiguous()
    assert model_fingerprint(model) == model_fingerprint(make_model())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert"])
def test_a_model_keeps_its_fingerprint_when_saved_and_loaded(kind, dtype, tmp_path):
    model = make_model(kind, margin=3).to(dtype)
    model.save_pretrained(tmp_path)
    loaded = LassForKGCompletion.from_pretrained(tmp_path, dtype=dtype)
    assert config_fingerprint(loaded.config) == config_fingerprint(model.config)
    assert model_fingerprint(loaded) == model_fingerprint(model)


# Texts


def store(entities=ENTITY_TEXT, relations=RELATION_TEXT, **choices):
    graph = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=entities, relation_text=relations)
    return LassProcessor(wordpiece_tokenizer(), **choices).token_store(graph)


@pytest.mark.parametrize(
    "change",
    [
        {"separators": False},
        {"max_length": 32},
        {"entities": ENTITY_TEXT | {"milk": "milk, food"}},
        {"entities": ENTITY_TEXT | {"horse": "animal"}},
        {"relations": RELATION_TEXT | {"eats": "is a"}},
        # The same tokens one after the other, but other texts:
        {"entities": ENTITY_TEXT | {"garden": "garden cheese", "cheese": ", food made of milk"}},
    ],
    ids=str,
)
def test_other_texts_have_another_fingerprint(change):
    assert texts_fingerprint(store(**change)) != texts_fingerprint(store())


def test_texts_of_the_same_tokens_have_the_same_fingerprint():
    assert texts_fingerprint(store()) == texts_fingerprint(store(ENTITY_TEXT | {"milk": " MILK"}))


# Graphs


def from_splits(train=TRAIN, validation=VALIDATION, test=TEST):
    return KnowledgeGraph.from_triplets(train, validation, test, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)


def with_entities_renamed():
    names = {name: name.upper() for name in ENTITY_TEXT}
    splits = ([(names[head], relation, names[tail]) for head, relation, tail in rows] for rows in (TRAIN, TEST))
    texts = {names[name]: text for name, text in ENTITY_TEXT.items()}
    return KnowledgeGraph.from_triplets(*splits, entity_text=texts, relation_text=RELATION_TEXT)


@pytest.mark.parametrize(
    "other",
    [
        lambda: from_splits(train=TRAIN[:-1]),
        lambda: from_splits(train=[*TRAIN[:-1], ("cat", "lives_in", "garden")]),
        lambda: from_splits(train=TRAIN[::-1]),
        lambda: from_splits(validation=[*VALIDATION, TEST[0]], test=TEST[1:]),
        lambda: from_splits(validation=TEST, test=VALIDATION),
        lambda: from_splits(validation=None, test=[*VALIDATION, *TEST]),
        with_entities_renamed,
    ],
    ids=["shorter", "other triplet", "other order", "moved", "swapped", "one split", "renamed"],
)
def test_another_graph_has_another_fingerprint(other):
    assert graph_fingerprint(other()) != graph_fingerprint(make_graph())


@pytest.mark.parametrize("name", ["graph", "labeled_graph"])
def test_graph_and_texts_keep_their_fingerprints_when_a_processor_is_saved_and_loaded(name, tmp_path, request):
    processor = make_processor(request.getfixturevalue(name), separators=False)
    processor.save_pretrained(tmp_path)
    loaded = LassProcessor.from_pretrained(tmp_path)
    assert loaded.graph is not processor.graph
    assert graph_fingerprint(loaded.graph) == graph_fingerprint(processor.graph)
    assert texts_fingerprint(loaded.token_store()) == texts_fingerprint(processor.token_store())
