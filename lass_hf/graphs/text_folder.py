"""Reads and writes a graph as a folder of text files in KG-BERT's layout; reads also a dataset folder of a graph.

`formats/text_files.py` reads and writes the files. `KnowledgeGraph.from_directory` and `KnowledgeGraph.save_directory`
are the public way here. A folder is written whole or not at all.
"""

import filecmp
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import GraphError, LassError
from ..core.vocabulary import BLANKS, SLOT_NAMES, escaped, is_unicode, shown, text_of_id
from ..formats.text_files import check_ids, read_texts, read_triplets, without_line_ends, write_table
from ..names.name_forms import names_columns, names_text_columns, warn_of_look_alikes
from ..names.named_triplets import NamedTriplets, collect_names
from ..utils.checked_files import read_json
from .arrow_tables import to_arrow
from .dataset_folder import is_dataset_folder, read_folder, replacing_folder
from .readers import Parts, to_parts

if TYPE_CHECKING:
    import pyarrow as pa

    from ..core.knowledge_graph import KnowledgeGraph

logger = logging.getLogger(__name__)

SPLIT_NAMES = {"train": ["train"], "validation": ["dev", "valid", "validation"], "test": ["test"]}
ROLES = ("", "_pos", "_neg")  # of a file of triplets: as its labels say, all true, all false
SPLIT_FILES = {
    split: [f"{name}{role}.{suffix}" for name in names for role in ROLES for suffix in ("tsv", "txt")]
    for split, names in SPLIT_NAMES.items()
}
LABEL_FILES = ("2label.txt", "2name.txt", "2label.json")
DEFINITION_FILES = ("2definition.txt", "2description.txt")
LONG_TEXT_FILE = "entity2textlong.txt"
TEXT_FILES = [
    *(
        f"{kind}{ending}"
        for kind in ("entity", "relation")
        for ending in ("2text.txt", *LABEL_FILES, *DEFINITION_FILES)
    ),
    LONG_TEXT_FILE,
]
GRAPH_FILES = [*(name for files in SPLIT_FILES.values() for name in files), *TEXT_FILES]
WRITTEN_SPLITS = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
WRITTEN_TEXTS = {"entities": "entity2text.txt", "relations": "relation2text.txt"}


def is_graph_folder(path: str | Path) -> bool:
    """Checks whether `from_directory` is the way to read a path: a folder with the names of its files, or a dataset."""
    path = Path(path)
    return path.is_dir() and (any((path / name).is_file() for name in GRAPH_FILES) or is_dataset_folder(path))


def from_directory(path: str | Path, long_text: bool) -> Parts:
    """Makes the parts of a graph from the files of a folder.

    Args:
        path: a folder in KG-BERT layout, or a dataset folder.
        long_text: take the texts of entities from entity2textlong.txt; an entity that it lacks keeps its short text.

    Returns:
        Entities, relations and splits, as `arrow_tables.from_arrow`.

    Raises:
        GraphError: there is no such folder, or a file is missing or wrong; the message names file and line.
    """
    path = Path(path)
    if not path.is_dir():
        raise GraphError(f"{path}: no such folder; expected one that holds train.tsv (head, relation, tail)")
    found = {split: _read_split(path, names) for split, names in SPLIT_NAMES.items()}
    splits = {split: triplets for split, triplets in found.items() if triplets is not None}
    if not splits and is_dataset_folder(path):
        if long_text:
            raise GraphError(f"{path}: a dataset folder holds one text per entity; load it without long_text")
        return read_folder(path)
    if "train" not in splits and "test" not in splits:
        names = sorted(file.name for file in path.iterdir() if not file.name.startswith("."))
        there = f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if names[5:] else ''}" or "nothing"
        raise GraphError(
            f"{path}: no train.tsv or train.txt (nor test.tsv or test.txt) in this folder, which holds {there}; "
            "expected lines of head, relation, tail; lass-hf import reads other formats"
        )
    _tell_of_unread_labels(path)
    given = {
        "entities": _read_texts(path, "entity", partial(collect_names, splits, "entities"), long_text),
        "relations": _read_texts(path, "relation", partial(collect_names, splits, "relations"), False),
    }
    return to_parts(splits, given, ids_stand_in=True)


def _read_split(path: Path, names: list[str]) -> NamedTriplets | None:
    """Reads the triplets of a split: one file, or one of true and one of false triplets; None if there is none."""
    files = {
        role: _find_one(path, "split", [f"{name}{role}.{suffix}" for name in names for suffix in ("tsv", "txt")])
        for role in ROLES
    }
    plain, positive, negative = files.values()
    if plain and positive and not filecmp.cmp(plain, positive, shallow=False):
        raise GraphError(f"{path}: {plain.name} and {positive.name} differ, and are the same split; keep one")
    if (true_file := plain or positive) is None:
        if negative:
            raise GraphError(f"{negative}: false triplets of a split without true ones; add the file of the true ones")
        return None
    triplets = read_triplets(true_file)
    if not negative:
        return triplets
    false = read_triplets(negative)
    for file, part in ((true_file, triplets), (negative, false)):
        if part.labels is not None:
            raise GraphError(
                f"{file}, line 1: 4 columns; expected 3, because {negative.name} holds the false triplets of this split"
            )
    return NamedTriplets.from_true_and_false(triplets, false)


def _find_one(path: Path, what: str, names: list[str]) -> Path | None:
    """Returns the one file of some names that is there, or None; raises GraphError for several."""
    existing = [path / name for name in names if (path / name).is_file()]
    if len(existing) > 1:
        raise GraphError(f"{path}: {' and '.join(file.name for file in existing)} are the same {what}; keep one")
    return existing[0] if existing else None


def _tell_of_unread_labels(path: Path) -> None:
    """Logs a warning of files of true or false triplets that belong to no split."""
    known = {name for files in SPLIT_FILES.values() for name in files}
    others = sorted(
        file.name for role in ROLES[1:] for file in path.glob(f"*{role}.t[sx][vt]") if file.name not in known
    )
    if others:
        more = f" and {len(others) - 1} more of the kind" if others[1:] else ""
        logger.warning("%s: left out %s%s, which belong to no split", path, others[0], more)


def _read_texts(
    path: Path, kind: str, find_names: Callable[[], "pa.LargeStringArray"], long_text: bool
) -> tuple[str, dict[str, str] | None]:
    """Reads the texts of entities or relations.

    Args:
        path: the folder.
        kind: "entity" or "relation".
        find_names: returns the ids in triplets.
        long_text: as in `from_directory`.

    Returns:
        The file, for messages, and the text of each id; None if there is no file.
    """
    file = path / f"{kind}2text.txt"
    texts = read_texts(file) if file.is_file() else None
    if texts is None:
        labels = _find_one(path, "texts", [f"{kind}{ending}" for ending in LABEL_FILES])
        definitions = _find_one(path, "texts", [f"{kind}{ending}" for ending in DEFINITION_FILES])
        file = labels or definitions or file
        if labels or definitions:
            texts = _join(_read_names(labels), _read_names(definitions))
            if kind == "relation":  # Such a file often describes all relations of a source.
                texts = {name: texts[name] for name in find_names().to_pylist() if name in texts}
    first = next(iter((texts or {"": ""}).items()))
    if names_text_columns(*first) and first[0] not in find_names().to_pylist():
        raise GraphError(f"{file}, line 1: a header ({', '.join(first)}); expected ids and texts only: remove the line")
    if long_text:
        long_file = path / LONG_TEXT_FILE
        if not long_file.is_file():
            raise GraphError(f"{long_file}: no such file; add it, or load the graph without long_text")
        names = find_names().to_pylist()
        texts = texts or {name: text_of_id(name) for name in names}
        long_texts = read_texts(long_file)
        if not long_texts.keys() <= texts.keys():  # Otherwise the ids of the graph are all that there are.
            warn_of_look_alikes("entities", list(texts | long_texts))
        texts = texts | {name: long_texts[name] for name in (*texts, *names) if name in long_texts}
    return str(file), texts


def _read_names(file: Path | None) -> dict[str, str]:
    """Reads a file of names or definitions, lines or a JSON object; {} for None."""
    if file is None or file.suffix != ".json":
        return read_texts(file) if file else {}
    try:
        content = read_json(file, "a JSON object of ids and texts")
    except LassError as error:
        raise GraphError(str(error)) from None
    for name, text in content.items():
        if not isinstance(text, str) or not text.strip(BLANKS) or not is_unicode(name + text):
            raise GraphError(f"{file}: the text of {escaped(name)} is {shown(text)}; expected a text")
    return {name.strip(BLANKS): " ".join(text.split()).strip(BLANKS) for name, text in content.items()}


def _join(names: dict[str, str], definitions: dict[str, str]) -> dict[str, str]:
    """Returns "name, definition" of each id; words of the id stand in for a name that is missing."""
    ids = {**names, **definitions}
    labels = {id: names.get(id) or text_of_id(id) for id in ids}
    return {id: f"{label}, {definitions[id]}" if id in definitions else label for id, label in labels.items()}


def write_directory(graph: "KnowledgeGraph", folder: str | Path, more: Mapping[str, str] | None = None) -> None:
    """Writes a graph as a folder that `from_directory` reads as the same graph.

    White space inside of texts that lines of a file cannot hold, such as a newline, is written as a space, and a
    warning says so.

    Args:
        graph: the graph.
        folder: a new or empty folder, or one that holds nothing but files of the names that are written.
        more: other files to write into the folder, name -> content.

    Raises:
        GraphError: the folder holds other files or cannot be written, the graph has no triplets to train or test with,
            or an id is none that the files can hold. Then nothing has changed.
    """
    write_directories([(graph, folder)], more)


def write_directories(
    graphs: Sequence[tuple["KnowledgeGraph", str | Path]], more: Mapping[str, str] | None = None
) -> None:
    """Writes graphs that belong together, each into a folder, as `write_directory` does.

    Args:
        graphs: the graphs and their folders.
        more: other files to write into each folder, name -> content.

    Raises:
        GraphError: as `write_directory`, for any of the folders. Then nothing has changed in any of them.
    """
    more = more or {}
    resolved = [(graph, Path(folder).resolve()) for graph, folder in graphs]
    tables = [(folder, _make_tables(graph, folder, more)) for graph, folder in resolved]
    with ExitStack() as stack:  # The new folders take their places when all of them are whole.
        for folder, files in tables:
            new = stack.enter_context(replacing_folder(folder))
            for name, table in files.items():
                write_table(new / name, table)
            for name, content in more.items():
                (new / name).write_bytes(content.encode())


def _make_tables(graph: "KnowledgeGraph", folder: Path, more: Mapping[str, str]) -> dict[str, "pa.Table"]:
    """Returns the tables of a graph by the names of their files; raises GraphError if they cannot be written."""
    _check_replaceable(folder, {*WRITTEN_SPLITS.values(), *WRITTEN_TEXTS.values(), *more})
    if not {"train", "test"} & set(graph.splits) or not all(map(len, graph.splits.values())):
        raise GraphError(f"{folder}: not written, because the graph, or a split of it, has no triplets ({graph!r})")
    tables = to_arrow(graph)
    for kind in WRITTEN_TEXTS:
        check_ids(kind, tables[kind]["id"])
        texts, num_changed = without_line_ends(tables[kind]["text"])
        if num_changed:
            logger.warning(
                "%s: %d texts of %s hold newlines or tabs, which are written as spaces; save_dataset keeps them",
                *(folder, num_changed, kind),
            )
        tables[kind] = tables[kind].set_column(1, "text", texts)
    for split, table in tables["triplets"].items():
        first = [table[column][0].as_py() for column in SLOT_NAMES]
        if names_columns(first):  # The rest of the rule needs all names of the split.
            columns = [table[column].cast("large_string") for column in SLOT_NAMES]
            if NamedTriplets.from_columns(columns, None).find_header():
                raise GraphError(
                    f"{folder}: not written, because {split} begins with {', '.join(first)}, which would be read as a "
                    "header; put another triplet first"
                )
    files = {WRITTEN_SPLITS[split]: table for split, table in tables["triplets"].items()}
    return files | {file: tables[kind] for kind, file in WRITTEN_TEXTS.items()}


def find_split_files(folder: str | Path) -> list[Path]:
    """Returns the files of triplets in a folder, of any split."""
    return [path for files in SPLIT_FILES.values() for name in files if (path := Path(folder, name)).is_file()]


def write_splits(graph: "KnowledgeGraph", folder: str | Path, output: str | Path) -> None:
    """Writes a folder with the splits of a graph, and with the other files of the folder that it was read from.

    Args:
        graph: the graph.
        folder: the folder that it was read from.
        output: a new or empty folder, or `folder` itself, which is replaced as a whole.

    Raises:
        GraphError: the output holds something else or cannot be written. Then nothing has changed.
    """
    folder, output = Path(folder).resolve(), Path(output).resolve()
    if output != folder:
        _check_replaceable(output, set())
    elif others := sorted(path.name for path in folder.iterdir() if not path.is_file()):
        raise GraphError(f"{folder}: it holds {others[0]}, which is no file; name another folder with --output")
    of_splits = find_split_files(folder)
    with replacing_folder(output) as new:
        for path in folder.iterdir():
            if path.is_file() and path not in of_splits:
                shutil.copy2(path, new / path.name)
        for split, table in to_arrow(graph)["triplets"].items():
            write_table(new / WRITTEN_SPLITS[split], table)
        shutil.copymode(folder, new)


def _check_replaceable(folder: Path, names: set[str]) -> None:
    """Raises GraphError if a folder holds anything but files of some names."""
    if folder.exists() and not folder.is_dir():
        raise GraphError(f"{folder}: a file; expected a folder, or a name that does not exist yet")
    others = sorted(path.name for path in folder.iterdir() if path.name not in names) if folder.exists() else []
    if others:
        raise GraphError(f"{folder}: it holds {others[0]}, which would be lost; name a new folder")
