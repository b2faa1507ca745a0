"""LassProcessor: the paper's sequences, exactly, from texts and from a graph's integers, with any tokenizer."""

import pytest
import torch
from helpers.tiny import (
    ENTITY_TEXT,
    RELATION_TEXT,
    byte_level_tokenizer,
    make_graph,
    make_processor,
    same_inputs,
    wordpiece_tokenizer,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lass_hf import KnowledgeGraph, LassProcessor
from lass_hf.core.errors import LassError, ModelError


def tokens_of(processor, batch, row=0):
    return processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][row].tolist())


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
    assert same_inputs(processor([("  cat ", "e\t", " e")]), processor([("cat", "e", "e")]))


def test_shorter_sequences_are_padded_at_the_end():
    processor = LassProcessor(wordpiece_tokenizer())
    batch = processor([("cat", "eats", "food"), ("cat", "eats", "small rodent , a cat")])
    assert tokens_of(processor, batch)[7:] == ["[PAD]"] * 4
    assert batch["attention_mask"].tolist() == [[1] * 7 + [0] * 4, [1] * 11]
    assert batch["segment_ids"][0].tolist() == [0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0]


def test_inputs_are_int64_of_equal_shape():
    batch = LassProcessor(wordpiece_tokenizer())([("cat", "eats", "food"), ("dog", "is a", "animal")])
    assert set(batch) == {"input_ids", "attention_mask", "segment_ids"}
    assert all(values.dtype == torch.int64 and values.shape == (2, 8) for values in batch.values())


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
    processor = make_processor(graph)
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


@pytest.mark.parametrize("separators", [True, False])
def test_a_long_text_is_cut_so_that_the_sequence_fits(separators):
    processor = LassProcessor(wordpiece_tokenizer(), separators=separators, max_length=16)
    batch = processor([("cat " * 30, "is a", "dog " * 5)])
    budget = 16 - (4 if separators else 2)
    segments = batch["segment_ids"][0]
    assert len(segments) == 16
    assert [int((segments == segment).sum()) for segment in (1, 2, 3)] == [budget - 7, 2, 5]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_cut_text_keeps_its_beginning(side):
    tokenizer = wordpiece_tokenizer()
    tokenizer.truncation_side = side
    processor = LassProcessor(tokenizer, max_length=9)
    tokens = tokens_of(processor, processor([("house garden cheese " + "milk food " * 9, "eats", "dog")]))
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


# The graph


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
@pytest.mark.parametrize("separators", [True, False])
@pytest.mark.parametrize("max_length", [None, 13])
def test_integers_and_texts_give_the_same_sequences(make, separators, max_length, graph):
    processor = LassProcessor(make(), separators=separators, max_length=max_length)
    processor.graph = graph
    triplets = graph["train"].triplets
    texts = [
        (graph.entities.texts[h], graph.relations.texts[r], graph.entities.texts[t]) for h, r, t in triplets.tolist()
    ]
    assert same_inputs(processor.token_store().assemble(triplets), processor(texts))


class CountingTokenizer:
    """Stands before a tokenizer and notes every text it is given."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.texts = []

    def __call__(self, texts, **kwargs):
        self.texts += [texts] if isinstance(texts, str) else list(texts)
        return self.tokenizer(texts, **kwargs)

    def __len__(self):
        return len(self.tokenizer)


def test_each_text_is_tokenized_once_per_graph():
    processor, graph = LassProcessor(wordpiece_tokenizer()), make_graph()
    processor.tokenizer = counting = CountingTokenizer(processor.tokenizer)
    for split in graph.splits.values():
        processor.token_store(graph).assemble(split.triplets)
    assert sorted(counting.texts) == sorted([*ENTITY_TEXT.values(), *RELATION_TEXT.values()])


def test_another_graph_is_tokenized_anew():
    processor = LassProcessor(wordpiece_tokenizer())
    first, second = make_graph(), KnowledgeGraph.from_triplets([("cat", "eats", "milk")])
    assert processor.token_store(first).num_entities == 10
    assert processor.token_store(second).num_entities == 2
    assert processor.token_store(first).num_entities == 10


def test_tokens_that_are_added_later_are_used(graph):
    processor = make_processor(graph)
    before = processor.token_store()
    processor.tokenizer.add_tokens(["urrs"])
    entities, relations = graph.entities.texts, graph.relations.texts
    texts = [(entities[h], relations[r], entities[t]) for h, r, t in graph["train"].triplets.tolist()]
    assert same_inputs(processor.token_store().assemble(graph["train"].triplets), processor(texts))
    assert processor.token_store().largest_token == len(processor.tokenizer) - 1 > before.largest_token
    assert processor.token_store() is processor.token_store()


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
