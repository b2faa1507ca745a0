"""KnowledgeGraph: lists and arrays, splits, candidates, parts, and the files of a model folder."""

import json
from itertools import pairwise

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, assert_same_graph, one_line
from safetensors.numpy import save_file

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.core.known_triplets import KnownTriplets
from lass_hf.core.vocabulary import Vocabulary

# Lists and arrays


def test_lists_give_the_same_graph_as_a_folder(graph, graph_folder):
    assert_same_graph(graph, KnowledgeGraph.from_directory(graph_folder))


def test_arrays_give_the_same_graph_as_lists(graph):
    arrays = [np.array(rows) for rows in (TRAIN, VALIDATION, TEST)]
    from_arrays = KnowledgeGraph.from_triplets(*arrays, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    assert_same_graph(from_arrays, graph)
    assert all(type(name) is str for name in from_arrays.entities.ids)


@pytest.mark.parametrize(("label", "false"), [(1, 0), ("1", "0"), ("1", "-1"), (np.int64(1), -1)])
def test_labels_in_lists_may_be_numbers_or_strings(label, false):
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], test=[("a", "r", "b", label), ("b", "r", "a", false)])
    assert graph["test"].labels.tolist() == [1, 0]


def test_without_texts_entities_and_relations_are_numbered_as_they_occur():
    graph = KnowledgeGraph.from_triplets([("x_1", "r/2", "y")], test=[("y", "r1", "z")])
    assert (graph.entities.ids, graph.entities.texts) == (["x_1", "y", "z"], ["x 1", "y", "z"])
    assert (graph.relations.ids, graph.relations.texts) == (["r/2", "r1"], ["r 2", "r1"])


def test_triplets_are_int64_of_shape_n_by_3(graph):
    assert graph["train"].triplets.dtype == np.int64
    assert graph["train"].triplets.shape == (14, 3)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([("a", "r")], r"train: rows of \[2\] values"),
        ([("a", "r", "b", "1", "x")], r"train: rows of \[5\] values"),
        ([("a", "r", "b"), ("a", "r", "b", "1")], r"train: rows of \[3, 4\] values"),
        ([], "train: no triplets"),
        ([("a", "r", "b", "2")], "train: label '2'"),
    ],
)
def test_bad_rows_name_split_and_fault(rows, what):
    with pytest.raises(GraphError, match=what):
        KnowledgeGraph.from_triplets(rows)


def test_no_split_at_all_is_an_error():
    with pytest.raises(GraphError, match="no triplets"):
        KnowledgeGraph.from_triplets()


@pytest.mark.parametrize("row", [("", "r", "b"), ("a", " ", "b"), ("a", "r", "")])
def test_an_empty_name_in_a_list_is_an_error(row):
    with pytest.raises(GraphError, match="empty"):
        KnowledgeGraph.from_triplets([("a", "r", "b"), row])


def test_an_id_of_a_mapping_that_is_no_string_is_an_error():
    with pytest.raises(GraphError, match="entities: a text is given for 1; expected an id, a string"):
        KnowledgeGraph.from_triplets([(1, "r", 2)], entity_text={1: "one", 2: "two"})


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_in_a_mapping_is_an_error_that_names_the_entity(text):
    with pytest.raises(GraphError, match="'b'"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "one", "b": text})


def test_an_entity_missing_from_the_texts_is_named():
    with pytest.raises(GraphError, match=r"entity_text.*'b'"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "one"})


def test_a_relation_missing_from_the_texts_is_named():
    with pytest.raises(GraphError, match=r"relation_text.*'r'"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], relation_text={"s": "one"})


@pytest.mark.parametrize("row", [("a", None, "b"), ("a", "r", float("nan")), "abc", ("a", "r", ["b"])])
def test_a_row_that_is_no_three_names_is_an_error_that_gives_its_number(row):
    with pytest.raises(GraphError, match=r"(triplet|item) 1 is"):
        KnowledgeGraph.from_triplets([("a", "r", "b"), row])


def test_a_text_that_is_none_is_an_error():
    with pytest.raises(GraphError, match="'b' is None"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "one", "b": None})


# A split as a data set


def test_an_item_of_a_split_holds_integers(graph):
    head, relation, tail = graph["train"].triplets[5].tolist()
    item = graph["train"][5]
    assert item == {"head": head, "relation": relation, "tail": tail}
    assert all(type(value) is int for value in item.values())


def test_an_item_of_a_labeled_split_has_its_label(labeled_graph):
    labels = [labeled_graph["test"][position]["label"] for position in range(6)]
    assert labels == [1, 1, 1, 0, 0, 0]


def test_select_keeps_triplets_with_their_labels(labeled_graph):
    chosen = labeled_graph["test"].select(np.array([4, 1]))
    assert chosen.triplets.tolist() == labeled_graph["test"].triplets[[4, 1]].tolist()
    assert chosen.labels.tolist() == [0, 1]
    assert chosen.graph is labeled_graph


def test_the_error_of_an_unknown_split_names_the_existing_ones(graph):
    with pytest.raises(GraphError, match=r"'dev'.*train, validation, test"):
        graph["dev"]


# Files of a model folder


def test_saved_files_give_the_graph_back(graph, tmp_path):
    graph.save_pretrained(tmp_path)
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
    assert_same_graph(again, graph)


def test_saved_files_hold_true_triplets_only(labeled_graph, tmp_path):
    labeled_graph.save_pretrained(tmp_path)
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
    assert np.array_equal(again["test"].triplets, labeled_graph["test"].positives)
    assert again["test"].labels is None


def test_a_graph_saved_without_triplets_has_its_vocabulary_and_no_known_triplets(graph, tmp_path):
    graph.save_pretrained(tmp_path, include_triplets=False)
    assert not (tmp_path / TRIPLETS_FILE).exists()
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, None)
    assert again.entities.texts == graph.entities.texts
    assert len(again.known) == 0
    assert not again.known.contains(graph["train"].triplets).any()


def test_texts_outside_ascii_survive_saving(tmp_path):
    graph = KnowledgeGraph.from_triplets([("Ōsaka", "位于", "日本")], entity_text={"Ōsaka": "大阪 ☂", "日本": "Nihon"})
    graph.save_pretrained(tmp_path)
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
    assert (again.entities.ids, again.entities.texts) == (["Ōsaka", "日本"], ["大阪 ☂", "Nihon"])


# Candidates


def test_candidates_occur_in_a_triplet_of_any_split():
    graph = KnowledgeGraph.from_triplets(
        [("b", "r", "a")],
        test=[("a", "s", "c", 1), ("d", "s", "a", 0)],
        entity_text=dict.fromkeys(["unused", "a", "b", "c", "d", "also unused"], "text"),
        relation_text=dict.fromkeys(["q", "r", "s"], "text"),
    )
    heads, relations, tails = graph.candidates
    assert heads.tolist() == tails.tolist() == [1, 2, 3, 4]
    assert relations.tolist() == [1, 2]
    assert (graph.num_entities, graph.num_relations) == (6, 3)


def test_occurring_looks_at_the_named_splits(graph):
    entities, relations = graph.occurring("validation", "test")
    rows = [*VALIDATION, *TEST]
    assert {graph.entities.ids[number] for number in np.flatnonzero(entities)} == {
        n for h, _, t in rows for n in (h, t)
    }
    assert {graph.relations.ids[number] for number in np.flatnonzero(relations)} == {r for _, r, _ in rows}
    assert all(np.array_equal(*pair) for pair in zip(graph.occurring("train"), graph.occurs_in_train(), strict=True))
    assert not any(occurs.any() for occurs in graph.occurring("other"))


def test_nested_parts_of_a_graph(graph):
    parts = [graph.low_resource(fraction, seed=3) for fraction in (0.1, 0.25, 0.5, 1.0)]
    rows = [{tuple(row) for row in part["train"].triplets.tolist()} for part in parts]
    assert all(small <= large for small, large in pairwise(rows))
    assert [len(part["train"]) for part in parts] == [
        max(1, round(f * len(graph["train"]))) for f in (0.1, 0.25, 0.5, 1)
    ]
    assert np.array_equal(parts[-1]["train"].triplets, graph["train"].triplets)
    assert not np.array_equal(graph.low_resource(0.5, seed=4)["train"].triplets, parts[2]["train"].triplets)
    assert np.array_equal(parts[0]["test"].triplets, graph["test"].triplets)
    assert len(parts[0].known_in_train) == len(rows[0])


# Saved files that were damaged

VOCABULARY = {"entities": {"id": ["a", "b"], "text": ["A", "B"]}, "relations": {"id": ["r"], "text": ["R"]}}


def saved_graph(folder, vocabulary, arrays):
    content = vocabulary if isinstance(vocabulary, str) else json.dumps(vocabulary)
    (folder / VOCABULARY_FILE).write_text(content, encoding="utf-8")
    save_file(arrays, folder / TRIPLETS_FILE)
    return KnowledgeGraph.from_files(folder / VOCABULARY_FILE, folder / TRIPLETS_FILE)


@pytest.mark.parametrize(
    ("entities", "fault"),
    [
        ({"id": ["a", "b"]}, "no 'text'"),
        ({"id": "ab", "text": "AB"}, "entities: no lists of ids and texts"),
        ({"id": [], "text": []}, "entities: 0 ids and 0 texts"),
        ({"id": ["a", "b"], "text": ["A"]}, "entities: 2 ids and 1 texts; expected a text for each id"),
        ({"id": ["a", "a"], "text": ["A", "B"]}, "entities, number 0: a second one has the id 'a'"),
        ({"id": ["a", 7], "text": ["A", "B"]}, "entities, number 1: the id is 7; expected a name or text"),
        ({"id": ["a", "b"], "text": ["A", None]}, "entities, number 1: the text is None"),
        ({"id": ["a", "b"], "text": [" ", "B"]}, "entities, number 0: the text is ' '"),
        ({"id": ["a", "b"], "text": ["A", "\ud800"]}, r"entities, number 1: the text is '\\ud800'"),
        ([1], "list indices must be integers"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(entities, fault, tmp_path):
    with pytest.raises(GraphError, match=fault) as error:
        saved_graph(tmp_path, {**VOCABULARY, "entities": entities}, {"train": np.array([[0, 0, 1]], np.int32)})
    one_line(error, str(tmp_path / VOCABULARY_FILE), "save the model again")


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"entities": ' * 100_000, "3"])
def test_a_vocabulary_that_is_no_json_object_is_refused(content, tmp_path):
    with pytest.raises(GraphError, match="no vocabulary of a graph") as error:
        saved_graph(tmp_path, content, {})
    one_line(error, str(tmp_path / VOCABULARY_FILE))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"train": [[0, 0, 2]]}, "train: a tail has the number 2; expected 0 to 1"),
        ({"train": [[0, 1, 1]]}, "train: a relation has the number 1; expected 0 to 0"),
        ({"test": [[0, 0, 1], [-1, 0, 1]]}, "test: a head has the number -1; expected 0 to 1"),
        ({"dev": [[0, 0, 1]]}, "split 'dev'; expected some of train, validation, test"),
        ({"train": [0, 0, 1]}, r"train: int64 of shape \(3,\)"),
        ({"train": [[0, 0], [0, 1]]}, r"train: int64 of shape \(2, 2\)"),
        ({"train": [[0.0, 0.0, 1.0]]}, "numbers of type float64; expected int32"),
    ],
)
def test_known_triplets_that_are_not_those_of_the_vocabulary_are_refused(arrays, fault, tmp_path):
    """The number 2 of two entities had the key of another triplet."""
    with pytest.raises(GraphError, match=fault) as error:
        saved_graph(tmp_path, VOCABULARY, {name: np.array(rows) for name, rows in arrays.items()})
    one_line(error, str(tmp_path / TRIPLETS_FILE), VOCABULARY_FILE, "save the model again")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([1, -1], np.int8), r"validation: labels are \[-1, 1\]; expected 1 \(true\) and 0 \(false\)"),
        (np.array([1], np.int8), r"validation: labels are int8 of shape \(1,\); expected int8 of shape \(2,\)"),
        (np.array([1.0, 0.0]), r"validation: labels are float64 of shape \(2,\); expected int8"),
    ],
)
def test_labels_that_are_no_1_and_0_for_each_triplet_are_refused(labels, message):
    triplets = np.array([[0, 0, 1], [1, 0, 0]])
    entities, relations = Vocabulary("entities", ["a", "b"], ["a", "b"]), Vocabulary("relations", ["r"], ["r"])
    with pytest.raises(GraphError, match=message):
        KnowledgeGraph(entities, relations, {"validation": (triplets, labels)})


def test_no_graph_is_made_of_numbers_beyond_its_vocabulary(graph):
    rows = np.array([[0, 0, graph.num_entities]])
    with pytest.raises(GraphError, match=r"train: a tail has the number 10; expected 0 to 9"):
        KnowledgeGraph(graph.entities, graph.relations, {"train": (rows, None)})
    with pytest.raises(GraphError, match="numbers beyond 10 entities and 3 relations"):
        KnownTriplets(rows, graph.num_entities, graph.num_relations)
