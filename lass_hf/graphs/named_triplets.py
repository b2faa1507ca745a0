"""Triplets and vocabularies as they were read: Arrow strings, for which Arrow finds the integers.

No loop runs over triplets. What becomes of them is in `vocabulary.py` and `knowledge_graph.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

SLOTS = {"entities": (0, 2), "relations": (1,)}


@dataclass
class NamedTriplets:
    """Triplets of one split, in names.

    `names`: Arrow large strings, all different; `codes`: int32 of shape (n, 3), where among them head, relation and
    tail stand; `labels`: int8 of shape (n,), 1 or 0, or None.
    """

    names: "pa.LargeStringArray"
    codes: np.ndarray
    labels: np.ndarray | None

    @classmethod
    def from_columns(cls, columns: "Sequence[pa.ChunkedArray]", labels: np.ndarray | None) -> "NamedTriplets":
        """From heads, relations and tails, three columns of large strings of the same length."""
        import pyarrow as pa

        chunks = [chunk for column in columns for chunk in column.chunks]
        encoded = pa.chunked_array(chunks).dictionary_encode().combine_chunks()
        return cls(encoded.dictionary, encoded.indices.to_numpy().reshape(3, -1).T, labels)

    def used(self, kind: str) -> "pa.LargeStringArray":
        """The different names of entities, or of relations, as they come: head, tail, next head, ..."""
        import pyarrow as pa

        return self.names.take(pa.array(self.codes[:, SLOTS[kind]].ravel()).unique())


def to_arrow_strings(kind: str, names: Sequence[str]) -> "pa.LargeStringArray":
    """Python strings as Arrow strings; raises GraphError for what is not valid Unicode."""
    import pyarrow as pa

    try:
        return pa.array(names, pa.large_string())
    except UnicodeEncodeError as error:
        raise GraphError(f"{kind}: {error.object!r} is not valid Unicode ({error.reason})") from None


def is_blank(strings: Any) -> np.ndarray:
    """Which Arrow strings are empty or white space: bool, shape (n,)."""
    import pyarrow.compute as pc

    return np.asarray(pc.equal(pc.utf8_trim_whitespace(strings), ""))


def used_names(splits: Mapping[str, NamedTriplets], kind: str) -> "pa.LargeStringArray":
    """The different names of entities, or of relations, in all splits, as they come."""
    import pyarrow as pa

    return pa.concat_arrays([split.used(kind) for split in splits.values()]).unique()


def to_integers(splits: Mapping[str, NamedTriplets], vocabularies: Iterable[Vocabulary]) -> dict[str, np.ndarray]:
    """The triplets of each split as integers: int64 of shape (n, 3), -1 for a name that its vocabulary lacks."""
    import pyarrow.compute as pc

    triplets = {name: np.empty(split.codes.shape, dtype=np.int64) for name, split in splits.items()}
    for vocabulary in vocabularies:
        ids = to_arrow_strings(vocabulary.kind, vocabulary.ids)
        for name, split in splits.items():
            numbers = pc.index_in(split.names, value_set=ids).fill_null(-1).to_numpy()
            for slot in SLOTS[vocabulary.kind]:
                triplets[name][:, slot] = numbers[split.codes[:, slot]]
    return triplets
