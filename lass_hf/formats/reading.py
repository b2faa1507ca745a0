"""Reads a file or folder of any format that `detection.py` knows, and selects relations.

This is the one way from a path to a `Source`.
"""

import dataclasses
import difflib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import escaped
from ..names.named_triplets import NamedTriplets, collect_names
from ..names.source import LeftOut, ReadingOptions, Source
from .detection import detect_format

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = 10  # names that an error message lists


def read_source(path: str | Path, options: ReadingOptions | None = None) -> Source:
    """Reads the triplets and names of a source.

    Args:
        path: a file or a folder.
        options: what is read of it.

    Returns:
        The source, with the relations and the number of triplets that the options ask for.

    Raises:
        GraphError: the format is unknown, its library is not installed, the content is wrong, an option means nothing
            for it, or nothing is left. The message names file and line, or statement.
    """
    path, options = Path(path), options or ReadingOptions()
    kind = detect_format(path)
    if kind.family == "rdf":
        from .rdf import read_rdf

        source = read_rdf(path, options)
    elif kind.family == "obo":
        from .obo import read_obo

        source = read_obo(path, options)
    else:
        from .graph_tables import read_graph_tables

        source = read_graph_tables(path, options)
    source.notes[:0] = kind.notes
    if kind.others:
        example = str(kind.others[0].relative_to(path))
        source.left_out.append(LeftOut("other files", len(kind.others), example, f"this is read as a {kind.name}"))
    return select_triplets(source, options)


def select_triplets(source: Source, options: ReadingOptions) -> Source:
    """Keeps the triplets of the relations, and the number of triplets, that the options ask for.

    All entities stay when `relations` or `exclude` leave triplets out: what has no parent may be what a parent is to be
    predicted for. `limit` reads the beginning of a graph, to try something out: it leaves the entities of that only.

    Args:
        source: what a reader returned.
        options: `relations` and `exclude` name relations by id, own form of the source, or name; `limit` is the number
            of triplets in each split.

    Returns:
        The source without the other triplets, and without relations and splits that have none. `left_out` says what
        was left out, and `notes` which splits.

    Raises:
        GraphError: a name is not that of a relation, or no triplet is left.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = _count_relations(source)
    kept = set(_find_relations(source, "relations", options.relations, counts) or counts)
    kept -= set(_find_relations(source, "exclude", options.exclude, counts))
    if not kept:
        has = f"the options leave out all that it has: {_list_counts(counts)}" if counts else "it has none"
        raise GraphError(f"{source.path}: no triplet is left; {has}")
    ids = pa.array(sorted(kept), pa.large_string())
    rows, others, beyond = {}, {}, {}
    for name, split in source.splits.items():
        is_kept = np.asarray(pc.is_in(split.names, value_set=ids))[split.codes[:, 1]]
        selected, others[name] = np.flatnonzero(is_kept), np.flatnonzero(~is_kept)
        rows[name] = selected[: options.limit]
        beyond[name] = selected[len(rows[name]) :]
    splits = {name: source.splits[name].select(selected) for name, selected in rows.items() if len(selected)}
    given = [f"{name}={','.join(value)}" for name in ("relations", "exclude") if (value := getattr(options, name))]
    left_out = [
        _leave_out(source, others, f"triplets of {len(counts) - len(kept)} other relations", " ".join(given)),
        _leave_out(source, beyond, "triplets beyond the limit", f"limit={options.limit}"),
    ]
    entities = source.entities
    unused = _keep_used(source.relations, source.splits, "relations")[1]
    left_out.append(LeftOut("relations without a triplet", len(unused), _first_id(unused), "none is to be predicted"))
    if options.limit is not None:
        entities, unused = _keep_used(entities, splits, "entities")
        left_out.append(LeftOut("entities without a triplet", len(unused), _first_id(unused), f"limit={options.limit}"))
    return dataclasses.replace(
        source,
        splits=splits,
        entities=entities,
        relations=_keep_used(source.relations, splits, "relations")[0],
        dates=None if source.dates is None else source.dates.take(pa.array(rows["train"])),
        left_out=[*source.left_out, *(one for one in left_out if one.count)],
        notes=[*source.notes, *(f"no triplet of {name} is left" for name in source.splits if name not in splits)],
    )


def _count_relations(source: Source) -> dict[str, int]:
    """Returns the number of triplets of each relation in all splits, those with the most first."""
    counts: Counter[str] = Counter()
    for split in source.splits.values():
        numbers = np.bincount(split.codes[:, 1], minlength=len(split.names))
        used = np.flatnonzero(numbers)
        counts.update(dict(zip(split.names.take(used).to_pylist(), numbers[used].tolist(), strict=True)))
    return dict(counts.most_common())


def _find_relations(source: Source, option: str, given: tuple[str, ...], counts: dict[str, int]) -> list[str]:
    """Returns the ids of the relations that an option names; see `select_triplets`."""
    listed = source.relations.select(["id", "source_id", "name"]).to_pylist()
    found = []
    for text in given:
        matches = [text] if text in counts else []
        for form in ("source_id", "name"):
            matches = matches or [one["id"] for one in listed if one[form] == text and one["id"] in counts]
        if len(matches) > 1:
            ids = ", ".join(map(escaped, matches[:LISTED]))
            raise GraphError(
                f"{source.path}: {option}={text!r} is the name of {len(matches)} relations; give an id: {ids}"
            )
        if not matches:
            known = {*counts, *(one["name"] for one in listed if one["name"] and one["id"] in counts)}
            close = difflib.get_close_matches(text, sorted(known), n=3)
            hint = f"did you mean {' or '.join(map(escaped, close))}? " if close else ""
            raise GraphError(
                f"{source.path}: {option}={text!r} is no relation of its triplets; {hint}it has {_list_counts(counts)}"
            )
        found += matches
    return found


def _list_counts(counts: dict[str, int]) -> str:
    listed = ", ".join(f"{escaped(name)} ({count:,})" for name, count in list(counts.items())[:LISTED])
    return listed + (f" and {len(counts) - LISTED} more" if len(counts) > LISTED else "")


def _leave_out(source: Source, rows: dict[str, np.ndarray], what: str, reason: str) -> LeftOut:
    """Makes the remark about some triplets, numbers of them by split, with the first as the example."""
    example = ""
    for name, numbers in rows.items():
        if len(numbers) and not example:
            split = source.splits[name]
            example = " ".join(split.names.take(split.codes[numbers[0]]).to_pylist())
    return LeftOut(what, sum(map(len, rows.values())), example, reason)


def _keep_used(table: "pa.Table", splits: dict[str, NamedTriplets], kind: str) -> tuple["pa.Table", "pa.Table"]:
    """Returns the rows of a table of "entities" or "relations" that some triplets use, and the other rows."""
    import pyarrow.compute as pc

    is_used = pc.is_in(table["id"], value_set=collect_names(splits, kind))
    return table.filter(is_used), table.filter(pc.invert(is_used))


def _first_id(table: "pa.Table") -> str:
    return table["id"][0].as_py() if len(table) else ""
