"""The collators make batches of positives and their negatives."""

import collections
import itertools
import logging

import numpy as np
import pytest
import torch
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, integer_graph, make_graph, make_processor, wordpiece_tokenizer
from helpers.trainings import trainer_of

from lass_hf import KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.core.errors import LassError
from lass_hf.training import negative_sampling
from lass_hf.training.negative_sampling import NegativeSampler


def collator(**choices):
    processor = LassProcessor(wordpiece_tokenizer())
    return KGDataCollator(processor, make_graph(), **choices)


def sequences(batch):
    """Returns the multiset of (label, tokens and segments without padding)."""
    return collections.Counter(
        (label, tuple(tokens[mask].tolist()), tuple(segments[mask].tolist()))
        for label, tokens, segments, mask in zip(
            batch["labels"].tolist(),
            batch["input_ids"],
            batch["segment_ids"],
            batch["attention_mask"].bool(),
            strict=True,
        )
    )


def items_of(graph, positions):
    return [graph["train"][position] for position in positions]


def test_a_batch_holds_the_sequences_of_the_positives_and_of_their_negatives(graph):
    collate, items = collator(num_negatives=2), items_of(graph, (3, 0, 8))
    positives = np.array([list(item.values()) for item in items])
    negatives = NegativeSampler(graph, 2).corrupt(positives).triplets
    labels = torch.tensor([1] * len(positives) + [0] * len(negatives))
    expected = {**collate.store.assemble(np.concatenate([positives, negatives])), "labels": labels}
    assert sequences(collate(items)) == sequences(expected)


@pytest.mark.parametrize(("positions", "several"), [((3,), False), (range(5), True), (range(14), True)])
def test_length_buckets_are_the_rows_from_short_to_long_with_their_shortest_and_longest(graph, positions, several):
    batch = collator(num_negatives=2)(items_of(graph, positions))
    rows = batch["attention_mask"].sum(1).tolist()
    assert rows == sorted(rows)
    remaining = iter(rows)
    for size, shortest, longest in batch["length_buckets"]:
        part = list(itertools.islice(remaining, size))
        assert (len(part), part[0], part[-1]) == (size, shortest, longest)
    assert not list(remaining)
    assert (len(batch["length_buckets"]) > 1) is several


@pytest.mark.parametrize(("has_accelerator", "num_buckets"), [(True, {1}), (False, {2, 3, 4, 5})])
def test_length_buckets_are_those_of_the_process_that_trains(has_accelerator, num_buckets, graph, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_accelerator)
    made = collator(num_negatives=2)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: not has_accelerator)  # as a forked worker sees it
    assert len(made(items_of(graph, range(14)))["length_buckets"]) in num_buckets


def test_a_batch_of_the_paper_has_15_negatives_a_positive():
    graph = integer_graph([(number, number, number + 9) for number in range(4)], 20, 12)
    batch = KGDataCollator(make_processor(graph))(items_of(graph, range(4)))
    assert collections.Counter(batch["labels"].tolist()) == {1: 4, 0: 60}
    assert len(batch["input_ids"]) == 64


def test_a_batch_holds_the_inputs_of_the_model_and_labels_as_int64(graph):
    batch = collator()(items_of(graph, [0]))
    assert batch.keys() == {"input_ids", "attention_mask", "segment_ids", "labels", "groups", "length_buckets"}
    assert all(value.dtype == torch.int64 for name, value in batch.items() if name != "length_buckets")


def test_set_epoch_changes_the_negatives_and_setting_it_back_restores_them(graph):
    collate, items = collator(num_negatives=2), items_of(graph, range(14))
    batches = []
    for epoch in (0, 1, 0):
        collate.set_epoch(epoch)
        batches.append(collate(items))
    assert sequences(batches[0]) != sequences(batches[1])
    assert batches[0].pop("length_buckets") == batches[2].pop("length_buckets")
    assert all(torch.equal(batches[0][name], batches[2][name]) for name in batches[0])


def test_the_negatives_of_an_epoch_are_those_of_the_sampler(graph):
    collate = collator(num_negatives=2, seed=9)
    triplets, labels = collate.with_negatives(graph["train"].triplets, epoch=5)
    drawn = NegativeSampler(graph, 2, seed=9).corrupt(graph["train"].triplets, epoch=5)
    assert triplets[labels == 0].tolist() == drawn.triplets.tolist()
    assert triplets[labels == 1].tolist() == graph["train"].triplets.tolist()


def test_an_item_labeled_0_is_a_negative_of_its_own_and_is_not_corrupted():
    collate = collator(num_negatives=1, corruption="head_or_tail")
    given_triplets = np.array([[0, 0, 2], [1, 1, 3], [1, 0, 2]])
    triplets, labels = collate.with_negatives(given_triplets, np.array([1, 0, 1]))
    assert labels.tolist() == [1, 0, 0, 1, 0]
    assert triplets[[0, 2, 3]].tolist() == given_triplets.tolist()


def test_labels_of_items_reach_the_batch():
    items = [{"head": 1, "relation": 1, "tail": 3, "label": 0}, {"head": 0, "relation": 0, "tail": 2, "label": 1}]
    collate = collator(num_negatives=1, corruption="head_or_tail")
    triplets, labels = collate.with_negatives(np.array([[1, 1, 3], [0, 0, 2]]), np.array([0, 1]))
    assert labels.tolist() == [0, 1, 0]
    expected = {**collate.store.assemble(triplets), "labels": torch.from_numpy(labels)}
    assert sequences(collate(items)) == sequences(expected)


def test_a_batch_of_items_labeled_0_has_no_other_sequence():
    items = [{"head": 1, "relation": 1, "tail": tail, "label": 0} for tail in (3, 4)]
    assert collator()(items)["labels"].tolist() == [0, 0]


def test_the_graph_of_the_processor_is_the_default(processor, graph):
    assert KGDataCollator(processor).sampler.graph is graph


def test_a_collator_needs_a_graph():
    with pytest.raises(LassError, match="needs a graph"):
        KGDataCollator(LassProcessor(wordpiece_tokenizer()))


@pytest.mark.parametrize("corruption", ["each_slot", "head_or_tail"])
def test_groups_name_the_positive_of_each_sequence(corruption, graph):
    processor = make_processor(graph)
    collate = KGDataCollator(processor, num_negatives=2, corruption=corruption)
    items = items_of(graph, [3, 0, 8])
    batch, (triplets, labels) = collate(items), collate.with_negatives(graph["train"].triplets[[3, 0, 8]])
    starts = [*np.flatnonzero(labels), len(labels)]
    for group, (start, stop) in enumerate(itertools.pairwise(starts)):
        rows = torch.argwhere(batch["groups"] == group).flatten()
        group_rows = [*batch["input_ids"][rows].tolist()], batch["labels"][rows].tolist()
        alone = processor.token_store(graph).assemble(triplets[start:stop])["input_ids"]
        width = batch["input_ids"].shape[1]
        padded = torch.nn.functional.pad(alone, (0, width - alone.shape[1]), value=processor.tokenizer.pad_token_id)
        expected = padded.tolist(), labels[start:stop].tolist()
        assert sorted(zip(*group_rows, strict=True)) == sorted(zip(*expected, strict=True))


# Names that are the same


@pytest.mark.parametrize("small_vocabulary", [0, 10**9])
@pytest.mark.parametrize("choices", [{}, {"replacement": True}, {"pseudo_typed": True}, {"corruption": "head_or_tail"}])
def test_no_negative_reads_the_same_as_a_true_triplet(choices, small_vocabulary, monkeypatch):
    """60 entities have 30 names, and 6 relations have 3; each negative is compared as it is written."""
    monkeypatch.setattr(negative_sampling, "SMALL_VOCABULARY", small_vocabulary)
    words, random = list(ENTITY_TEXT), np.random.default_rng(0)
    rows = np.stack([random.integers(size, size=300) for size in (60, 6, 60)], axis=1).astype(str)
    graph = KnowledgeGraph.from_triplets(
        rows,
        entity_text={str(n): f"{words[n % 10]} {words[n // 10 % 3]}" for n in range(60)},
        relation_text={str(n): list(RELATION_TEXT.values())[n % 3] for n in range(6)},
    )

    def written(triplets):
        names = (graph.entities.texts, graph.relations.texts, graph.entities.texts)
        columns = ([texts[n] for n in column] for texts, column in zip(names, triplets.T, strict=True))
        return list(zip(*columns, strict=True))

    collate = KGDataCollator(make_processor(graph), num_negatives=4, **choices)
    triplets, labels = collate.with_negatives(graph["train"].triplets)
    assert (labels == 0).sum() > 500
    assert not set(written(triplets[labels == 0])) & set(written(graph["train"].triplets))
    by_id = NegativeSampler(graph, 4, **choices).corrupt(graph["train"].triplets).triplets
    assert set(written(by_id)) & set(written(graph["train"].triplets))  # The names do make a difference here.


def test_a_negative_of_another_positive_does_not_read_the_same_as_the_positive():
    graph = KnowledgeGraph.from_triplets(
        [("0", "r", "1")],
        test=[("0", "r", "2")],
        entity_text={"0": "cat", "1": "dog", "2": "mouse", "3": "mouse"},
    )
    collate = KGDataCollator(make_processor(graph), num_negatives=4, corruption="tail")
    triplets, labels = collate.with_negatives(graph["test"].triplets)
    assert triplets[labels == 0].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_a_training_says_which_entities_are_one_to_the_tokenizer(architecture, tmp_path, caplog):
    texts = {"0": "cat", "1": "\u732b", "2": "\u72d7", "3": "cat", "4": "\u732b"}
    rows = [("0", "r", "1"), ("2", "s", "3"), ("4", "t", "4")]
    relations = {"r": "\u597d", "s": "eats", "t": "\u574f"}
    graph = KnowledgeGraph.from_triplets(rows, rows[:1], entity_text=texts, relation_text=relations)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        trainer_of(tmp_path, make_graph(), architecture)
        assert caplog.records == []
        trainer_of(tmp_path, graph, architecture)
    of_entities, of_relations = (record.getMessage() for record in caplog.records)
    assert of_entities.startswith("3 of 5 entities have other texts but the same tokens")
    assert "'1' ('\u732b') and '2' ('\u72d7')" in of_entities
    assert of_relations.startswith("2 of 3 relations have other texts but the same tokens")
    assert "'r' ('\u597d') and 't' ('\u574f')" in of_relations
