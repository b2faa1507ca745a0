"""Batches of texts for the model's own forward, and what it gives."""

import itertools

import torch

from helpers.tiny import ENCODER_CONFIGS, byte_level_tokenizer, wordpiece_tokenizer
from lass_hf import LassProcessor

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


def with_length_buckets(batch):
    """The rows from short to long, and the same with `length_buckets`: rows of equal length, one row, the rest."""
    lengths, order = batch["attention_mask"].sum(1).sort(stable=True)
    batch = {name: value[order] for name, value in batch.items()}
    bounds = [0, 2, 3, len(lengths)]
    parts = [lengths[start:end].tolist() for start, end in itertools.pairwise(bounds)]
    return batch, {**batch, "length_buckets": [(len(part), part[0], part[-1]) for part in parts]}


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


def pool(hidden, segment_ids, segment):
    """The mean of the vectors of one segment, in Python floats."""
    rows = [vector.tolist() for vector, number in zip(hidden, segment_ids.tolist(), strict=True) if number == segment]
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
