"""KnowledgeGraph: files, lists, arrays and tables in; integer arrays, lookups, counts and files out."""

import numpy as np
import pytest
from conftest import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.errors import GraphError, LassError, UnknownNameError
from lass_hf.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from lass_hf.known_triplets import KnownTriplets
from lass_hf.vocabulary import Vocabulary


def write(folder, **files):
    """Writes files; `train` becomes train.tsv, `entity2text` becomes entity2text.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name}.{'txt' if '2text' in name else 'tsv'}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def names_of(graph, split):
    """The triplets of a split as ids."""
    entities, relations = graph.entities.ids, graph.relations.ids
    return [(entities[h], relations[r], entities[t]) for h, r, t in graph[split].triplets.tolist()]


# Folders


def test_a_folder_gives_its_triplets_in_file_order(graph_folder):
    graph = KnowledgeGraph.from_directory(graph_folder)
    assert {name: names_of(graph, name) for name in graph.splits} == {
        "train": TRAIN,
        "validation": VALIDATION,
        "test": TEST,
    }


def test_a_folder_gives_the_texts_of_its_text_files(graph_folder):
    graph = KnowledgeGraph.from_directory(graph_folder)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == ENTITY_TEXT
    assert dict(zip(graph.relations.ids, graph.relations.texts, strict=True)) == RELATION_TEXT


def test_a_path_may_be_a_string(graph_folder):
    assert len(KnowledgeGraph.from_directory(str(graph_folder))["train"]) == len(TRAIN)


def test_three_columns_give_no_labels(graph_folder):
    assert KnowledgeGraph.from_directory(graph_folder)["test"].labels is None


@pytest.mark.parametrize("false", ["-1", "0"])
def test_a_fourth_column_is_a_label(tmp_path, false):
    write(tmp_path, train="a\tr\tb\n", test=f"a\tr\tb\t1\nb\tr\ta\t{false}\na\tr\ta\t1\n")
    split = KnowledgeGraph.from_directory(tmp_path)["test"]
    assert split.labels.tolist() == [1, 0, 1]
    assert split.triplets.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert split.positives.tolist() == [[0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("name", ["dev", "valid", "validation"])
def test_each_name_of_the_validation_file_is_found(tmp_path, name):
    write(tmp_path, train="a\tr\tb\n", **{name: "b\tr\ta\n"})
    assert names_of(KnowledgeGraph.from_directory(tmp_path), "validation") == [("b", "r", "a")]


def test_two_validation_files_are_an_error_that_names_both(tmp_path):
    write(tmp_path, train="a\tr\tb\n", dev="b\tr\ta\n", valid="b\tr\ta\n")
    with pytest.raises(GraphError, match=r"dev\.tsv and valid\.tsv"):
        KnowledgeGraph.from_directory(tmp_path)


def test_a_folder_with_a_test_file_alone_is_a_graph(tmp_path):
    graph = KnowledgeGraph.from_directory(write(tmp_path, test="a\tr\tb\n"))
    assert list(graph.splits) == ["test"]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content + b"\n\n  \n",
        lambda content: content.rstrip(b"\n"),
        lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n") + b"\r\n\r\n",
    ],
    ids=["CRLF", "byte-order mark", "trailing blank lines", "no newline at the end", "all of them"],
)
def test_files_from_other_editors_read_the_same(tmp_path, graph_folder, change):
    for file in graph_folder.iterdir():
        (tmp_path / file.name).write_bytes(change(file.read_bytes()))
    expected, graph = KnowledgeGraph.from_directory(graph_folder), KnowledgeGraph.from_directory(tmp_path)
    assert graph.entities.ids == expected.entities.ids
    assert graph.entities.texts == expected.entities.texts
    assert graph.relations.texts == expected.relations.texts
    assert all(np.array_equal(graph[name].triplets, expected[name].triplets) for name in expected.splits)


@pytest.mark.parametrize("character", ["\u2028", "\x0c", "\x85", "\x0b"])
def test_only_a_newline_ends_a_line(tmp_path, character):
    write(tmp_path, train="a\tr\tb\n", entity2text=f"a\tone{character}two\nb\tthree\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.texts == [f"one{character}two", "three"]


def test_quotes_in_texts_are_kept(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2text='a\t"quoted" text\nb\t"open\n')
    assert KnowledgeGraph.from_directory(tmp_path).entities.texts == ['"quoted" text', '"open']


@pytest.mark.parametrize("name", ["null", "00123", "NA", "1.0"])
def test_ids_are_strings_whatever_they_look_like(tmp_path, name):
    graph = KnowledgeGraph.from_directory(write(tmp_path, train=f"{name}\tr\tb\n"))
    assert graph.entities.ids == [name, "b"]


def test_duplicate_lines_of_a_split_are_kept(tmp_path):
    graph = KnowledgeGraph.from_directory(write(tmp_path, train="a\tr\tb\na\tr\tb\n"))
    assert graph["train"].triplets.tolist() == [[0, 0, 1]] * 2


def test_the_same_text_twice_for_one_id_is_no_error(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2text="a\tone\nb\ttwo\na\tone\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.ids == ["a", "b"]


# Texts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("golden_retriever", "golden retriever"),
        ("/people/person/place_of_birth", "people person place of birth"),
        ("a__b", "a b"),
        ("plain", "plain"),
        ("_", "_"),
    ],
)
def test_without_text_files_the_id_is_the_text_with_underscores_and_slashes_spaced(tmp_path, name, text):
    graph = KnowledgeGraph.from_directory(write(tmp_path, train=f"{name}\t{name}\tother\n"))
    assert (graph.entities.ids[0], graph.entities.texts[0]) == (name, text)
    assert (graph.relations.ids[0], graph.relations.texts[0]) == (name, text)


def test_long_texts_are_taken_only_on_request(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2text="a\tshort a\nb\tshort b\n", entity2textlong="a\tlong a\nb\tlong b\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.texts == ["short a", "short b"]
    assert KnowledgeGraph.from_directory(tmp_path, long_text=True).entities.texts == ["long a", "long b"]


def test_an_entity_without_long_text_keeps_its_short_one(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2text="a\tshort a\nb\tshort b\n", entity2textlong="b\tlong b\n")
    assert KnowledgeGraph.from_directory(tmp_path, long_text=True).entities.texts == ["short a", "long b"]


def test_without_short_texts_the_id_stands_in_for_a_missing_long_text(tmp_path):
    write(tmp_path, train="a_c\tr\tb\n", entity2textlong="b\tlong b\n")
    assert KnowledgeGraph.from_directory(tmp_path, long_text=True).entities.texts == ["a c", "long b"]


def test_a_listed_entity_in_no_triplet_is_in_the_vocabulary(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2text="a\tone\nunused\ttwo\nb\tthree\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.ids == ["a", "unused", "b"]


# Bad files

BAD_FILES = {
    "one column": ("train.tsv", b"a r b\n", 1, "1 tab-separated column"),
    "two columns": ("train.tsv", b"a\tr\n", 1, "2 tab-separated column"),
    "five columns": ("train.tsv", b"a\tr\tb\t1\tx\n", 1, "5 tab-separated column"),
    "a line with fewer columns": ("train.tsv", b"a\tr\tb\nb\tr\ta\na\tr\n", 3, "2 column"),
    "a line with a label too many": ("train.tsv", b"a\tr\tb\nb\tr\ta\t1\n", 2, "4 column"),
    "a line without the label": ("test.tsv", b"a\tr\tb\t1\nb\tr\ta\n", 2, "expected 4"),
    "a blank line inside": ("train.tsv", b"a\tr\tb\n\nb\tr\ta\n", 2, "1 column"),
    "an empty head": ("train.tsv", b"a\tr\tb\n\tr\ta\n", 2, "empty field"),
    "a blank relation": ("train.tsv", b"a\t \tb\n", 1, "empty field"),
    "an empty tail": ("dev.tsv", b"a\tr\tb\nb\tr\t\n", 2, "empty field"),
    "an unknown label": ("test.tsv", b"a\tr\tb\t1\nb\tr\ta\t2\n", 2, "'2'"),
    "a label in words": ("test.tsv", b"a\tr\tb\ttrue\n", 1, "'true'"),
    "not UTF-8, triplets": ("train.tsv", b"a\tr\tb\nb\tr\ta\na\tr\tcaf\xe9\n", 3, "not UTF-8"),
    "not UTF-8, texts": ("entity2text.txt", b"a\tone\nb\t\xff\n", 2, "not UTF-8"),
    "not UTF-8 after a byte-order mark": ("train.tsv", b"\xef\xbb\xbfa\tr\tb\nb\tr\t\xe9\n", 2, "not UTF-8"),
    "an empty file": ("train.tsv", b"", None, "empty"),
    "blank lines only": ("test.tsv", b"\n \n\n", None, "empty"),
    "a byte-order mark only": ("dev.tsv", b"\xef\xbb\xbf", None, "empty"),
    "an empty text file": ("relation2text.txt", b"", None, "empty"),
    "an id without text": ("entity2text.txt", b"a\tone\nb\n", 2, "1 tab-separated column"),
    "a tab inside a text": ("entity2text.txt", b"a\tone\nb\ttwo\tthree\n", 2, "3 tab-separated column"),
    "an empty text": ("entity2text.txt", b"a\tone\nb\t \n", 2, "empty text"),
    "a text without id": ("relation2text.txt", b"\ttext\n", 1, "empty id"),
    "two texts for one id": ("entity2text.txt", b"a\tone\nb\ttwo\na\tthree\n", 3, "'a'"),
    "two texts for one relation": ("relation2text.txt", b"r\tone\nr\ttwo\n", 2, "'r'"),
    "an entity without text": ("entity2text.txt", b"a\tone\n", None, "'b'"),
    "a relation without text": ("relation2text.txt", b"other\tone\n", None, "'r'"),
}


@pytest.mark.parametrize(("name", "content", "line", "what"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_that_names_file_line_and_fault(tmp_path, name, content, line, what):
    write(tmp_path, train="a\tr\tb\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GraphError) as caught:
        KnowledgeGraph.from_directory(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert line is None or f"line {line}:" in message
    assert what in message
    assert "\n" not in message


def test_a_bad_line_of_the_long_texts_is_named(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2textlong="a\tone\nb\n")
    with pytest.raises(GraphError, match=r"entity2textlong\.txt, line 2:"):
        KnowledgeGraph.from_directory(tmp_path, long_text=True)


def test_long_texts_asked_for_but_missing_are_an_error(graph_folder):
    with pytest.raises(GraphError, match=r"entity2textlong\.txt"):
        KnowledgeGraph.from_directory(graph_folder, long_text=True)


def test_all_entities_without_text_are_counted(tmp_path):
    write(tmp_path, train="a\tr\tb\nc\tr\td\n", entity2text="a\tone\n")
    with pytest.raises(GraphError, match=r"'b' \(and 2 more entities\)"):
        KnowledgeGraph.from_directory(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(GraphError, match="nowhere"):
        KnowledgeGraph.from_directory(tmp_path / "nowhere")


def test_a_file_given_as_folder_is_an_error(graph_folder):
    with pytest.raises(GraphError, match=r"train\.tsv: no such folder"):
        KnowledgeGraph.from_directory(graph_folder / "train.tsv")


def test_a_folder_without_triplets_names_the_file_to_add(tmp_path):
    with pytest.raises(GraphError, match=r"no train\.tsv"):
        KnowledgeGraph.from_directory(write(tmp_path, entity2text="a\tone\n"))


def test_graph_errors_are_lass_errors_and_value_errors():
    assert issubclass(GraphError, LassError)
    assert issubclass(LassError, ValueError)


# Lists and arrays


def test_lists_give_the_same_graph_as_a_folder(graph, graph_folder):
    from_files = KnowledgeGraph.from_directory(graph_folder)
    assert graph.entities.ids == from_files.entities.ids
    assert graph.entities.texts == from_files.entities.texts
    assert all(np.array_equal(graph[name].triplets, from_files[name].triplets) for name in from_files.splits)


def test_arrays_give_the_same_graph_as_lists(graph):
    arrays = [np.array(rows) for rows in (TRAIN, VALIDATION, TEST)]
    from_arrays = KnowledgeGraph.from_triplets(*arrays, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    assert from_arrays.entities.ids == graph.entities.ids
    assert all(type(name) is str for name in from_arrays.entities.ids)
    assert all(np.array_equal(from_arrays[name].triplets, graph[name].triplets) for name in graph.splits)


@pytest.mark.parametrize("label", [1, "1", np.int64(1)])
@pytest.mark.parametrize("false", [0, -1, "0", "-1"])
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


# A split as a data set


def test_an_item_of_a_split_holds_integers(graph):
    head, relation, tail = graph["train"].triplets[5].tolist()
    item = graph["train"][5]
    assert item == {"head": head, "relation": relation, "tail": tail}
    assert all(type(value) is int for value in item.values())


def test_an_item_of_a_labelled_split_has_its_label(labelled_graph):
    labels = [labelled_graph["test"][position]["label"] for position in range(6)]
    assert labels == [1, 1, 1, 0, 0, 0]


def test_select_keeps_triplets_with_their_labels(labelled_graph):
    chosen = labelled_graph["test"].select(np.array([4, 1]))
    assert chosen.triplets.tolist() == labelled_graph["test"].triplets[[4, 1]].tolist()
    assert chosen.labels.tolist() == [0, 1]
    assert chosen.graph is labelled_graph


def test_an_unknown_split_names_those_there_are(graph):
    with pytest.raises(GraphError, match=r"'dev'.*train, validation, test"):
        graph["dev"]


def test_len_of_a_split_counts_all_lines():
    assert len(KnowledgeGraph.from_triplets([("a", "r", "b")] * 3)["train"]) == 3


# Files of a model folder


def test_saved_files_give_the_graph_back(graph, tmp_path):
    graph.save_pretrained(tmp_path)
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
    assert (again.entities.ids, again.entities.texts) == (graph.entities.ids, graph.entities.texts)
    assert (again.relations.ids, again.relations.texts) == (graph.relations.ids, graph.relations.texts)
    assert list(again.splits) == ["train", "validation", "test"]
    assert all(np.array_equal(again[name].triplets, graph[name].triplets) for name in graph.splits)


def test_saved_files_hold_true_triplets_only(labelled_graph, tmp_path):
    labelled_graph.save_pretrained(tmp_path)
    again = KnowledgeGraph.from_files(tmp_path / VOCABULARY_FILE, tmp_path / TRIPLETS_FILE)
    assert np.array_equal(again["test"].triplets, labelled_graph["test"].positives)
    assert again["test"].labels is None


def test_a_graph_saved_without_triplets_has_its_vocabulary_and_knows_nothing(graph, tmp_path):
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


# Known triplets


@st.composite
def triplets_and_queries(draw):
    entities, relations = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    triplet = st.tuples(*(st.integers(0, size - 1) for size in (entities, relations, entities)))
    return entities, relations, draw(st.lists(triplet, max_size=40)), draw(st.lists(triplet, min_size=1, max_size=20))


def as_array(rows):
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


@given(case=triplets_and_queries())
@settings(max_examples=50, deadline=None)
def test_contains_agrees_with_a_set(case):
    entities, relations, triplets, queries = case
    known = KnownTriplets(as_array(triplets), entities, relations)
    assert known.contains(as_array(queries)).tolist() == [query in set(triplets) for query in queries]
    assert len(known) == len(set(triplets))


@pytest.mark.parametrize("slot", [0, 1, 2])
@given(case=triplets_and_queries())
@settings(max_examples=50, deadline=None)
def test_values_of_a_slot_agree_with_a_set(slot, case):
    entities, relations, triplets, queries = case
    expected = []
    for row, query in enumerate(queries):
        matching = {t[slot] for t in triplets if all(t[other] == query[other] for other in range(3) if other != slot)}
        expected += [(row, value) for value in sorted(matching)]
    rows, values = KnownTriplets(as_array(triplets), entities, relations).values(slot, as_array(queries))
    assert list(zip(rows.tolist(), values.tolist(), strict=True)) == expected


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_an_empty_index_knows_nothing(slot):
    known = KnownTriplets(np.empty((0, 3)), 5, 2)
    rows, values = known.values(slot, np.array([[0, 0, 0], [4, 1, 4]]))
    assert (len(known), len(rows), len(values)) == (0, 0, 0)
    assert known.contains(np.array([[0, 0, 0], [4, 1, 4]])).tolist() == [False, False]


def test_an_index_is_asked_for_no_triplets():
    known = KnownTriplets(np.array([[0, 0, 1]]), 5, 2)
    assert known.contains(np.empty((0, 3), np.int64)).shape == (0,)


def test_large_vocabularies_do_not_collide():
    size = 3_000_000
    triplets = np.array([[size - 1, 999, size - 1], [size - 2, 999, 0], [0, 0, 0]])
    known = KnownTriplets(triplets, size, 1000)
    assert known.contains(triplets).all()
    assert not known.contains(np.array([[size - 1, 999, size - 2], [size - 1, 998, size - 1], [1, 0, 0]])).any()


def test_vocabularies_too_large_for_the_keys_are_an_error():
    with pytest.raises(GraphError, match="64-bit"):
        KnownTriplets(np.empty((0, 3)), 2**31, 4)


def test_known_holds_the_true_triplets_of_all_splits(labelled_graph):
    for name in labelled_graph.splits:
        assert labelled_graph.known.contains(labelled_graph[name].positives).all()
    assert len(labelled_graph.known) == len(TRAIN + VALIDATION + TEST)


def test_triplets_labelled_0_are_not_known(labelled_graph):
    test = labelled_graph["test"]
    assert not labelled_graph.known.contains(test.triplets[test.labels == 0]).any()


def test_known_in_train_holds_no_other_split(graph):
    assert graph.known_in_train.contains(graph["train"].triplets).all()
    assert not graph.known_in_train.contains(graph["test"].triplets).any()


# Candidates


def test_candidates_are_what_occurs_in_a_triplet_of_any_split():
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


def test_what_occurs_is_counted_over_the_splits_named(graph):
    entities, relations = graph.occurring("validation", "test")
    rows = [*VALIDATION, *TEST]
    assert {graph.entities.ids[number] for number in np.flatnonzero(entities)} == {
        n for h, _, t in rows for n in (h, t)
    }
    assert {graph.relations.ids[number] for number in np.flatnonzero(relations)} == {r for _, r, _ in rows}
    assert all(np.array_equal(*pair) for pair in zip(graph.occurring("train"), graph.occurs_in_train(), strict=True))
    assert not any(found.any() for found in graph.occurring("other"))


# Summary


@pytest.fixture(scope="module")
def odd_graph():
    """Every oddity once or twice; the counts below are made by hand."""
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


def test_summary_counts_vocabularies_and_shared_texts(odd_graph):
    summary = odd_graph.summary()
    del summary["splits"]
    assert summary == {
        "entities": 7,
        "relations": 3,
        "entities_in_no_triplet": 2,
        "entities_sharing_a_text": 2,  # b and c; f and g occur in no triplet
        "texts_shared": 1,
        "most_shared_text": "same",
    }


def test_summary_of_train(odd_graph):
    assert odd_graph.summary()["splits"]["train"] == {
        "triplets": 5,
        "positives": 5,
        "duplicates": 1,
        "self_loops": 1,
    }


def test_summary_of_validation(odd_graph):
    assert odd_graph.summary()["splits"]["validation"] == {
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


def test_summary_of_a_labelled_test_split(odd_graph):
    assert odd_graph.summary()["splits"]["test"] == {
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


def test_summary_without_train_has_no_counts_against_train():
    summary = KnowledgeGraph.from_triplets(test=[("a", "r", "b")]).summary()
    assert summary["splits"]["test"] == {"triplets": 1, "positives": 1, "duplicates": 0, "self_loops": 0}


# Names


@pytest.fixture
def vocabulary():
    return Vocabulary("entities", ["Q1", "Q2", "Q3", "Paris"], ["Paris", "Berlin", "Berlin", "Paris, Texas"])


def test_a_name_is_an_id_before_it_is_a_text(vocabulary):
    assert vocabulary.find("Paris") == 3
    assert vocabulary.find("Q1") == 0


def test_a_name_is_found_by_its_text(vocabulary):
    assert vocabulary.find("Paris, Texas") == 3


def test_an_ambiguous_text_lists_its_ids(vocabulary):
    with pytest.raises(UnknownNameError, match="Q2, Q3"):
        vocabulary.find("Berlin")


def test_an_unknown_name_lists_the_closest_matches_first(vocabulary):
    with pytest.raises(UnknownNameError, match=r"'berlim'.*entities; did you mean 'Berlin'"):
        vocabulary.find("berlim")


def test_an_unknown_name_like_no_other_has_no_suggestion(vocabulary):
    with pytest.raises(UnknownNameError) as caught:
        vocabulary.find("xyzzy-1234567890")
    assert "did you mean" not in str(caught.value)


def test_a_long_text_may_stand_alone(tmp_path):
    (tmp_path / "train.tsv").write_text("cat\teats\tmouse\n")
    (tmp_path / "entity2text.txt").write_text("mouse\tmouse\n")
    (tmp_path / "entity2textlong.txt").write_text("cat\ta cat that purrs\n")
    graph = KnowledgeGraph.from_directory(tmp_path, long_text=True)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == {
        "mouse": "mouse",
        "cat": "a cat that purrs",
    }


@pytest.mark.parametrize("row", [("a", None, "b"), ("a", "r", float("nan")), "abc", ("a", "r", ["b"])])
def test_a_row_that_is_no_three_names_is_an_error_that_gives_its_number(row):
    with pytest.raises(GraphError, match="triplet 1 is"):
        KnowledgeGraph.from_triplets([("a", "r", "b"), row])


def test_a_text_that_is_none_is_an_error():
    with pytest.raises(GraphError, match="'b' is None"):
        KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": "one", "b": None})


def test_closest_matches_look_at_the_label_before_the_comma():
    vocabulary = Vocabulary(
        "entities", ["02084071"], ["dog, a member of the genus Canis that has long been domesticated"]
    )
    with pytest.raises(UnknownNameError, match="did you mean '02084071'"):
        vocabulary.find("dgo")
