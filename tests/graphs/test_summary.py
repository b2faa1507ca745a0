"""The summary of a graph: counts of its parts and of its data-quality problems, against counts made by hand."""

import pytest

from lass_hf import KnowledgeGraph


@pytest.fixture(scope="module")
def flawed_graph():
    """Returns a graph that has each data-quality problem once or twice."""
    return KnowledgeGraph.from_triplets(
        [
            ("a", "r", "b"),
            ("a", "r", "b"),  # duplicate
            ("b", "s", "c"),
            ("c", "r", "c"),  # self loop
            ("d", "r", "a"),
        ],
        [
            ("a", "r", "b"),  # in train
            ("b", "r", "a"),  # reversed in train
        ],
        [
            ("a", "r", "b", 1),  # in train, in validation
            ("b", "r", "a", 1),  # in validation, reversed in train
            ("a", "s", "b", 1),  # other relation in train
            ("e", "r", "a", 1),  # unseen entity
            ("e", "r", "a", 1),  # duplicate, unseen entity
            ("a", "r", "d", 1),  # reversed in train
            ("a", "q", "b", 1),  # unseen relation, other relation in train
            ("a", "r", "d", -1),  # contradicts, true elsewhere
            ("b", "s", "c", -1),  # true elsewhere
            ("c", "s", "a", -1),
            ("c", "s", "a", -1),  # duplicate
        ],
        entity_text={"a": "one", "b": "same", "c": "same", "d": "two", "e": "three", "f": "same", "g": "one"},
    )


def test_summary_counts_vocabularies_and_shared_texts(flawed_graph):
    summary = flawed_graph.summary()
    del summary["splits"]
    assert summary == {
        "entities": 7,
        "relations": 3,
        "entities_in_no_triplet": 2,
        "entities_sharing_a_text": 2,  # b and c; f and g occur in no triplet
        "texts_shared": 1,
        "most_shared_text": "same",
        "entities_looking_alike": 0,
        "relations_looking_alike": 0,
        "example_of_looking_alike": None,
    }


def test_summary_of_train(flawed_graph):
    assert flawed_graph.summary()["splits"]["train"] == {
        "triplets": 5,
        "positives": 5,
        "duplicates": 1,
        "self_loops": 1,
    }


def test_summary_of_validation(flawed_graph):
    assert flawed_graph.summary()["splits"]["validation"] == {
        "triplets": 2,
        "positives": 2,
        "duplicates": 0,
        "self_loops": 0,
        "entities_unseen_in_train": 0,
        "relations_unseen_in_train": 0,
        "triplets_with_unseen_entity": 0,
        "positives_in_train": 1,
        "other_relation_in_train": 0,
        "reversed_in_train": 1,
    }


def test_summary_of_a_labeled_test_split(flawed_graph):
    assert flawed_graph.summary()["splits"]["test"] == {
        "triplets": 11,
        "positives": 7,
        "duplicates": 2,
        "self_loops": 0,
        "contradictory_labels": 1,
        "negatives_true_elsewhere": 2,
        "entities_unseen_in_train": 1,
        "relations_unseen_in_train": 1,
        "triplets_with_unseen_entity": 2,
        "positives_in_train": 1,
        "positives_in_validation": 2,
        "other_relation_in_train": 2,
        "reversed_in_train": 2,
    }


def test_summary_of_a_clean_graph_has_no_shared_text(graph):
    summary = graph.summary()
    assert (summary["entities_sharing_a_text"], summary["most_shared_text"]) == (0, None)


def test_summary_counts_ids_that_look_the_same():
    names = ("caf\xe9", "cafe\u0301", "New York", "New\xa0York", "a\u200bb", "ab", "other")
    summary = KnowledgeGraph.from_triplets([(name, "in", "other") for name in names]).summary()
    assert (summary["entities_looking_alike"], summary["relations_looking_alike"]) == (6, 0)
    assert summary["example_of_looking_alike"] == r"'café' and 'cafe\u0301'"


def test_summary_without_train_has_no_counts_against_train():
    summary = KnowledgeGraph.from_triplets(test=[("a", "r", "b")]).summary()
    assert summary["splits"]["test"] == {"triplets": 1, "positives": 1, "duplicates": 0, "self_loops": 0}
