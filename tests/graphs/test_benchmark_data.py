"""The paper's five benchmarks as files, against the counts of its Table 1 and known problems of their data.

Needs `LASS_DATA_DIR`, a folder that holds umls, wn18rr, fb15k-237, wn11 and fb13 in KG-BERT layout; skipped without.
"""

import os
from functools import cache
from pathlib import Path

import pytest

from lass_hf import KnowledgeGraph, load_benchmark
from lass_hf.formats.text_files import read_texts

DATA = os.environ.get("LASS_DATA_DIR")
pytestmark = pytest.mark.skipif(not DATA, reason="LASS_DATA_DIR, the folder of the benchmarks, is not set")


@cache
def benchmark(name) -> KnowledgeGraph:
    return load_benchmark(name, data_dir=Path(DATA, name))


@cache
def summary(name):
    return benchmark(name).summary()


# Table 1 of the paper, but for WN11: it prints 38,696 entities, 38,588 occur in the files.
TABLE_1 = {
    "fb15k-237": (14541, 237, 272115, 17535, 20466),
    "wn18rr": (40943, 11, 86835, 3034, 3134),
    "umls": (135, 46, 5216, 652, 661),
    "fb13": (75043, 13, 316232, 5908, 23733),
    "wn11": (38588, 11, 112581, 2609, 10544),
}


@pytest.mark.parametrize("name", TABLE_1)
def test_counts_are_those_of_table_1(name):
    graph = benchmark(name)
    positives = [len(graph[split].positives) for split in ("train", "validation", "test")]
    assert (len(graph.candidates[0]), graph.num_relations, *positives) == TABLE_1[name]


@pytest.mark.parametrize("name", TABLE_1)
def test_every_listed_entity_occurs(name):
    assert summary(name)["entities_in_no_triplet"] == 0


@pytest.mark.parametrize(("name", "validation", "test"), [("wn11", 5218, 21088), ("fb13", 11816, 47466)])
def test_labeled_splits_hold_as_many_negatives_as_positives(name, validation, test):
    splits = summary(name)["splits"]
    for split, lines in (("validation", validation), ("test", test)):
        assert splits[split]["triplets"] == len(benchmark(name)[split]) == lines
        assert splits[split]["positives"] * 2 == lines


@pytest.mark.parametrize("name", ["wn11", "fb13"])
def test_labels_alternate_and_a_negative_keeps_head_and_relation(name):
    test = benchmark(name)["test"]
    assert test.labels[:100].tolist() == [1, 0] * 50
    assert (test.triplets[0:100:2, :2] == test.triplets[1:100:2, :2]).all()


@pytest.mark.parametrize("name", ["umls", "wn18rr", "fb15k-237"])
def test_splits_for_link_prediction_have_no_labels(name):
    assert all(split.labels is None for split in benchmark(name).splits.values())


DATA_QUALITY = [
    ("umls", "test", "duplicates", 0),
    ("umls", "test", "positives_in_train", 0),
    ("wn18rr", "test", "entities_unseen_in_train", 209),
    ("wn18rr", "test", "triplets_with_unseen_entity", 210),
    ("wn18rr", "train", "self_loops", 7),
    ("fb15k-237", "train", "self_loops", 1625),
    ("fb15k-237", "test", "entities_unseen_in_train", 29),
    ("wn11", "train", "duplicates", 2220),
    ("wn11", "validation", "duplicates", 3),
    ("wn11", "test", "duplicates", 53),
    ("wn11", "test", "positives_in_validation", 31),
    ("wn11", "test", "negatives_true_elsewhere", 8),
    ("wn11", "test", "entities_unseen_in_train", 383),
    ("wn11", "test", "contradictory_labels", 1),
    ("fb13", "test", "negatives_true_elsewhere", 53),
    ("fb13", "test", "contradictory_labels", 12),
]


@pytest.mark.parametrize(("name", "split", "key", "count"), DATA_QUALITY, ids=str)
def test_summary_counts_the_problems_of_a_split(name, split, key, count):
    assert summary(name)["splits"][split][key] == count


@pytest.mark.parametrize(
    ("name", "key", "percent"), [("umls", "other_relation_in_train", 52), ("wn18rr", "reversed_in_train", 34.9)]
)
def test_summary_finds_test_triplets_with_a_relative_in_train(name, key, percent):
    test = summary(name)["splits"]["test"]
    digits = 1 if isinstance(percent, float) else 0
    assert round(100 * test[key] / test["triplets"], digits) == percent


@pytest.mark.parametrize(
    ("name", "entities", "texts", "most"),
    [("fb15k-237", 499, 223, "Washington County"), ("wn11", 8773, 3258, "break"), ("umls", 0, 0, None)],
)
def test_summary_counts_entities_that_share_a_text(name, entities, texts, most):
    counts = summary(name)
    assert (counts["entities_sharing_a_text"], counts["texts_shared"]) == (entities, texts)
    assert counts["most_shared_text"] == most


def test_40_of_the_false_test_triplets_of_fb13_are_true_in_train():
    graph = benchmark("fb13")
    test = graph["test"]
    assert graph.known_in_train.contains(test.triplets[test.labels == 0]).sum() == 40


def test_only_7_relations_of_fb13_are_tested():
    graph = benchmark("fb13")
    for split in ("validation", "test"):
        assert len(set(graph[split].triplets[:, 1].tolist())) == 7


def test_a_text_of_wn11_that_reads_null_is_a_text():
    assert "null" in benchmark("wn11").entities.texts


def test_ids_of_wn18rr_keep_their_leading_zeros():
    ids = benchmark("wn18rr").entities.ids
    assert {len(name) for name in ids} == {8}
    assert sum(name.startswith("0") for name in ids) == 30453


def test_26_entities_of_fb15k_237_have_no_long_text_and_keep_their_name():
    graph = benchmark("fb15k-237")
    long = read_texts(Path(DATA, "fb15k-237", "entity2textlong.txt"))
    without = [name for name in graph.entities.ids if name not in long]
    assert len(without) == 26
    texts = KnowledgeGraph.from_directory(Path(DATA, "fb15k-237"), long_text=True).entities
    assert all(texts.texts[texts.index[name]] == graph.entities.texts[graph.entities.index[name]] for name in without)
    assert sum(texts.texts[number] == long.get(name) for name, number in texts.index.items()) == 14515


def test_a_name_of_seven_counties_is_ambiguous():
    with pytest.raises(ValueError, match="7 entities have the text 'Washington County'"):
        benchmark("fb15k-237").entities.find("Washington County")
