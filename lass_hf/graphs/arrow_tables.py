"""A graph as tables and back: Arrow strings on one side, vocabularies and integer arrays on the other.

Nothing here loops over triplets in Python. It knows no files; `dataset_folder.py` writes and reads those.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SPLITS, Vocabulary, text_of_id
from .named_triplets import NamedTriplets, is_blank, to_integers, used_names

if TYPE_CHECKING:
    import pyarrow as pa

    from ..core.knowledge_graph import KnowledgeGraph

COLUMNS = ("head", "relation", "tail")
BLOCK = 2**20  # rows of a chunk of strings: Arrow's hold 2 GB
Arrays = dict[str, tuple[np.ndarray, np.ndarray | None]]


# Tables of a graph


def to_arrow(graph: "KnowledgeGraph", shared_schema: bool = False) -> dict[str, Any]:
    """`{"triplets": {split: table}, "entities": table, "relations": table}` as Arrow tables: strings, labels int8.

    `shared_schema`: if any split has labels, the others have the column too, all null.
    """
    import pyarrow as pa

    tables: dict[str, Any] = {"triplets": {}}
    for vocabulary in (graph.entities, graph.relations):
        try:
            tables[vocabulary.kind] = pa.table(
                {"id": pa.array(vocabulary.ids, pa.string()), "text": pa.array(vocabulary.texts, pa.string())}
            )
        except UnicodeEncodeError as error:
            raise GraphError(f"{vocabulary.kind}: {error.object!r} is not valid Unicode ({error.reason})") from None
    ids = {kind: tables[kind]["id"].combine_chunks() for kind in ("entities", "relations")}
    labeled = any(split.labels is not None for split in graph.splits.values())
    for name, split in graph.splits.items():
        columns = {
            COLUMNS[slot]: _take(ids[kind], split.triplets[:, slot])
            for slot, kind in enumerate(("entities", "relations", "entities"))
        }
        if split.labels is not None:
            columns["label"] = pa.array(split.labels, pa.int8())
        elif labeled and shared_schema:
            columns["label"] = pa.nulls(len(split), pa.int8())
        tables["triplets"][name] = pa.table(columns)
    return tables


def _take(strings: "pa.StringArray", positions: np.ndarray) -> "pa.ChunkedArray":
    import pyarrow as pa

    starts = range(0, len(positions), BLOCK)
    return pa.chunked_array([strings.take(pa.array(positions[start : start + BLOCK])) for start in starts], pa.string())


def to_datasets(graph: "KnowledgeGraph") -> dict[str, Any]:
    """The tables of `to_arrow` as `datasets.DatasetDict` and `Dataset`."""
    import datasets

    tables = to_arrow(graph)
    triplets = {name: datasets.Dataset(table) for name, table in tables.pop("triplets").items()}
    return {"triplets": datasets.DatasetDict(triplets)} | {kind: datasets.Dataset(tables[kind]) for kind in tables}


# A graph from tables


def from_arrow(
    triplets: Mapping[str, "pa.Table"], entities: "pa.Table | None", relations: "pa.Table | None"
) -> tuple[Vocabulary, Vocabulary, Arrays]:
    """Vocabularies, and triplets (int64, shape (n, 3)) with labels (int8, shape (n,), or None) of each split.

    Without a table of its own, a vocabulary is what the triplets use, in order, and an id is its own text.
    """
    if not triplets:
        raise GraphError("no triplets were given")
    if unknown := sorted(set(triplets) - set(SPLITS)):
        raise GraphError(f"split {unknown[0]!r}; expected some of {', '.join(SPLITS)}")
    triplets = {split: triplets[split] for split in SPLITS if split in triplets}
    named = {}
    for split, table in triplets.items():
        columns = _string_columns(split, table, COLUMNS)
        if not len(table):
            raise GraphError(f"{split}: no triplets; leave the split out")
        named[split] = NamedTriplets.from_columns(columns, _labels(split, table))
    vocabularies = {
        kind: _vocabulary_in_use(kind, named) if table is None else _vocabulary(kind, table)
        for kind, table in (("entities", entities), ("relations", relations))
    }
    numbered = to_integers(named, vocabularies.values())
    for split, part in numbered.items():
        if (part < 0).any():
            _refuse(split, named[split], part < 0)
    splits = {split: (part, named[split].labels) for split, part in numbered.items()}
    return vocabularies["entities"], vocabularies["relations"], splits


def from_datasets(triplets: Any, entities: Any, relations: Any) -> tuple[Vocabulary, Vocabulary, Arrays]:
    """`from_arrow` of `datasets.Dataset`s; a `DatasetDict` of one split stands for its only table."""
    if not isinstance(triplets, Mapping):
        raise GraphError(f"triplets: a {type(triplets).__name__}; expected a DatasetDict, or {{'train': Dataset, ...}}")
    tables = [_arrow(name, table, (*COLUMNS, "label")) for name, table in triplets.items()]
    rest = []
    for kind, given in (("entities", entities), ("relations", relations)):
        table = next(iter(given.values())) if isinstance(given, Mapping) and len(given) == 1 else given
        rest.append(None if table is None else _arrow(kind, table, ("id", "text")))
    return from_arrow(dict(zip(triplets, tables, strict=True)), *rest)


def _arrow(name: str, table: Any, columns: tuple[str, ...]) -> "pa.Table":
    import datasets

    if not isinstance(table, datasets.Dataset):
        raise GraphError(f"{name}: a {type(table).__name__}; expected a datasets.Dataset (not a streaming one)")
    wanted = [column for column in columns if column in table.column_names]
    return table.select_columns(wanted).with_format("arrow")[:]  # not `.data`: that ignores select and filter


def _string_columns(name: str, table: "pa.Table", columns: tuple[str, ...]) -> "list[pa.ChunkedArray]":
    """Some columns of a table as large strings, none of them null."""
    import pyarrow as pa

    found = []
    for column in columns:
        if column not in table.column_names:
            given = ", ".join(table.column_names) or "none of them"
            raise GraphError(f"{name}: no column {column!r}; expected {', '.join(columns)}, found {given}")
        values = table[column]
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise GraphError(
                f"{name}: column {column!r} is {kind}; expected strings (load the table with Value('string') features, "
                "so that an id such as 007 stays what it is)"
            )
        if values.null_count:
            raise GraphError(f"{name}, row {_first(values.is_null())}: {column} is null; expected a string")
        found.append(values.cast(pa.large_string()))
    return found


def _first(mask: Any) -> int:
    """Position of the first true value."""
    return int(np.argmax(np.asarray(mask)))


def _vocabulary(kind: str, table: "pa.Table") -> Vocabulary:
    columns = _string_columns(kind, table, ("id", "text"))
    for column, values in zip(("id", "text"), columns, strict=True):
        if (blank := is_blank(values)).any():
            row = _first(blank)
            raise GraphError(f"{kind}, row {row}: {column} is {values[row].as_py()!r}; expected a name or text")
    ids, texts = (values.to_pylist() for values in columns)
    if len(columns[0].unique()) < len(ids):
        name, count = Counter(ids).most_common(1)[0]
        raise GraphError(f"{kind}, row {ids.index(name)}: {name!r} has {count} rows; expected one row per id")
    return Vocabulary(kind, ids, texts)


def _vocabulary_in_use(kind: str, splits: Mapping[str, NamedTriplets]) -> Vocabulary:
    ids = [name for name in used_names(splits, kind).to_pylist() if name.strip()]
    return Vocabulary(kind, ids, [text_of_id(name) for name in ids])


def _refuse(split: str, triplets: NamedTriplets, wrong: np.ndarray) -> NoReturn:
    """Raises GraphError for the first row that has a wrong name; `wrong` is bool, shape (n, 3)."""
    row = _first(wrong.any(axis=1))
    slot = _first(wrong[row])
    name = triplets.names[int(triplets.codes[row, slot])].as_py()
    kind = "relations" if slot == 1 else "entities"
    fault = f"has no row in the table {kind!r}" if name.strip() else "is empty; expected a name"
    raise GraphError(f"{split}, row {row}: {COLUMNS[slot]} {name!r} {fault}")


def _labels(split: str, table: "pa.Table") -> np.ndarray | None:
    """Labels 1 / 0 (-1 counts as 0), int8; None for a split whose labels are all null."""
    if "label" not in table.column_names or table["label"].null_count == len(table):
        return None
    column = table["label"]
    if column.null_count:
        row = _first(column.is_null())
        raise GraphError(f"{split}, row {row}: label is null; expected a label in each row of the split, or in none")
    labels = column.to_numpy()
    if not (right := np.isin(labels, (1, 0, -1))).all():
        row = _first(~right)
        raise GraphError(f"{split}, row {row}: label {column[row].as_py()!r}; expected 1 (true) or 0 or -1 (false)")
    return (labels == 1).astype(np.int8)
