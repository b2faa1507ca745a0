"""Reads tables of any format that people keep graphs in: separated values, Parquet, JSON Lines, JSON.

All values become strings, as they are in the file. What the columns mean is decided elsewhere (`column_roles.py`).
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError, library_errors
from ..core.vocabulary import BLANKS, SHOWN, escaped, shown
from ..names.cells import texts_of
from ..names.own_headers import is_own_header
from .delimited_files import parse_delimited
from .detection import gzip_errors
from .text_files import check_text

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = 2**53  # up to here, a decimal number that is whole is a certain integer
JOINED_BY = "|"  # the values of a list, as KGX writes them into its tables
BATCH = 2**12  # JSON objects that are Python objects at one time
OBJECTS = re.compile(rb'\s*(?:\[\s*)?\{\s*["}]')  # how JSON begins that has objects as rows
Header = bool | Callable[[list[str]], bool]


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Attributes:
        path: the file.
        header: the names of the columns without blanks around them, all different; with no header "1", "2", ...
        columns: Arrow table of large strings with these names. No value is null; "" is a missing one.
        has_header: whether the file names its columns.
        nested: the names of columns that hold objects or lists of such; they are not in `columns`.
        line_of: returns the line of a row, counted from 0; None for files without lines.
    """

    path: Path
    header: list[str]
    columns: "pa.Table"
    has_header: bool = True
    nested: tuple[str, ...] = ()
    line_of: Callable[[int], int] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def select(self, rows: np.ndarray, header: list[str]) -> "Table":
        """Returns some rows, by their numbers, and some columns of the table."""
        line_of = self.line_of
        line_of_selected = (lambda row: line_of(int(rows[row]))) if line_of else None
        return replace(self, header=header, columns=self.columns.select(header).take(rows), line_of=line_of_selected)

    def place(self, row: int) -> str:
        """Names the file and the line of a row, counted from 0, to begin an error message."""
        return f"{self.path}, " + (f"line {self.line_of(row)}" if self.line_of else f"row {row + 1}")


def read_table(path: str | Path, header: Header = True) -> Table:
    """Reads one table.

    Args:
        path: a file of separated values, JSON Lines or JSON, gzipped or not; or a Parquet file.
        header: whether the first row of separated values has the names of the columns; or a function that decides it
            from that row.

    Returns:
        The table. A decimal number of Parquet that is whole has no point: pandas writes integers so if one is missing.

    Raises:
        GraphError: the file cannot be read, is damaged, or has no rows; the message names the line or row.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if _begins_with(path, b"PAR1") or name.endswith(".parquet"):
        table = _read_parquet(path)
    elif OBJECTS.match(data := read_text_bytes(path)) or name.endswith((".jsonl", ".ndjson", ".json")):
        table = _read_json(path, data)
    else:
        table = _read_delimited(path, data, header)
    if table.nested and not table.header:
        raise GraphError(
            f"{path}: only nested values ({', '.join(table.nested[:SHOWN])}); expected columns of strings: "
            "a list of objects, or an object in each line"
        )
    if not len(table):
        raise GraphError(f"{path}: no rows; expected a table with at least one row")
    return table


def read_text_bytes(path: Path) -> bytes:
    """Reads a text file, gzipped or not.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte-order mark as Excel writes it.

    Returns:
        The text in UTF-8, without byte-order mark.

    Raises:
        GraphError: the file cannot be read, is cut off, has no text or another encoding; the message names the line.
    """
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        with gzip_errors(path):
            data = gzip.decompress(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise GraphError(f"{path}: UTF-16 that is damaged ({error.reason}); save the file as UTF-8") from None
    data = check_text(path, data)
    if not data or data.isspace():
        raise GraphError(f"{path}: the file is empty")
    return data


def _begins_with(path: Path, signature: bytes) -> bool:
    if path.exists() and not path.is_file():
        raise GraphError(f"{path}: cannot be read (it is no regular file)")
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) == signature
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror})") from None


def check_names(place: str, names: list[str]) -> list[str]:
    """Trims the names of columns; one without a name is called by its number: pandas writes its index so.

    Args:
        place: the file and the line, for the message of an error.
        names: the names as the file has them.

    Raises:
        GraphError: a name is there twice.
    """
    trimmed = [name.strip(BLANKS) or f"column {number}" for number, name in enumerate(names, start=1)]
    for number, name in enumerate(trimmed):
        if (first := trimmed.index(name)) < number:
            raise GraphError(
                f"{place}: columns {first + 1} and {number + 1} are both named {escaped(name)}; rename one"
            )
    return trimmed


def _read_delimited(path: Path, data: bytes, header: Header) -> Table:
    """Reads separated values; a header can begin with #. In tables of this package, cells become the texts again."""
    import pyarrow as pa

    table, line_of = parse_delimited(path, data)
    first = [column[0].as_py().strip(BLANKS) for column in table.columns]
    first[0] = first[0].removeprefix("#") or first[0]
    if not (header if isinstance(header, bool) else header(first)):
        return Table(path, table.column_names, table, False, (), line_of)
    names = check_names(f"{path}, line {line_of(0)}", first)
    rows = table.slice(1).rename_columns(names)
    if is_own_header(names):
        rows = pa.table([texts_of(column.combine_chunks()) for column in rows.columns], names=names)
    return Table(path, names, rows, True, (), lambda row: line_of(row + 1))


# Parquet


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    hint = "; expected a whole file: write it again"
    with library_errors(f"{path}: cannot be read as Parquet", hint, GraphError):
        dataset = pq.ParquetDataset(path)
        nested = tuple(field.name for field in dataset.schema if is_nested(field.type))
        table = dataset.read([name for name in dataset.schema.names if name not in nested])
    return to_table(path, table, nested)


def to_table(path: Path, table: "pa.Table", nested: tuple[str, ...] = ()) -> Table:
    """Makes a table of strings of an Arrow table whose columns are not nested.

    Raises:
        GraphError: two columns have the same name, or the values of one cannot be written as text.
    """
    import pyarrow as pa

    header, columns = check_names(str(path), table.column_names), []
    for name, column in zip(header, table.columns, strict=True):
        with library_errors(f"{path}: column {escaped(name)} cannot be read as text", kind=GraphError):
            columns.append(_to_strings(column))
            columns[-1].validate(full=True)
    return Table(path, header, pa.table(columns, names=header), nested=nested)


def is_nested(kind: "pa.DataType") -> bool:
    """Checks whether values are neither strings, numbers or dates, nor lists of such."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return pa.types.is_nested(kind) or (pa.types.is_dictionary(kind) and pa.types.is_nested(kind.value_type))


def _to_strings(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.binary_join(column.cast(pa.large_list(pa.large_string())), pa.scalar(JOINED_BY, pa.large_string()))
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        numbers = column.cast(pa.float64())
        is_whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less_equal(pc.abs(numbers), WHOLE))
        whole = pc.if_else(is_whole, numbers, None).cast(pa.int64())  # Arrow writes large ones as 1.2345678901e+10
        return pc.coalesce(whole.cast(pa.large_string()), column.cast(pa.large_string())).fill_null("")
    return column.cast(pa.large_string()).fill_null("")


# JSON


def _read_json(path: Path, data: bytes) -> Table:
    """Reads objects: one in a line, or all in one array."""
    if data[:1000].lstrip().startswith(b"["):
        return _table_of_objects(path, enumerate(_parse_json(path, data, 1), start=1), is_lines=False)
    return _table_of_objects(path, _objects_in_lines(path, data), is_lines=True)


def read_json_graph(path: Path) -> list[Table]:
    """Reads the nodes and the edges of a JSON object, as KGX, networkx, D3 and Cytoscape write it.

    Args:
        path: the file, gzipped or not.

    Returns:
        The table of nodes, if there is one, and that of edges.

    Raises:
        GraphError: the file cannot be read, is damaged, or has no edges.
    """
    graph = _parse_json(path, read_text_bytes(path), 1)
    graph = graph.get("elements", graph) if isinstance(graph, dict) else {}
    graph = graph if isinstance(graph, dict) else {}
    parts = [part for key in ("nodes", "edges", "links") if isinstance(part := graph.get(key), list) and part]
    if not graph.get("edges") and not graph.get("links"):
        raise GraphError(f"{path}: a JSON object without edges; expected a list of objects as its edges (or links)")
    return [_table_of_objects(path, enumerate(map(_without_wrapper, part), start=1), is_lines=False) for part in parts]


def _without_wrapper(one: Any) -> Any:
    """Returns the data of an element of Cytoscape."""
    data = one.get("data") if isinstance(one, dict) else None
    return data if isinstance(data, dict) and {"id", "source"} & data.keys() else one


def _table_of_objects(path: Path, objects: Iterator[tuple[int, Any]], is_lines: bool) -> Table:
    """Makes a table of objects, each with the number of its line or row."""
    import pyarrow as pa

    numbers: list[int] = []
    names: dict[str, None] = {}
    nested: dict[str, None] = {}
    batches = []
    while batch := list(islice(objects, BATCH)):
        place = f"{path}, {'line' if is_lines else 'row'}"
        for number, one in batch:
            if not isinstance(one, dict):
                fault = 'a JSON value that is no object; expected one such as {"id": "Q1"}'
                raise GraphError(f"{place} {number}: {fault}")
            names.update(dict.fromkeys(one))
        columns = {}
        for name in names:
            values = [_json_string(one.get(name)) for _, one in batch]
            if None in values:
                nested[name] = None
                continue
            try:
                columns[name.encode().decode()] = pa.array(values, pa.large_string())
            except UnicodeEncodeError as error:
                number = next(n for n, one in batch if name in one and error.object in (name, _json_string(one[name])))
                fault = f"{error.object!r} is not valid Unicode ({error.reason})"
                raise GraphError(f"{place} {number}: {fault}") from None
        batches.append(pa.table(columns))
        numbers += [number for number, _ in batch]
    table = pa.concat_tables(batches, promote_options="default") if batches else pa.table({})
    kept = [name for name in names if name not in nested]
    header = check_names(str(path), kept)
    strings = pa.table([table[name].fill_null("") for name in kept], names=header)
    return Table(path, header, strings, True, tuple(nested), (lambda row: numbers[row]) if is_lines else None)


def _objects_in_lines(path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    start = line = 0
    while start < len(data):
        line += 1
        end = data.find(b"\n", start) + 1 or len(data)
        if text := data[start:end].strip():
            yield line, _parse_json(path, text, line)
        start = end


def _parse_json(path: Path, text: bytes, line: int) -> Any:
    """Parses text that begins in a line of the file."""
    place = f"{path}, line {line}" if b"\n" not in text else str(path)
    try:
        return JSON.decode(text.decode())
    except json.JSONDecodeError as error:
        place, reason = f"{path}, line {line + error.lineno - 1}", f"{error.msg} in column {error.colno}"
    except ValueError as error:
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deeply"
    raise GraphError(f"{place}: not JSON ({reason}); expected one array of objects, or an object in each line")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {shown(repeated)} twice")
    return values


def _no_number(constant: str) -> None:
    """Reads NaN as a missing value."""


# Numbers stay the strings that they are in the file.
JSON = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_no_number, object_pairs_hook=_without_repetition
)


def _json_string(value: Any) -> str | None:
    """Writes a value as a string; returns None for what is nested."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return JOINED_BY.join(value)
    return None
