"""Small graphs, and tiny encoders, tokenizers and models built in-process. No network, no files of the repository."""

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (
    AlbertConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from lass_hf import KnowledgeGraph, LassConfig, LassForKGCompletion, LassProcessor

ENTITY_TEXT = {
    "cat": "cat, a small animal that purrs",
    "dog": "dog, a loyal animal",
    "animal": "animal",
    "mouse": "mouse, small rodent",
    "rodent": "rodent",
    "house": "house, a building to live in",
    "garden": "garden",
    "cheese": "cheese, food made of milk",
    "food": "food",
    "milk": "milk",
}


RELATION_TEXT = {"is_a": "is a", "eats": "eats", "lives_in": "lives in"}


TRAIN = [
    ("cat", "is_a", "animal"),
    ("dog", "is_a", "animal"),
    ("mouse", "is_a", "rodent"),
    ("rodent", "is_a", "animal"),
    ("cheese", "is_a", "food"),
    ("cat", "eats", "mouse"),
    ("cat", "eats", "food"),
    ("dog", "eats", "food"),
    ("mouse", "eats", "cheese"),
    ("rodent", "eats", "food"),
    ("cat", "lives_in", "house"),
    ("dog", "lives_in", "house"),
    ("mouse", "lives_in", "house"),
    ("dog", "lives_in", "garden"),
]


VALIDATION = [("milk", "is_a", "food"), ("mouse", "is_a", "animal"), ("mouse", "eats", "food")]


TEST = [("cat", "lives_in", "garden"), ("cat", "eats", "milk"), ("mouse", "lives_in", "garden")]


FALSE = [("food", "eats", "cat"), ("garden", "is_a", "dog"), ("house", "lives_in", "milk")]


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37}


VOCABULARY_SIZE = 400


def one_line(error, *parts) -> str:
    """The message of a caught error, which is one line and has these parts."""
    message = str(error.value)
    assert message.strip()
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def forget_digests(folder) -> None:
    """Takes the digests of files out of a saved folder, as in one of an earlier version; its files may then change."""
    for file in map(Path(folder).joinpath, ("config.json", "processor_config.json")):
        if file.is_file():
            saved = json.loads(file.read_text())
            kept = {key: value for key, value in saved.items() if key not in ("saved_files", "model_files")}
            file.write_text(json.dumps(kept))


def make_graph() -> KnowledgeGraph:
    return KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)


def write_graph(folder, train=TRAIN, validation=VALIDATION, test=TEST, entity_text=ENTITY_TEXT):
    """The graph as a folder in KG-BERT layout."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("dev", validation), ("test", test)):
        if rows:
            (folder / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    if entity_text:
        for name, texts in (("entity", entity_text), ("relation", RELATION_TEXT)):
            lines = "".join(f"{key}\t{text}\n" for key, text in texts.items())
            (folder / f"{name}2text.txt").write_text(lines, encoding="utf-8")
    return folder


def integer_graph(train, entities, relations, **splits) -> KnowledgeGraph:
    """A graph whose ids are its integers, so that triplets can be given as integers."""
    return KnowledgeGraph.from_triplets(
        train,
        **splits,
        entity_text={str(number): f"entity {number}" for number in range(entities)},
        relation_text={str(number): f"relation {number}" for number in range(relations)},
    )


def assert_same_graph(graph, expected):
    """The same names, texts, triplets and labels, in the same order and of the same types."""
    for kind in ("entities", "relations"):
        assert getattr(graph, kind).ids == getattr(expected, kind).ids
        assert getattr(graph, kind).texts == getattr(expected, kind).texts
    assert list(graph.splits) == list(expected.splits)
    for name, split in expected.splits.items():
        assert graph[name].triplets.dtype == np.int64
        assert np.array_equal(graph[name].triplets, split.triplets)
        assert (graph[name].labels is None) == (split.labels is None)
        if split.labels is not None:
            assert graph[name].labels.dtype == np.int8
            assert np.array_equal(graph[name].labels, split.labels)


def wordpiece_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the BERT kind: lower-cased words of the graph, else single characters."""
    words = sorted({word for text in [*ENTITY_TEXT.values(), *RELATION_TEXT.values()] for word in text.split()})
    characters = [chr(code) for code in range(33, 127)]
    tokens = dict.fromkeys([*SPECIAL, *(w.strip(",") for w in words), *characters, *("##" + c for c in characters)])
    model = models.WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]")
    backend = Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the RoBERTa kind: bytes, and a few merges that begin with the space before a word."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "c"), ("Ġc", "a"), ("Ġca", "t"), ("c", "a"), ("ca", "t"), ("Ġ", "e")]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet, *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    )


ENCODER_CONFIGS = {
    "bert": lambda: BertConfig(vocab_size=VOCABULARY_SIZE, max_position_embeddings=64, **TINY),
    "roberta": lambda: RobertaConfig(vocab_size=VOCABULARY_SIZE, max_position_embeddings=70, pad_token_id=1, **TINY),
    "albert": lambda: AlbertConfig(vocab_size=VOCABULARY_SIZE, embedding_size=16, max_position_embeddings=64, **TINY),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY_SIZE, dim=32, n_layers=2, n_heads=2, hidden_dim=37, max_position_embeddings=64
    ),
    "electra": lambda: ElectraConfig(vocab_size=VOCABULARY_SIZE, embedding_size=16, max_position_embeddings=64, **TINY),
    "deberta-v2": lambda: DebertaV2Config(
        vocab_size=VOCABULARY_SIZE,
        max_position_embeddings=64,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=8,
        **TINY,
    ),
    "modernbert": lambda: ModernBertConfig(
        vocab_size=VOCABULARY_SIZE,
        max_position_embeddings=64,
        pad_token_id=0,
        **dict.fromkeys(["bos_token_id", "cls_token_id"], 2),
        **dict.fromkeys(["eos_token_id", "sep_token_id"], 3),
        **TINY,
    ),
}


def same_inputs(batch, expected) -> bool:
    """Have two batches the same sequences?"""
    return all(torch.equal(batch[name], expected[name]) for name in ("input_ids", "attention_mask", "segment_ids"))


def make_model(kind: str = "bert", seed: int = 0, **choices) -> LassForKGCompletion:
    """A tiny random model without dropout, in evaluation mode."""
    torch.manual_seed(seed)
    config = ENCODER_CONFIGS[kind]()
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    return LassForKGCompletion(LassConfig(encoder_config=config, **choices)).eval()


def make_processor(graph=None, **choices) -> LassProcessor:
    """A WordPiece processor that has a graph."""
    processor = LassProcessor(wordpiece_tokenizer(), **choices)
    processor.graph = graph
    return processor


def scores_of(name, **kwargs) -> torch.Tensor:
    """Returns the scores of three triplets by the model of this name, on the hub or in a folder."""
    model = LassForKGCompletion.from_pretrained(name, **kwargs)
    processor = LassProcessor.from_pretrained(name, **kwargs)
    texts = [(ENTITY_TEXT[head], RELATION_TEXT[relation], ENTITY_TEXT[tail]) for head, relation, tail in TEST]
    with torch.no_grad():
        return model(**processor(texts)).scores


def shaken(model):
    """Returns the model with random weights of its head, in place of those that a training begins with."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.score_head.parameters():
            weight.normal_(std=0.2)
    return model
