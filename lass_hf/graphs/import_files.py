"""What an import leaves beside the graph: `import_report.json`, what became of a source; `source.json`, how to go back.

`cli/subcommands/importing.py` prints the report. The writers of results read `source.json` for ids in the source's own
form.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import escaped, is_unicode, shown
from ..formats.reading import read_source
from ..names.source import ReadingOptions
from ..utils.checked_files import Types, check_types, read_json
from ..version import __version__
from .importing import ImportedGraph
from .loading import find_path
from .text_folder import GRAPH_FILES, WRITTEN_SPLITS, WRITTEN_TEXTS, is_graph_folder, write_directory

REPORT_FILE = "import_report.json"
SOURCE_FILE = "source.json"
TEXT_COUNTS = ("named", "described", "only_category", "only_id", "example")
MANY = 20  # triplets of a relation whose tails are looked at
NEARLY_ALL = 0.9  # of the tails of a relation
COPY_SECONDS = 2  # A copy of a folder has its files in any order, but soon after each other.
EXPECTED = "the record of a source, as lass-hf import writes it; import the source again"
KEYS: Types = {
    **{"path": str, "format": str, "files": list, "options": dict, "prefixes": dict},
    **{"entities": dict, "relations": dict, "version": str, "date": str},
}


@dataclass(frozen=True)
class SourceRecord:
    """Where the graph of a folder comes from.

    Attributes:
        path: the file or folder, or the name of the graph, as it was given.
        format: its format, in words.
        files: for each file that was read its path, its SHA-256 and its size in bytes.
        options: the options of the reading that were given, by name.
        prefixes: prefix -> namespace, by which ids were shortened.
        entities: id -> form of the source, of the entities whose id is not just that.
        relations: the same for relations.
        version: the version of lass-hf that read it.
        date: when it was read: ISO 8601, UTC.
    """

    path: str
    format: str
    files: list[dict[str, Any]]
    options: dict[str, Any]
    prefixes: dict[str, str]
    entities: dict[str, str]
    relations: dict[str, str]
    version: str
    date: str

    def as_json(self) -> str:
        """Returns the content of `source.json`."""
        return _as_json(dataclasses.asdict(self))


def write_import(
    imported: ImportedGraph,
    name: str | Path,
    options: ReadingOptions,
    folder: str | Path,
    findings: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Writes an imported graph as a folder of text files, with its report and the record of its source.

    Args:
        imported: the graph.
        name: what was imported: a path, or the name of a graph.
        options: what was read of it.
        folder: a new or empty folder, or one that an import made, which is replaced as a whole.
        findings: what is odd about the graph, for the report; `quality/` finds it.

    Returns:
        The report: what `describe_import` returns, and `findings`.

    Raises:
        GraphError: the folder holds something else, or a split that would be lost (see `refuse_lost_split`), or cannot
            be written, or an id cannot be in a text file; or the record of the source is damaged.
    """
    report = {**describe_import(imported, name), "findings": list(findings)}
    # A folder that an import made knows a source that it is made of itself.
    record = None if imported.source else find_source_record(str(name), imported.graph)
    record = record or record_source(imported, name, options)
    check_output(folder)
    if Path(name).resolve() != Path(folder).resolve():  # else what it holds is what is written
        refuse_lost_split(folder, record)
    written = {WRITTEN_SPLITS[split] for split in imported.graph.splits}
    if lost := [file for file in WRITTEN_SPLITS.values() if file not in written and Path(folder, file).exists()]:
        raise GraphError(
            f"{folder}: it was split, and {lost[0]} would be lost; split again (--test), or name a new folder"
        )
    write_directory(imported.graph, folder, {REPORT_FILE: _as_json(report), SOURCE_FILE: record.as_json()})
    return report


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def check_output(folder: str | Path) -> None:
    """Raises GraphError if a folder holds anything and no import made it."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise GraphError(f"{folder}: a file; expected a folder, or a name that does not exist yet")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    own = {*WRITTEN_SPLITS.values(), *WRITTEN_TEXTS.values(), REPORT_FILE, SOURCE_FILE}
    if names and (SOURCE_FILE not in names or names - own):
        other = sorted(names - own) or sorted(names)
        raise GraphError(f"{folder}: it holds {other[0]}, and no import made it; name a new folder")


def refuse_lost_split(folder: str | Path, record: SourceRecord | None) -> None:
    """Raises GraphError if a folder is split and of another source, or changed since it was made: that would be lost.

    Args:
        folder: the folder that is to be replaced.
        record: the source of what replaces it; None for one without a record.
    """
    held = [name for split, name in WRITTEN_SPLITS.items() if split != "train" and Path(folder, name).exists()]
    if not held or not (record or Path(folder, SOURCE_FILE).exists()):
        return
    old = read_source_record(folder)
    if old is None or record is None or not _are_same_source(old, record):
        of = f"of {old.path}" if old else "of another graph"
        raise GraphError(f"{folder}: it has a split {of}, and {held[0]} would be lost; name a new folder")
    made = Path(folder, SOURCE_FILE).stat().st_mtime  # which is written last
    for name in (*WRITTEN_SPLITS.values(), *WRITTEN_TEXTS.values()):
        if (file := Path(folder, name)).exists() and file.stat().st_mtime > made + COPY_SECONDS:
            raise GraphError(f"{file}: changed since the folder was made, and would be lost; name a new folder")


def _are_same_source(one: SourceRecord, other: SourceRecord) -> bool:
    """Checks whether two records are of one path, whose content may have changed, or of the same content elsewhere."""
    first, second = (sorted(file["sha256"] for file in record.files) for record in (one, other))
    return os.path.realpath(one.path) == os.path.realpath(other.path) or (first == second != [])


def record_source(imported: ImportedGraph, name: str | Path, options: ReadingOptions) -> SourceRecord:
    """Makes the record of the source of a graph; its files are read again, for their digests."""
    source = imported.source
    forms: dict[str, dict[str, str]] = {"entities": {}, "relations": {}}
    for vocabulary in (imported.graph.entities, imported.graph.relations) if source else ():
        table = getattr(source, vocabulary.kind)
        forms[vocabulary.kind] = {
            id: own
            for id, own in zip(table["id"].to_pylist(), table["source_id"].to_pylist(), strict=True)
            if own is not None and own != id and id in vocabulary.index
        }
    return SourceRecord(
        path=str(name),
        format=source.format if source else "graph",
        files=[_describe_file(file) for file in source.files] if source else [],
        options={option: getattr(options, option) for option in options.given()},
        prefixes=dict(source.prefixes) if source else {},
        **forms,
        version=__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _describe_file(file: Path) -> dict[str, Any]:
    try:
        with Path(file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"path": str(file), "sha256": digest, "bytes": Path(file).stat().st_size}
    except OSError as error:
        raise GraphError(f"{file}: cannot be read ({error.strerror})") from None


def read_source_record(folder: str | Path) -> SourceRecord | None:
    """Reads the record of the source of a graph.

    Args:
        folder: a folder.

    Returns:
        The record; None for a folder that no import made.

    Raises:
        GraphError: the record is damaged.
    """
    file = Path(folder, SOURCE_FILE)
    if not os.path.lexists(file):
        return None
    try:
        content = read_json(file, EXPECTED)
        check_types(file, content, KEYS, EXPECTED)
    except LassError as error:
        raise GraphError(str(error)) from None
    for key in ("prefixes", "entities", "relations"):
        for name, value in content[key].items():
            if not isinstance(value, str) or not is_unicode(name + value):
                raise GraphError(f"{file}: not {EXPECTED} ({key}: {escaped(name)} is {shown(value)})")
    return SourceRecord(**{key: content[key] for key in KEYS})


def find_source_record(name: str, graph: KnowledgeGraph) -> SourceRecord | None:
    """Finds the record of the source of a graph that was loaded by its name, and not through an import.

    Args:
        name: what `--graph` was: a folder with a record, or a file or folder of another format, which is read again.
        graph: the graph.

    Returns:
        The record; None for a graph that was one already, such as a benchmark.

    Raises:
        GraphError: the record is damaged, or the file cannot be read any more.
    """
    if (path := find_path(name)) is None or is_graph_folder(path):
        return read_source_record(path) if path else None
    options = ReadingOptions()
    return record_source(ImportedGraph(graph, read_source(path, options)), name, options)


def refuse_source(file: str | Path, record: SourceRecord | None, graph: str | None = None) -> None:
    """Raises LassError if a file that is to be written has the graph's own source, or any graph's, which would be lost.

    Args:
        file: The file.
        record: The record of the source; None where there is none.
        graph: What `--graph` was: a file, or a folder whose files are the source, also those that it lacks so far; None
            if it was not given.
    """
    file, is_source = Path(file), False
    if graph and Path(graph).exists():  # else it is a name
        own = [Path(graph), *(Path(graph, name) for name in GRAPH_FILES)]
        is_source = file.resolve() in {one.resolve() for one in own}
    if record and file.is_file():
        is_source |= _describe_file(file)["sha256"] in {one["sha256"] for one in record.files}
    if is_source:
        what = "the graph's own source, which would be overwritten" if file.exists() else "would be a part of the graph"
        raise LassError(f"{file}: {what}; name another file")
    # Nobody knows of a model which folder its graph was in: no file of any such folder is replaced, or joins it.
    for one in (file, Path(os.path.realpath(file))):
        if one.name in (*GRAPH_FILES, REPORT_FILE, SOURCE_FILE) and is_graph_folder(one.parent):
            what = "which would be overwritten" if file.exists() else "of which it would be a part"
            raise LassError(f"{file}: named as a file of a graph folder, {what}; name another file")


def describe_import(imported: ImportedGraph, name: str | Path) -> dict[str, Any]:
    """Describes what became of a source.

    Args:
        imported: the graph.
        name: what was imported.

    Returns:
        A dict for JSON: `source`, `format`, `triplets` by split, `entities` (`count`, `in_no_triplet`, and from what
        their texts are made), `text_length` in characters (`median`, `p95`, `longest`), `relations` (each with `id`,
        `text`, `triplets` and an `example` in texts, the most frequent first), `left_out` (each with `what`, `count`,
        `example`, `reason`), `notes`, and `bare_relations`, a sentence for each relation whose tails have no texts.
    """
    graph, source = imported.graph, imported.source
    lengths = np.array([len(text) for text in graph.entities.texts])
    return {
        "source": str(name),
        "format": source.format if source else "graph",
        "triplets": {split: len(part) for split, part in graph.splits.items()},
        "entities": {
            "count": graph.num_entities,
            "in_no_triplet": graph.num_entities - len(graph.candidates[0]),
            **{name: getattr(imported.texts, name) for name in TEXT_COUNTS if imported.texts},
        },
        "text_length": {
            "median": int(np.median(lengths)),
            "p95": int(np.percentile(lengths, 95)),
            "longest": int(lengths.max()),
        },
        "relations": _describe_relations(imported),
        "left_out": [dataclasses.asdict(part) for part in source.left_out] if source else [],
        "notes": list(source.notes) if source else [],
        "bare_relations": _find_bare_relations(imported),
    }


def _describe_relations(imported: ImportedGraph) -> list[dict[str, Any]]:
    """Returns id, text, number of triplets and an example of each relation, the most frequent first."""
    graph = imported.graph
    triplets = np.concatenate([split.positives for split in graph.splits.values()])
    numbers, firsts, counts = np.unique(triplets[:, 1], return_index=True, return_counts=True)
    entities, relations = graph.entities.texts, graph.relations
    return [
        {
            "id": relations.ids[number],
            "text": relations.texts[number],
            "triplets": count,
            "example": [entities[triplets[first, 0]], relations.texts[number], entities[triplets[first, 2]]],
        }
        for count, number, first in sorted(
            zip(counts.tolist(), numbers.tolist(), firsts.tolist(), strict=True), key=lambda row: (-row[0], row[1])
        )
    ]


def _find_bare_relations(imported: ImportedGraph) -> list[str]:
    """Says of relations that nearly none of their tails has a text, as those to web pages or other databases."""
    if not imported.texts or not imported.texts.only_id:
        return []
    graph, is_bare = imported.graph, imported.texts.is_bare
    triplets = np.concatenate([split.positives for split in graph.splits.values()])
    counts, num_bare = (
        np.bincount(triplets[:, 1], weights, minlength=graph.num_relations)
        for weights in (None, is_bare[triplets[:, 2]])
    )
    return [
        f"{num_bare[number]:,.0f} of {counts[number]:,} tails of {escaped(graph.relations.ids[number])} have no text, "
        "and a model reads only their ids (exclude leaves the relation out)"
        for number in np.flatnonzero((counts >= MANY) & (num_bare >= NEARLY_ALL * counts)).tolist()
    ]
