"""Makes the parts of a graph from lists of triplets, or from triplets in names: vocabularies and integer arrays.

`KnowledgeGraph.from_triplets` is the public way here. `text_folder.py` reads the folders of text files.
"""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import GraphSplit
from ..core.vocabulary import (
    BLANKS,
    SLOT_NAMES,
    SPLITS,
    Vocabulary,
    escaped,
    is_unicode,
    shown,
    text_of_id,
    triplet_rows,
)
from ..names.name_forms import look_alike_of, warn_of_look_alikes
from ..names.named_triplets import LABELS, NamedTriplets, collect_names, to_arrow_strings, to_integers
from .arrow_tables import Arrays

logger = logging.getLogger(__name__)

Parts = tuple[Vocabulary, Vocabulary, Arrays]  # entities, relations, splits: the arguments of KnowledgeGraph


def from_triplets(
    sources: Sequence[Any], entity_text: Mapping[str, str] | None, relation_text: Mapping[str, str] | None
) -> Parts:
    """Makes the parts of a graph from lists or tables of triplets.

    Args:
        sources: the rows of train, validation and test as `triplet_rows` reads them, None for a split that does not
            exist. Names are strings or integers; a label is 1, or 0 or -1.
        entity_text: the text of each entity, a mapping or a pandas Series; None: texts are made from the ids.
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
        rows = _rows(name, source)
        widths = {len(row) for row in rows}
        if not rows or widths not in ({3}, {4}):
            found = f"rows of {sorted(widths)} values" if rows else "no triplets"
            raise GraphError(
                f"{name}: {found}; expected (head, relation, tail) in every row, or 4 values with a label in every row"
            )
        columns = [
            pa.chunked_array([to_arrow_strings(kind, _names(name, rows, slot))])
            for slot, kind in enumerate(("entities", "relations", "entities"))
        ]
        splits[name] = NamedTriplets.from_columns(columns, _labels(name, rows) if widths == {4} else None)
        if header := splits[name].find_header():
            raise GraphError(
                f"{name}: triplet 0 is a header ({', '.join(header)}); expected triplets only: leave it out"
            )
    given = {"entities": ("entity_text", entity_text), "relations": ("relation_text", relation_text)}
    return to_parts(splits, {kind: (source, _texts(kind, texts)) for kind, (source, texts) in given.items()})


def _rows(name: str, source: Any) -> list[tuple[Any, ...]]:
    if isinstance(source, GraphSplit):
        raise GraphError(f"{name}: a split of a graph, which holds integers; expected triplets of names")
    try:
        return triplet_rows(source, labels=True)
    except LassError as error:
        raise GraphError(f"{name}: {error}") from None


def _names(name: str, rows: list[tuple[Any, ...]], slot: int) -> list[str]:
    """Returns the names in a slot of rows as strings; integers are names too, but bool is none."""
    values = [row[slot] for row in rows]
    for kind in {type(value) for value in values}:
        if not issubclass(kind, (str, int, np.integer)) or kind is bool:
            number = next(number for number, value in enumerate(values) if type(value) is kind)
            raise GraphError(
                f"{name}: triplet {number} is {shown(rows[number])}; expected strings, but its {SLOT_NAMES[slot]} is "
                f"a {kind.__name__}"
            )
    names = [value.strip(BLANKS) if isinstance(value, str) else str(int(value)) for value in values]
    if not all(names):
        number = names.index("")
        raise GraphError(f"{name}: triplet {number} has an empty name: {shown(rows[number])}")
    return names


def _labels(name: str, rows: list[tuple[Any, ...]]) -> np.ndarray:
    """Returns the labels of rows, int8 of shape (n,)."""
    values = [row[3] for row in rows]
    labels = [LABELS.get(value, -1) if isinstance(value, Hashable) else -1 for value in values]
    if -1 in labels:
        number = labels.index(-1)
        raise GraphError(
            f"{name}: label {shown(values[number])} of triplet {number}; expected 1 (true) or 0 or -1 (false)"
        )
    return np.array(labels, dtype=np.int8)


def _texts(kind: str, given: Any) -> dict[str, str] | None:
    """Returns the text of each id, given as a mapping or as a Series whose index holds the ids."""
    if given is None:
        return None
    if not isinstance(given, Mapping) and not (hasattr(given, "items") and getattr(given, "ndim", 0) == 1):
        raise GraphError(f"{kind}: their texts are a {type(given).__name__}; expected a dict, {{id: text}}")
    texts: dict[str, str] = {}
    for name, text in given.items():
        if not isinstance(name, str) or not (key := name.strip(BLANKS)):
            raise GraphError(f"{kind}: a text is given for {shown(name)}; expected an id, a string")
        if not isinstance(text, str) or not text.strip(BLANKS):
            raise GraphError(f"{kind}: the text of {escaped(name)} is {shown(text)}; expected a text")
        if not is_unicode(text):
            raise GraphError(f"{kind}: the text of {escaped(name)}, {shown(text)}, is not valid Unicode")
        if texts.setdefault(key, text.strip(BLANKS)) != text.strip(BLANKS):
            raise GraphError(f"{kind}: a second, different text for {escaped(name)}; expected one text for each id")
    return texts


def to_parts(
    splits: dict[str, NamedTriplets], given: dict[str, tuple[str, dict[str, str] | None]], ids_stand_in: bool = False
) -> Parts:
    """Makes vocabularies and integers from named triplets.

    Args:
        splits: the triplets of each split.
        given: for "entities" and "relations" the source of the texts, for messages, and the text of each id; None:
            texts are made from the ids.
        ids_stand_in: make the texts that are missing from the ids, with a warning; False: raise an error for them.

    Returns:
        Entities, relations and splits, as `arrow_tables.from_arrow`.

    Raises:
        GraphError: there are no triplets, or a name of the triplets has no text.
    """
    if not splits:
        raise GraphError("no triplets were given")
    vocabularies = {}
    for kind, (_, listed) in given.items():
        names = collect_names(splits, kind).to_pylist() if listed is None else []
        texts = {name: text_of_id(name) for name in names} if listed is None else listed
        vocabularies[kind] = Vocabulary(kind, list(texts.keys()), list(texts.values()))
    triplets = to_integers(splits, vocabularies.values())
    if any((part < 0).any() for part in triplets.values()):
        for kind, (source, _) in given.items():
            ids, texts_of_ids, index = vocabularies[kind].ids, vocabularies[kind].texts, vocabularies[kind].index
            missing = [name for name in collect_names(splits, kind).to_pylist() if name not in index]
            if not missing:
                continue
            others = f" (and {len(missing) - 1} more {kind})" if missing[1:] else ""
            what = f"{source}: no text for {escaped(missing[0])}{others}, which the triplets use"
            hint = look_alike_of(missing[0], ids)
            if not ids_stand_in:
                raise GraphError(f"{what}{hint}")
            logger.warning("%s: words of the id stand in for it%s", what, hint)
            vocabularies[kind] = Vocabulary(kind, ids + missing, texts_of_ids + list(map(text_of_id, missing)))
        triplets = to_integers(splits, vocabularies.values())
    for vocabulary in vocabularies.values():
        warn_of_look_alikes(vocabulary.kind, vocabulary.ids)
    arrays = {name: (triplets[name], split.labels) for name, split in splits.items()}
    return vocabularies["entities"], vocabularies["relations"], arrays
