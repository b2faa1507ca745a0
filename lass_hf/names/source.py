"""What a file or folder of another format holds, in names; and the options of reading it.

Each reader of this wing returns a `Source`. `graphs/importing.py` makes a graph of it, and a report on what became of
everything in the file.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import GraphError
from ..core.vocabulary import shown
from .named_triplets import NamedTriplets

if TYPE_CHECKING:
    import pyarrow as pa

INCLUDABLE = ("literals", "annotations", "blank_nodes")  # what RDF readers leave out unless it is asked for


@dataclass(frozen=True)
class ReadingOptions:
    """What is read of a source, and where in it. A reader refuses the options that mean nothing to it.

    Attributes:
        relations: only these relations, by id, name or own form of the source; empty: all.
        exclude: not these relations.
        name_of: the properties, or the column, that hold the names, the best first; empty: the usual ones.
        description_of: the same for descriptions.
        language: the preferred language of names and descriptions, such as "en".
        include: what is read though it usually is left out, some of `INCLUDABLE`.
        limit: read the first so many triplets only.
        head_column: the column of the heads; None: it is guessed from the names of the columns.
        relation_column: the same for relations.
        tail_column: the same for tails.
        id_column: the column of the ids in a table of entities.
        split_column: a column that says which split a triplet is in.
        date_column: a column by which triplets can be split into older and newer ones.
    """

    relations: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name_of: tuple[str, ...] = ()
    description_of: tuple[str, ...] = ()
    language: str | None = None
    include: tuple[str, ...] = ()
    limit: int | None = None
    head_column: str | None = None
    relation_column: str | None = None
    tail_column: str | None = None
    id_column: str | None = None
    split_column: str | None = None
    date_column: str | None = None

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, kind = getattr(self, one.name), {"limit": int}.get(one.name, str)
            if one.default == ():
                values = (value,) if isinstance(value, str) else value
                if not isinstance(values, Collection) or not all(isinstance(name, str) for name in values):
                    raise GraphError(f"{one.name}={shown(value)}; expected a name or several")
                object.__setattr__(self, one.name, tuple(values))
            elif value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
                raise GraphError(f"{one.name}={shown(value)}; expected {'a number' if kind is int else 'a name'}")
        if other := set(self.include) - set(INCLUDABLE):
            raise GraphError(f"include={sorted(other)[0]!r}; expected some of {', '.join(INCLUDABLE)}")
        if self.limit is not None and self.limit < 1:
            raise GraphError(f"limit={self.limit}; expected 1 or more")

    def given(self) -> list[str]:
        """Returns the names of the options that are not as by default."""
        return [one.name for one in dataclasses.fields(self) if getattr(self, one.name) != one.default]

    def refuse_others(self, path: Path, format: str, understood: Collection[str]) -> None:
        """Raises GraphError for an option that a reader would ignore.

        Args:
            path: the source.
            format: its format, in words: "Turtle".
            understood: the options that the reader understands, besides `relations`, `exclude` and `limit`.
        """
        if other := [name for name in self.given() if name not in ("relations", "exclude", "limit", *understood)]:
            raise GraphError(f"{path}: {other[0]} means nothing for {format}; leave it out")


@dataclass(frozen=True)
class LeftOut:
    """Statements, rows or terms of a source that became no triplet and no text.

    Attributes:
        what: in plain words: "literals of schema:dateModified", "obsolete terms".
        count: how many.
        example: one of them, as the source has it, shortened to a line.
        reason: why they were left out, and how to have them, if one can.
    """

    what: str
    count: int
    example: str
    reason: str


@dataclass
class Source:
    """What a source holds, in names.

    Attributes:
        path: the file or folder.
        format: its format, in words: "Turtle", "OBO", "Neo4j import folder".
        files: the files that were read.
        splits: the triplets in ids, by split: "train" alone, unless the source has splits.
        entities: Arrow table of the large-string columns `id` (all different, never null), `name`, `description`,
            `category` and `source_id` (null where unknown; `source_id` is the id in the source's own form, null where
            `id` is just that). It may lack ids that the triplets use, and have ids that they do not use.
        relations: the same with the columns `id`, `name`, `source_id`.
        dates: one large string per train triplet, from `date_column`; None without it.
        prefixes: prefix -> namespace, by which ids were shortened.
        left_out: what became of the rest.
        notes: other things to know, a sentence each: "owl:imports <...> is not fetched".
    """

    path: Path
    format: str
    files: list[Path]
    splits: dict[str, NamedTriplets]
    entities: "pa.Table"
    relations: "pa.Table"
    dates: "pa.ChunkedArray | None" = None
    prefixes: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def names_table(rows: dict[str, list[str | None]]) -> "pa.Table":
    """Makes the table of entities or relations of a `Source`.

    Args:
        rows: column -> values; of `id` all, of `name`, `description`, `category` and `source_id` those that there are.

    Returns:
        The table, with all five columns.
    """
    import pyarrow as pa

    count = len(rows["id"])
    columns = ("id", "name", "description", "category", "source_id")
    return pa.table({name: pa.array(rows.get(name, [None] * count), pa.large_string()) for name in columns})


def needs_extra(path: Path, format: str, extra: str) -> GraphError:
    """Makes the error for a format whose library is not installed; the caller raises it."""
    return GraphError(f'{path}: {format} needs an extra that is not installed: pip install "lass-hf[{extra}]"')
