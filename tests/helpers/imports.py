"""Sources as readers return them, made by hand."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from lass_hf.names.named_triplets import NamedTriplets
from lass_hf.names.source import LeftOut, Source, names_table

TRIPLETS = [
    ("ex:cat", "ex:isA", "ex:Animal"),
    ("ex:cat", "ex:eats", "ex:mouse"),
    ("ex:mouse", "ex:isA", "ex:Animal"),
    ("ex:dog", "ex:isA", "ex:Animal"),
]
ENTITIES = {
    "id": ["ex:mouse", "ex:cat", "ex:unused"],
    "name": ["mouse", "cat", None],
    "description": [None, "a small animal\n\tthat  purrs", None],
    "category": ["ex:SmallRodent|ex:Thing", "ex:Pet", "ex:Pet"],
    "source_id": ["http://example.org/mouse", "http://example.org/cat", None],
}
RELATIONS = {"id": ["ex:unused", "ex:eats"], "name": [None, "feeds on"], "source_id": [None, "http://example.org/eats"]}


def named_triplets(rows, labels=None) -> NamedTriplets:
    columns = [pa.chunked_array([pa.array(column, pa.large_string())]) for column in zip(*rows, strict=True)]
    return NamedTriplets.from_columns(columns, None if labels is None else np.array(labels, dtype=np.int8))


def make_source(triplets=TRIPLETS, entities=ENTITIES, relations=RELATIONS, path="pets.ttl", **more) -> Source:
    splits = {name: named_triplets(rows) for name, rows in ({"train": triplets} if triplets else {}).items()}
    left_out = [LeftOut("literals of ex:age", 12, "ex:cat ex:age 7", "numbers are no entities")]
    return Source(
        Path(path),
        "Turtle",
        files=more.pop("files", []),
        splits=more.pop("splits", splits),
        entities=names_table(entities),
        relations=names_table(relations),
        prefixes={"ex": "http://example.org/"},
        left_out=more.pop("left_out", left_out),
        **more,
    )
