"""Converts a graph to Arrow tables or `datasets`, and back: strings there, vocabularies and integer arrays here.

No Python loop runs over triplets. The module touches no files; `dataset_folder.py` writes and reads them.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SLOT_NAMES, SPLITS, Vocabulary, escaped, text_of_id
from ..names.name_forms import is_blank, look_alike_of, trim, warn_of_look_alikes
from ..names.named_triplets import LABELS, NamedTriplets, collect_names, first_true, to_integers

if TYPE_CHECKING:
    import pyarrow as pa

    from ..core.knowledge_graph import KnowledgeGraph

BLOCK = 2**20  # rows in a chunk of strings; the offsets of an Arrow string array reach 2 GB only
Arrays = dict[str, tuple[np.ndarray, np.ndarray | None]]  # split -> (triplets (n, 3), labels (n,) or None)


# Tables of a graph


def to_arrow(graph: "KnowledgeGraph", shared_schema: bool = False) -> dict[str, Any]:
    """Converts a graph to Arrow tables.

    Args:
        graph: the graph.
        shared_schema: give all splits the column `label` if one of them has labels; it is null in the others.

    Returns:
        `{"triplets": {split: table}, "entities": table, "relations": table}`. Triplets have the string columns `head`,
        `relation` and `tail`, and `label` (int8, 1 or 0) if the split has labels. The other tables have the string
        columns `id` and `text`, in the order of the graph's integers.

    Raises:
        GraphError: an id or text is not valid Unicode.
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
            SLOT_NAMES[slot]: _take(ids[kind], split.triplets[:, slot])
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
    """Converts a graph to `datasets` objects.

    Args:
        graph: the graph.

    Returns:
        `{"triplets": DatasetDict, "entities": Dataset, "relations": Dataset}`, with the columns of `to_arrow`.

    Raises:
        GraphError: an id or text is not valid Unicode.
    """
    import datasets

    tables = to_arrow(graph)
    triplets = {name: datasets.Dataset(table) for name, table in tables.pop("triplets").items()}
    return {"triplets": datasets.DatasetDict(triplets)} | {kind: datasets.Dataset(tables[kind]) for kind in tables}


# A graph from tables


def from_arrow(
    triplets: Mapping[str, "pa.Table"], entities: "pa.Table | None", relations: "pa.Table | None"
) -> tuple[Vocabulary, Vocabulary, Arrays]:
    """Converts Arrow tables to the parts of a graph.

    Args:
        triplets: split -> table with the string columns `head`, `relation`, `tail`, and optionally `label`.
        entities: table with the string columns `id` and `text`; None: the ids that the triplets use, in order of
            first occurrence, with texts made from the ids.
        relations: the same for relations.

    Returns:
        The vocabulary of the entities, that of the relations, and for each split its triplets (int64 of shape (n, 3))
        and its labels (int8 of shape (n,), or None).

    Raises:
        GraphError: a column is missing or of another type, or an id is null, empty, unknown or listed twice; the
            message names the table and the row, counted from 0.
    """
    if not triplets:
        raise GraphError("no triplets were given")
    if unknown := sorted(set(triplets) - set(SPLITS)):
        raise GraphError(f"split {unknown[0]!r}; expected some of {', '.join(SPLITS)}")
    triplets = {split: triplets[split] for split in SPLITS if split in triplets}
    named = {}
    for split, table in triplets.items():
        columns = _string_columns(split, table, SLOT_NAMES)
        if not len(table):
            raise GraphError(f"{split}: no triplets; leave the split out")
        named[split] = NamedTriplets.from_columns(columns, _labels(split, table))
        if header := named[split].find_header():
            raise GraphError(f"{split}, row 0: a header ({', '.join(header)}); expected triplets only: leave it out")
    vocabularies = {
        kind: _vocabulary_of_triplets(kind, named) if table is None else _vocabulary_of_table(kind, table)
        for kind, table in (("entities", entities), ("relations", relations))
    }
    numbered = to_integers(named, vocabularies.values())
    for split, part in numbered.items():
        if (part < 0).any():
            _raise_for_name(split, named[split], part < 0, vocabularies)
    for vocabulary in vocabularies.values():
        warn_of_look_alikes(vocabulary.kind, vocabulary.ids)
    splits = {split: (part, named[split].labels) for split, part in numbered.items()}
    return vocabularies["entities"], vocabularies["relations"], splits


def from_datasets(triplets: Any, entities: Any, relations: Any) -> tuple[Vocabulary, Vocabulary, Arrays]:
    """Converts `datasets` objects to the parts of a graph.

    Args:
        triplets: a `DatasetDict`, or a dict of `Dataset`s, by split; columns that `to_arrow` does not have are ignored.
        entities: a `Dataset`, a `DatasetDict` with one split, or None, as in `from_arrow`.
        relations: the same for relations.

    Returns:
        As `from_arrow`.

    Raises:
        GraphError: an argument has another type; otherwise as `from_arrow`.
    """
    if not isinstance(triplets, Mapping):
        raise GraphError(f"triplets: a {type(triplets).__name__}; expected a DatasetDict, or {{'train': Dataset, ...}}")
    tables = [_to_table(name, table, (*SLOT_NAMES, "label")) for name, table in triplets.items()]
    vocabularies = []
    for kind, given in (("entities", entities), ("relations", relations)):
        table = next(iter(given.values())) if isinstance(given, Mapping) and len(given) == 1 else given
        vocabularies.append(None if table is None else _to_table(kind, table, ("id", "text")))
    return from_arrow(dict(zip(triplets, tables, strict=True)), *vocabularies)


def _to_table(name: str, dataset: Any, columns: tuple[str, ...]) -> "pa.Table":
    """Returns the Arrow table of a dataset, cut down to those of the columns that it has."""
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise GraphError(f"{name}: a {type(dataset).__name__}; expected a datasets.Dataset (not a streaming one)")
    existing = [column for column in columns if column in dataset.column_names]
    # `.data` would ignore what `select` and `filter` left out of the dataset.
    return dataset.select_columns(existing).with_format("arrow")[:]


def _string_columns(name: str, table: "pa.Table", columns: tuple[str, ...]) -> "list[pa.ChunkedArray]":
    """Returns columns of a table as large strings; raises GraphError if one is missing, has nulls or another type."""
    import pyarrow as pa

    strings = []
    for column in columns:
        if column not in table.column_names:
            existing = ", ".join(table.column_names) or "none of them"
            raise GraphError(f"{name}: no column {column!r}; expected {', '.join(columns)}, found {existing}")
        values = table[column]
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise GraphError(
                f"{name}: column {column!r} is {kind}; expected strings (load the table with Value('string') features, "
                "so that an id such as 007 stays what it is)"
            )
        if values.null_count:
            raise GraphError(f"{name}, row {first_true(values.is_null())}: {column} is null; expected a string")
        strings.append(_decoded(name, column, values.cast(pa.large_string())))
    return strings


def _decoded(name: str, column: str, values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Returns large strings as they are; raises GraphError if one is not valid UTF-8, which Arrow does not check."""
    import pyarrow as pa

    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        for row, value in enumerate(values.cast(pa.large_binary()).to_pylist()):
            try:
                value.decode()
            except UnicodeDecodeError as error:
                raise GraphError(f"{name}, row {row}: {column} {value!r} is not UTF-8 ({error.reason})") from None
    return values


def _vocabulary_of_table(kind: str, table: "pa.Table") -> Vocabulary:
    columns = [trim(values) for values in _string_columns(kind, table, ("id", "text"))]
    for column, values in zip(("id", "text"), columns, strict=True):
        if (blank := is_blank(values)).any():
            row = first_true(blank)
            raise GraphError(f"{kind}, row {row}: {column} is {values[row].as_py()!r}; expected a name or text")
    ids, texts = (values.to_pylist() for values in columns)
    if len(columns[0].unique()) < len(ids):
        name, count = Counter(ids).most_common(1)[0]
        raise GraphError(f"{kind}, row {ids.index(name)}: {name!r} has {count} rows; expected one row per id")
    return Vocabulary(kind, ids, texts)


def _vocabulary_of_triplets(kind: str, splits: Mapping[str, NamedTriplets]) -> Vocabulary:
    ids = [name for name in collect_names(splits, kind).to_pylist() if name]
    return Vocabulary(kind, ids, [text_of_id(name) for name in ids])


def _raise_for_name(
    split: str, triplets: NamedTriplets, is_unknown: np.ndarray, vocabularies: Mapping[str, Vocabulary]
) -> NoReturn:
    """Raises GraphError for the first row that has an unknown or empty name; `is_unknown` is bool of shape (n, 3)."""
    row = first_true(is_unknown.any(axis=1))
    slot = first_true(is_unknown[row])
    name = triplets.names[int(triplets.codes[row, slot])].as_py()
    kind = "relations" if slot == 1 else "entities"
    fault = "is empty; expected a name"
    if name:
        fault = f"has no row in the table {kind!r}{look_alike_of(name, vocabularies[kind].ids)}"
    raise GraphError(f"{split}, row {row}: {SLOT_NAMES[slot]} {escaped(name)} {fault}")


def _labels(split: str, table: "pa.Table") -> np.ndarray | None:
    """Returns the labels 1 and 0 (given as 1, and 0 or -1) as int8, or None for a split whose labels are all null."""
    if "label" not in table.column_names or table["label"].null_count == len(table):
        return None
    column = table["label"]
    if column.null_count:
        row = first_true(column.is_null())
        raise GraphError(f"{split}, row {row}: label is null; expected a label in each row of the split, or in none")
    encoded = column.combine_chunks().dictionary_encode()
    values = [LABELS.get(value, -1) for value in encoded.dictionary.to_pylist()]
    labels = np.array(values, dtype=np.int8)[encoded.indices.to_numpy()]
    if (row := first_true(labels == -1)) < len(labels):
        raise GraphError(f"{split}, row {row}: label {column[row].as_py()!r}; expected 1 (true) or 0 or -1 (false)")
    return labels
