"""Merges what tables say of nodes: one row for each id, with its name, description and category.

`graph_tables.py` reads the tables. No Python loop runs over rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import escaped, shown
from ..names.name_forms import is_blank, trim
from ..names.named_triplets import first_true
from ..names.source import LeftOut, Source, names_table
from .column_roles import NodeColumns
from .table_files import Table

if TYPE_CHECKING:
    import pyarrow as pa

# How KGTK writes what is no entity: strings, dates, places, symbols; texts in a language; and numbers.
LITERAL = r"^['\"^@!]"
TEXT = r"^'(?s:(.*))'@[\w-]+$"
NUMBER = r"^[+-]?\.?\d"
TEXTS = ("name", "description", "category", "source_id")


@dataclass
class Names:
    """A column of n names: different ones without blanks at their ends, and int32 positions among them, shape (n,)."""

    different: "pa.LargeStringArray"
    codes: np.ndarray

    @classmethod
    def of(cls, values: "pa.ChunkedArray") -> "Names":
        """Encodes and trims large strings."""
        encoded = values.dictionary_encode().combine_chunks()
        return cls(trim(encoded.dictionary), encoded.indices.to_numpy())

    def is_missing(self) -> np.ndarray:
        """Checks which names are empty: bool of shape (n,)."""
        return is_blank(self.different)[self.codes]


@dataclass
class Nodes:
    """What a table says of n nodes.

    Attributes:
        ids: their ids.
        texts: some of the columns `TEXTS` of the table of entities: n large strings each, null where there is none.
        table: the table.
        rows: the rows that it says this in: integers of shape (n,).
        space: the space of the ids, as Neo4j wrote it.
        is_of_edges: the table is one of edges, which may give an id several names.
    """

    ids: Names
    texts: "dict[str, pa.LargeStringArray]"
    table: Table
    rows: np.ndarray
    space: str | None = None
    is_of_edges: bool = False


def read_nodes(source: Source, table: Table, columns: NodeColumns) -> Nodes:
    """Takes the nodes out of a table; rows without an id are left out.

    Raises:
        GraphError: no row has an id.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = Names.of(table.columns[columns.id.name])
    rows = np.flatnonzero(~ids.is_missing())
    if not len(rows):
        raise GraphError(f"{table.path}: column {shown(columns.id.name)} is empty in all rows; expected ids")
    if num_missing := len(table) - len(rows):
        place = table.place(first_true(ids.is_missing()))
        what = f"rows of {table.path.name} without an id"
        source.left_out.append(LeftOut(what, num_missing, place, "an entity needs an id"))
    of_texts = {"name": columns.names, "description": columns.descriptions}
    of_texts["category"] = (columns.category,) if columns.category else ()
    texts = {}
    for kind, of_kind in of_texts.items():
        values = []
        for column in of_kind:
            strings = text_column(table, column.name, rows)
            if column.is_array and kind != "category":
                # Neo4j separates the values of a list by ";".
                first = pc.list_element(pc.split_pattern(strings, ";", max_splits=1), 0)
                if num_cut := pc.sum(pc.not_equal(first, strings)).as_py():
                    what, reason = f"further values of column {column.name}", f"the first one is the {kind}"
                    example = shown(strings.filter(pc.not_equal(first, strings))[0].as_py())
                    source.left_out.append(LeftOut(what, num_cut, example, reason))
                strings = first
            values.append(strings)
        if values:
            texts[kind] = pc.coalesce(*values)
        for column, strings in zip(of_kind[1:], values[1:], strict=True):
            is_unused = pc.fill_null(pc.not_equal(strings, texts[kind]), False)
            if num_unused := pc.sum(is_unused).as_py():
                what, example = (
                    f"values of column {column.name} of {table.path.name}",
                    strings.filter(is_unused)[0].as_py(),
                )
                reason = f"the {kind} of a row is in the first column that has one"
                source.left_out.append(LeftOut(what, num_unused, shown(example), reason))
    if "category" not in texts and columns.id.space:
        texts["category"] = pa.repeat(pa.scalar(columns.id.space, pa.large_string()), len(rows))
    return Nodes(Names(ids.different, ids.codes[rows]), texts, table, rows, columns.id.space)


def nodes_of_ends(table: Table, ids: Names, columns: dict[str, str]) -> Nodes:
    """Takes what a table of edges says of its heads, relations or tails out of it, each different row once.

    Args:
        table: the table.
        ids: the heads, relations or tails.
        columns: "name" or "category" -> the column that has these of them.
    """
    keys = ids.codes.astype(np.int64)
    for name in columns.values():
        values = Names.of(table.columns[name])
        keys = keys * len(values.different) + values.codes
    rows = np.sort(np.unique(keys, return_index=True)[1])
    rows = rows[~ids.is_missing()[rows]]
    texts = {kind: text_column(table, name, rows) for kind, name in columns.items()}
    return Nodes(Names(ids.different, ids.codes[rows]), texts, table, rows, is_of_edges=True)


def take_literals(source: Source, table: Table, ends: tuple[str, ...]) -> tuple[Table, list[Nodes]]:
    """Takes the names, descriptions and other literals out of a table of edges in KGTK's format.

    Args:
        source: literals that are neither a name nor a description are noted there as left out.
        table: the table.
        ends: the columns of heads, relations and tails.

    Returns:
        The edges between entities, and what the others say of entities, English first.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    heads, relations, tails = (table.columns[name] for name in ends)
    is_literal = np.asarray(pc.match_substring_regex(tails, LITERAL))
    if not pc.any(pc.match_substring_regex(heads, NUMBER)).as_py():
        is_literal = is_literal | np.asarray(pc.match_substring_regex(tails, NUMBER))
    is_other, nodes = is_literal.copy(), []
    for kind, relation in (("name", "label"), ("description", "description")):
        is_text = np.asarray(pc.match_substring_regex(tails, TEXT)) & np.asarray(pc.equal(trim(relations), relation))
        rows = np.flatnonzero(is_text)
        if len(rows):
            is_english = np.asarray(pc.match_substring_regex(tails.take(pa.array(rows)), r"@en(?:-\w+)?$"))
            rows = rows[np.argsort(~is_english, kind="stable")]
            texts = pc.replace_substring_regex(text_column(table, ends[2], rows), TEXT, r"\1")
            texts = pc.replace_substring_regex(texts, r"\\(['\"|\\])", r"\1")
            nodes.append(Nodes(Names.of(heads.take(pa.array(rows))), {kind: texts}, table, rows, is_of_edges=True))
            is_other &= ~is_text
    if is_other.any():
        example = shown(tails[first_true(is_other)].as_py())
        what, reason = f"literals in column {ends[2]}", "a triplet links two entities; label and description are texts"
        source.left_out.append(LeftOut(what, int(is_other.sum()), example, reason))
    return table.select(np.flatnonzero(~is_literal), table.header) if is_literal.any() else table, nodes


def text_column(table: Table, name: str, rows: np.ndarray) -> "pa.LargeStringArray":
    """Returns the trimmed values of a column in some rows, null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    strings = trim(table.columns[name].combine_chunks().take(pa.array(rows)))
    return pc.if_else(pc.equal(strings, ""), None, strings)


def keep_spaces_apart(source: Source, spaces: list[tuple[str | None, Names]], nodes: list[Nodes]) -> None:
    """Puts the name of its space before each id of the spaces in which an id of another space is there too.

    Args:
        source: gets a note.
        spaces: the space, and the ids, of each column of nodes and of ends of edges; the ids change in place.
        nodes: they get a column of the ids as they were.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, list[Any]] = {}
    for space, ids in spaces:
        if space:
            found.setdefault(space, []).append(ids.different)
    if len(found) < 2:
        return
    different = {space: pa.concat_arrays(parts).unique() for space, parts in found.items()}
    counts = pc.value_counts(pa.concat_arrays(list(different.values())))
    is_shared = pc.and_(pc.greater(counts.field("counts"), 1), pc.not_equal(counts.field("values"), ""))
    shared = counts.field("values").filter(is_shared)
    if not len(shared):
        return
    colliding = [space for space in different if pc.any(pc.is_in(different[space], shared)).as_py()]
    of_ids = {id(part.ids): part for part in nodes}
    for space, ids in spaces:
        if space in colliding:
            if part := of_ids.get(id(ids)):
                part.texts["source_id"] = ids.different.take(pa.array(ids.codes))
            before, colon = pa.scalar(space, pa.large_string()), pa.scalar(":", pa.large_string())
            names = pc.binary_join_element_wise(before, ids.different, colon)
            ids.different = pc.if_else(pc.equal(ids.different, ""), ids.different, names)
    source.notes.append(
        f"{len(shared):,} ids are there in more than one of the id spaces {', '.join(colliding)}, such as "
        f"{escaped(shared[0].as_py())}: the ids of these spaces are written {colliding[0]}:{shared[0].as_py()}"
    )


def merge_nodes(source: Source, parts: list[Nodes]) -> "pa.Table":
    """Makes the table of entities or relations of what tables say of them.

    Args:
        source: what is not the same in all rows of an id is noted there as left out.
        parts: the tables, those first whose names count more.

    Returns:
        A row for each id, by first occurrence. A text is that of the first row that has one.

    Raises:
        GraphError: an id has two names in tables of nodes.
    """
    import pyarrow as pa

    if not parts:
        return names_table({"id": []})
    encoded = pa.concat_arrays([part.ids.different for part in parts]).dictionary_encode()
    starts = np.cumsum([0] + [len(part.ids.different) for part in parts])
    positions = encoded.indices.to_numpy()
    codes = np.concatenate([positions[start:][part.ids.codes] for start, part in zip(starts, parts, strict=False)])
    codes_by_occurrence = codes[np.sort(np.unique(codes, return_index=True)[1])]
    columns = {"id": encoded.dictionary.take(pa.array(codes_by_occurrence))}
    for kind in TEXTS:
        values = pa.concat_arrays([part.texts.get(kind, pa.nulls(len(part.rows), pa.large_string())) for part in parts])
        filled = np.flatnonzero(np.asarray(values.is_valid()))
        row_of_code = np.full(len(encoded.dictionary), -1)
        with_value, first = np.unique(codes[filled], return_index=True)
        row_of_code[with_value] = filled[first]
        _find_conflicts(source, parts, kind, values, filled, row_of_code[codes[filled]])
        chosen = row_of_code[codes_by_occurrence]
        columns[kind] = values.take(pa.array(chosen, mask=chosen < 0))
    return pa.table(columns)


def _find_conflicts(
    source: Source, parts: list[Nodes], kind: str, values: "pa.LargeStringArray", rows: np.ndarray, first: np.ndarray
) -> None:
    """Finds rows that have another text than the first row of the same id; both are positions among all rows."""
    codes = values.dictionary_encode().indices.fill_null(-1).to_numpy()
    differing = np.flatnonzero(codes[rows] != codes[first])
    if not len(differing):
        return
    ends = np.cumsum([len(part.rows) for part in parts])

    def place(row: int) -> tuple[Nodes, str]:
        number = int(np.searchsorted(ends, row, side="right"))
        part = parts[number]
        return part, part.table.place(int(part.rows[row - ends[number]]))

    row, other = int(rows[differing[0]]), int(first[differing[0]])
    part, where = place(row)
    texts = [shown(values[position].as_py()) for position in (other, row)]
    if kind == "name" and not part.is_of_edges:
        raise GraphError(
            f"{where}: a second name for the same id, {texts[1]}; {place(other)[1]} has {texts[0]}; keep one row "
            "per id, or write the ids of different nodes apart"
        )
    words = {"category": "categories"}.get(kind, f"{kind}s")
    reason = f"{place(other)[1]} has {texts[0]} for the same id, and the first one counts"
    source.left_out.append(LeftOut(f"second, different {words}", len(differing), f"{where}: {texts[1]}", reason))
