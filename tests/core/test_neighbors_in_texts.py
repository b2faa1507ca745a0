"""Names of neighbors behind short texts: which are read, where they stand, and that no training names an answer."""

import logging

import numpy as np
import pytest
from helpers.tiny import TRAIN, make_graph, same_inputs, wordpiece_tokenizer

from lass_hf import InBatchCollator, KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.core.errors import LassError
from lass_hf.utils.fingerprints import texts_fingerprint


def make_processor(num_neighbors=2, graph=None, **choices):
    processor = LassProcessor(wordpiece_tokenizer(), num_neighbors=num_neighbors, **choices)
    processor.graph = graph or make_graph()
    return processor


def name_of(graph, entity):
    return graph.entities.texts[entity].split(", ")[0]


def texts_read(processor, batch):
    """The texts of each sequence of a batch, by segment: 1 head, 2 relation, 3 tail."""
    return [
        {part: processor.tokenizer.decode(tokens[segments == part]) for part in (1, 2, 3)}
        for tokens, segments in zip(batch["input_ids"], batch["segment_ids"], strict=True)
    ]


def named_in(text):
    """The names of neighbors in the text of a segment."""
    return [name.strip() for name in text.split(";")[1:]]


def neighbors_of(graph, entity):
    """The names of the neighbors of an entity in the training graph, found triplet by triplet."""
    names = set()
    for head, _, tail in graph["train"].positives.tolist():
        names |= {name_of(graph, tail)} if head == entity else set()
        names |= {name_of(graph, head)} if tail == entity else set()
    return names - {name_of(graph, entity)}


@pytest.mark.parametrize("num_neighbors", [1, 2, 20])
def test_a_text_is_followed_by_names_of_as_many_neighbors_as_there_are(num_neighbors):
    processor = make_processor(num_neighbors, architecture="bi-encoder")
    graph, store = processor.graph, processor.token_store()
    texts = texts_read(processor, store.assemble(store.candidates(np.arange(graph.num_entities))))
    for entity, text in enumerate(texts):
        named, neighbors = named_in(text[3]), neighbors_of(graph, entity)
        assert len(named) == len(set(named)) == min(num_neighbors, len(neighbors))
        assert set(named) <= neighbors


def test_sequences_are_those_of_texts_with_the_names_written_behind_them():
    processor = make_processor(2)
    graph, plain = processor.graph, LassProcessor(wordpiece_tokenizer())
    triplets = np.array([[head, 0, tail] for head in range(graph.num_entities) for tail in range(graph.num_entities)])
    chosen = processor.token_store().neighbors.chosen
    names = list(dict.fromkeys(name_of(graph, entity) for entity in range(graph.num_entities)))

    def written(entity, partner):
        read = [names[number] for number in chosen[entity] if number >= 0 and names[number] != name_of(graph, partner)]
        return "; ".join([graph.entities.texts[entity], *read[:2]])

    texts = [
        (written(head, tail), graph.relations.texts[relation], written(tail, head)) for head, relation, tail in triplets
    ]
    assert same_inputs(processor.token_store().assemble(triplets), plain(texts))


@pytest.mark.parametrize("max_length", [9, 14, 20])
def test_what_exceeds_the_longest_sequence_is_cut_as_other_texts_are(max_length):
    whole, cut = (make_processor(3, max_length=length) for length in (512, max_length))
    triplets = whole.graph["train"].triplets
    rows = cut.token_store().assemble(triplets)
    assert (cut.token_store().lengths(triplets) == rows["attention_mask"].sum(1).numpy()).all()
    assert rows["input_ids"].shape[1] == max_length
    for long, short in zip(
        texts_read(whole, whole.token_store().assemble(triplets)), texts_read(cut, rows), strict=True
    ):
        assert all(long[part].startswith(short[part]) and short[part] for part in (1, 2, 3))


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_no_training_sequence_names_an_entity_of_its_own_or_of_a_positive_of_its_batch(architecture):
    processor = make_processor(2, architecture=architecture)
    graph = processor.graph
    collate = KGDataCollator(processor) if architecture == "cross-encoder" else InBatchCollator(processor)
    used = set()
    for start in range(len(TRAIN)):
        triplets = graph["train"].select(np.arange(start, min(start + 2, len(TRAIN))))
        entities = {name_of(graph, entity) for entity in triplets.triplets[:, [0, 2]].ravel().tolist()}
        for text in texts_read(processor, collate(triplets)):
            own = {text[part].split(";")[0].split(",")[0].strip() for part in (1, 3)}
            named = {*named_in(text[1]), *named_in(text[3])}
            assert not (own | entities) & named
            used |= named
    assert len(used) > 5  # Others are named.


def test_what_a_negative_names_does_not_tell_that_it_is_one():
    processor = make_processor(20)
    graph = processor.graph
    for positive in graph["train"].triplets:
        batch = processor.token_store().assemble(
            np.array([[positive[0], positive[1], tail] for tail in range(graph.num_entities)]), positive[[0, 2]]
        )
        expected = neighbors_of(graph, positive[0]) - {name_of(graph, positive[2])}
        for tail, text in enumerate(texts_read(processor, batch)):
            assert set(named_in(text[1])) == expected - {name_of(graph, tail)}


def test_long_texts_and_new_entities_are_followed_by_no_names():
    texts = {"a": "a " * 19, "b": "b " * 20}
    graph = KnowledgeGraph.from_triplets(train=[("a", "r", "b")], entity_text=texts)
    processor = make_processor(2, graph, architecture="bi-encoder")
    store = processor.token_store().with_entities(processor.tokenize(["c"], ["c"]))
    read = texts_read(processor, store.assemble(store.candidates(np.arange(3))))
    assert [len(named_in(text[3])) for text in read] == [1, 0, 0]


def test_neighbors_depend_on_no_order_of_triplets_and_are_those_of_before_when_loaded(tmp_path):
    processor = make_processor(2)
    graph = processor.graph
    processor.save_pretrained(tmp_path)
    loaded = LassProcessor.from_pretrained(tmp_path)
    split = graph["train"].triplets[::-1].copy()
    other = KnowledgeGraph(graph.entities, graph.relations, {"train": (split, None)})
    assert loaded.num_neighbors == 2
    expected = processor.token_store().assemble(graph["train"].triplets)
    for store in (loaded.token_store(), make_processor(2, other).token_store()):
        assert texts_fingerprint(store) == texts_fingerprint(processor.token_store())
        assert same_inputs(store.assemble(graph["train"].triplets), expected)


def test_fingerprints_of_texts_tell_other_neighbors_and_a_graph_without_triplets_has_none(caplog):
    graph = make_graph()
    less = KnowledgeGraph(graph.entities, graph.relations, {"train": (graph["train"].triplets[:-1], None)})
    vocabulary = KnowledgeGraph(graph.entities, graph.relations, {})
    stores = [make_processor(*choices).token_store() for choices in ((0, graph), (2, graph), (3, graph), (2, less))]
    assert len(set(map(texts_fingerprint, stores))) == 4
    processor = make_processor(2, vocabulary)
    with caplog.at_level(logging.WARNING):
        store = processor.token_store()
        assert processor.token_store() is store
    assert [record.message for record in caplog.records] == [
        "the graph has no training triplets, so texts are read without names of neighbors"
    ]
    assert texts_fingerprint(store) == texts_fingerprint(stores[0])


def test_entities_with_the_same_text_are_told_apart_by_their_neighbors():
    texts = {"a": "same", "b": "same", "c": "same", "d": "one", "e": "other"}
    triplets = [("a", "r", "d"), ("b", "r", "e"), ("c", "r", "e")]
    graph = KnowledgeGraph.from_triplets(train=triplets, entity_text=texts)
    first = make_processor(2, graph).token_store().first_with_same_text[0]
    number = graph.entities.index.get
    assert first[number("a")] == number("a")
    assert first[number("b")] == first[number("c")] == min(number("b"), number("c"))


@pytest.mark.parametrize("given", [-1, 1.5, True, "2", None])
def test_a_number_of_neighbors_that_is_none_is_refused(given):
    with pytest.raises(LassError, match="num_neighbors"):
        make_processor(given)
