"""Files of triplets and texts, with any bytes in them, against a plain reader that goes line by line."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf import KnowledgeGraph
from lass_hf.core.errors import GraphError
from lass_hf.core.vocabulary import BLANKS
from lass_hf.formats.text_files import read_texts, read_triplets


class RefusedError(Exception):
    """Carries the number of the first wrong line, or None for an empty file."""


def lines_of(content):
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(error.object[: error.start].count(b"\n") + 1) from None
    if "\0" in text:
        raise RefusedError(text[: text.index("\0")].count("\n") + 1)
    lines = text.split("\n")
    while lines and not lines[-1].strip(BLANKS):
        lines.pop()
    if not lines:
        raise RefusedError(None)
    return lines


def triplets_of(content):
    rows, labels = [], []
    for number, line in enumerate(lines_of(content), start=1):
        row = [field.strip(BLANKS) for field in line.split("\t")]
        if len(row) not in (3, 4) or (rows and len(row) != len(rows[0])) or not all(row):
            raise RefusedError(number)
        rows.append(row)
    for number, row in enumerate(rows, start=1):
        if len(row) == 4:
            if row[3] not in ("1", "0", "-1"):
                raise RefusedError(number)
            labels.append(int(row[3] == "1"))
    return [tuple(row[:3]) for row in rows], labels or None


def texts_of(content):
    texts = {}
    for number, line in enumerate(lines_of(content), start=1):
        row = [field.strip(BLANKS) for field in line.split("\t")]
        if len(row) != 2 or not all(row) or texts.setdefault(*row) != row[1]:
            raise RefusedError(number)
    return texts


def read_triplets_as_lists(file):
    split = read_triplets(file)
    names = split.names.to_pylist()
    assert len(set(names)) == len(names)
    assert split.codes.shape == (len(split.codes), 3)
    labels = None if split.labels is None else split.labels.tolist()
    return [tuple(names[code] for code in row) for row in split.codes], labels


# Most fields are right, so that wrong lines often follow right ones.
NAMES = ["a", "b", "é", "null", "007", " a", "x y", "\u2028x", "x\ry", '"q', "1", "\ufeffa", "a\xa0", "a\r"]
FIELDS = st.sampled_from([*NAMES * 5, "", " ", "\u3000", "\u200b", "x\0"])
LABELS = st.sampled_from([*["1", "0", "-1", " 1 "] * 5, "2", ""])
ENDS = st.sampled_from(["", "\n", "\n\n \n", "\r\n\r\n", "\t\n"])


@st.composite
def contents(draw, columns):
    """Draws the bytes of a file in which most lines have this number of columns."""
    right = st.tuples(*[FIELDS] * min(columns, 3), *[LABELS] * (columns - 3)).map("\t".join)
    any_width = st.lists(FIELDS, max_size=5).map("\t".join)
    lines = draw(st.lists(right if draw(st.booleans()) else st.one_of(right, right, any_width), min_size=1, max_size=6))
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(ENDS)
    content = (draw(st.sampled_from(["", "", "\ufeff"])) + text).encode()
    if draw(st.integers(0, 9)):
        return content
    position = draw(st.integers(0, len(content)))
    return content[:position] + draw(st.sampled_from([b"\xff", b"\xed\xa0\x80"])) + content[position:]


def agree(content, read, expected, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.tsv"
    file.write_bytes(content)
    try:
        rows = expected(content)
    except RefusedError as refused:
        with pytest.raises(GraphError) as caught:
            read(file)
        line = refused.args[0]
        assert str(caught.value).startswith(f"{file}, line {line}: " if line else f"{file}: the file is empty")
    else:
        assert read(file) == rows


@given(content=st.integers(3, 4).flatmap(contents))
@example(content=b"a\tr\t\nb\tr\n")  # the first fault is told, be it an empty field or a missing one
@example(content=b"a\tr\tb\nb\tr\nb\t\tr\n")
@settings(max_examples=80, deadline=None)
def test_triplets_are_read_as_line_by_line(content, tmp_path_factory):
    agree(content, read_triplets_as_lists, triplets_of, tmp_path_factory)


@given(content=contents(2))
@example(content=b"a\tone\na\ttwo\nb\n")
@example(content=b"a\tone\n\ttwo\na\tthree\n")
@settings(max_examples=80, deadline=None)
def test_texts_are_read_as_line_by_line(content, tmp_path_factory):
    agree(content, read_texts, texts_of, tmp_path_factory)


def test_a_carriage_return_inside_a_line_is_part_of_a_name(tmp_path):
    (tmp_path / "train.tsv").write_bytes(b"a\rb\tr\tc\r\n")
    assert KnowledgeGraph.from_directory(tmp_path).entities.ids == ["a\rb", "c"]


def test_a_name_may_be_of_an_entity_and_a_relation(tmp_path):
    """Entities are numbered by first occurrence, also if a relation between them has the same name."""
    (tmp_path / "train.tsv").write_bytes(b"a\tb\tc\nb\tr\ta\n")
    graph = KnowledgeGraph.from_directory(tmp_path)
    assert (graph.entities.ids, graph.relations.ids) == (["a", "c", "b"], ["b", "r"])
    assert graph["train"].triplets.tolist() == [[0, 0, 1], [2, 1, 0]]


def test_entities_are_numbered_through_all_splits(tmp_path):
    (tmp_path / "test.tsv").write_bytes(b"c\tr\td\t1\n")
    (tmp_path / "train.tsv").write_bytes(b"b\ts\tc\n")
    graph = KnowledgeGraph.from_directory(tmp_path)
    assert (graph.entities.ids, graph.relations.ids) == (["b", "c", "d"], ["s", "r"])
    assert graph["test"].triplets.tolist() == [[1, 1, 2]]
    assert graph["test"].labels.dtype == np.int8
