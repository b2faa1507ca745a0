"""Writes and reads judged triplets as tables: TSV, CSV, JSON Lines and Parquet."""

import io
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..core.errors import LassError, first_line, library_errors
from ..formats.table_files import read_text_bytes
from ..names.cells import cells_of, cells_of_lists, lists_of, texts_of, unquoted
from ..utils.checked_files import read_text
from .file_formats import FORMATS, format_of, sidecar_of
from .judged_triplets import NAMES, NOTES, TEXTS, FileMetadata, RowError, judged_schema, judged_triplets, short_doubles

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLE = {"head": "cat", "relation": "eats", "tail": "mouse", "score": "0.5", "label": "true"}
METADATA_KEY = b"lass_hf"  # in the schema of a Parquet file
# What JSON may hold as it is, and a terminal or a reader of lines obeys.
_OBEYED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def as_cells(chunk: "pa.Table") -> dict[str, Any]:
    """Returns the columns of a chunk with texts that are safe in cells, and numbers as they are."""
    chunk = chunk.combine_chunks()
    columns = {name: column.chunk(0) for name, column in zip(chunk.column_names, chunk.columns, strict=True)}
    return {
        **columns,
        **{name: cells_of(columns[name]) for name in (*NAMES, *TEXTS, *NOTES)},
        "reasons": cells_of_lists(columns["reasons"]),
    }


def write_tsv_lines(columns: dict[str, Any], handle: BinaryIO) -> None:
    r"""Writes one line for each row, without quotes: no cell has a tab or a newline.

    Args:
        columns: Arrow arrays of one length. A cell that begins with a quotation mark gets `\x22` for it, so that
            readers that know quotes read the same as those that do not.
        handle: what is written to.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = []
    for column in columns.values():
        strings = column.cast(pa.large_string())
        if pa.types.is_large_string(column.type):
            strings = pc.replace_substring_regex(strings, '^"', "\\\\x22")
        texts.append(strings)
    tab, end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\t", "\n", ""))
    replaced = {"null_handling": "replace", "null_replacement": ""}
    texts[-1] = pc.binary_join_element_wise(texts[-1], end, nothing, **replaced)
    lines = pc.binary_join_element_wise(*texts, tab, **replaced)
    _, offsets, data = lines.buffers()
    if data is not None:
        ends = memoryview(offsets).cast("q")
        handle.write(memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]])


def write_tsv(chunks: "Iterator[pa.Table]", handle: BinaryIO) -> None:
    """Writes a TSV file with a header line."""
    handle.write(("\t".join(judged_schema().names) + "\n").encode())
    for chunk in chunks:
        write_tsv_lines(as_cells(chunk), handle)


def write_csv(chunks: "Iterator[pa.Table]", handle: BinaryIO) -> None:
    """Writes a CSV file with a header line; texts are quoted, numbers are not."""
    import pyarrow as pa
    from pyarrow import csv

    reasons = pa.field("reasons", pa.large_string())
    schema = judged_schema().set(judged_schema().get_field_index("reasons"), reasons)
    with csv.CSVWriter(handle, schema) as writer:
        for chunk in chunks:
            writer.write_table(pa.table(as_cells(chunk), schema=schema))


def write_jsonl(chunks: "Iterator[pa.Table]", handle: BinaryIO) -> None:
    """Writes a JSON object for each row, in a line."""
    for chunk in chunks:
        rows = chunk.set_column(chunk.column_names.index("score"), "score", short_doubles(chunk["score"])).to_pylist()
        lines = "\n".join([json.dumps(row, ensure_ascii=False) for row in rows])
        handle.write((_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", lines) + "\n").encode())


def write_parquet(chunks: "Iterator[pa.Table]", handle: BinaryIO, metadata: FileMetadata) -> None:
    """Writes a Parquet file, with the metadata in its schema."""
    from pyarrow import parquet

    schema = judged_schema().with_metadata({METADATA_KEY: metadata.as_json()})
    with parquet.ParquetWriter(handle, schema, compression="zstd") as writer:
        for chunk in chunks:
            writer.write_table(chunk.replace_schema_metadata(schema.metadata))


def read_judged_triplets(
    file: str | Path, format: str | None = None, needed: str = "score"
) -> "tuple[pa.Table, FileMetadata | None]":
    """Reads judged triplets of a TSV, CSV, JSON Lines or Parquet file that `write_judged_triplets` wrote.

    Args:
        file: the file; people may have edited it, put its columns in another order and added columns of their own,
            which are not read, or written it themselves. Text may be as spreadsheets of any country save it: with
            commas, semicolons or tabs between columns, decimal commas beside the other two, in UTF-8 or UTF-16.
        format: the name of its format, if its ending does not say it.
        needed: the column that must be there beside `head`, `relation` and `tail`: "score", or "label" in a file of
            which these four alone are read, and the scores are 0.

    Returns:
        The rows, and the metadata; None without the file beside it that holds them.

    Raises:
        LassError: the file cannot be read, lacks a column, or has a misspelled one or another value; the message has
            the place of a value.
    """
    kind = format_of(file, format)
    if kind not in ("tsv", "csv", "jsonl", "parquet"):
        raise LassError(f"{file}: {kind} is not read back; expected TSV, CSV, JSON Lines or Parquet")
    if Path(file).exists() and not Path(file).is_file():
        raise LassError(f"{file}: no regular file; expected one that lass-hf wrote")
    if not Path(file).exists():
        raise LassError(f"{file}: no such file")
    if kind != "jsonl" and not Path(file).stat().st_size:  # JSON Lines without rows is empty
        raise LassError(f"{file}: the file is empty")
    with library_errors(f"{file}: cannot be read as {kind}", "", LassError):
        columns, names, metadata = (_read_parquet if kind == "parquet" else _read_text)(Path(file), kind)
        place = sidecar_of(file) if FORMATS[kind].has_sidecar else Path(file)
        if place != Path(file) and place.exists():
            metadata = read_text(place)  # which does not wait for a pipe
    if needed == "label" and kind == "jsonl" and "decision" in names and "label" not in names:
        other = Path(file).with_suffix(".tsv")
        raise LassError(f"{file}: each decision of a review; expected what they come to: {other}, or an --export")
    if missing := [name for name in (*NAMES, needed) if name not in names]:
        example = ", ".join(f"{name} {EXAMPLE[name]}" for name in (*NAMES, needed))
        raise LassError(
            f"{file}: no column {missing[0]!r} among {', '.join(map(repr, names)):.200}; expected head, relation, tail "
            f"and {needed} at least, named in the first line or in each object, such as {example}"
        )
    _refuse_misspelled(file, names)
    read = judged_schema().names if needed == "score" else (*NAMES, needed)
    columns = {name: values for name, values in columns.items() if name in read}
    columns.setdefault("score", [0.0] * len(columns["head"]))
    try:
        rows = judged_triplets(**columns)
    except RowError as error:
        raise LassError(f"{place_of_row(file, kind, error.row)}: {error.what}") from None
    except LassError as error:
        raise LassError(f"{file}: {error}") from None
    return rows, None if metadata is None else FileMetadata.from_json(metadata, place)


def _refuse_misspelled(file: str | Path, names: list[str]) -> None:
    """Raises LassError for a column that is called nearly as one that is missing, for it would not be read."""
    missing = [name for name in judged_schema().names if name not in names]
    for name in names:
        if name not in judged_schema().names and (meant := get_close_matches(name.lower(), missing, 1, 0.8)):
            raise LassError(f"{file}: a column {name!r:.60}; expected {meant[0]}, or another name if it is your own")


def place_of_row(file: str | Path, kind: str, row: int) -> str:
    """Returns the file and the line of a row, which readers of tables do not tell; of a Parquet file, the row.

    Args:
        file: the file.
        kind: the name of its format.
        row: the row, from 0.
    """
    if kind == "parquet":
        return f"{file}, row {row + 1}"
    text = read_text_bytes(Path(file)).decode()
    lines = io.StringIO(text, newline=None)  # any ends of lines, as the readers take them
    blanks = None if kind == "jsonl" else "\r\n"  # in a table, a line of tabs is a row
    numbers = [number for number, line in enumerate(lines, 1) if line.strip(blanks)]
    position = row + (kind != "jsonl")
    return f"{file}, line {numbers[position]}" if position < len(numbers) else f"{file}, row {row + 1}"


def _read_parquet(file: Path, kind: str) -> tuple[dict[str, Any], list[str], str | bytes | None]:
    from pyarrow import parquet

    table = parquet.read_table(file)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return columns, table.column_names, (table.schema.metadata or {}).get(METADATA_KEY)


def _read_text(file: Path, kind: str) -> tuple[dict[str, Any], list[str], str | bytes | None]:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    if kind == "jsonl":
        with file.open(encoding="utf-8", newline="\n") as lines:
            rows = [_object_of(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]
        # Files of people and of earlier versions have few columns, and one without rows has any.
        found = list(dict.fromkeys(name for row in rows for name in row)) or judged_schema().names
        return {name: [row.get(name) for row in rows] for name in judged_schema().names if name in found}, found, None
    data = read_text_bytes(file)
    header = re.split(rb"[\r\n]", data.lstrip(b"\r\n"), maxsplit=1)[0]
    mark = "\t" if b"\t" in header else ";" if header.count(b";") > header.count(b",") else ","
    parsing = csv.ParseOptions(delimiter=mark, quote_char=False if mark == "\t" else '"')
    types = dict.fromkeys(judged_schema().names, pa.large_string())
    size = min(2**31 - 1, max(2**20, len(data)))  # no row is longer than a block
    converting = csv.ConvertOptions(column_types=types)
    table = csv.read_csv(pa.BufferReader(data), csv.ReadOptions(block_size=size), parsing, converting)
    columns = {}
    for one in judged_schema():
        if one.name in table.column_names:
            cells = table[one.name].combine_chunks()
            cells = unquoted(cells) if mark == "\t" else cells
            if mark != "," and pa.types.is_floating(one.type):
                cells = pc.replace_substring_regex(cells, "^([^.,]*),([^.,]*)$", r"\1.\2")
            if one.name == "reasons":
                columns[one.name] = lists_of(cells)
            elif one.name in (*NAMES, *TEXTS, *NOTES):
                columns[one.name] = texts_of(cells)
            else:
                columns[one.name] = pc.if_else(pc.equal(cells, ""), None, cells)
    return columns, table.column_names, None


def _object_of(file: Path, number: int, line: str) -> dict[str, Any]:
    """Returns the JSON object in a line."""
    fault = "no object"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        row, fault = None, f"not JSON ({error.msg} in column {error.colno})"
    except (ValueError, RecursionError) as error:  # too many digits, or too deep
        row, fault = None, f"not JSON ({first_line(error)})"
    if not isinstance(row, dict):
        raise LassError(f"{file}, line {number}: {fault}; expected a JSON object")
    return row
