"""The token ids of a graph's texts, kept in a file."""

import logging

import numpy as np
import pytest
from helpers.tiny import make_graph, make_processor

from lass_hf.core.processing_lass import LassProcessor
from lass_hf.prediction.kept_tokens import TOKENS_FILE, keep_token_store


def same_stores(one, other):
    """Returns whether two stores assemble the same sequences of all triplets of their entities."""
    rows = np.stack(np.meshgrid(*(np.arange(size) for size in (one.num_entities, one.num_relations, one.num_entities))))
    rows = rows.reshape(3, -1).T
    first, second = one.assemble(rows), other.assemble(rows)
    return one.template == other.template and all((first[name] == second[name]).all() for name in first)


def refuse(*_):
    raise AssertionError("tokenized again")


@pytest.fixture(params=[0, 2])
def processor(request):
    return LassProcessor(make_processor().tokenizer, num_neighbors=request.param)


@pytest.fixture
def kept(processor, tmp_path):
    """A folder with the token ids of the graph."""
    processor.graph = make_graph()
    keep_token_store(processor, tmp_path)
    return tmp_path


def again(processor, graph=None):
    """Returns another processor, as a new process would load it."""
    other = LassProcessor(processor.tokenizer, num_neighbors=processor.num_neighbors, max_length=processor.max_length)
    other.graph = graph or make_graph()
    return other


def test_kept_tokens_are_read_instead_of_made(processor, kept, monkeypatch):
    other = again(processor)
    monkeypatch.setattr(other, "tokenize", refuse)
    assert same_stores(keep_token_store(other, kept), processor.token_store())


def test_a_folder_in_a_folder_that_is_missing_is_made(processor, tmp_path):
    processor.graph = make_graph()
    keep_token_store(processor, tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / TOKENS_FILE).is_file()


def test_without_a_folder_nothing_is_kept(processor):
    processor.graph = make_graph()
    assert keep_token_store(processor, None) is processor.token_store()


@pytest.mark.parametrize("change", ["texts", "max_length", "tokenizer"])
def test_tokens_of_other_texts_are_made_anew(processor, kept, change):
    graph = make_graph()
    if change == "texts":
        graph.entities.texts[0] = "a text that is new"
    other = again(processor, graph)
    if change == "max_length":
        other = LassProcessor(processor.tokenizer, num_neighbors=processor.num_neighbors, max_length=7)
        other.graph = graph
    elif change == "tokenizer":
        other.tokenizer.add_tokens(["qqq"])
    found = keep_token_store(other, kept)
    expected = LassProcessor(other.tokenizer, num_neighbors=other.num_neighbors, max_length=other.max_length)
    assert same_stores(found, expected.token_store(graph))
    assert same_stores(keep_token_store(other, kept), found)


def test_names_of_neighbors_follow_the_triplets(kept, processor):
    whole = make_graph()
    graph = type(whole)(whole.entities, whole.relations, {"train": (whole["train"].triplets[:1], None)})
    found = keep_token_store(again(processor, graph), kept)
    assert same_stores(found, again(processor, graph).token_store())


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_damaged_file_is_written_again(processor, kept, content):
    file = kept / TOKENS_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if content is None else content)
    assert same_stores(keep_token_store(again(processor), kept), processor.token_store())
    assert file.read_bytes() == whole


def test_a_file_that_cannot_be_written_is_a_warning(processor, tmp_path, caplog):
    processor.graph = make_graph()
    place = tmp_path / "file"
    place.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        found = keep_token_store(processor, place)
    assert found is processor.token_store()
    assert "texts are tokenized again next time" in caplog.text
