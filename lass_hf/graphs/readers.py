"""Makes the parts of a graph from lists of triplets, or from a folder: vocabularies and integer arrays.

A folder is in KG-BERT layout, whose files `text_files.py` reads, or a dataset folder, which `dataset_folder.py` reads.
`KnowledgeGraph.from_triplets` and `KnowledgeGraph.from_directory` are the public way here.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import SPLITS, Vocabulary, text_of_id
from .arrow_tables import Arrays
from .dataset_folder import is_dataset_folder, read_folder
from .named_triplets import NamedTriplets, collect_names, to_arrow_strings, to_integers
from .text_files import read_texts, read_triplets

SPLIT_FILES = {"train": ["train.tsv"], "validation": ["dev.tsv", "valid.tsv", "validation.tsv"], "test": ["test.tsv"]}
TEXT_FILES = ("entity2text.txt", "entity2textlong.txt", "relation2text.txt")
Parts = tuple[Vocabulary, Vocabulary, Arrays]  # entities, relations, splits: the arguments of KnowledgeGraph


def from_triplets(
    sources: Sequence[Iterable[Sequence[Any]] | None],
    entity_text: Mapping[str, str] | None,
    relation_text: Mapping[str, str] | None,
) -> Parts:
    """Makes the parts of a graph from lists or arrays of triplets.

    Args:
        sources: the rows of train, validation and test, None for a split that does not exist. A row holds head,
            relation and tail as strings or integers, and optionally a label (1, or 0 or -1).
        entity_text: the text of each entity; None: texts are made from the ids.
        relation_text: the same for relations.

    Returns:
        Entities, relations and splits, as `arrow_tables.from_arrow`.

    Raises:
        GraphError: a row, label or text has another form, or a name of the triplets has no text.
    """
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
            raise GraphError(
                f"{name}: {found}; expected (head, relation, tail) in every row, or 4 values with a label in every row"
            )
        if empty := [number for number, row in enumerate(rows) if not all(value.strip() for value in row[:3])]:
            raise GraphError(f"{name}: triplet {empty[0]} has an empty name: {rows[empty[0]]}")
        labels = None
        if widths == {4}:
            if unknown := {row[3] for row in rows} - {"1", "0", "-1"}:
                raise GraphError(f"{name}: label {unknown.pop()!r}; expected 1 (true) or 0 or -1 (false)")
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
    return _to_parts(splits, entity_text, relation_text, "entity_text", "relation_text")


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
    splits = {}
    for name, files in SPLIT_FILES.items():
        existing = [path / file for file in files if (path / file).is_file()]
        if len(existing) > 1:
            raise GraphError(f"{path}: {' and '.join(file.name for file in existing)} are the same split; keep one")
        if existing:
            splits[name] = read_triplets(existing[0])
    if not splits and is_dataset_folder(path):
        if long_text:
            raise GraphError(f"{path}: a dataset folder holds one text per entity; load it without long_text")
        return read_folder(path)
    if "train" not in splits and "test" not in splits:
        raise GraphError(f"{path}: no train.tsv (nor test.tsv) in this folder; expected head, relation, tail lines")
    entity_file, long_file, relation_file = (path / file for file in TEXT_FILES)
    entity_text = read_texts(entity_file) if entity_file.is_file() else None
    if long_text:
        if not long_file.is_file():
            raise GraphError(f"{long_file}: no such file; add it, or load the graph without long_text")
        names = collect_names(splits, "entities").to_pylist()
        short_texts = entity_text or {name: text_of_id(name) for name in names}
        long_texts = read_texts(long_file)
        entity_text = short_texts | {name: long_texts[name] for name in (*short_texts, *names) if name in long_texts}
    relation_text = read_texts(relation_file) if relation_file.is_file() else None
    return _to_parts(splits, entity_text, relation_text, str(entity_file), str(relation_file))


def _to_parts(splits, entity_text, relation_text, entity_source, relation_source) -> Parts:
    """Makes vocabularies and integers from named triplets and texts; errors name the sources of the texts."""
    if not splits:
        raise GraphError("no triplets were given")
    vocabularies, sources = {}, {"entities": entity_source, "relations": relation_source}
    for kind, given in (("entities", entity_text), ("relations", relation_text)):
        names = collect_names(splits, kind).to_pylist() if given is None else []
        texts = {name: text_of_id(name) for name in names} if given is None else given
        vocabularies[kind] = Vocabulary(kind, list(texts.keys()), list(texts.values()))
    triplets = to_integers(splits, vocabularies.values())
    if any((part < 0).any() for part in triplets.values()):
        for kind, source in sources.items():
            index = vocabularies[kind].index
            if missing := [name for name in collect_names(splits, kind).to_pylist() if name not in index]:
                others = f" (and {len(missing) - 1} more {kind})" if missing[1:] else ""
                raise GraphError(f"{source}: no text for {missing[0]!r}{others}, which the triplets use")
    arrays = {name: (triplets[name], split.labels) for name, split in splits.items()}
    return vocabularies["entities"], vocabularies["relations"], arrays
