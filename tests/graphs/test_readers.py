"""Graphs from folders of text files: triplets, labels, texts, and a one-line error for each fault."""

import logging

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError, LassError


def write(folder, **files):
    """Writes files; `train` becomes train.tsv, `entity2text` becomes entity2text.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / f"{name}.{'txt' if '2text' in name else 'tsv'}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def names_of(graph, split):
    """Returns the triplets of a split as ids."""
    entities, relations = graph.entities.ids, graph.relations.ids
    return [(entities[h], relations[r], entities[t]) for h, r, t in graph[split].triplets.tolist()]


# Folders


def test_a_folder_gives_its_triplets_in_file_order(graph_folder):
    graph = KnowledgeGraph.from_directory(graph_folder)
    expected = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    assert {name: names_of(graph, name) for name in graph.splits} == expected
    assert [split.labels for split in graph.splits.values()] == [None, None, None]


def test_a_folder_gives_the_texts_of_its_text_files(graph_folder):
    graph = KnowledgeGraph.from_directory(graph_folder)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == ENTITY_TEXT
    assert dict(zip(graph.relations.ids, graph.relations.texts, strict=True)) == RELATION_TEXT


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


def test_files_of_triplets_may_be_called_txt(tmp_path):
    for name, row in (("train.txt", "a\tr\tb\n"), ("valid.txt", "b\tr\ta\n"), ("test.tsv", "a\tr\ta\n")):
        (tmp_path / name).write_text(row)
    graph = KnowledgeGraph.from_directory(tmp_path)
    assert {name: names_of(graph, name) for name in graph.splits} == {
        "train": [("a", "r", "b")],
        "validation": [("b", "r", "a")],
        "test": [("a", "r", "a")],
    }
    (tmp_path / "train.tsv").write_text("a\tr\tb\n")
    with pytest.raises(GraphError, match=r"train\.tsv and train\.txt are the same split; keep one"):
        KnowledgeGraph.from_directory(tmp_path)


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


def test_the_same_text_twice_for_one_id_is_accepted(tmp_path):
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


def test_a_long_text_may_stand_alone(tmp_path):
    (tmp_path / "train.tsv").write_text("cat\teats\tmouse\n")
    (tmp_path / "entity2text.txt").write_text("mouse\tmouse\n")
    (tmp_path / "entity2textlong.txt").write_text("cat\ta cat that purrs\n")
    graph = KnowledgeGraph.from_directory(tmp_path, long_text=True)
    assert dict(zip(graph.entities.ids, graph.entities.texts, strict=True)) == {
        "mouse": "mouse",
        "cat": "a cat that purrs",
    }


# Bad files


BAD_FILES = {
    "one column": ("train.tsv", b"a\n", 1, "1 tab-separated column"),
    "spaces for tabs": ("train.tsv", b"a r b\n", 1, "stand between spaces: put tabs there"),
    "two columns": ("train.tsv", b"a\tr\n", 1, "2 tab-separated column"),
    "five columns": ("train.tsv", b"a\tr\tb\t1\tx\n", 1, "5 tab-separated column"),
    "a line with fewer columns": ("train.tsv", b"a\tr\tb\nb\tr\ta\na\tr\n", 3, "2 column"),
    "a line with a label too many": ("train.tsv", b"a\tr\tb\nb\tr\ta\t1\n", 2, "4 column"),
    "a line without the label": ("test.tsv", b"a\tr\tb\t1\nb\tr\ta\n", 2, "expected 4"),
    "a header": ("train.tsv", b"head\trelation\ttail\na\tr\tb\n", 1, "a header (head, relation, tail)"),
    "a header in capitals, with a label": ("test.tsv", b"Head\tRel\tTail\tLabel\na\tr\tb\t1\n", 1, "a header"),
    "a header of ids": ("dev.tsv", b"head_id\trelation_id\ttail_id\na\tr\tb\n", 1, "a header"),
    "a header of letters": ("train.tsv", b"h\tr\tt\na\ts\tb\n", 1, "a header"),
    "a header of RDF": ("train.tsv", b"subject\tpredicate\tobject\na\tr\tb\n", 1, "a header"),
    "a header of a graph database": ("train.tsv", b"source\trelation\ttarget\na\tr\tb\n", 1, "a header"),
    "a header in another order": ("train.tsv", b"head\ttail\trelation\na\tb\tr\n", 1, "a header"),
    "a header of texts": ("entity2text.txt", b"id\ttext\na\tone\nb\ttwo\n", 1, "a header (id, text)"),
    "UTF-16 without a byte-order mark": ("train.tsv", "a\tr\tb\n".encode("utf-16-le"), 1, "a NUL character"),
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


@pytest.mark.parametrize(
    "rows",
    [
        "head\trelation\ttail\ntail\tis_a\tpart\n",  # anatomy
        "source\ttype\tobject\na\ttype\tb\n",
        "h\tr\tt\nt\tr\th\n",
        "a\trelation\tb\n",
    ],
)
def test_names_like_those_of_columns_are_names_where_they_occur_again(tmp_path, rows):
    graph = KnowledgeGraph.from_directory(write(tmp_path, train=rows))
    assert len(graph["train"]) == rows.count("\n")


def test_an_id_and_text_like_the_names_of_columns_are_names_where_triplets_use_them(tmp_path):
    write(tmp_path, train="id\tr\tb\n", entity2text="id\tname\nb\ttwo\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.texts == ["name", "two"]


# Names that differ invisibly


@pytest.mark.parametrize("blank", ["\r", " ", "\xa0", "\u3000", "\ufeff", "\u200b", "\u2060"])
def test_blanks_around_names_are_no_part_of_them(tmp_path, blank):
    """As of files that were joined, made by other editors or copied out of tables."""
    write(
        tmp_path,
        train=f"a{blank}\tr\tb\n{blank}a\t{blank}r\tb{blank}\r\n",
        test=f"a\tr{blank}\tb\t1{blank}\n",
        entity2text=f"{blank}a\tone{blank}\nb{blank}\t{blank}two\n",
    )
    graph = KnowledgeGraph.from_directory(tmp_path)
    assert (graph.entities.ids, graph.entities.texts, graph.relations.ids) == (["a", "b"], ["one", "two"], ["r"])
    assert (graph["train"].triplets.tolist(), graph["test"].labels.tolist()) == ([[0, 0, 1]] * 2, [1])
    rows = [(f"a{blank}", "r", "b"), (f"{blank}a", f"{blank}r", f"b{blank}")]
    assert KnowledgeGraph.from_triplets(rows)["train"].triplets.tolist() == [[0, 0, 1]] * 2


LOOK_ALIKES = {
    "forms of Unicode": ("caf\xe9", "cafe\u0301", r"'café' and 'cafe\u0301'"),
    "Hangul": ("\ud55c", "\u1112\u1161\u11ab", r"'한' and '\u1112\u1161\u11ab'"),
    "a space": ("New York", "New\xa0York", r"'New York' and 'New\xa0York'"),
    "a space without width": ("ab", "a\u200bb", r"'ab' and 'a\u200bb'"),
    "a joiner": ("a\u200cb", "a\u200db", r"'a\u200cb' and 'a\u200db'"),
    "a byte-order mark inside": ("a\ufeffb", "ab", r"'a\ufeffb' and 'ab'"),
    "a soft hyphen": ("a\xadb", "ab", r"'a\xadb' and 'ab'"),
}


@pytest.mark.parametrize(("one", "other", "both"), LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_ids_that_look_the_same_are_two_and_a_warning_names_both(tmp_path, caplog, one, other, both):
    folder = write(tmp_path, train=f"{one}\tr\tb\n", test=f"{other}\tr\tb\n")
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        assert KnowledgeGraph.from_directory(folder).entities.ids == [one, "b", other]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"2 entities have ids that look like another one, such as {both}: if")
    caplog.clear()
    write(tmp_path, entity2text=f"{one}\tone\nb\ttwo\n")
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        KnowledgeGraph.from_directory(folder)
    written = dict(zip((one, other), both.split(" and "), strict=True))
    first = caplog.records[0].getMessage()
    assert f"no text for {written[other]}" in first
    assert f"{written[one]} looks the same" in first
    with pytest.raises(GraphError, match="looks the same"):
        KnowledgeGraph.from_triplets([(one, "r", "b"), (other, "r", "b")], entity_text={one: "one", "b": "two"})


def test_a_long_text_of_an_id_that_looks_like_another_is_told(tmp_path, caplog):
    """It would be left out in silence, as a long text of an entity that the graph lacks."""
    write(tmp_path, train="caf\xe9\tr\tb\n", entity2textlong="cafe\u0301\ta place for coffee\n")
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        KnowledgeGraph.from_directory(tmp_path, long_text=True)
    (record,) = caplog.records
    assert r"'café' and 'cafe\u0301'" in record.getMessage()


def test_ids_that_look_the_same_are_told_once_of_a_graph_with_long_texts(tmp_path, caplog):
    texts = "caf\xe9\tone\ncafe\u0301\ttwo\n"
    write(tmp_path, train="caf\xe9\tr\tcafe\u0301\n", entity2text=texts, entity2textlong=texts)
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        KnowledgeGraph.from_directory(tmp_path, long_text=True)
    assert len(caplog.records) == 1


def test_other_names_are_not_said_to_look_the_same(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        KnowledgeGraph.from_directory(write(tmp_path, train="caf\xe9\tr\tcafe\nCaf\xe9\tR\ta b\na  b\tr\tab\n"))
    assert caplog.records == []


def test_a_bad_line_of_the_long_texts_is_named(tmp_path):
    write(tmp_path, train="a\tr\tb\n", entity2textlong="a\tone\nb\n")
    with pytest.raises(GraphError, match=r"entity2textlong\.txt, line 2:"):
        KnowledgeGraph.from_directory(tmp_path, long_text=True)


def test_a_missing_file_of_long_texts_is_an_error(graph_folder):
    with pytest.raises(GraphError, match=r"entity2textlong\.txt"):
        KnowledgeGraph.from_directory(graph_folder, long_text=True)


@pytest.mark.parametrize("kind", ["entity", "relation"])
def test_ids_stand_in_for_missing_texts_with_one_warning_that_counts_them(tmp_path, caplog, kind):
    texts = {"entity": "a\tone\n", "relation": "other\tone\n"}[kind]
    write(tmp_path, train="a\tr_s\tb_b\nc\tq\td\n", **{f"{kind}2text": texts})
    with caplog.at_level(logging.WARNING, logger="lass_hf"):
        graph = KnowledgeGraph.from_directory(tmp_path)
    (record,) = caplog.records
    expected = {"entity": "'b_b' (and 2 more entities)", "relation": "'r_s' (and 1 more relations)"}[kind]
    assert f"{kind}2text.txt: no text for {expected}" in record.getMessage()
    found = {"entity": graph.entities, "relation": graph.relations}[kind]
    assert found.texts == {"entity": ["one", "b b", "c", "d"], "relation": ["one", "r s", "q"]}[kind]


def test_texts_given_in_memory_must_be_those_of_all_entities():
    with pytest.raises(GraphError, match=r"'b' \(and 2 more entities\)"):
        KnowledgeGraph.from_triplets([("a", "r", "b"), ("c", "r", "d")], entity_text={"a": "one"})


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
