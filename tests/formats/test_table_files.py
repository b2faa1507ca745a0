"""Tables as people have them, and what is wrong with them: one line that names file and line."""

import datetime
import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lass_hf.core.errors import GraphError
from lass_hf.formats.table_files import read_table


@pytest.fixture
def read(tmp_path):
    """Returns a function that writes a file and reads it."""

    def write_and_read(name, content, **options):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        return read_table(tmp_path / name, **options)

    return write_and_read


def rows_of(table):
    return [list(row.values()) for row in table.columns.to_pylist()]


def lines_of(table):
    return [int(table.place(row).rsplit(" ", 1)[1]) for row in range(len(table))]


# Separated values


def test_quoted_fields_hold_delimiters_quotes_and_newlines(read):
    table = read("a.csv", 'id,name,note\n1,"a, b","x ""y""\nz"\n2,c,""\n')
    assert table.header == table.columns.column_names == ["id", "name", "note"]
    assert rows_of(table) == [["1", "a, b", 'x "y"\nz'], ["2", "c", ""]]
    assert lines_of(table) == [2, 4]
    assert set(table.columns.schema.types) == {pa.large_string()}


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_the_delimiter_is_that_of_the_content_whatever_the_ending(read, name, delimiter):
    table = read(name, f"a{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}3\n")
    assert rows_of(table) == [["1", "2", "3"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;b,c;d\n1;2;3\n", ["1", "2", "3"]),  # a comma in the header only
        ("a\tb, c, d, e\n1\tx, y\n", ["1", "x, y"]),
        ('a,b\n1,"x;y;z"\n', ["1", "x;y;z"]),
        ('"a;b","c"\n"1;2","3"\n', ["1;2", "3"]),
    ],
)
def test_other_delimiters_inside_of_fields_do_not_count(read, content, expected):
    assert rows_of(read("a.csv", content)) == [expected]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('a\tb\n1\t"x\n2\ty"\n3\t"q" z\n', [["1", '"x'], ["2", 'y"'], ["3", '"q" z']]),  # letters
        ('a\tb\n1\t"\n2\t"\n', [["1", '"'], ["2", '"']]),  # letters, though they could span two lines
        ('a\tb\n1\t5" x\n', [["1", '5" x']]),
        ('a\tb\n1\t"x ""y"""\n2\t"z"\n', [["1", 'x "y"'], ["2", "z"]]),  # quoted
        ('a\tb\n1\t"x\ty\nz"\n', [["1", "x\ty\nz"]]),
    ],
)
def test_quotes_in_files_with_tabs_are_letters_unless_all_close_in_their_field(read, content, rows):
    assert rows_of(read("a.tsv", content)) == rows


def test_a_quote_inside_of_a_field_without_quotes_is_a_letter(read):
    assert rows_of(read("a.csv", 'a,b\n1,5" pipe\n2,"x, y"\n')) == [["1", '5" pipe'], ["2", "x, y"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_are_read(read, end):
    table = read("a.csv", end.join(["a,b", "1,2", "", '3,"4"', "", ""]))
    assert rows_of(table) == [["1", "2"], ["3", "4"]]
    assert lines_of(table) == [2, 4]


def test_only_line_ends_end_a_row(read):
    odd = "x\ry\u2028z\x85\x0b\x0c\x1cw"
    assert rows_of(read("a.tsv", f"a\tb\n1\t{odd}\n2\t3\n")) == [["1", odd], ["2", "3"]]
    assert rows_of(read("a.csv", f'a,b\n1,"{odd}"\n{odd},3\n')) == [["1", odd], [odd, "3"]]


@pytest.mark.parametrize("encode", [gzip.compress, lambda data: b"\xef\xbb\xbf" + data, lambda data: data])
def test_gzip_and_a_byte_order_mark_change_nothing(read, encode):
    table = read("a.csv", encode("id,näme\n007,ü\n".encode()))
    assert (table.header, rows_of(table)) == (["id", "näme"], [["007", "ü"]])


def test_utf_16_with_a_byte_order_mark_is_read(read):
    assert rows_of(read("a.txt", "id\tname\n1\tא😀\n".encode("utf-16"))) == [["1", "א😀"]]


@pytest.mark.parametrize(
    ("content", "header", "line"),
    [
        ("#curie_map:\n#  a: b\nsubject_id\tobject_id\n1\t2\n", ["subject_id", "object_id"], 4),
        ("# of 2020\n#node1\tnode2\n1\t2\n", ["node1", "node2"], 3),
        ('# a "comment\n\n#more\n\nid\tname\n1\t2\n', ["id", "name"], 6),
    ],
)
def test_comments_before_the_header_are_none_of_it(read, content, header, line):
    table = read("a.tsv", content)
    assert (table.header, rows_of(table), lines_of(table)) == (header, [["1", "2"]], [line])


def test_a_comment_with_as_many_commas_as_the_header_is_a_comment(read):
    assert read("a.csv", "# made by a, b\nid,name\n1,2\n").header == ["id", "name"]


def test_without_a_header_the_first_row_is_data(read):
    content = "#1\tr\t#1\na\tr\tb\n"
    table = read("a.txt", content, header=False)
    assert (table.header, table.has_header) == (["1", "2", "3"], False)
    assert rows_of(table) == [["#1", "r", "#1"], ["a", "r", "b"]]
    assert lines_of(table) == [1, 2]
    assert not read("a.txt", content, header=lambda names: "id" in names).has_header
    assert read("a.txt", "id\tx\n1\t2\n", header=lambda names: "id" in names).has_header


def test_last_rows_of_a_spreadsheet_without_values_are_left_out(read):
    assert rows_of(read("a.csv", "a,b\n1,\n,\n, \n")) == [["1", ""]]


def test_a_column_without_a_name_is_called_by_its_number(read):
    assert read("a.csv", ",id\n0,x\n").header == ["column 1", "id"]


def test_a_field_of_a_hundred_thousand_letters_is_read(read):
    long = 'é"\n' * 50_000
    quoted = long.replace('"', '""')
    assert rows_of(read("a.csv", f'a,b\n1,"{quoted}"\n2,x\n')) == [["1", long], ["2", "x"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'a,b\n1,"x\ny"\n\n2\n', "line 5: 1 column(s), expected 2 as in line 1, separated by commas"),
        ("a.csv", 'a,b\n1,"x\ny"\n2,3,4\n', "line 4: 3 column(s), expected 2"),
        ("a.tsv", "# c\na\tb\n1\n", "line 3: 1 column(s), expected 2 as in line 2, separated by tabs"),
        ("a.csv", 'a,b\n1,2\n3,"x\n4,5\n', "line 3: a quote that is not closed"),
        ("a.csv", 'a,b\n1,"x\ny" z\n', "line 2: a quote that is closed in line 3, with text behind it"),
        ("a.tsv", 'a\tb\n1\t"x\n2\n3\t4\n', "line 3: 1 column(s), expected 2"),
        ("a.csv", "a,b, a\n1,2,3\n", "line 1: columns 1 and 3 are both named 'a'; rename one"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv", ",\n,\n", "no rows"),
        ("a.csv", " \n", "the file is empty"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"a,b\n1,x\n2,\xe9\n3,\xc3\xa9", "line 3: not UTF-8 (byte 0xe9: invalid continuation byte)"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16-le"), "line 1: a NUL character, as UTF-16 has them"),
        ("a.csv", b"\xff\xfea", "UTF-16 that is damaged"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "its gzip compression is damaged"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4] + b"abcd", "its gzip compression is damaged"),
    ],
)
def test_bad_separated_values_are_an_error_with_the_line(read, tmp_path, name, content, message):
    with pytest.raises(GraphError) as caught:
        read(name, content)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_an_error(tmp_path):
    for name, message in (("none.csv", "No such file"), ("none.parquet", "No such file")):
        with pytest.raises(GraphError, match=message):
            read_table(tmp_path / name)


# Parquet


def test_all_types_of_parquet_become_strings(tmp_path):
    table = pa.table(
        {
            "integers": [7, None],
            "whole": [3.0, None],  # integers, as pandas writes them if one is missing
            "floats": [0.1, float("nan")],
            "words": pa.array(["é", None]).dictionary_encode(),
            "views": pa.array(["007", ""], pa.string_view()),
            "lists": [["x", "y"], None],
            "numbers": [[1, 2], []],
            "nothing": pa.nulls(2),
            "days": [datetime.date(2020, 1, 2), None],
            "truths": [True, False],
            "bytes": [b"ab", None],
            "objects": [{"a": 1}, None],
            "tables": [[[1]], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_table(tmp_path / "a.parquet")
    assert rows_of(found) == [
        ["7", "3", "0.1", "é", "007", "x|y", "1|2", "", "2020-01-02", "true", "ab"],
        ["", "", "", "", "", "", "", "", "", "false", ""],
    ]
    assert set(found.columns.schema.types) == {pa.large_string()}
    assert found.nested == ("objects", "tables")
    assert found.place(1) == f"{tmp_path / 'a.parquet'}, row 2"


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_whole_decimal_numbers_are_written_as_integers_whatever_their_size(tmp_path, kind):
    sizes = [3, -5, 2**24] + [12345678901, 900000000013207, 2**53] * (kind == pa.float64())
    pq.write_table(pa.table({"id": pa.array([*map(float, sizes), None], kind)}), tmp_path / "a.parquet")
    assert rows_of(read_table(tmp_path / "a.parquet")) == [*([str(size)] for size in sizes), [""]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"id": [b"\xff"]}), "column 'id' cannot be read as text"),
        (pa.table({"id": pa.array([], pa.string())}), "no rows"),
        (pa.table({"id": [{"a": 1}]}), r"only nested values \(id\)"),
        (pa.table({"id": ["a"], "id ": ["b"]}), "columns 1 and 2 are both named 'id'"),
    ],
)
def test_bad_parquet_is_an_error(tmp_path, table, message):
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(GraphError, match=message):
        read_table(tmp_path / "a.parquet")


def test_the_content_decides_whether_it_is_parquet_or_json(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text('{"id": "a"}\n')
    assert rows_of(read_table(tmp_path / "a.csv")) == rows_of(read_table(tmp_path / "b.csv")) == [["a"]]


def test_a_parquet_file_that_is_cut_off_is_an_error(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[:-20])
    with pytest.raises(GraphError, match=r"a\.parquet: cannot be read as Parquet"):
        read_table(tmp_path / "a.parquet")


# JSON


def test_json_lines_keep_numbers_as_they_are_written(read):
    table = read("a.jsonl", '{"id": 7, "n": 3.0, "o": {}}\n\n{"x": ["a", "b"], "id": "007", "n": null, "t": true}\n')
    assert table.header == ["id", "n", "x", "t"]
    assert rows_of(table) == [["7", "3.0", "", ""], ["007", "", "a|b", "true"]]
    assert (table.nested, lines_of(table)) == (("o",), [1, 3])


def test_an_array_of_objects_is_a_table_whatever_the_ending(read):
    for name in ("a.json", "a.jsonl", "a.json.gz"):
        content = b'\n[{"id": 1},\n {"name": "x", "id": 2}]'
        table = read(name, gzip.compress(content, mtime=0) if name.endswith("gz") else content)
        assert rows_of(table) == [["1", ""], ["2", "x"]]
        assert table.place(1).endswith(", row 2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}\n{"a": \n', "line 2: not JSON (Expecting value in column 6)"),
        ('[{"a": 1},\n {"a" 1}]', "line 2: not JSON (Expecting ':' delimiter in column 7)"),
        ('{"a": 1}\n\n3\n', "line 3: a JSON value that is no object"),
        ('[{"a": 1}, "x"]', "row 2: a JSON value that is no object"),
        ('[{"a": 1}', "not JSON"),
        ('{"a": 1, "a": 2}', "line 1: not JSON (an object has the key 'a' twice)"),
        ('{"a": "x"}\n{"a": "\\ud800"}', "line 2: '\\ud800' is not valid Unicode"),
        ('{"\\ud800": []}', "line 1: '\\ud800' is not valid Unicode"),
        ('{"a": ' * 100_000, "line 1: not JSON (it is nested too deeply)"),
        ('{"nodes": [{}], "edges": [{}]}', "only nested values (nodes, edges)"),
        ("[]", "no rows"),
    ],
)
def test_bad_json_is_an_error_with_the_line(read, content, message):
    with pytest.raises(GraphError) as caught:
        read("a.json", content)
    assert message in str(caught.value)
