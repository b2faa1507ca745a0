"""Truncation and sequences of the token store are compared with those made token by token."""

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, same_inputs, wordpiece_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.cli.subcommands.info import summarize_lengths
from lass_hf.core.token_store import SequenceTemplate, TokenStore, truncate


def shorten(lengths, budget):
    """Cuts one token at a time off the longest segment, or off the last of several longest ones."""
    lengths = list(lengths)
    while sum(lengths) > budget:
        longest = max(range(3), key=lambda segment: (lengths[segment], segment))
        lengths[longest] -= 1
    return lengths


segment_lengths = st.lists(st.tuples(*[st.integers(1, 30)] * 3), min_size=1, max_size=12)


@given(rows=segment_lengths, budget=st.integers(3, 60))
@settings(max_examples=50, deadline=None)
def test_truncation_is_that_of_shortening_the_longest_segment_one_by_one(rows, budget):
    assert truncate(np.array(rows), budget).tolist() == [shorten(row, budget) for row in rows]


@given(rows=segment_lengths, budget=st.integers(3, 60))
@settings(max_examples=50, deadline=None)
def test_truncation_uses_the_whole_budget_and_empties_no_segment(rows, budget):
    given_lengths = np.array(rows)
    cut = truncate(given_lengths, budget)
    assert (cut.sum(axis=1) == np.minimum(given_lengths.sum(axis=1), budget)).all()
    assert (cut >= 1).all()
    assert (cut <= given_lengths).all()


def test_truncation_leaves_its_input_alone():
    lengths = np.array([[9, 2, 9]])
    truncate(lengths, 10)
    assert lengths.tolist() == [[9, 2, 9]]


# The token store


@st.composite
def stores(draw):
    separators = draw(st.booleans())
    max_length = draw(st.integers(7 if separators else 5, 40))
    text = st.lists(st.integers(10, 99), min_size=1, max_size=15)
    relations, entities = (draw(st.lists(text, min_size=1, max_size=5)) for _ in range(2))
    triplet = st.tuples(*(st.integers(0, len(texts) - 1) for texts in (entities, relations, entities)))
    triplets = draw(st.lists(triplet, min_size=1, max_size=8))
    template = SequenceTemplate(begin=1, separator=2, padding=3, separators=separators, max_length=max_length)
    return template, relations, entities, triplets


def assemble_one_by_one(template, relations, entities, triplets):
    """Returns the sequences of the triplets as lists, made token by token."""
    rows = []
    for head, relation, tail in triplets:
        texts = [entities[head], relations[relation], entities[tail]]
        lengths = shorten([len(text) for text in texts], template.max_length - (4 if template.separators else 2))
        ids, segments = [template.begin], [0]
        for segment, (text, length) in enumerate(zip(texts, lengths, strict=True), start=1):
            ids += text[:length]
            segments += [segment] * length
            if template.separators or segment == 3:
                ids.append(template.separator)
                segments.append(0)
        rows.append((ids, segments))
    width = max(len(ids) for ids, _ in rows)
    return {
        "input_ids": [ids + [template.padding] * (width - len(ids)) for ids, _ in rows],
        "attention_mask": [[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows],
        "segment_ids": [segments + [0] * (width - len(segments)) for _, segments in rows],
    }


@given(case=stores())
@settings(max_examples=50, deadline=None)
def test_sequences_agree_with_those_made_token_by_token(case):
    template, relations, entities, triplets = case
    batch = TokenStore.from_chunks(template, relations, [entities]).assemble(np.array(triplets))
    assert {name: batch[name].tolist() for name in batch} == assemble_one_by_one(*case)


@given(case=stores())
@settings(max_examples=50, deadline=None)
def test_lengths_are_those_of_the_sequences(case):
    template, relations, entities, triplets = case
    store = TokenStore.from_chunks(template, relations, [entities])
    mask = store.assemble(np.array(triplets))["attention_mask"]
    assert store.lengths(np.array(triplets)).tolist() == mask.sum(dim=1).tolist()


@given(case=stores(), more=st.lists(st.lists(st.integers(10, 99), min_size=1, max_size=15), max_size=3))
@settings(max_examples=50, deadline=None)
def test_entities_can_be_added_after_those_of_the_graph(case, more):
    template, relations, entities, triplets = case
    added = TokenStore.from_chunks(template, relations, [entities]).with_entities(more)
    assert added.num_entities == len(entities) + len(more)
    last = added.num_entities - 1
    rows = [*triplets, (last, 0, 0), (0, 0, last)]
    expected = TokenStore.from_chunks(template, relations, [entities, more])
    assert same_inputs(added.assemble(np.array(rows)), expected.assemble(np.array(rows)))


def test_same_text_finds_the_first_entity_with_the_same_tokens():
    template = SequenceTemplate(1, 2, 3, True, 64)
    store = TokenStore.from_chunks(template, [[7], [8], [7]], [[[5], [7], [5], [5, 5], [7]]])
    entities, relations = store.first_with_same_text
    assert entities.tolist() == [0, 1, 0, 3, 1]
    assert relations.tolist() == [0, 1, 0]
    assert store.canonical_triplets(np.array([[4, 2, 2], [3, 1, 0]])).tolist() == [[1, 0, 0], [3, 1, 0]]


def test_the_summary_of_lengths_counts_tokens(graph, processor):
    store = processor.token_store()
    summary = summarize_lengths(store, graph["train"].triplets)
    lengths = [len(wordpiece_tokenizer()(text, add_special_tokens=False)["input_ids"]) for text in ENTITY_TEXT.values()]
    assert summary["entity_text"]["mean"] == pytest.approx(np.mean(lengths))
    assert summary["entity_text"]["median"] == np.median(lengths)
    assert summary["relation_text"]["max"] == 2
    assert summary["sequence"]["max"] == store.assemble(graph["train"].triplets)["input_ids"].shape[1]


def test_a_store_without_triplets_gives_no_sequences(processor):
    batch = processor.token_store().assemble(np.empty((0, 3), dtype=np.int64))
    assert [len(values) for values in batch.values()] == [0, 0, 0]
