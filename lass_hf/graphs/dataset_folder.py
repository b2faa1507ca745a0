"""Writes and reads a graph as a dataset folder: Parquet files, and a card from which `datasets` learns the tables.

A folder is written completely or not at all. `arrow_tables.py` converts between the tables and a graph.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from huggingface_hub import DatasetCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from ..core.errors import GraphError, LassError, first_line, library_errors
from ..core.vocabulary import SLOT_NAMES, Vocabulary
from ..utils.atomic_files import swap_folders
from ..utils.checked_files import parse_yaml, read_text
from .arrow_tables import from_arrow, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

    from ..core.knowledge_graph import KnowledgeGraph

DATASET_CARD = "README.md"
VOCABULARIES = ("entities", "relations")
CARD_TEMPLATE = """---
{metadata}
---

# {name}

A knowledge graph with texts, written by lass-hf: {entities:,} entities and {relations:,} relations.

| split | triplets | true | duplicates |
|---|---:|---:|---:|
{counts}

| table | columns |
|---|---|
| `triplets` | `head`, `relation`, `tail`: ids, strings{label} |
| `entities`, `relations` | `id`, `text`: strings, one row per id, in the order of the graph's integers |

```python
from datasets import load_dataset
from lass_hf import KnowledgeGraph

path = "..."  # this folder, or its name on the hub
tables = {{name: load_dataset(path, name) for name in ("triplets", "entities", "relations")}}
graph = KnowledgeGraph.from_datasets(**tables)  # a folder also: KnowledgeGraph.from_directory(path)
```
"""
LABEL_COLUMN = "; `label`: int8, 1 (true) or 0 (false), null in a split without labels"


def write_folder(graph: "KnowledgeGraph", folder: str | Path) -> None:
    """Writes the Parquet files and the card of a graph; replaces an older dataset folder of a graph.

    Args:
        graph: the graph; each of its splits needs at least one triplet.
        folder: the folder to write: a new one, an empty one, or an older dataset folder of a graph.

    Raises:
        GraphError: the folder holds something else or cannot be written, or a split has no triplets.
    """
    import pyarrow.parquet as pq

    folder = Path(folder).resolve()
    _check_replaceable(folder)
    if not graph.splits or not all(map(len, graph.splits.values())):
        raise GraphError(f"{folder}: not written, because the graph, or a split of it, has no triplets ({graph!r})")
    tables = to_arrow(graph, shared_schema=True)
    files = {f"triplets/{split}.parquet": table for split, table in tables["triplets"].items()}
    files |= {f"{kind}.parquet": tables[kind] for kind in VOCABULARIES}
    with replacing_folder(folder) as new:
        (new / "triplets").mkdir()
        for name, table in files.items():
            pq.write_table(table, new / name, write_page_checksum=True)
        (new / DATASET_CARD).write_text(_card(graph, folder.name), encoding="utf-8")


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Gives a new folder, which takes the place of another one as a whole when the block ends without an error.

    Args:
        folder: the folder to make, or to replace with all that it holds; an absolute path.

    Yields:
        The new folder, on the same file system.

    Raises:
        GraphError: the folder cannot be written; it is as it was.
    """
    # The old folder must not lie in `scratch`, because it would be deleted with it if it could not be moved back.
    old = folder.with_name(f".{folder.name}-{uuid4().hex}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The scratch folder is on the same file system as the target, so that a rename puts complete files into place.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            new = Path(scratch, "new")
            new.mkdir()
            yield new
            if swap_folders(new, folder):
                shutil.rmtree(new, ignore_errors=True)
                return
            try:
                if folder.exists():
                    folder.rename(old)
                new.rename(folder)
            finally:
                if old.exists() and not folder.exists():
                    old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        kept = f"; what it held is in {old}" if os.path.exists(old) else ""  # Path.exists may raise here.
        raise GraphError(f"{folder}: cannot be written ({error.strerror or first_line(error)}){kept}") from None


def _check_replaceable(folder: Path) -> None:
    """Raises GraphError if the folder holds anything but an older dataset folder of a graph."""
    if folder.exists() and not folder.is_dir():
        raise GraphError(f"{folder}: a file; expected a folder, or a name that does not exist yet")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    expected = {DATASET_CARD, "triplets", *(f"{kind}.parquet" for kind in VOCABULARIES)}
    if names and names != expected:
        differences = [f"it holds {name}" for name in sorted(names - expected)]
        differences += [f"no {name}" for name in sorted(expected - names)]
        raise GraphError(
            f"{folder}: not empty, and not the dataset folder of a graph ({differences[0]}); name a new folder"
        )


def _card(graph: "KnowledgeGraph", name: str) -> str:
    """Returns the text of the dataset card."""
    summary = graph.summary()
    files = {"triplets": [{"split": split, "path": f"triplets/{split}.parquet"} for split in graph.splits]}
    files |= {kind: [{"split": "train", "path": f"{kind}.parquet"}] for kind in VOCABULARIES}
    configs: list[dict[str, Any]] = [{"config_name": kind, "data_files": files[kind]} for kind in files]
    configs[0]["default"] = True
    rows = [
        f"| {split} | {counts['triplets']:,} | {counts['positives']:,} | {counts['duplicates']:,} |"
        for split, counts in summary["splits"].items()
    ]
    return CARD_TEMPLATE.format(
        metadata=DatasetCardData(pretty_name=name, tags=["knowledge-graph"], configs=configs).to_yaml(),
        name=name,
        entities=summary["entities"],
        relations=summary["relations"],
        counts="\n".join(rows),
        label=LABEL_COLUMN if any(split.labels is not None for split in graph.splits.values()) else "",
    )


def is_dataset_folder(folder: str | Path) -> bool:
    """Checks whether a folder has a card that lists the tables `triplets`, `entities` and `relations`."""
    return {"triplets", *VOCABULARIES} <= set(_read_card(Path(folder)))


def read_folder(folder: str | Path) -> tuple[Vocabulary, Vocabulary, dict[str, tuple[np.ndarray, np.ndarray | None]]]:
    """Reads the Parquet files that the card of a dataset folder lists.

    Args:
        folder: a folder for which `is_dataset_folder` returns True.

    Returns:
        Entities, relations and splits, as `arrow_tables.from_arrow`.

    Raises:
        GraphError: a file is missing or wrong; the message names it.
    """
    folder = Path(folder)
    listed = _read_card(folder)
    columns = (*SLOT_NAMES, "label")
    tables = {split: _read_table(folder, patterns, columns) for split, patterns in listed["triplets"].items()}
    entities, relations = (
        _read_table(folder, next(iter(listed[kind].values()), []), ("id", "text")) for kind in VOCABULARIES
    )
    try:
        return from_arrow(tables, entities, relations)
    except GraphError as error:
        raise GraphError(f"{folder}: {error}") from None


def list_files(folder: str | Path) -> list[Path]:
    """Lists the files that `read_folder` would read, sorted; the list is empty for any other folder.

    Raises:
        GraphError: the card lists something else than files, or patterns of files, in the folder.
    """
    folder = Path(folder)
    if not is_dataset_folder(folder):
        return []
    listed = _read_card(folder)
    splits = [patterns for table in ("triplets", *VOCABULARIES) for patterns in listed[table].values()]
    return sorted({file for patterns in splits for file in _match_files(folder, patterns)})


def _read_card(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Returns table -> split -> files, or patterns of files, as the card lists them; {} without such a card."""
    tables: dict[str, dict[str, list[str]]] = {}
    try:
        block = REGEX_YAML_BLOCK.search(read_text(folder / DATASET_CARD))
        metadata = parse_yaml(block[2], folder / DATASET_CARD) if block else {}
        for config in metadata["configs"]:
            parts = {part["split"]: part["path"] for part in config["data_files"]}
            tables[config["config_name"]] = {
                split: [path] if isinstance(path, str) else list(path) for split, path in parts.items()
            }
    except LassError as error:
        raise GraphError(str(error)) from None
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return tables


def _match_files(folder: Path, patterns: list[str]) -> list[Path]:
    """Returns the files that a card lists; raises GraphError for anything outside the folder."""
    try:
        if any(Path(pattern).is_absolute() or ".." in Path(pattern).parts for pattern in patterns):
            raise ValueError
        files = [file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()]
    except (NotImplementedError, TypeError, ValueError):
        raise GraphError(
            f"{folder}: {DATASET_CARD} lists {patterns}; expected files, or patterns of files, relative to the folder"
        ) from None
    inside = [folder.resolve()]
    if folder.parent.name == "snapshots":  # The hub's cache keeps the contents of all snapshots in one folder.
        inside.append(folder.parent.with_name("blobs").resolve())
    for file in files:
        if not any(file.resolve().is_relative_to(place) for place in inside):
            raise GraphError(f"{file}: a link to {file.resolve()}; expected files in the folder")
    return files


def _read_table(folder: Path, patterns: list[str], columns: tuple[str, ...]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = _match_files(folder, patterns)
    if not files:
        raise GraphError(f"{folder}: no file {' '.join(patterns)}, but {DATASET_CARD} lists it")
    with library_errors(f"{folder}: {' '.join(patterns)} cannot be read", kind=GraphError):
        parts = [pq.ParquetFile(file, page_checksum_verification=True) for file in files]
        tables = [part.read([name for name in part.schema_arrow.names if name in columns]) for part in parts]
        table = pa.concat_tables(tables)
        table.validate(full=True)
        return table
