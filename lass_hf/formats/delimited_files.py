"""Reads tables of separated values: CSV, TSV, and what else separates columns by a letter.

Arrow parses them. What it would take in silence is found before: quotes that do not close, text behind a closing quote,
and a carriage return inside of a field, where it would end the row. `walk` names the line of what is wrong.

A quote is one only where a field begins with it. In files with tabs it is a letter like others unless all quotes of the
file close in their field: many programs write tabs without quoting.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import GraphError, library_errors
from ..core.vocabulary import BLANKS

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (b"\t", b",", b";", b"|", b" ")
NAMES = {b"\t": "tab", b",": "comma", b";": "semicolon", b"|": "vertical bar", b" ": "space"}
SAMPLE = 100  # records that decide on the delimiter
BLOCK = 2**25  # bytes that Arrow parses at once; no record may be longer
LONE_RETURN = re.compile(rb"\r(?!\n|\Z)")
STAND_IN = b"\0"  # of a lone carriage return; no text has it
NEWLINE = b"\n"
CLOSED = re.compile(rb'"[^"]*(?:""[^"]*)*"')


class _FaultError(Exception):
    """What is wrong with a record: its line, and the rest of the message."""


@dataclass(frozen=True)
class _Records:
    """The text of a file from a position on, and one way to take it apart."""

    path: Path
    data: bytes
    start: int
    first_line: int
    delimiter: bytes
    is_quoted: bool

    def walk(self) -> Iterator[tuple[int, int]]:
        """Yields the line and the number of fields of each record that is not an empty line; field by field, so slowly.

        Raises:
            _FaultError: a quote does not close, or is followed by text.
        """
        plain, mark = rb"[^%s\n]*" % re.escape(self.delimiter), re.escape(self.delimiter)
        field = plain if not self.is_quoted else rb'(?:%s|(?!")%s)' % (CLOSED.pattern, plain)
        match = re.compile(rb"(%s)(%s|\r?(?:\n|\Z))" % (field, mark)).match
        position, line, width = self.start, self.first_line, 0
        begin = line
        while position < len(self.data):
            found = match(self.data, position)
            if not found:
                closed = CLOSED.match(self.data, position)
                what = "a quote that is not closed"
                if closed:
                    what = f"a quote that is closed in line {line + closed[0].count(NEWLINE)}, with text behind it"
                raise _FaultError(line, f"{what}; write a quote inside of a field twice")
            width, position = width + 1, found.end()
            line += found[0].count(NEWLINE)
            if found[2] != self.delimiter:
                if width > 1 or found[1].strip(b"\r"):
                    yield begin, width
                begin, width = line, 0
        if width:  # The last field is empty, and no line end follows it.
            yield begin, width + 1

    def first_widths(self, count: int) -> list[int]:
        """Returns the numbers of fields of the first records; 0 stands for one with a fault, and ends them."""
        widths = []
        try:
            for _, width in islice(self.walk(), count):
                widths.append(width)
        except _FaultError:
            widths.append(0)
        return widths

    @cached_property
    def width(self) -> int:
        """The number of columns, which is that of the first record."""
        return self.first_widths(1)[0]

    def find_fault(self) -> str | None:
        """Walks through the file; returns line and words for the first fault."""
        try:
            for line, width in self.walk():
                if width != self.width:
                    return f"line {line}: {width} column(s), expected {self.width} as in line {self.first_line}, " + (
                        f"separated by {NAMES[self.delimiter]}s"
                    )
        except _FaultError as error:
            return f"line {error.args[0]}: {error.args[1]}"
        return None

    def line_of(self, number: int) -> int:
        """Returns the line of a record, counted from 0."""
        return next(islice(self.walk(), number, None))[0]

    def quoting(self) -> str:
        """Looks at all quotes at once.

        Returns:
            "none" if no field begins with a quote, "strict" if quotes stand only around fields and doubled in them,
            else "loose": then `find_fault` shows, slowly, whether the quotes are right.
        """
        letters = np.frombuffer(self.data, np.uint8, offset=self.start)
        quotes = np.flatnonzero(letters == ord('"'))
        before = np.where(quotes > 0, letters[quotes - 1], ord("\n"))
        after = np.where(quotes + 1 < len(letters), letters[(quotes + 1) % len(letters)], ord("\n"))
        ends = [ord(self.delimiter), ord("\n")]
        if not np.isin(before, ends).any():
            return "none"
        ends.append(ord('"'))
        opens, closes = np.isin(before[::2], ends).all(), np.isin(after[1::2], [*ends, ord("\r")]).all()
        return "strict" if len(quotes) % 2 == 0 and opens and closes else "loose"

    def parse(self) -> "pa.Table | None":
        """Parses with Arrow; returns None if a record has another number of columns than the first one."""
        import pyarrow as pa
        from pyarrow import csv

        faults: list[int] = []

        def note(row: csv.InvalidRow) -> str:
            faults.append(row.actual_columns)
            return "error"

        names = [str(number + 1) for number in range(self.width)]
        parse_options = csv.ParseOptions(
            delimiter=self.delimiter.decode(),
            quote_char='"' if self.is_quoted else False,
            newlines_in_values=self.is_quoted,
            invalid_row_handler=note,
        )
        types = csv.ConvertOptions(check_utf8=False, column_types=dict.fromkeys(names, pa.large_string()))
        file = pa.BufferReader(memoryview(self.data)[self.start :])
        with library_errors(f"{self.path}: cannot be read as separated values", kind=GraphError):
            try:
                return csv.read_csv(file, csv.ReadOptions(block_size=BLOCK, column_names=names), parse_options, types)
            except pa.ArrowInvalid as error:
                if faults:
                    return None
                if "straddling" in str(error):
                    raise GraphError(f"{self.path}: a row of more than {BLOCK >> 20} MB; shorten its fields") from None
                raise


def parse_delimited(path: Path, data: bytes) -> "tuple[pa.Table, Callable[[int], int]]":
    """Takes the text of a file of separated values apart.

    Args:
        path: the file; its ending decides on the delimiter where the content does not.
        data: its text in UTF-8, without NUL characters.

    Returns:
        All rows, a header included: an Arrow table of large strings, with the columns "1", "2", ...; and a function
        that returns the line of a row, counted from 0.

    Raises:
        GraphError: a row has another number of columns than the first one, a quote does not close, or there is no row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # the line ends of old Macs
    if has_returns := data.count(b"\r") > data.count(b"\r\n"):
        data = LONE_RETURN.sub(STAND_IN, data)
    records, table = _read_with_quotes(_choose_delimiter(path, data))
    if has_returns:
        columns = [pc.replace_substring(column, STAND_IN.decode(), "\r") for column in table.columns]
        table = pa.table(columns, names=table.column_names)
    if not len(table := _without_blank_end(table)):
        raise GraphError(f"{path}: no rows; expected a table with at least one row")
    return table, records.line_of


def _without_blank_end(table: "pa.Table") -> "pa.Table":
    """Leaves out the last rows without any value, as spreadsheets write them."""
    while len(table) and not any(column[-1].as_py().strip(BLANKS) for column in table.columns):
        table = table.slice(0, len(table) - 1)
    return table


def _choose_delimiter(path: Path, data: bytes) -> _Records:
    """Chooses the delimiter by which the first records have the same number of columns; else that of the ending.

    A tab is one whatever the ending is. A space is one only if nothing else separates, and the file is called no CSV.
    """
    suffixes = path.name.lower().split(".")[1:]
    expected = b"," if "csv" in suffixes else b"\t"
    found: list[tuple[tuple[int, ...], _Records]] = []
    for delimiter in DELIMITERS:
        records = _without_comments(_Records(path, data, 0, 1, delimiter, delimiter != b"\t"))
        widths = records.first_widths(SAMPLE)
        is_table, is_even = widths[0] > 1, len(set(widths)) == 1
        if delimiter == b" ":
            is_last_choice = is_table and is_even and len(widths) > 1 and "csv" not in suffixes
            found += [((False, True), records)] if is_last_choice else []
        else:
            is_sure = is_table and is_even
            found.append(
                ((is_table, is_sure, is_sure and delimiter == b"\t", delimiter == expected, widths[0]), records)
            )
    return max(found, key=lambda one: one[0])[1]


def _without_comments(records: _Records) -> _Records:
    """Leaves out the lines before the first record that are empty, or begin with `#` and have other columns than it.

    A header can begin with `#` too. Without tabs, no blank follows it there.
    """
    data, start, line = records.data, 0, 1
    marked: list[tuple[int, int]] = []
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        if data[start : start + 1] == b"#":
            marked.append((start, line))
        elif data[start:end].strip(b"\r\n"):
            break
        start, line = end, line + 1
    first = replace(records, start=start, first_line=line)
    if start == len(data):
        return records
    for start, line in marked:
        one = replace(records, start=start, first_line=line)
        is_spaced = data[start + 1 : start + 2] == b" " and records.delimiter != b"\t"
        if not is_spaced and one.width == first.width > 1:
            return one
    return first


def _read_with_quotes(plain: _Records) -> "tuple[_Records, pa.Table]":
    """Parses with quotes, or with quotes as letters; raises GraphError if there is a fault either way."""
    plain, quoted = (replace(plain, is_quoted=is_quoted) for is_quoted in (False, True))
    if (quoting := plain.quoting()) == "none":
        if (table := plain.parse()) is None:
            raise GraphError(f"{plain.path}, {plain.find_fault()}")
        return plain, table
    fault = None if quoting == "strict" else quoted.find_fault()
    table = None if fault else quoted.parse()
    if plain.delimiter == b"\t":
        with_letters = plain.parse()
        if with_letters is not None and (table is None or len(table) != len(with_letters)):
            return plain, with_letters
        fault = fault and plain.find_fault()
    if table is None:
        raise GraphError(f"{plain.path}, {fault or quoted.find_fault()}")
    return quoted, table
