"""Reads graphs from objects in memory: pandas DataFrames of edges and nodes, and networkx graphs.

They become tables of strings, whose columns mean what they would in files.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import escaped, shown
from ..names.source import ReadingOptions, Source
from .column_roles import edge_columns, listed, node_columns
from .graph_tables import COLUMN_OPTIONS, source_of_tables
from .table_files import JOINED_BY, Table, is_nested, to_table

if TYPE_CHECKING:
    import pyarrow as pa

EDGES, NODES = Path("edges"), Path("nodes")  # where errors say that something is wrong
KEYS = "keys of edges"
RELATION = "linked to"  # of edges that have none


def source_of_pandas(edges: Any, nodes: Any, options: ReadingOptions) -> Source:
    """Reads a graph from a DataFrame of edges, and one of nodes.

    Args:
        edges: a DataFrame with columns such as head, relation and tail. Ids are strings or integers.
        nodes: a DataFrame with columns such as id, name and description; None: the edges have all that there is.
        options: the columns, where they are not to be guessed.

    Returns:
        The source.

    Raises:
        GraphError: an argument is no DataFrame, or has a MultiIndex or values that are no text; otherwise as
            `read_graph_tables`.
    """
    options.refuse_others(EDGES, "DataFrames", (*COLUMN_OPTIONS, "name_of", "description_of"))
    tables = [_table_of_frame(EDGES, edges)]
    if nodes is not None:
        tables.append(_table_of_frame(NODES, nodes))
        if not node_columns(NODES, tables[1].header, options):
            raise GraphError(f"nodes: no column that is known to hold ids; give id_column, {listed(tables[1].header)}")
    found = edge_columns(EDGES, tables[0].header, options, lambda _: False)
    notes = []
    if found and not found.ends[1]:
        tables[0], note = _relate(tables[0])
        notes.append(note)
    source = source_of_tables(EDGES, "DataFrame", tables, options)
    source.notes += notes
    source.files = []
    return source


def source_of_networkx(graph: Any, options: ReadingOptions) -> Source:
    """Reads a graph from a networkx graph of any kind.

    Args:
        graph: the graph. Nodes are strings or integers; their attributes are columns as in a table of nodes, and those
            of edges as in a table of edges. The keys of a multigraph are the relations if they are strings and no
            attribute is.
        options: `relation_column`, `name_of`, `description_of`, `split_column` and `date_column` name attributes.

    Returns:
        The source; an edge of an undirected graph is in it once.

    Raises:
        GraphError: the argument is no networkx graph, a node is neither a string nor an integer, or two nodes are
            written the same; otherwise as `read_graph_tables`.
    """
    if not all(hasattr(graph, name) for name in ("is_multigraph", "is_directed", "edges", "nodes")):
        raise GraphError(f"a {type(graph).__name__}; expected a networkx graph")
    understood = ("relation_column", "split_column", "date_column", "name_of", "description_of")
    options.refuse_others(Path("graph"), "networkx graphs", understood)
    id_of = _ids(graph.nodes)
    nodes = _table_of_attributes(NODES, {":ID": list(id_of.values())}, [data for _, data in graph.nodes(data=True)])
    views = graph.edges(data=True, **({"keys": True} if graph.is_multigraph() else {}))
    rows = list(iter(views))  # a list of the view itself would count its edges first, one by one
    ends = {":START_ID": [id_of[row[0]] for row in rows], ":END_ID": [id_of[row[1]] for row in rows]}
    if not rows:
        raise GraphError("graph: a networkx graph without edges; expected at least one")
    has_keys = graph.is_multigraph() and all(isinstance(row[2], str) for row in rows)
    if has_keys:
        ends[KEYS] = [row[2] for row in rows]
    edges = _table_of_attributes(EDGES, ends, [row[-1] for row in rows])
    found, notes = edge_columns(EDGES, edges.header, options, lambda _: False), []
    if found and not found.ends[1]:
        if has_keys:
            options = replace(options, relation_column=KEYS)
        else:
            edges, note = _relate(edges)
            notes.append(note)
    source = source_of_tables(EDGES, type(graph).__name__, [edges, nodes], options)
    if not graph.is_directed():
        notes.append(f"the graph is undirected: each of its {len(rows):,} edges is read once, in the order of its ends")
    source.format, source.files = f"networkx {type(graph).__name__}", []
    source.notes += notes
    return source


def _relate(edges: Table) -> tuple[Table, str]:
    """Returns a table with a column of relations, and the note that says so."""
    import pyarrow as pa

    relations = pa.repeat(pa.scalar(RELATION, pa.large_string()), len(edges))
    columns = edges.columns.append_column("relation", pa.chunked_array([relations]))
    note = f"the edges have no relations: theirs is called {escaped(RELATION)}; relation_column names a column of them"
    return replace(edges, header=[*edges.header, "relation"], columns=columns), note


# pandas


def _table_of_frame(path: Path, frame: Any) -> Table:
    import pyarrow as pa

    if not all(hasattr(frame, name) for name in ("columns", "index", "iloc")):
        raise GraphError(f"{path}: a {type(frame).__name__}; expected a pandas DataFrame")
    if max(frame.columns.nlevels, frame.index.nlevels) > 1:
        axis = "columns" if frame.columns.nlevels > 1 else "rows"
        raise GraphError(f"{path}: a MultiIndex for the {axis}; expected one level: reset_index() makes columns of it")
    if frame.index.name is not None:
        frame = frame.reset_index()
    if not len(frame):
        raise GraphError(f"{path}: a DataFrame without rows; expected at least one")
    columns, nested = {}, []
    for number, label in enumerate(frame.columns):
        name = str(label)
        if name in columns or name in nested:
            raise GraphError(f"{path}: two columns are named {escaped(name)}; rename one")
        column = _to_arrow(path, name, frame.iloc[:, number])
        if column is None or is_nested(column.type):
            nested.append(name)
        else:
            columns[name] = column
    return to_table(path, pa.table(columns), tuple(nested))


def _to_arrow(path: Path, name: str, series: Any) -> "pa.ChunkedArray | None":
    """Returns a column of a DataFrame with nulls where values are missing, or None if its values are no text."""
    import pyarrow as pa

    try:
        array = pa.array(series, from_pandas=True)
        return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    except UnicodeEncodeError as error:
        raise GraphError(f"{path}: {error.object!r} in column {escaped(name)} is not valid Unicode") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass
    try:  # Strings and integers together, as ids may be.
        codes, values = series.factorize()
    except TypeError:
        return None
    strings = [_to_string(value) for value in values]
    if None in strings:
        value = values[strings.index(None)]
        kind = type(value).__name__
        raise GraphError(f"{path}: {shown(value)} in column {escaped(name)} is a {kind}; expected strings or integers")
    return pa.chunked_array([_strings(path, strings).take(pa.array(codes, mask=codes < 0))])


def _to_string(value: Any) -> str | None:
    """Writes a value as a string, "" if it is missing; returns None for one that is no text."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, float, np.integer, np.floating)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return JOINED_BY.join(value)
    return None


def _strings(path: Path, values: Sequence[str | None]) -> "pa.LargeStringArray":
    import pyarrow as pa

    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError as error:
        raise GraphError(f"{path}: {error.object!r} is not valid Unicode ({error.reason})") from None


# networkx


def _ids(nodes: Iterable[Hashable]) -> dict[Hashable, str]:
    """Returns node -> id."""
    ids: dict[Hashable, str] = {}
    for node in nodes:
        if isinstance(node, bool) or not isinstance(node, (str, int, np.integer)):
            kind = type(node).__name__
            raise GraphError(f"graph: node {shown(node)} is a {kind}; expected strings or integers: relabel the nodes")
        ids[node] = str(node).strip()
    if len(set(ids.values())) < len(ids):
        seen: dict[str, Hashable] = {}
        for node, name in ids.items():
            if (other := seen.setdefault(name, node)) is not node:
                raise GraphError(f"graph: nodes {shown(other)} and {shown(node)} are written the same; relabel one")
    return ids


def _table_of_attributes(path: Path, columns: dict[str, list[str]], rows: list[dict[Any, Any]]) -> Table:
    """Makes a table of columns, and of a column for each attribute that some of the rows have."""
    import pyarrow as pa

    arrays, nested = {name: _strings(path, values) for name, values in columns.items()}, []
    for attribute in dict.fromkeys(name for row in rows for name in row):
        strings = [_to_string(row.get(attribute)) for row in rows]
        name = str(attribute)
        if name in columns:
            raise GraphError(f"{path}: an attribute is named {escaped(name)}, a name that is taken; rename it")
        if None in strings:
            nested.append(name)
        else:
            arrays[name] = _strings(path, strings)
    return to_table(path, pa.table(arrays), tuple(nested))
