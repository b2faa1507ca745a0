"""Tables of any texts, written by other libraries and read back; and any text read as Python's csv module reads it."""

import csv
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lass_hf.core.errors import GraphError
from lass_hf.core.vocabulary import BLANKS
from lass_hf.formats.table_files import read_table

HEADER = ["id", "name", "#1"]
ODD = ['"', '""', ",", ";", "\t", "|", "\n", "\r\n", "\r", "#", "=1+1", "\u2028", "\u202eא", "😀", "e\u0301", "'", " "]
texts = st.lists(st.sampled_from(ODD) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))).map("".join)
tables = st.lists(st.lists(texts, min_size=3, max_size=3), min_size=1, max_size=6)


def without_blank_end(rows):
    while rows and not any(value.strip(BLANKS) for value in rows[-1]):
        rows = rows[:-1]
    return rows


def read_rows(file, header=True):
    """Returns the rows, or the message of the error."""
    try:
        table = read_table(file, header)
    except GraphError as error:
        return str(error)
    return [list(row.values()) for row in table.columns.to_pylist()]


@given(
    rows=tables,
    delimiter=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
@example(rows=[["\r", 'a "b"\r', "\r\n"], ["", "x", ""], ["", " ", ""]], delimiter=",", quoting=csv.QUOTE_ALL, end="\n")
@settings(max_examples=40, deadline=None)
def test_what_python_writes_as_csv_is_read_back(rows, delimiter, quoting, end, tmp_path_factory):
    if delimiter == "\t":  # With a newline and tabs in one field, the quotes could be letters as well.
        rows = [[value.replace("\t", " ") for value in row] for row in rows]
    if quoting == csv.QUOTE_MINIMAL:  # Python 3.11 writes no quotes around "\r", which ends the line with "\n".
        rows = [[*row[:-1], row[-1].rstrip("\r")] for row in rows]
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([HEADER, *rows])
    assert read_rows(file) == (without_blank_end(rows) or f"{file}: no rows; expected a table with at least one row")


LETTERS = st.text(st.sampled_from(['"', "a", ",", " ", "'"]), max_size=4) | st.sampled_from(['"a"', '"a ""b"""'])


@given(rows=st.lists(st.lists(LETTERS, min_size=3, max_size=3), min_size=1, max_size=4))
@example(rows=[['"', "a", "b"], ["c", "d", '"']])
@example(rows=[['"a"', "", '5" x']])
@settings(max_examples=50, deadline=None)
def test_quotes_between_tabs_are_letters_unless_each_closes_in_its_field(rows, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "quotes.tsv"
    file.write_text("".join("\t".join(row) + "\n" for row in [HEADER, *rows]))
    opened = [value for row in rows for value in row if value.startswith('"')]
    if all(re.fullmatch(r'"(?:[^"]|"")*"', value) for value in opened):
        rows = [[value[1:-1].replace('""', '"') if value in opened else value for value in row] for row in rows]
    assert read_rows(file) == (without_blank_end(rows) or f"{file}: no rows; expected a table with at least one row")


@given(rows=tables, ascii=st.booleans(), is_array=st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_python_writes_as_json_is_read_back(rows, ascii, is_array, tmp_path_factory):
    file = tmp_path_factory.mktemp("json") / "a.json"
    objects = [dict(zip(HEADER, row, strict=True)) for row in rows]
    lines = [json.dumps(one, ensure_ascii=ascii) for one in objects]
    file.write_bytes((json.dumps(objects, indent=1) if is_array else "\n".join(lines)).encode())
    assert read_rows(file) == rows


@given(rows=tables, dictionary=st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_arrow_writes_as_parquet_is_read_back(rows, dictionary, tmp_path_factory):
    file = tmp_path_factory.mktemp("parquet") / "a.parquet"
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    pq.write_table(
        pa.table([column.dictionary_encode() if dictionary else column for column in columns], names=HEADER), file
    )
    assert read_rows(file) == rows


def read_with_python(text):
    """Returns the rows, or the line of the first row of another width; None if quotes are wrong before one."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, line = [], 1
    try:
        for row in reader:
            if row and rows and len(row) != len(rows[0]):
                return line
            rows += [row] if row else []
            line = reader.line_num + 1
    except csv.Error:
        return None
    return without_blank_end(rows)


PARTS = ["a", '"', '""', ",", "\n", "\r\n", " ", "é", '"a', 'a"', '"\n', '","']


@given(text=st.lists(st.sampled_from(PARTS)).map("".join))
@example(text='a,"b"\r\n\r\n"c\n"",",d\n')
@example(text='a,b"c"\n"d",""\n')
@example(text='a,"b"\nc\n"')
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_as_python_reads_it(text, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "a.csv"
    file.write_bytes(text.encode())
    expected, found = read_with_python(text), read_rows(file, header=False)
    if expected:
        assert found == expected if isinstance(expected, list) else found.startswith(f"{file}, line {expected}: ")
    else:
        assert found.startswith(f"{file}: " if expected == [] else f"{file}, line ")
