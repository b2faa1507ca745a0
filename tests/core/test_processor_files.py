"""A processor's files: what is saved of it and of its graph, and what comes back."""

import json

import pytest
from helpers.tiny import ENCODER_CONFIGS, byte_level_tokenizer, one_line, same_inputs, wordpiece_tokenizer

from lass_hf import LassProcessor
from lass_hf.core.errors import LassError, ModelError
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE


@pytest.mark.parametrize("make", [wordpiece_tokenizer, byte_level_tokenizer])
def test_a_saved_processor_gives_the_same_sequences(tmp_path, make):
    processor = LassProcessor(make(), separators=False, max_length=15)
    processor.save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert (again.separators, again.max_length, again.graph) == (False, 15, None)
    texts = [("cat [SEP] cat, a loyal animal", "is a", "food"), ("dog", "e", "cat </s>")]
    assert same_inputs(processor(texts), again(texts))


def test_the_graph_is_saved_with_the_processor(tmp_path, processor, graph):
    processor.save_pretrained(tmp_path)
    again = LassProcessor.from_pretrained(tmp_path)
    assert again.graph.entities.texts == graph.entities.texts
    assert len(again.graph.known) == len(graph.known)
    triplets = graph["test"].triplets
    assert again.graph.known.contains(triplets).all()
    assert same_inputs(again.token_store().assemble(triplets), processor.token_store().assemble(triplets))


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
        LassError, match="inclde_graph: no argument of save_pretrained; expected include_graph, repo_id"
    ):
        processor.save_pretrained(tmp_path / "mine", inclde_graph="none")
    assert not (tmp_path / "mine").exists()
    processor.save_pretrained(tmp_path / "mine", max_shard_size="1GB")  # as transformers does when it pushes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("separators", value) for value in ("no", 1, None, [])),
        *(("max_length", value) for value in ("x", 64.5, True, 10**30, [64])),
        *(("architecture", value) for value in ("joint", 1, None, ["bi-encoder"])),
    ],
)
def test_values_of_other_types_in_a_saved_configuration_are_refused(tmp_path, processor, name, value):
    processor.save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))
    with pytest.raises(LassError, match=f"{name}=.*; expected"):
        LassProcessor(wordpiece_tokenizer(), **{name: value})
    with pytest.raises(LassError) as error:
        LassProcessor.from_pretrained(tmp_path)
    one_line(error, str(tmp_path))
