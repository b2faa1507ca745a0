"""Files of other formats that the package reads, damaged in seeded ways: other contents, or one line that says why not.

They carry no digest, so a change can be another valid content: faults are errors of another kind than LassError, hangs
and impossible contents. `pytest tests/robustness --mutations 5000 -rP` damages more files, and shows the counts.
"""

import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.mutations import Change, Hangs, change_json, change_json_line, change_lines, mutated, no_hang

from lass_hf.core.errors import LassError
from lass_hf.core.vocabulary import BLANKS
from lass_hf.formats.graph_tables import read_graph_tables
from lass_hf.formats.reading import read_source
from lass_hf.formats.table_files import read_table
from lass_hf.names.source import ReadingOptions

LONGEST_LINE = 1000
CSV = b"""#version: 1
subject,predicate,object,note
Q1,capital,"Q2, ""the"" city","two
lines"
Q3,borders,Q1,\xd7\x90\xf0\x9f\x98\x80
"Q3","capital",007,""
"""
LINES = [
    {"id": "Q1", "category": ["a", "b"], "n": 7},
    {"id": "Q2", "name": "x", "o": {"y": [1]}},
    {"id": "Q3", "n": 0.5},
]


def parquet() -> bytes:
    columns = {"id": ["Q1", "Q2", None], "n": [1, 2, 3], "x": [0.5, None, 1.0], "l": [["a", "b"], [], None]}
    pq.write_table(pa.table(columns | {"words": pa.array(["é"] * 3).dictionary_encode()}), stream := io.BytesIO())
    return stream.getvalue()


def read_checked_table(path: Path) -> None:
    """Reads a table, which must hold strings under different names; its rows must be in lines of the file."""
    table = read_table(path)
    table.columns.validate(full=True)
    assert table.columns.column_names == table.header
    assert len(set(table.header)) == len(table.header) > 0
    assert all(name.strip(BLANKS) == name != "" for name in table.header)
    assert set(table.columns.schema.types) == {pa.large_string()}
    assert all(column.null_count == 0 for column in table.columns)
    places = [table.place(row) for row in range(len(table))]
    assert len(set(places)) == len(places) > 0


def read_checked_graph(path: Path) -> None:
    """Reads a graph from a table; its names must be trimmed and its ids all different."""
    source = read_graph_tables(path, ReadingOptions())
    ids = source.entities["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    used = [split.names[code].as_py() for split in source.splits.values() for code in split.codes.ravel().tolist()]
    assert all(name.strip(BLANKS) == name != "" for name in [*ids, *used])
    assert used


class Sample(NamedTuple):
    """A small file of one format: its content, the changes that know what is in it, and how it is read and checked."""

    content: bytes
    changes: list[Change]
    read: Callable[[Path], Any] = read_checked_table


OBO = b"""format-version: 1.2
import: other.owl
! words
[Term]
id: A:1
name: one\\, \xc3\xa9
def: "The \\"first\\"." [A:ref]
synonym: "uno" EXACT []
alt_id: A:101
is_a: A:2 {source="x"} ! two
relationship: part_of A:101

[Term]
id: A:2
is_obsolete: true

[Typedef]
id: part_of
name: part of

[Instance]
id: I:1
"""
OBOGRAPHS = {
    "graphs": [
        {
            "nodes": [
                {
                    "id": "http://purl.obolibrary.org/obo/A_1",
                    "lbl": "one",
                    "type": "CLASS",
                    "meta": {
                        "definition": {"val": "The first."},
                        "synonyms": [{"pred": "hasExactSynonym", "val": "uno"}],
                        "xrefs": [{"val": "B:1"}],
                        "basicPropertyValues": [{"pred": "http://example.org/p", "val": "x"}],
                    },
                }
            ],
            "edges": [{"sub": "http://purl.obolibrary.org/obo/A_1", "pred": "is_a", "obj": "A_2"}],
        }
    ]
}


def read_checked_source(path: Path) -> None:
    """Reads a source of any format, whose names must be texts."""
    source = read_source(path)
    for split in source.splits.values():
        assert len(split.codes) > 0
        assert all(name.strip(BLANKS) == name != "" for name in split.names.to_pylist())
    ids = source.entities["id"].to_pylist()
    assert len(set(ids)) == len(ids)


SAMPLES = {
    "terms.obo": Sample(OBO, [change_lines], read_checked_source),
    "terms.json": Sample(json.dumps(OBOGRAPHS).encode(), [change_json], read_checked_source),
    "edges.csv": Sample(CSV, [change_lines]),
    "edges.tsv": Sample(CSV.replace(b",", b"\t"), [change_lines]),
    "graph.csv": Sample(CSV.replace(b"note", b"object_name"), [change_lines], read_checked_graph),
    "edges.csv.gz": Sample(gzip.compress(CSV, mtime=0), []),
    "utf_16.txt": Sample(CSV.decode().replace(",", ";").encode("utf-16"), []),
    "nodes.jsonl": Sample(b"\n".join(json.dumps(line).encode() for line in LINES), [change_json_line, change_lines]),
    "nodes.json": Sample(json.dumps(LINES).encode(), [change_json]),
    "nodes.parquet": Sample(parquet(), []),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_source_has_other_contents_or_one_line(name, tmp_path, request):
    content, changes, read = SAMPLES[name]
    (tmp_path / name).write_bytes(content)
    read(tmp_path / name)
    faults, counts = [], Counter()
    for number in range(-(-request.config.getoption("--mutations") // len(SAMPLES))):
        fault = None
        with mutated(tmp_path / name, changes, Random(f"{name} {number}")) as change:
            try:
                with no_hang():
                    read(tmp_path / name)
            except LassError as error:
                outcome, line = "an error of one line", str(error)
                if len(line.splitlines()) != 1 or len(line) > LONGEST_LINE:
                    fault = f"{len(line)} letters: {line[:200]!r}"
            except (Exception, Hangs) as error:
                fault = f"{type(error).__name__}: {str(error)[:200]!r}"
            else:
                outcome = "valid content"
        counts[outcome if fault is None else "a fault"] += 1
        if fault is not None:
            faults.append(f"mutation {number}, {change}: {fault}")
    print(f"{name}: {counts.total()} mutations: {dict(counts)}")
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)
