"""Makes triplets of the tables of edges: splits, labels and dates.

`graph_tables.py` reads the tables. No Python loop runs over rows.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SLOT_NAMES, SPLITS, shown
from ..names.name_forms import is_blank, trim
from ..names.named_triplets import NamedTriplets, first_true
from ..names.source import LeftOut, ReadingOptions, Source
from .column_roles import Column, EdgeColumns, find_column, listed
from .detection import ending_of
from .node_tables import Names, Nodes, nodes_of_ends
from .table_files import Table

TRUTH = {"1": 1, "true": 1, "0": 0, "-1": 0, "false": 0}
SPLIT_NUMBERS = {"train": 0, "training": 0, **dict.fromkeys(("validation", "valid", "dev", "val"), 1), "test": 2}
WORD = re.compile(r"[^\W_]+")  # of a file's name


@dataclass
class Edges:
    """A table of edges, and its heads, relations and tails."""

    table: Table
    columns: EdgeColumns
    ends: list[Names]

    def is_complete(self) -> np.ndarray:
        """Checks which rows have a head, a relation and a tail: bool of shape (n,)."""
        return ~np.logical_or.reduce([end.is_missing() for end in self.ends])

    def named_end(self, slot: int) -> Nodes | None:
        """Returns what the table says of its heads, relations or tails, if anything."""
        columns = {"name": self.columns.names[slot], "category": self.columns.categories[slot]}
        names = {kind: column.name for kind, column in columns.items() if column}
        return nodes_of_ends(self.table, self.ends[slot], names) if names else None


def read_ends(source: Source, table: Table, columns: EdgeColumns) -> list[Names]:
    """Takes the heads, relations and tails out of a table; a relation is called as its file if no column has them.

    Raises:
        GraphError: one of the columns is empty.
    """
    import pyarrow as pa

    ends = []
    for column, slot in zip(columns.ends, SLOT_NAMES, strict=True):
        if column is None:
            name = table.path.name.removesuffix(".gz").removesuffix(ending_of(table.path))
            if not columns.ends[0].role:
                source.notes.append(f"{table.path} has no column of relations: its relation is called {shown(name)}")
            ends.append(Names(pa.array([name], pa.large_string()), np.zeros(len(table), np.int32)))
            continue
        ends.append(Names.of(table.columns[column.name]))
        if is_blank(ends[-1].different).all():
            raise GraphError(f"{table.path}: column {shown(column.name)} is empty in all rows; expected the {slot}s")
    return ends


def collect_triplets(source: Source, edges: list[Edges], options: ReadingOptions) -> None:
    """Makes the splits of a source, and its dates, of the complete rows of all tables of edges.

    Args:
        source: gets them, and a note of the other rows.
        edges: the tables.
        options: `split_column` and `date_column` are used.

    Raises:
        GraphError: no row is complete, or a split or label is missing or unknown; the message names the line.
    """
    import pyarrow as pa

    encoded = pa.concat_arrays([end.different for part in edges for end in part.ends]).dictionary_encode()
    positions = iter(np.split(encoded.indices.to_numpy(), np.cumsum([len(e.different) for p in edges for e in p.ends])))
    pieces: dict[str, list[tuple[np.ndarray, np.ndarray | None]]] = {}
    dates: list[Any] = []
    incomplete, example = 0, ""
    for part, number_of_file in zip(edges, _splits_of_files(edges), strict=True):
        codes = np.stack([next(positions)[end.codes] for end in part.ends], axis=1)
        is_complete = part.is_complete()
        if not is_complete.all():
            example = example or part.table.place(first_true(~is_complete))
            incomplete += int((~is_complete).sum())
        labels = _flags(part, is_complete, part.columns.label, TRUTH, "1 (true), or 0 or -1 (false)")
        split_column = _column(part, options.split_column)
        in_split = _flags(part, is_complete, split_column, SPLIT_NUMBERS, ", ".join(SPLITS))
        if in_split is None:
            in_split = np.full(len(codes), number_of_file, np.int8)
        for number, split in enumerate(SPLITS):
            if (chosen := (in_split == number) & is_complete).any():
                pieces.setdefault(split, []).append((codes[chosen], None if labels is None else labels[chosen]))
        if date_column := _column(part, options.date_column):
            values = trim(part.table.columns[date_column.name])
            dates += values.filter(pa.array((in_split == 0) & is_complete)).chunks
    if not pieces:
        raise GraphError(f"{example}: no row has a head, a relation and a tail; expected some that have all three")
    for split in SPLITS:
        if split in pieces:
            codes = np.concatenate([codes for codes, _ in pieces[split]])
            of_parts = [np.ones(len(rows), np.int8) if of is None else of for rows, of in pieces[split]]
            has_labels = any(of is not None for _, of in pieces[split])
            labels = np.concatenate(of_parts) if has_labels else None
            source.splits[split] = NamedTriplets(encoded.dictionary, codes, labels)
    source.dates = pa.chunked_array(dates, pa.large_string()) if dates else None
    if incomplete:
        reason = "a triplet needs a head, a relation and a tail; the example is the first of the rows"
        source.left_out.append(LeftOut("rows with an empty head, relation or tail", incomplete, example, reason))


def _column(part: Edges, name: str | None) -> Column | None:
    """Finds the column of splits or dates, which each table of edges needs if one has it."""
    if name is None:
        return None
    if column := find_column(part.table.header, name):
        return column
    raise GraphError(f"{part.table.path}: no column {shown(name)}; expected {listed(part.table.header)}")


def _splits_of_files(edges: list[Edges]) -> list[int]:
    """Returns the number of the split that each of several files is called after, 0 ("train") for the others.

    A file with a column of relations is called so by its whole name, or by a word of it where another one is called
    after "train": `edges_test.tsv` beside `edges_train.tsv`, but no `blood_test.tsv` by itself.
    """
    if len(edges) == 1:
        return [0]
    names = [part.table.path.name.lower() if part.columns.ends[1] else "" for part in edges]
    named = [{SPLIT_NUMBERS[word] for word in WORD.findall(name) if word in SPLIT_NUMBERS} for name in names]
    if {0} in named:
        return [min(numbers) if len(numbers) == 1 else 0 for numbers in named]
    return [SPLIT_NUMBERS.get(name.split(".")[0], 0) for name in names]


def _flags(
    part: Edges, is_complete: np.ndarray, column: Column | None, known: dict[str, int], expected: str
) -> np.ndarray | None:
    """Returns a small number for each value of a column, int8 of shape (n,); None without a column."""
    if column is None:
        return None
    values = Names.of(part.table.columns[column.name])
    numbers = np.array([known.get(value.lower(), -1) for value in values.different.to_pylist()], np.int8)[values.codes]
    if (is_wrong := (numbers == -1) & is_complete).any():
        row = first_true(is_wrong)
        value = shown(values.different[int(values.codes[row])].as_py())
        raise GraphError(f"{part.table.place(row)}: {value} in column {shown(column.name)}; expected {expected}")
    return numbers
