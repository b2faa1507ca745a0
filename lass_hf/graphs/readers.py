"""Graphs from lists of triplets and from folders in KG-BERT layout: vocabularies and integer arrays come out.

`graph_files.py` reads the files, `dataset_folder.py` the other kind of folder; `KnowledgeGraph` has the documentation.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SPLITS, Vocabulary, text_of_id
from .arrow_tables import Arrays
from .dataset_folder import is_dataset_folder, read_folder
from .named_triplets import NamedTriplets, to_arrow_strings, to_integers, used_names
from .text_files import read_texts, read_triplets

SPLIT_FILES = {"train": ["train.tsv"], "validation": ["dev.tsv", "valid.tsv", "validation.tsv"], "test": ["test.tsv"]}
TEXT_FILES = ("entity2text.txt", "entity2textlong.txt", "relation2text.txt")
Parts = tuple[Vocabulary, Vocabulary, Arrays]


def from_triplets(
    sources: Sequence[Iterable[Sequence[Any]] | None],
    entity_text: Mapping[str, str] | None,
    relation_text: Mapping[str, str] | None,
) -> Parts:
    """From lists or arrays of train, validation and test, None for a split that is not there."""
    import pyarrow as pa

    splits = {}
    for name, source in zip(SPLITS, sources, strict=True):
        if source is None:
            continue
        given = list(source)
        for number, row in enumerate(given):
            if isinstance(row, str) or not all(isinstance(value, (str, int, np.integer)) for value in row):
                raise GraphError(f"{name}: triplet {number} is {row!r}; expected (head, relation, tail) strings")
        rows = [[str(value) for value in row] for row in given]
        widths = {len(row) for row in rows}
        if not rows or widths not in ({3}, {4}):
            found = f"rows of {sorted(widths)} values" if rows else "no triplets"
            raise GraphError(f"{name}: {found}; expected (head, relation, tail), or 4 values with a label, in all")
        if empty := [number for number, row in enumerate(rows) if not all(value.strip() for value in row[:3])]:
            raise GraphError(f"{name}: triplet {empty[0]} has an empty name: {rows[empty[0]]}")
        labels = None
        if widths == {4}:
            if bad := {row[3] for row in rows} - {"1", "0", "-1"}:
                raise GraphError(f"{name}: label {bad.pop()!r}; expected 1 (true) or 0 or -1 (false)")
            labels = np.array([row[3] == "1" for row in rows], dtype=np.int8)
        columns = [
            pa.chunked_array([to_arrow_strings(kind, [row[slot] for row in rows])])
            for slot, kind in enumerate(("entities", "relations", "entities"))
        ]
        splits[name] = NamedTriplets.from_columns(columns, labels)
    for kind, texts in (("entities", entity_text), ("relations", relation_text)):
        for name, text in (texts or {}).items():
            if not isinstance(name, str):
                raise GraphError(f"{kind}: a text is given for {name!r}; expected an id, a string")
            if not isinstance(text, str) or not text.strip():
                raise GraphError(f"{kind}: the text of {name!r} is {text!r}; expected a text")
    return _from_names(splits, entity_text, relation_text, "entity_text", "relation_text")


def from_directory(path: str | Path, long_text: bool) -> Parts:
    """From the files of a folder; raises GraphError that names file and line."""
    path = Path(path)
    if not path.is_dir():
        raise GraphError(f"{path}: no such folder; expected one that holds train.tsv (head, relation, tail)")
    splits = {}
    for name, files in SPLIT_FILES.items():
        found = [path / file for file in files if (path / file).is_file()]
        if len(found) > 1:
            raise GraphError(f"{path}: {' and '.join(file.name for file in found)} are the same split; keep one")
        if found:
            splits[name] = read_triplets(found[0])
    if not splits and is_dataset_folder(path):
        if long_text:
            raise GraphError(f"{path}: a dataset folder holds one text per entity; long texts were asked for")
        return read_folder(path)
    if "train" not in splits and "test" not in splits:
        raise GraphError(f"{path}: no train.tsv (nor test.tsv) in this folder; expected head, relation, tail lines")
    entity_file, long_file, relation_file = (path / file for file in TEXT_FILES)
    entity_text = read_texts(entity_file) if entity_file.is_file() else None
    if long_text:
        if not long_file.is_file():
            raise GraphError(f"{long_file}: no such file, but long texts were asked for")
        used = used_names(splits, "entities").to_pylist()
        short = entity_text or {name: text_of_id(name) for name in used}
        long = read_texts(long_file)
        entity_text = short | {name: long[name] for name in (*short, *used) if name in long}
    relation_text = read_texts(relation_file) if relation_file.is_file() else None
    return _from_names(splits, entity_text, relation_text, str(entity_file), str(relation_file))


def _from_names(splits, entity_text, relation_text, entity_source, relation_source) -> Parts:
    if not splits:
        raise GraphError("no triplets were given")
    vocabularies, sources = {}, {"entities": entity_source, "relations": relation_source}
    for kind, given in (("entities", entity_text), ("relations", relation_text)):
        names = used_names(splits, kind).to_pylist() if given is None else []
        texts = {name: text_of_id(name) for name in names} if given is None else given
        vocabularies[kind] = Vocabulary(kind, list(texts.keys()), list(texts.values()))
    numbered = to_integers(splits, vocabularies.values())
    if any((triplets < 0).any() for triplets in numbered.values()):
        for kind, source in sources.items():
            index = vocabularies[kind].index
            if missing := [name for name in used_names(splits, kind).to_pylist() if name not in index]:
                others = f" (and {len(missing) - 1} more {kind})" if missing[1:] else ""
                raise GraphError(f"{source}: no text for {missing[0]!r}{others}, which the triplets use")
    arrays = {name: (numbered[name], split.labels) for name, split in splits.items()}
    return vocabularies["entities"], vocabularies["relations"], arrays
