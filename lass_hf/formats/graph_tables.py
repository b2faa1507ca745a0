"""Reads graphs from tables: edges in one or more of them, nodes with their names in others.

`table_files.py` makes tables of strings of files, `frames.py` of objects in memory, and `column_roles.py` finds out
what their columns are for. No Python loop runs over rows.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SLOT_NAMES, escaped, shown
from ..names.name_forms import is_blank, trim
from ..names.named_triplets import NamedTriplets, collect_names, first_true
from ..names.own_headers import is_own_header
from ..names.source import LeftOut, ReadingOptions, Source, names_table
from .column_roles import Column, EdgeColumns, edge_columns, find_column, listed, node_columns
from .detection import Format, detect_format
from .edge_tables import TRUTH, Edges, collect_triplets, read_ends
from .node_tables import Nodes, keep_spaces_apart, merge_nodes, read_nodes, take_literals
from .table_files import Table, check_names, read_json_graph, read_table

COLUMN_OPTIONS = tuple(f"{role}_column" for role in (*SLOT_NAMES, "id", "split", "date"))
NAME_THEM = "name the columns by --head_column, --relation_column and --tail_column"
NO_HEADER = (
    "; in a file that names no columns, give their numbers, as in --head_column 1 --relation_column 2 --tail_column 3"
)
NUMBERS_ONLY = r"^[-+\d.,:/TZ ]*$"  # also dates
KGTK = {"node1", "label", "node2"}  # the names of its columns
DIRECTIONS = {"directed", "undirected", "mutual"}
NEGATED = ["true", "t", "yes", "y", "1", "not"]  # "not" in SSSOM
NOT_NEGATED = ["false", "f", "no", "n", "0", ""]


def read_graph_tables(path: Path, options: ReadingOptions) -> Source:
    """Reads a graph from a file of edges, or from a folder of files of edges and of nodes.

    Args:
        path: a file of separated values, Parquet or JSON Lines, or a folder of them.
        options: the columns, where they are not to be guessed.

    Returns:
        The source. A relation is called as its file if no column has relations. An id that is there in two id spaces
        of Neo4j stands behind the name of its space.

    Raises:
        GraphError: a file cannot be read, no table has edges, a column is missing or may be one of two, a column is
            empty, or a node has two names. The message names file and line.
    """
    found = detect_format(path)
    options.refuse_others(path, found.name, (*COLUMN_OPTIONS, "name_of", "description_of"))
    tables = []
    headers = _lone_headers(found.files)
    for file in found.files:
        if file.name == "JSON graph":
            tables += read_json_graph(file.path)
        elif header := _header_of(file.path, headers):
            tables.append(_with_header(read_table(file.path, False), header, headers[header]))
        elif file.path not in headers:
            tables.append(read_table(file.path, partial(_names_columns, file.path, options)))
    return source_of_tables(path, found.name, tables, options)


def source_of_tables(path: Path, format: str, tables: list[Table], options: ReadingOptions) -> Source:
    """Makes a source of tables of edges and of nodes; arguments and errors as in `read_graph_tables`.

    Args:
        path: where the tables are from.
        format: their format, in words.
        tables: the tables, in any order.
        options: the columns, where they are not to be guessed.
    """
    _check_options(path, tables, options)
    empty = names_table({"id": []})
    source = Source(path, format, [table.path for table in tables], {}, empty, empty)
    tables = [part for table in tables for part in _take_apart(table)]
    edges, nodes = _find_roles(source, tables, options)
    ends = [
        (column.space, end)
        for part in edges
        for column, end in zip(part.columns.ends[::2], part.ends[::2], strict=True)
    ]
    keep_spaces_apart(source, [(part.space, part.ids) for part in nodes] + ends, nodes)
    heads, relations, tails = ([node for part in edges if (node := part.named_end(slot))] for slot in range(3))
    source.entities = merge_nodes(source, [*nodes, *heads, *tails])
    source.relations = merge_nodes(source, relations)
    collect_triplets(source, edges, options)
    if nodes:
        _note_unlisted(source, edges)
    return source


# Headers in files of their own, as neo4j-admin takes them


def _lone_headers(files: list[Format]) -> dict[Path, list[str]]:
    """Returns the files that hold nothing but the header of other files, and these headers."""
    headers = {}
    for file in files if len(files) > 1 else []:
        if "header" in file.path.name.lower() and file.name in ("CSV", "TSV"):
            table = read_table(file.path, False)
            row = [column[0].as_py() for column in table.columns.columns]
            if len(table) == 1 and any(Column.of(name).role for name in row):
                headers[file.path] = check_names(str(file.path), row)
    return headers


def _header_of(path: Path, headers: dict[Path, list[str]]) -> Path | None:
    """Returns the file with the header of a file: of `nodes-header.csv` and `nodes-part1.csv`, what begins alike."""
    starts = {file: re.sub(r"[-_]?headers?[-_]?", "", file.name.split(".")[0], flags=re.I) for file in headers}
    fitting = [file for file, start in starts.items() if file.parent == path.parent and path.name.startswith(start)]
    return max(fitting, key=lambda file: len(starts[file]), default=None) if path not in headers else None


def _with_header(table: Table, file: Path, header: list[str]) -> Table:
    if len(header) != len(table.header):
        raise GraphError(
            f"{table.place(0)}: {len(table.header)} column(s), expected {len(header)}, which its header {file} has"
        )
    return replace(table, header=header, columns=table.columns.rename_columns(header), has_header=True)


# Roles


def _names_columns(path: Path, options: ReadingOptions, row: list[str]) -> bool:
    """Checks whether the first row of a file without types has the names of columns."""
    given = [getattr(options, option) for option in COLUMN_OPTIONS] + [*options.name_of, *options.description_of]
    if len(set(row)) < len(row):
        return False
    numbers = [name for name in given if name and name.isdigit()]  # of columns without names, or names like others
    if any(name and name not in numbers and find_column(row, name) for name in given):
        return True
    if numbers and all(find_column(row, name) for name in numbers):
        return True
    try:
        if edge_columns(path, row, ReadingOptions(), lambda _: False):
            return True
        nodes = node_columns(path, row, ReadingOptions())
    except GraphError:
        return True  # two columns for one role: the values may decide, or the reader asks which
    return nodes is not None and bool(nodes.id.role or nodes.names or nodes.descriptions or nodes.id.key == "id")


def _take_apart(table: Table) -> list[Table]:
    """Returns the nodes and the edges of a table that has both, as apoc.export.csv.all of Neo4j writes it."""
    of_nodes, of_edges = ["_id", "_labels"], ["_start", "_end", "_type"]
    if not {*of_nodes, *of_edges} <= set(table.header):
        return [table]
    is_node = is_blank(table.columns["_start"])
    return [
        table.select(np.flatnonzero(chosen), [name for name in table.header if name not in dropped])
        for chosen, dropped in ((is_node, of_edges), (~is_node, of_nodes))
        if chosen.any()
    ]


def _check_options(path: Path, tables: list[Table], options: ReadingOptions) -> None:
    """Raises GraphError for an option that names a column which no table has."""
    given = [(option, getattr(options, option)) for option in COLUMN_OPTIONS]
    given += [(option, name) for option in ("name_of", "description_of") for name in getattr(options, option)]
    of_slots = [(option, name) for option, name in given[: len(SLOT_NAMES)] if name]
    for (option, name), (other, same) in combinations(of_slots, 2):
        if name == same:
            raise GraphError(f"{path}: {option} and {other} both name {shown(name)}; give two columns")
    for option, name in given:
        if name and not any(find_column(table.header, name) for table in tables):
            header = dict.fromkeys(column for table in tables for column in table.header)
            raise GraphError(f"{path}: no column {shown(name)} for {option}; expected {listed(header)}")


def _find_roles(source: Source, tables: list[Table], options: ReadingOptions) -> tuple[list[Edges], list[Nodes]]:
    edges: list[Edges] = []
    nodes: list[Nodes] = []
    has_header = any(table.has_header for table in tables)
    for table in tables:
        of_edges = None if has_header else _without_header(source, table, options)
        if table.has_header:
            _refuse_unlabeled(table)
            # Gephi exports a column of labels though no edge has one.
            named = [
                name for name in table.header if name.lower() != "label" or not is_blank(table.columns[name]).all()
            ]
            of_edges = edge_columns(table.path, named, options, partial(_holds_flags, table))
        if of_edges:
            _read_edges(source, table, of_edges, options, edges, nodes)
        elif table.has_header and (of_nodes := node_columns(table.path, table.header, options)):
            nodes.append(read_nodes(source, table, of_nodes))
            used = [of_nodes.id, *of_nodes.names, *of_nodes.descriptions, of_nodes.category]
            reason = "texts are made of names and descriptions; name_of and description_of choose other columns"
            _leave_out_columns(source, table, used, reason)
        else:
            first = _first_line(table)
            if len(tables) == 1:
                place, header = (table.path, "") if table.has_header else (table.place(0), NO_HEADER)
                raise GraphError(
                    f"{place}: heads and tails are in no known columns; {NAME_THEM}, {listed(first)}{header}"
                )
            reason = "no column is known to hold ids, or heads and tails; name them by --id_column or --head_column"
            source.left_out.append(LeftOut(f"rows of {table.path.name}", len(table), ", ".join(first), reason))
    if not edges:
        what = f"{len(nodes)} table(s) of nodes" if nodes else "no table whose columns are known"
        raise GraphError(
            f"{source.path}: {what}, and none of edges; expected columns such as head, relation and tail; {NAME_THEM}"
        )
    kinds = {column.role or column.key for part in edges for column in part.columns.ends if column}
    if kinds & {"START_ID", "END_ID"}:
        program = (
            "Neptune" if any(column.name.startswith("~") for column in edges[0].columns.ends if column) else "Neo4j"
        )
        source.format = f"{program} import {'folder' if len(tables) > 1 else 'file'}"
    elif {"subject", "predicate", "object"} <= kinds and any("category" in part.texts for part in nodes):
        source.format = "KGX"
    elif kinds == KGTK:
        source.format = "KGTK"
    return edges, nodes


def _refuse_unlabeled(table: Table) -> None:
    """Raises GraphError for predictions without a single label, which would all be read as true triplets."""
    if is_own_header(table.header) or {"probability", "known"} <= set(table.header):
        for name in ("label", "lass_label"):  # the second is that of SSSOM
            if name in table.header and is_blank(table.columns[name]).all():
                raise GraphError(
                    f"{table.path}: predictions whose column {name} is empty in all rows; expected true or false in "
                    "it, or no such column, so that all rows are read as true triplets"
                )


def _read_edges(
    source: Source,
    table: Table,
    columns: EdgeColumns,
    options: ReadingOptions,
    edges: list[Edges],
    nodes: list[Nodes],
) -> None:
    """Adds a table to the edges, and to the nodes what KGTK says of them among the edges."""
    ends = [column for column in columns.ends if column]
    if {column.key for column in ends} == KGTK:
        table, of_literals = take_literals(source, table, tuple(column.name for column in ends))
        nodes += of_literals
        if not len(table):
            return
    table = _without_negations(source, table, columns.label)
    if not len(table):
        return
    edges.append(Edges(table, columns, read_ends(source, table, columns)))
    used = [*ends, *columns.names, *columns.categories, columns.label]
    used += [find_column(table.header, name) for name in (options.split_column, options.date_column) if name]
    _leave_out_columns(source, table, used, "a triplet is a head, a relation and a tail")


def _without_negations(source: Source, table: Table, label: Column | None) -> Table:
    """Leaves out the rows that say that something is not so: `negated` of KGX, and `predicate_modifier` of SSSOM.

    A row whose label is false says the same again: it stays, as a false triplet.

    Raises:
        GraphError: a cell says neither that its row is denied nor that it is not.
    """
    for column in map(Column.of, table.header):
        if column.key in ("negated", "predicatemodifier"):
            is_negated = _is_one_of(table, column, NEGATED)
            is_unknown = ~is_negated & ~_is_one_of(table, column, [*NOT_NEGATED, None])
            if is_unknown.any():
                row = first_true(is_unknown)
                cell = shown(table.columns[column.name][row].as_py())
                raise GraphError(f"{table.place(row)}: {column.name} is {cell}; expected true or false, Not or nothing")
            if label:
                is_negated &= ~_is_one_of(table, label, [value for value, truth in TRUTH.items() if not truth])
            if is_negated.any():
                what, reason = f"rows with {column.name} of {table.path.name}", "they say that something is not so"
                place = table.place(first_true(is_negated))
                source.left_out.append(LeftOut(what, int(is_negated.sum()), place, reason))
                table = table.select(np.flatnonzero(~is_negated), table.header)
    return table


def _is_one_of(table: Table, column: Column, values: Sequence[str | None]) -> np.ndarray:
    """Checks which cells of a column are one of some values, in letters of either case, but for blanks around them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pc.utf8_lower(trim(table.columns[column.name]))
    return np.array(pc.is_in(cells, value_set=pa.array(values, pa.large_string())))


def _without_header(source: Source, table: Table, options: ReadingOptions) -> EdgeColumns | None:
    """Returns the columns of a file of triplets without a header, None for another file.

    Numbers or dates may stand behind a triplet, and a point as in N-Triples.

    Raises:
        GraphError: nothing of the first line occurs again where it would in triplets, so that it may be a header.
    """
    if options.head_column or options.tail_column:
        return edge_columns(table.path, table.header, options, lambda _: False)
    if len(table.header) < 3 or any(not _holds_numbers(table, name) for name in table.header[3:]):
        return None
    has_label = len(table.header) == 4 and _holds_flags(table, table.header[3])
    columns = [Column.of(name) for name in table.header]
    codes = NamedTriplets.from_columns(table.columns.columns[:3], None).codes
    first, others = codes[0], codes[1:]
    names = ", ".join(map(shown, _first_line(table)[:3]))
    if len(others) and not ((others[:, 1] == first[1]).any() or np.isin(others[:, [0, 2]], first[[0, 2]]).any()):
        raise GraphError(
            f"{table.place(0)}: {names} do not occur again, as they would in triplets, and are no known names of "
            f"columns; {NAME_THEM}{NO_HEADER}"
        )
    source.notes.append(f"{table.place(0)}: {names} is read as a triplet, for it names no columns")
    return EdgeColumns((columns[0], columns[1], columns[2]), label=columns[3] if has_label else None)


def _holds_numbers(table: Table, name: str) -> bool:
    """Checks whether a column holds nothing but numbers, dates and truth values."""
    import pyarrow.compute as pc

    values = table.columns[name]
    return _holds_flags(table, name) or all(
        pc.all(pc.match_substring_regex(part, NUMBERS_ONLY)).as_py() for part in (values[:1000], values)
    )


def _first_line(table: Table) -> list[str]:
    """Returns the first line of a file: the names of the columns, or else the first row."""
    return table.header if table.has_header else [column[0].as_py() for column in table.columns.columns]


def _holds_flags(table: Table, name: str) -> bool:
    """Checks whether a column holds nothing but truth values, or nothing but whether edges are directed."""
    values = table.columns[name]
    for part in (values[:1000], values):
        found = {value.strip().lower() for value in part.unique().to_pylist()} - {""}
        if not found or not (found <= TRUTH.keys() or found <= DIRECTIONS):
            return False
    return True


def _leave_out_columns(source: Source, table: Table, used: list[Column | None], reason: str) -> None:
    names = {column.name for column in used if column}
    for name in table.header:
        if name not in names and (is_there := ~is_blank(table.columns[name])).any():
            example = shown(table.columns[name][first_true(is_there)].as_py())
            what = f"values of column {name} of {table.path.name}"
            source.left_out.append(LeftOut(what, int(is_there.sum()), example, reason))
    for name in table.nested:
        what = f"nested values of column {name} of {table.path.name}"
        source.left_out.append(LeftOut(what, len(table), name, "only strings and lists of strings are read"))


def _note_unlisted(source: Source, edges: list[Edges]) -> None:
    """Notes that entities of the edges have no row in the tables of nodes."""
    import pyarrow.compute as pc

    used = collect_names(source.splits, "entities")
    unlisted = used.filter(pc.invert(pc.is_in(used, value_set=source.entities["id"].combine_chunks())))
    if len(unlisted):
        example = unlisted[0]
        ends = ((part, end) for part in edges for end in (part.ends[0], part.ends[2]))
        file = next(part.table.path for part, end in ends if pc.index(end.different, example).as_py() >= 0)
        source.notes.append(
            f"{len(unlisted):,} of {len(used):,} entities of the edges have no row in the tables of nodes, such as "
            f"{escaped(example.as_py())} of {file}: their ids stand in for names"
        )
