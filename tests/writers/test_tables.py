"""Judged triplets as TSV, CSV, JSON Lines and Parquet: readers of others read them, and hostile texts do nothing."""

import csv
import json
import re

import pyarrow as pa
import pytest
from helpers.judged import HOSTILE, METADATA, small_table, tables
from helpers.properties import for_all
from helpers.tiny import one_line
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from lass_hf.core.errors import LassError
from lass_hf.names.cells import cells_of, escape, texts_of, unescape
from lass_hf.writers.judged_triplets import NAMES, NOTES, TEXTS
from lass_hf.writers.tables import read_judged_triplets
from lass_hf.writers.writing import write_judged_triplets

FORMULA = re.compile("[ ']*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "parquet"])
def test_every_table_comes_back_as_it_was(format, tmp_path, request):
    file = tmp_path / f"rows.{format}"

    def check(table):
        write_judged_triplets(table, file, METADATA)
        rows, metadata = read_judged_triplets(file)
        assert rows.equals(table)
        assert metadata == METADATA
        return True

    for_all(request, 8, table=tables)(check)


@pytest.mark.parametrize(("format", "dialect"), [("tsv", "excel-tab"), ("tsv", "unquoted"), ("csv", "excel")])
def test_a_reader_of_csv_sees_each_row_and_no_formula(format, dialect, tmp_path, request):
    file = tmp_path / f"rows.{format}"
    quoting = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if dialect == "unquoted" else {"dialect": dialect}

    def check(table):
        write_judged_triplets(table, file, METADATA)
        with file.open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines, **quoting)
        assert header == table.column_names
        assert len(rows) == len(table)
        for row, expected in zip(rows, table.to_pylist(), strict=True):
            cells = dict(zip(header, row, strict=True))
            for name in (*NAMES, *TEXTS, *NOTES):
                assert not FORMULA.match(cells[name]) or cells[name].startswith("'")
                assert texts_of(pa.array([cells[name]], pa.large_string())).to_pylist() == [expected[name]] or (
                    format == "tsv" and cells[name].startswith("\\x22")
                )
            assert float(cells["score"]) == pytest.approx(expected["score"], rel=1e-6)
            assert float(cells["probability"] or -1) == (
                -1 if expected["probability"] is None else expected["probability"]
            )
        return len(rows)

    for_all(request, 6, table=tables)(check)


@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl", "kgx"])
def test_no_line_of_text_holds_what_a_terminal_obeys(format, tmp_path, request):
    file = tmp_path / "rows"

    def check(table):
        write_judged_triplets(table, file, METADATA, format)
        content = file.read_text(encoding="utf-8")
        assert not OBEYED.search(content)
        assert content.count("\n") == len(content.splitlines()) == len(table) + (format != "jsonl")
        assert not OBEYED.search((tmp_path / "rows.metadata.json").read_text(encoding="utf-8"))
        return True

    for_all(request, 6, table=tables)(check)


def test_lines_of_json_have_exact_texts_and_short_numbers(tmp_path):
    write_judged_triplets(small_table(head=["=x\x1b\u202e", "日本"]), tmp_path / "rows.jsonl", METADATA)
    text = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    first, second = map(json.loads, text.splitlines())
    assert first["head"] == "=x\x1b\u202e"
    assert "日本" in text
    assert (first["score"], first["probability"], first["reasons"]) == (0.1, 0.9, ["a neighbor eats it"])
    assert (second["known"], second["label"], second["rank"]) == (True, False, 2)


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl", "parquet"])
def test_a_table_without_the_columns_of_a_review_is_read(ending, tmp_path):
    """So are those that an earlier version wrote."""
    table = small_table(kind=["", ""], reviewer=["", ""])
    old, file = table.drop_columns(["kind", "reviewer"]), tmp_path / f"rows.{ending}"
    if ending == "parquet":
        parquet.write_table(old, file)
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in old.to_pylist()))
    else:
        flat = old.set_column(11, "reasons", pa.array(["a neighbor eats it", ""]))
        options = {"delimiter": "\t", "quoting_style": "none"} if ending == "tsv" else {}
        with file.open("wb") as handle:
            handle.write((options.get("delimiter", ",").join(old.column_names) + "\n").encode())
            arrow_csv.write_csv(flat, handle, arrow_csv.WriteOptions(include_header=False, **options))
    assert read_judged_triplets(file)[0].equals(table)


def test_parquet_has_exact_texts_types_and_the_metadata(tmp_path):
    table = small_table(head=["=x\x1b\u202e", "日本"])
    write_judged_triplets(table, tmp_path / "rows.parquet", METADATA)
    read = parquet.read_table(tmp_path / "rows.parquet")
    assert read.equals(table)
    assert json.loads(read.schema.metadata[b"lass_hf"])["model"] == "runs/m"
    assert not (tmp_path / "rows.parquet.metadata.json").exists()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain text, as it is", "plain text, as it is"),
        ("=1+1", "'=1+1"),
        ("-5", "'-5"),
        ("'=x", "''=x"),
        ("'t Hooft", "'t Hooft"),
        ("a;=1+1;b; c;-d", "a;'=1+1;b; c;'-d"),
        (r"\alpha", r"\alpha"),
        (r"\x41", r"\x5cx41"),
        ("a\tb\nc", r"a\x09b\x0ac"),
        ("\u202e", r"\u202e"),
    ],
)
def test_a_cell_says_what_it_must_and_no_more(text, cell):
    cells = cells_of(pa.array([text], pa.large_string()))
    assert cells.to_pylist() == [cell]
    assert texts_of(cells).to_pylist() == [text]


def test_escapes_can_be_undone():
    joined = [a + b for a in HOSTILE for b in HOSTILE]
    assert [unescape(escape(text)) for text in joined] == joined
    array = pa.array(joined, pa.large_string())
    assert texts_of(cells_of(array)).equals(array)


def test_a_table_that_people_edited_is_read(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("label,score,head,tail,relation,note\nTRUE,1,cat,'-5,eats,mine\n,2,dog,food,eats,\n")
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "none.csv")
    one_line(error, "none.csv: no such file")
    rows, metadata = read_judged_triplets(file)
    assert metadata is None
    assert rows["label"].to_pylist() == [True, None]
    assert rows["tail"].to_pylist() == ["-5", "food"]


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl", "parquet"])
def test_columns_of_people_are_left_alone_and_misspelled_ones_refused(ending, tmp_path):
    row, file = {"head": "a", "relation": "b", "tail": "c", "score": 1.0}, tmp_path / f"rows.{ending}"

    def write(row):
        if ending == "parquet":
            parquet.write_table(pa.Table.from_pylist([row]), file)
        elif ending == "jsonl":
            file.write_text(json.dumps(row) + "\n")
        else:
            mark = "\t" if ending == "tsv" else ","
            file.write_text("".join(mark.join(map(str, cells)) + "\n" for cells in (row, row.values())))

    write(row | {"note": "mine", "date": "today"})
    assert read_judged_triplets(file)[0]["tail"].to_pylist() == ["c"]
    for name, meant in (("probabilty", "probability"), ("Label", "label")):
        write(row | {name: 1})
        with pytest.raises(LassError) as error:
            read_judged_triplets(file)
        one_line(error, f"rows.{ending}: a column '{name}'; expected {meant}")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("head,relation,tail\na,b,c\n", ["rows.csv: no column 'score'"]),
        ("head,relation,tail,score\na,b,c,much\n", ["rows.csv", "much"]),
        ("head,relation,tail,score\na,b,c,1\na,,c,1\n", ["rows.csv, line 3: relation ''"]),
        ("head,relation,tail,score\na,b,c,nan\n", ["rows.csv, line 2: score nan"]),
        ("head,relation,tail,score\na,b\n", ["rows.csv: cannot be read as csv"]),
    ],
)
def test_a_damaged_table_is_refused_in_one_line(content, parts, tmp_path):
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "rows.csv")
    one_line(error, *parts)


@pytest.mark.parametrize("ending", ["tsv", "csv", "jsonl", "parquet"])
def test_a_row_of_megabytes_comes_back(ending, tmp_path):
    table = small_table(head_text=["a long text " * 2**18, ""])
    write_judged_triplets(table, tmp_path / f"rows.{ending}", METADATA)
    assert read_judged_triplets(tmp_path / f"rows.{ending}")[0].equals(table)


@pytest.mark.parametrize(("ending", "dialect"), [("tsv", "excel-tab"), ("csv", "excel")])
def test_every_table_comes_back_from_a_spreadsheet(ending, dialect, tmp_path, request):
    file = tmp_path / f"rows.{ending}"

    def check(table):
        write_judged_triplets(table, file, METADATA)
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines, dialect))
        with file.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines, dialect).writerows(rows)
        assert read_judged_triplets(file)[0].equals(table)
        return True

    for_all(request, 8, table=tables)(check)


@pytest.mark.parametrize(
    ("name", "mark", "encoding"),
    [
        ("rows.csv", ";", "utf-8-sig"),
        ("rows.tsv", "\t", "utf-16"),
        ("rows.csv", "\t", "utf-8"),
        ("rows.tsv", ";", "utf-16"),
    ],
)
def test_a_table_of_a_european_spreadsheet_is_read(name, mark, encoding, tmp_path):
    file, texts = tmp_path / name, ["cat, a small; animal", 'the "dog"']
    write_judged_triplets(small_table(head_text=texts), tmp_path / "own.csv", METADATA)
    with (tmp_path / "own.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    expected = read_judged_triplets(tmp_path / "own.csv")[0]

    def write(**changed):
        with file.open("w", encoding=encoding, newline="") as lines:
            writer = csv.DictWriter(lines, rows[0], delimiter=mark)
            writer.writeheader()
            for row in rows:
                numbers = {key: row[key].replace(".", ",") for key in ("score", "probability")}
                writer.writerow(row | numbers | changed)

    write()
    assert read_judged_triplets(file)[0].equals(expected)
    write(score="much")
    with pytest.raises(LassError) as error:
        read_judged_triplets(file)
    one_line(error, f"{name}, line 2: score 'much'; expected a number")
    write(known="FALSCH")  # which is not read with decisions
    assert read_judged_triplets(file, needed="label")[0]["label"].equals(expected["label"])
    with pytest.raises(LassError) as error:
        read_judged_triplets(file)
    one_line(
        error, "known 'FALSCH'; expected true, false or nothing, or 1 and 0 where a spreadsheet has words of its own"
    )


def test_a_table_in_another_encoding_says_how_to_save_it(tmp_path):
    (tmp_path / "rows.csv").write_bytes("head;relation;tail;label\nKöln;in;Europa;1\n".encode("cp1252"))
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "rows.csv", needed="label")
    one_line(error, "rows.csv, line 2: not UTF-8", "save the file as UTF-8, in Excel as 'CSV UTF-8'")


@pytest.mark.parametrize(("ending", "mark"), [("tsv", "\t"), ("csv", ",")])
def test_an_error_behind_empty_rows_names_the_line(ending, mark, tmp_path):
    rows = [["head", "relation", "tail", "score"], [], ["a", "b", "c", "1"], ["a", "b", "c", "nan"], [" "] * 4]
    (tmp_path / f"rows.{ending}").write_text("".join(mark.join(row) + "\n" for row in rows))
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / f"rows.{ending}")
    one_line(error, f"rows.{ending}, line 5: score ' '")
    (tmp_path / f"rows.{ending}").write_text(f"head{mark}relation{mark}tail{mark}score\n{mark * 3}\n")
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / f"rows.{ending}")
    one_line(error, f"rows.{ending}, line 2: score None")


@pytest.mark.parametrize(
    ("line", "fault"), [('{"head": "a",}', "not JSON ("), ("5", "no object"), ("[1]", "no object"), ("[" * 9999, "not")]
)
def test_a_line_that_is_no_json_object_is_named(line, fault, tmp_path):
    row = '{"head": "a", "relation": "b", "tail": "c", "score": 1}'
    (tmp_path / "rows.jsonl").write_text("\n".join([row, "", row, line, row]))
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "rows.jsonl")
    message = one_line(error, f"rows.jsonl, line 4: {fault}", "expected a JSON object")
    assert "line 1" not in message


@pytest.mark.parametrize(
    ("content", "part"), [("{", "not the metadata"), ("[]", "no JSON object"), ('{"model": 1}', "model is of type int")]
)
def test_damaged_metadata_are_refused(content, part, tmp_path):
    write_judged_triplets(small_table(), tmp_path / "rows.tsv", METADATA)
    (tmp_path / "rows.tsv.metadata.json").write_text(content)
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "rows.tsv")
    one_line(error, "rows.tsv.metadata.json: ", part)


def test_a_format_that_is_not_read_back_is_named(tmp_path):
    with pytest.raises(LassError) as error:
        read_judged_triplets(tmp_path / "rows.obo")
    one_line(error, "obo is not read back")
