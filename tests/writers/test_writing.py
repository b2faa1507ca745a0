"""Files of judged triplets as a whole: formats by name, metadata, streams of chunks, and nothing half."""

import json
import os
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest
from helpers.judged import METADATA, small_table
from helpers.tiny import one_line

from lass_hf.core.errors import LassError
from lass_hf.writers import judged_triplets as module
from lass_hf.writers.file_formats import FORMATS, format_of
from lass_hf.writers.judged_triplets import FileMetadata, chunks_of, judged_schema, judged_triplets
from lass_hf.writers.tables import read_judged_triplets
from lass_hf.writers.writing import write_judged_triplets


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("a.tsv", "tsv"),
        ("a.kgx.tsv", "kgx"),
        ("a.SSSOM.tsv", "sssom"),
        ("my.kgx/a.tsv", "tsv"),
        ("a.nt", "ntriples"),
        ("a.ttl", "turtle"),
    ],
)
def test_the_ending_says_the_format(file, format):
    assert format_of(file) == format


def test_a_given_format_comes_before_the_ending():
    assert format_of("a.tsv", "kgx") == "kgx"
    with pytest.raises(LassError) as error:
        format_of("a.tsv", "word")
    one_line(error, "'word'", *FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_rows_in_many_tables_make_the_file_of_one_table(format, tmp_path, monkeypatch):
    table = pa.concat_tables([small_table(relation=["skos:exactMatch"] * 2, label=[True, True])] * 6)
    write_judged_triplets(table, tmp_path / "one", METADATA, format)
    monkeypatch.setattr(module, "CHUNK_ROWS", 5)
    written = write_judged_triplets(table.to_batches(max_chunksize=3), tmp_path / "many", METADATA, format)
    assert (written.rows, written.left_out) == (12, [])
    if format == "parquet":
        assert read_judged_triplets(tmp_path / "many", format)[0].equals(table.combine_chunks())
    else:
        assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


def test_a_stream_of_tables_is_read_one_after_the_other(tmp_path):
    alive = []

    def tables():
        for number in range(5):
            alive.append(number)
            yield small_table(rank=[number, number])

    sizes = [(len(chunk), len(alive)) for chunk in chunks_of(tables())]
    assert sizes == [(2, number) for number in range(1, 6)]


def test_long_texts_make_small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    table = small_table(head_text=["x" * 2000] * 2)
    assert [len(chunk) for chunk in chunks_of(table)] == [1, 1]
    assert [len(chunk) for chunk in chunks_of(judged_triplets(head=["a"], relation=["r"], tail=["b"], score=[1]))] == [
        1
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_an_error_among_the_rows_leaves_the_earlier_file(format, tmp_path):
    good = small_table(relation=["skos:exactMatch"] * 2, label=[True, True])
    write_judged_triplets(good, tmp_path / "rows", METADATA, format)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def tables():
        yield good
        raise LassError("the next chunk is not there")

    with pytest.raises(LassError, match="the next chunk"):
        write_judged_triplets(tables(), tmp_path / "rows", FileMetadata("other"), format)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("format", [name for name, one in FORMATS.items() if one.has_sidecar])
def test_the_metadata_stand_beside_the_file(format, tmp_path):
    write_judged_triplets(small_table(), tmp_path / "rows", METADATA, format)
    content = json.loads((tmp_path / "rows.metadata.json").read_text())
    assert content == {
        "model": "runs/m",
        "model_revision": None,
        "graph": "my_graph",
        "graph_digest": "ab12",
        "settings": METADATA.settings,
        "date": METADATA.date,
        "version": METADATA.version,
    }


def test_no_file_stands_beside_the_metadata_of_another(tmp_path, monkeypatch):
    write_judged_triplets(small_table(), tmp_path / "rows.tsv", METADATA)
    monkeypatch.setattr("lass_hf.writers.writing.write_whole", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_judged_triplets(small_table(rank=[3, 4]), tmp_path / "rows.tsv", FileMetadata("other"))
    rows, metadata = read_judged_triplets(tmp_path / "rows.tsv")
    assert rows["rank"].to_pylist() == [3, 4]
    assert metadata is None


def test_others_wait_until_the_metadata_stand_beside_the_file(tmp_path, monkeypatch):
    fcntl, names = pytest.importorskip("fcntl"), []

    def write(file, content):
        handle = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # the lock that another process would wait for
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        names.append(file.name)

    monkeypatch.setattr("lass_hf.writers.writing.write_whole", write)
    write_judged_triplets(small_table(), tmp_path / "rows.tsv", METADATA)
    assert names == ["rows.tsv.metadata.json"]
    monkeypatch.undo()
    write_judged_triplets(small_table(), tmp_path / "rows.tsv", METADATA)  # the lock has ended


@pytest.mark.parametrize("format", ["tsv", "parquet", "ntriples", "obo"])
def test_a_pipe_gets_the_rows_and_no_file_beside_it(format, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_judged_triplets(small_table(), tmp_path / "pipe", METADATA, format)
    reader.join()
    write_judged_triplets(small_table(), tmp_path / "file", METADATA, format)
    assert read == [(tmp_path / "file").read_bytes()]
    assert not (tmp_path / "pipe.metadata.json").exists()


def test_the_run_is_named_after_its_metadata():
    assert METADATA.run == FileMetadata.from_json(METADATA.as_json(), "file").run
    assert METADATA.run != FileMetadata("runs/other").run


def test_runs_of_one_second_have_different_names(monkeypatch):
    times = (datetime(2026, 1, 1, 12, 0, 0, microsecond, UTC) for microsecond in (0, 1))
    monkeypatch.setattr(module, "datetime", SimpleNamespace(now=lambda zone: next(times)))
    one, other = FileMetadata("runs/m"), FileMetadata("runs/m")
    assert one.run != other.run
    assert one.date == "2026-01-01T12:00:00.000000+00:00"


def test_missing_columns_are_unknown():
    table = judged_triplets(head=["a"], relation=["r"], tail=["b"], score=[1])
    assert table.schema == judged_schema()
    assert table.to_pylist() == [
        {
            **{"head": "a", "relation": "r", "tail": "b", "head_text": "", "relation_text": "", "tail_text": ""},
            **{"score": 1.0, "probability": None, "rank": None, "known": None, "label": None},
            **{"kind": "", "reviewer": "", "reasons": []},
        }
    ]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"score": [1, float("inf")]}, ["row 2: score inf", "finite"]),
        ({"probability": [0.5, 1.5]}, ["row 2: probability 1.5", "0 to 1"]),
        ({"probability": [float("nan"), 1]}, ["row 1: probability nan"]),
        ({"head": ["", "b"]}, ["row 1: head ''", "an id"]),
        ({"tail": ["b", None]}, ["row 2: tail None", "a value"]),
        ({"relation": [1, 2]}, ["row 1: relation 1; expected a text"]),
        ({"head": ["\ud800", "b"]}, ["row 1: head ", "expected a text"]),
        ({"score": [1]}, ["column score: 1 rows, expected 2"]),
        ({"reasons": [["a", ""], []]}, ["an empty reason"]),
        ({"note": ["a", "b"]}, ["a column 'note'"]),
    ],
)
def test_a_row_that_is_none_is_refused_with_its_number(columns, parts):
    with pytest.raises(LassError) as error:
        small_table(**columns)
    one_line(error, *parts)


def test_a_column_that_is_needed_is_named():
    with pytest.raises(LassError) as error:
        judged_triplets(head=["a"], relation=["r"], tail=["b"])
    one_line(error, "no column 'score'")


@pytest.mark.parametrize("name", ["rows.tsv", "rows.tsv.metadata.json", "rows.jsonl", "rows.parquet"])
def test_no_reader_waits_for_a_pipe(name, tmp_path):
    file = tmp_path / name.removesuffix(".metadata.json")
    write_judged_triplets(small_table(), file, METADATA)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(LassError, match="no regular file"):
        read_judged_triplets(file)
