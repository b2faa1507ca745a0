"""Judged triplets, the rows that all writers take, and what is said of a whole file of them.

A judged triplet is a prediction, or a triplet of the graph that was checked: names and texts, score, probability, rank,
label, kind, reviewer and reasons. Rows are Arrow tables of one schema, so that millions pass through in chunks.
"""

import dataclasses
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import LassError, first_line
from ..utils.checked_files import Types, check_types
from ..version import __version__

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from ..core.knowledge_graph import KnowledgeGraph

NAMES = ("head", "relation", "tail")
TEXTS = ("head_text", "relation_text", "tail_text")
NOTES = ("kind", "reviewer")
METADATA_TYPES: Types = {
    **dict.fromkeys(("model", "date", "version"), str),
    **dict.fromkeys(("graph", "model_revision", "graph_digest"), (str, type(None))),
    "settings": dict,
}
WORDS = {  # for what a column holds
    "bool": "true, false or nothing, or 1 and 0 where a spreadsheet has words of its own language",
    **{"float": "a number", "double": "a number or nothing"},
    **{"int64": "an integer or nothing", "large_string": "a text"},
}
CHUNK_ROWS = 65_536
CHUNK_BYTES = 2**26  # texts may be long: a chunk has fewer rows then


class RowError(LassError):
    """A value that no row of judged triplets may have.

    Args:
        row: the row, from 0.
        what: the column, the value and what is expected.
    """

    def __init__(self, row: int, what: str):
        super().__init__(f"row {row + 1}: {what}")
        self.row, self.what = row, what


@cache
def judged_schema() -> "pa.Schema":
    """Returns the schema of judged triplets.

    `head`, `relation` and `tail` are ids, `head_text`, `relation_text` and `tail_text` their texts ("" without one).
    `score` is float32, the higher the more plausible. `probability` of being true, `rank` (1 is the best), `known` (the
    graph holds the triplet) and `label` (true or false) are null where they are unknown. `kind` is what the triplet is
    to the graph (a suggestion's standing, a finding's kind), and `reviewer` the person who gave the label, or several
    with ", " between them; both are "" without one. `reasons` are texts.
    """
    import pyarrow as pa

    return pa.schema(
        [
            *(pa.field(name, pa.large_string(), nullable=False) for name in (*NAMES, *TEXTS)),
            pa.field("score", pa.float32(), nullable=False),
            pa.field("probability", pa.float64()),
            pa.field("rank", pa.int64()),
            pa.field("known", pa.bool_()),
            pa.field("label", pa.bool_()),
            *(pa.field(name, pa.large_string(), nullable=False) for name in NOTES),
            pa.field("reasons", pa.list_(pa.large_string()), nullable=False),
        ]
    )


def date_of_now() -> str:
    """Returns the date and time in ISO 8601, so exactly that no two files of one process have the same."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class FileMetadata:
    """What identifies a file of judged triplets.

    Attributes:
        model: the folder or the hub's name of the model.
        graph: the folder or the name of the graph; None: the one that the model has.
        model_revision: the commit of the model on the hub, or None.
        graph_digest: `graph_fingerprint` of the graph, or None.
        settings: what else the rows depend on: the query, `top_k`, ...; plain values, as in JSON.
        date: when the rows were made, in ISO 8601.
        version: the version of lass-hf.
    """

    model: str
    graph: str | None = None
    model_revision: str | None = None
    graph_digest: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    date: str = field(default_factory=date_of_now)
    version: str = __version__

    def as_json(self, indent: int | None = None) -> str:
        """Returns the metadata as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=indent, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, file: str | Path) -> "FileMetadata":
        """Returns the metadata of `as_json`; raises LassError, which names the file, for anything else."""
        expected = "the metadata of judged triplets; write the file again"
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LassError(f"{file}: not {expected} ({first_line(error)})") from None
        if not isinstance(content, dict):
            raise LassError(f"{file}: not {expected} (no JSON object)")
        check_types(file, content, METADATA_TYPES, expected)
        return cls(**{name: content[name] for name in METADATA_TYPES})

    @property
    def run(self) -> str:
        """The IRI of what made the file, a UUID of the metadata: the same metadata have the same."""
        return uuid.uuid5(uuid.NAMESPACE_OID, self.as_json()).urn


def judged_triplets(**columns: Any) -> "pa.Table":
    """Makes a table of judged triplets.

    Args:
        **columns: the columns of `judged_schema`, as lists or arrays; `head`, `relation`, `tail` and `score` at least.

    Returns:
        The table, with all columns.

    Raises:
        LassError: a column is missing, unknown or of another type or length, or a value is out of range; the message
            has the row's number, counted from 1.
    """
    import pyarrow as pa

    schema = judged_schema()
    if other := columns.keys() - set(schema.names):
        raise LassError(f"a column {sorted(other)[0]!r}; expected some of {', '.join(schema.names)}")
    if missing := {*NAMES, "score"} - columns.keys():
        raise LassError(f"no column {sorted(missing)[0]!r}; expected head, relation, tail and score at least")
    count = len(columns["head"])
    empty = {"reasons": [[]] * count, **{name: [""] * count for name in (*TEXTS, *NOTES)}}
    given = []
    for one in schema:
        values = columns.get(one.name, empty.get(one.name, [None] * count))
        try:
            given.append(values.cast(one.type) if hasattr(values, "cast") else pa.array(values, one.type))
        except (pa.ArrowException, TypeError, UnicodeEncodeError) as error:
            _refuse_value(one, values)
            raise LassError(f"column {one.name}: not {one.type} ({error})") from None
        if len(values) != count:
            raise LassError(f"column {one.name}: {len(values)} rows, expected {count} as in head")
    table = pa.table(given, schema=schema)
    _check(table)
    return table


def columns_of(graph: "KnowledgeGraph", triplets: "np.ndarray") -> "dict[str, pa.Array]":
    """Returns the ids and texts of triplets of a graph, int64 of shape (n, 3), as columns of `judged_triplets`."""
    import pyarrow as pa

    columns = {}
    for name, numbers, names in zip(NAMES, triplets.T, (graph.entities, graph.relations, graph.entities), strict=True):
        for column, values in ((name, names.ids), (f"{name}_text", names.texts)):
            columns[column] = pa.array(values, pa.large_string()).take(pa.array(numbers))
    return columns


def _refuse_value(column: "pa.Field", values: Any) -> None:
    """Raises RowError for the first value that a column cannot have, where it is a single one that does not fit."""
    import pyarrow as pa

    is_arrow = hasattr(values, "cast")
    for row, value in enumerate(values.to_pylist() if is_arrow else values):
        try:
            _ = pa.scalar(value).cast(column.type) if is_arrow else pa.scalar(value, column.type)
        except (pa.ArrowException, TypeError, UnicodeEncodeError):
            expected = WORDS.get(str(column.type), "texts")
            raise RowError(row, f"{column.name} {value!r:.60}; expected {expected}") from None


def _check(table: "pa.Table") -> None:
    """Raises LassError for the first value that no row may have."""
    import pyarrow.compute as pc

    def refuse(name: str, wrong: Any, expected: str) -> None:
        row = pc.index(wrong, True).as_py()
        if row >= 0:
            raise RowError(row, f"{name} {table[name][row].as_py()!r:.60}; expected {expected}")

    for one in table.schema:
        if not one.nullable:
            refuse(one.name, pc.is_null(table[one.name]), "a value")
    for name in NAMES:
        refuse(name, pc.equal(table[name], ""), "an id")
    refuse("score", pc.invert(pc.is_finite(table["score"])), "a finite number")
    probability = table["probability"]
    inside = pc.and_(pc.greater_equal(probability, 0), pc.less_equal(probability, 1))
    refuse("probability", pc.invert(pc.fill_null(inside, True)), "a number from 0 to 1, or none")
    reasons = pc.list_flatten(table["reasons"])
    if reasons.null_count or pc.any(pc.equal(reasons, "")).as_py():
        raise LassError("an empty reason; expected texts, or no reasons")


def chunks_of(rows: "pa.Table | pa.RecordBatch | Iterable[pa.Table | pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Cuts judged triplets into tables that are small enough to be worked on.

    Args:
        rows: a table of judged triplets, or any number of them, one after the other.

    Yields:
        Tables of `judged_schema`, checked as `judged_triplets` does.
    """
    import pyarrow as pa

    for table in (rows,) if isinstance(rows, (pa.Table, pa.RecordBatch)) else rows:
        checked = judged_triplets(**{name: table[name] for name in table.schema.names})
        size = max(1, min(CHUNK_ROWS, CHUNK_BYTES * len(checked) // max(1, checked.nbytes)))
        for start in range(0, len(checked), size):
            yield checked.slice(start, size)


def short_doubles(scores: Any) -> Any:
    """Returns float32 as the double numbers that are written the same: 0.1, and not 0.10000000149011612."""
    import pyarrow as pa

    return scores.cast(pa.string()).cast(pa.float64())
