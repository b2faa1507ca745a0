"""LassProcessor and its token store: the paper's sequences, exactly, from texts and from a graph's integers."""

import json

import numpy as np
import pytest
import torch
from conftest import (
    ENCODER_CONFIGS,
    ENTITY_TEXT,
    RELATION_TEXT,
    byte_level_tokenizer,
    make_graph,
    wordpiece_tokenizer,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lass_hf import KnowledgeGraph, LassProcessor
from lass_hf.errors import LassError, ModelError
from lass_hf.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.token_store import SequenceTemplate, TokenStore, truncate

INPUTS = ("input_ids", "attention_mask", "segment_ids")


def tokens_of(processor, batch, row=0):
    return processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][row].tolist())


def with_graph(processor, graph=None):
    processor.graph = graph or make_graph()
    return processor


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in INPUTS)


# Sequences


def test_a_sequence_of_the_paper_wordpiece():
    processor = LassProcessor(wordpiece_tokenizer())
    batch = processor([("cat, a small animal", "is a", "loyal dog")])
    expected = ["[CLS]", "cat", ",", "a", "small", "animal", "[SEP]", "is", "a", "[SEP]", "loyal", "dog", "[SEP]"]
    assert tokens_of(processor, batch) == expected
    assert batch["segment_ids"][0].tolist() == [0, 1, 1, 1, 1, 1, 0, 2, 2, 0, 3, 3, 0]
    assert batch["attention_mask"][0].tolist() == [1] * 13


def test_a_sequence_without_separators_wordpiece():
    processor = LassProcessor(wordpiece_tokenizer(), separators=False)
    batch = processor([("cat, a small animal", "is a", "loyal dog")])
    expected = ["[CLS]", "cat", ",", "a", "small", "animal", "is", "a", "loyal", "dog", "[SEP]"]
    assert tokens_of(processor, batch) == expected
    assert batch["segment_ids"][0].tolist() == [0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 0]
    assert batch["attention_mask"][0].tolist() == [1] * 11


def test_a_sequence_of_the_paper_byte_level_has_the_space_before_every_segment():
    processor = LassProcessor(byte_level_tokenizer())
    batch = processor([("cat", "e", "cat")])
    assert tokens_of(processor, batch) == ["<s>", "Ġcat", "</s>", "Ġe", "</s>", "Ġcat", "</s>"]
    assert batch["segment_ids"][0].tolist() == [0, 1, 0, 2, 0, 3, 0]


def test_a_sequence_without_separators_byte_level():
    processor = LassProcessor(byte_level_tokenizer(), separators=False)
    batch = processor([("cat", "cat e", "cat")])
    assert tokens_of(processor, batch) == ["<s>", "Ġcat", "Ġcat", "Ġe", "Ġcat", "</s>"]
    assert batch["segment_ids"][0].tolist() == [0, 1, 2, 2, 3, 0]


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
def test_spaces_around_a_text_change_nothing(make):
    processor = LassProcessor(make())
    assert same(processor([("  cat ", "e\t", " e")]), processor([("cat", "e", "e")]))


def test_shorter_sequences_are_padded_at_the_end():
    processor = LassProcessor(wordpiece_tokenizer())
    batch = processor([("cat", "eats", "food"), ("cat", "eats", "small rodent , a cat")])
    assert tokens_of(processor, batch)[7:] == ["[PAD]"] * 4
    assert batch["attention_mask"].tolist() == [[1] * 7 + [0] * 4, [1] * 11]
    assert batch["segment_ids"][0].tolist() == [0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0]


def test_inputs_are_int64_of_equal_shape():
    batch = LassProcessor(wordpiece_tokenizer())([("cat", "eats", "food"), ("dog", "is a", "animal")])
    assert set(batch) == set(INPUTS)
    assert all(batch[name].dtype == torch.int64 and batch[name].shape == (2, 8) for name in INPUTS)


@pytest.mark.parametrize("special", ["[SEP]", "[CLS]", "[MASK]", "[PAD]"])
def test_a_special_token_written_in_a_text_is_text(special):
    processor = LassProcessor(wordpiece_tokenizer())
    batch = processor([(f"cat {special} dog", "eats", "food")])
    tokens = tokens_of(processor, batch)
    assert tokens.count("[SEP]") == 3
    assert tokens.count("[CLS]") == 1
    assert tokens[0] == "[CLS]"
    assert not {"[MASK]", "[PAD]"} & set(tokens)
    assert tokens[1:4] == ["cat", "[", special[1].lower()]


def test_a_special_token_written_in_a_text_is_text_byte_level():
    processor = LassProcessor(byte_level_tokenizer())
    batch = processor([("cat</s>cat", "e", "e")])
    assert tokens_of(processor, batch)[:7] == ["<s>", "Ġcat", "<", "/", "s", ">", "cat"]


def test_a_graph_text_with_a_special_token_is_text():
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "cat [SEP] dog", "b": "food"})
    processor = with_graph(LassProcessor(wordpiece_tokenizer()), graph)
    batch = processor.token_store().assemble(graph["train"].triplets)
    assert tokens_of(processor, batch).count("[SEP]") == 3


# Tokenizers


def tokenizer_with(**special):
    """A word tokenizer that has these special tokens only."""
    words = ["cat", "dog", "eats", "a", "<unk>", *special.values()]
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", model_max_length=32, **special)


@pytest.mark.parametrize(
    "special",
    [{}, {"cls_token": "<b>"}, {"bos_token": "<b>"}, {"sep_token": "<s>"}, {"eos_token": "<s>"}, {"pad_token": "<p>"}],
    ids=lambda special: "+".join(special) or "none",
)
def test_a_tokenizer_without_the_needed_special_tokens_is_an_error_that_says_which(special):
    with pytest.raises(ModelError, match=r"\[CLS\] or BOS.*\[SEP\] or EOS"):
        LassProcessor(tokenizer_with(**special))


@pytest.mark.parametrize("begin", ["cls_token", "bos_token"])
@pytest.mark.parametrize("end", ["sep_token", "eos_token"])
def test_any_tokenizer_with_a_begin_and_a_separator_will_do(begin, end):
    processor = LassProcessor(tokenizer_with(**{begin: "<b>", end: "<s>"}))
    batch = processor([("cat", "eats", "dog")])
    assert tokens_of(processor, batch) == ["<b>", "cat", "<s>", "eats", "<s>", "dog", "<s>"]


def test_cls_and_sep_come_before_bos_and_eos():
    special = {"bos_token": "<bos>", "cls_token": "<cls>", "eos_token": "<eos>", "sep_token": "<sep>"}
    processor = LassProcessor(tokenizer_with(**special))
    tokens = tokens_of(processor, processor([("cat", "eats", "dog")]))
    assert tokens == ["<cls>", "cat", "<sep>", "eats", "<sep>", "dog", "<sep>"]


def test_a_tokenizer_without_padding_token_pads_masked():
    processor = LassProcessor(tokenizer_with(cls_token="<b>", sep_token="<s>"))
    batch = processor([("cat", "eats", "dog"), ("cat cat", "eats", "dog")])
    assert batch["attention_mask"][0].tolist() == [1] * 7 + [0]
    assert batch["segment_ids"][0, -1] == 0


def test_from_encoder_takes_tokenizer_and_graph(encoder_folder, graph):
    processor = LassProcessor.from_encoder(encoder_folder, graph=graph, separators=False, max_length=20)
    assert (processor.graph, processor.separators, processor.max_length) == (graph, False, 20)
    assert len(processor.token_store().lengths(graph["train"].triplets)) == 14


def test_from_encoder_names_what_it_did_not_find():
    with pytest.raises(ModelError, match="no/such-encoder"):
        LassProcessor.from_encoder("no/such-encoder")


# Truncation


def shorten(lengths, budget):
    """One token at a time off the longest segment, the last of equals."""
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


@pytest.mark.parametrize("separators", [True, False])
def test_a_long_text_is_cut_so_that_the_sequence_fits(separators):
    processor = LassProcessor(wordpiece_tokenizer(), separators=separators, max_length=16)
    batch = processor([("cat " * 30, "is a", "dog " * 5)])
    budget = 16 - (4 if separators else 2)
    segments = batch["segment_ids"][0]
    assert len(segments) == 16
    assert [int((segments == segment).sum()) for segment in (1, 2, 3)] == [budget - 7, 2, 5]


def test_a_cut_text_keeps_its_beginning():
    processor = LassProcessor(wordpiece_tokenizer(), max_length=9)
    tokens = tokens_of(processor, processor([("house garden cheese milk food", "eats", "dog")]))
    assert tokens == ["[CLS]", "house", "garden", "cheese", "[SEP]", "eats", "[SEP]", "dog", "[SEP]"]


def test_the_longest_length_is_the_tokenizers_own():
    assert LassProcessor(wordpiece_tokenizer()).max_length == 64


def test_a_tokenizer_without_limit_gets_512():
    tokenizer = wordpiece_tokenizer()
    tokenizer.model_max_length = int(1e30)
    assert LassProcessor(tokenizer).max_length == 512


@pytest.mark.parametrize(("separators", "least"), [(True, 7), (False, 5)])
def test_a_length_that_holds_no_triplet_is_an_error(separators, least):
    with pytest.raises(LassError, match=f"max_length is {least - 1}.*{least} tokens"):
        LassProcessor(wordpiece_tokenizer(), separators=separators, max_length=least - 1)
    batch = LassProcessor(wordpiece_tokenizer(), separators=separators, max_length=least)([("cat dog", "is a", "dog")])
    assert batch["input_ids"].shape == (1, least)


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
    """The sequences of the triplets as lists, put together token by token."""
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
def test_sequences_agree_with_those_put_together_one_by_one(case):
    template, relations, entities, triplets = case
    batch = TokenStore.from_lists(template, relations, entities).assemble(np.array(triplets))
    assert {name: batch[name].tolist() for name in batch} == assemble_one_by_one(*case)


@given(case=stores())
@settings(max_examples=50, deadline=None)
def test_lengths_are_those_of_the_sequences(case):
    template, relations, entities, triplets = case
    store = TokenStore.from_lists(template, relations, entities)
    mask = store.assemble(np.array(triplets))["attention_mask"]
    assert store.lengths(np.array(triplets)).tolist() == mask.sum(dim=1).tolist()


@given(case=stores(), more=st.lists(st.lists(st.integers(10, 99), min_size=1, max_size=15), max_size=3))
@settings(max_examples=50, deadline=None)
def test_entities_can_be_added_after_those_of_the_graph(case, more):
    template, relations, entities, triplets = case
    added = TokenStore.from_lists(template, relations, entities).with_entities(more)
    assert added.num_entities == len(entities) + len(more)
    last = added.num_entities - 1
    rows = [*triplets, (last, 0, 0), (0, 0, last)]
    expected = TokenStore.from_lists(template, relations, [*entities, *more])
    assert same(added.assemble(np.array(rows)), expected.assemble(np.array(rows)))


def test_same_text_finds_the_first_entity_with_the_same_tokens():
    template = SequenceTemplate(1, 2, 3, True, 64)
    store = TokenStore.from_lists(template, [[7], [8], [7]], [[5], [7], [5], [5, 5], [7]])
    entities, relations = store.same_text
    assert entities.tolist() == [0, 1, 0, 3, 1]
    assert relations.tolist() == [0, 1, 0]


def test_length_summary_counts_tokens(graph, processor):
    store = processor.token_store()
    summary = store.length_summary(graph["train"].triplets)
    lengths = [len(wordpiece_tokenizer()(text, add_special_tokens=False)["input_ids"]) for text in ENTITY_TEXT.values()]
    assert summary["entity_text"]["mean"] == pytest.approx(np.mean(lengths))
    assert summary["entity_text"]["median"] == np.median(lengths)
    assert summary["relation_text"]["max"] == 2
    assert summary["sequence"]["max"] == store.assemble(graph["train"].triplets)["input_ids"].shape[1]


def test_a_store_without_triplets_gives_no_sequences(processor):
    batch = processor.token_store().assemble(np.empty((0, 3), dtype=np.int64))
    assert all(len(batch[name]) == 0 for name in INPUTS)


# The graph


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
@pytest.mark.parametrize("separators", [True, False])
@pytest.mark.parametrize("max_length", [None, 13])
def test_integers_and_texts_give_the_same_sequences(make, separators, max_length, graph):
    processor = with_graph(LassProcessor(make(), separators=separators, max_length=max_length), graph)
    triplets = graph["train"].triplets
    texts = [
        (graph.entities.texts[h], graph.relations.texts[r], graph.entities.texts[t]) for h, r, t in triplets.tolist()
    ]
    assert same(processor.token_store().assemble(triplets), processor(texts))


class CountingTokenizer:
    """Stands before a tokenizer and notes every text it is given."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.texts = []

    def __call__(self, texts, **kwargs):
        self.texts += [texts] if isinstance(texts, str) else list(texts)
        return self.tokenizer(texts, **kwargs)


def test_each_text_is_tokenised_once_per_graph():
    processor, graph = LassProcessor(wordpiece_tokenizer()), make_graph()
    processor.tokenizer = counting = CountingTokenizer(processor.tokenizer)
    for split in graph.splits.values():
        processor.token_store(graph).assemble(split.triplets)
    assert sorted(counting.texts) == sorted([*ENTITY_TEXT.values(), *RELATION_TEXT.values()])


def test_another_graph_is_tokenised_anew():
    processor = LassProcessor(wordpiece_tokenizer())
    first, second = make_graph(), KnowledgeGraph.from_triplets([("cat", "eats", "milk")])
    assert processor.token_store(first).num_entities == 10
    assert processor.token_store(second).num_entities == 2
    assert processor.token_store(first).num_entities == 10


def test_a_store_needs_a_graph():
    with pytest.raises(LassError, match="no graph"):
        LassProcessor(wordpiece_tokenizer()).token_store()


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_text_is_an_error(make, text):
    with pytest.raises(LassError, match="text"):
        LassProcessor(make())([("cat", "e", text)])


def test_a_text_that_gives_no_token_is_an_error():
    with pytest.raises(LassError, match="no token"):
        LassProcessor(wordpiece_tokenizer())([("cat", "eats", "\x07")])


def test_an_entity_whose_text_gives_no_token_is_named():
    graph = KnowledgeGraph.from_triplets([("Q1", "r", "Q2")], entity_text={"Q1": "cat", "Q2": "\x07"})
    with pytest.raises(LassError, match=r"Q2: its text '\\x07'"):
        LassProcessor(wordpiece_tokenizer()).token_store(graph)


@pytest.mark.parametrize(
    "item", [("cat", "eats"), ("cat", "eats", "food", "1"), ("cat", "eats", 3), "cat", "abc", ("cat", None, "food")]
)
def test_an_item_that_is_no_triplet_of_texts_is_named(item):
    with pytest.raises(LassError, match="item 1 is"):
        LassProcessor(wordpiece_tokenizer())([("cat", "eats", "food"), item])


# Files


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
def test_a_saved_processor_gives_the_same_sequences(tmp_path, make):
    processor = LassProcessor(make(), separators=False, max_length=15)
    processor.save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert (again.separators, again.max_length, again.graph) == (False, 15, None)
    texts = [("cat [SEP] cat, a loyal animal", "is a", "food"), ("dog", "e", "cat </s>")]
    assert same(processor(texts), again(texts))


def test_the_graph_is_saved_with_the_processor(tmp_path, processor, graph):
    processor.save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert again.graph.entities.texts == graph.entities.texts
    assert len(again.graph.known) == len(graph.known)
    triplets = graph["test"].triplets
    assert again.graph.known.contains(triplets).all()
    assert same(again.token_store().assemble(triplets), processor.token_store().assemble(triplets))


@pytest.mark.parametrize(
    ("include_graph", "files"),
    [("full", {VOCABULARY_FILE, TRIPLETS_FILE}), ("vocabulary", {VOCABULARY_FILE}), ("none", set())],
)
def test_include_graph_says_which_files_are_written(tmp_path, processor, include_graph, files):
    processor.save_pretrained(tmp_path, include_graph=include_graph)
    assert {name for name in (VOCABULARY_FILE, TRIPLETS_FILE) if (tmp_path / name).exists()} == files


def test_a_vocabulary_without_triplets_is_a_graph_that_knows_none(tmp_path, processor, graph):
    processor.save_pretrained(tmp_path, include_graph="vocabulary")
    again = LassProcessor.from_pretrained(tmp_path).graph
    assert again.entities.ids == graph.entities.ids
    assert len(again.known) == 0


@pytest.mark.parametrize("include_graph", ["vocabulary", "none"])
def test_saving_less_over_an_older_folder_leaves_nothing_of_the_old_graph(tmp_path, processor, include_graph):
    processor.save_pretrained(tmp_path, include_graph="full")
    processor.save_pretrained(tmp_path, include_graph=include_graph)
    assert not (tmp_path / TRIPLETS_FILE).exists()
    assert (tmp_path / VOCABULARY_FILE).exists() == (include_graph == "vocabulary")


def test_a_processor_without_graph_saves_none(tmp_path):
    LassProcessor(wordpiece_tokenizer()).save_pretrained(tmp_path)
    assert not (tmp_path / VOCABULARY_FILE).exists()
    assert LassProcessor.from_pretrained(tmp_path).graph is None


def test_an_unknown_include_graph_lists_the_known_ones(tmp_path, processor):
    with pytest.raises(LassError, match=r"'some'.*full, vocabulary, none"):
        processor.save_pretrained(tmp_path, include_graph="some")


def test_the_saved_configuration_holds_the_template(tmp_path, processor):
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    assert (saved["separators"], saved["max_length"], saved["processor_class"]) == (True, 64, "LassProcessor")


def test_a_folder_without_processor_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path)):
        LassProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize(("kind", "usable"), [("bert", 64), ("roberta", 68), ("modernbert", 64)])
def test_sequences_are_no_longer_than_the_encoders_positions(kind, usable, tmp_path):
    ENCODER_CONFIGS[kind]().save_pretrained(tmp_path)
    tokenizer = wordpiece_tokenizer()
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(tmp_path)
    assert LassProcessor.from_encoder(str(tmp_path)).max_length == usable
    with pytest.raises(LassError, match=f"has {usable} positions"):
        LassProcessor.from_encoder(str(tmp_path), max_length=usable + 1)


def test_a_folder_with_a_tokenizer_only_makes_a_processor(tmp_path):
    wordpiece_tokenizer().save_pretrained(tmp_path)
    assert LassProcessor.from_encoder(str(tmp_path)).max_length == 64


def test_save_pretrained_refuses_what_it_does_not_know(processor, tmp_path):
    with pytest.raises(
        LassError, match="inclde_graph: no argument of save_pretrained; it knows include_graph, repo_id"
    ):
        processor.save_pretrained(tmp_path / "mine", inclde_graph="none")
    assert not (tmp_path / "mine").exists()
    processor.save_pretrained(tmp_path / "mine", max_shard_size="1GB")  # as transformers does when it pushes
