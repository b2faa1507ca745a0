"""Triplets as a reader found them, in names, and their conversion to integers by Arrow.

No Python loop runs over triplets. `core/vocabulary.py` holds the names, `core/knowledge_graph.py` the integers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import Vocabulary
from .name_forms import names_columns, trim

if TYPE_CHECKING:
    import pyarrow as pa

SLOTS_OF_KIND = {"entities": (0, 2), "relations": (1,)}
LABELS = {"1": 1, "-1": 0, "0": 0, 1: 1, -1: 0, 0: 0}  # also of True, False and floats, which equal these numbers


@dataclass
class NamedTriplets:
    """The n triplets of one split, in names.

    Attributes:
        names: Arrow large strings, all different; entities and relations share this list.
        codes: int32 of shape (n, 3): the positions of head, relation and tail in `names`.
        labels: int8 of shape (n,), 1 (true) or 0 (false); None if the split has no labels.
    """

    names: "pa.LargeStringArray"
    codes: np.ndarray
    labels: np.ndarray | None

    @classmethod
    def from_columns(cls, columns: "Sequence[pa.ChunkedArray]", labels: np.ndarray | None) -> "NamedTriplets":
        """Encodes three columns of names.

        Args:
            columns: heads, relations and tails: large strings without nulls, n in each column.
            labels: int8 of shape (n,), or None.
        """
        import pyarrow as pa

        chunks = [chunk for column in columns for chunk in column.chunks]
        encoded = pa.chunked_array(chunks).dictionary_encode().combine_chunks()
        return cls.from_codes(encoded.dictionary, encoded.indices.to_numpy().reshape(len(columns), -1).T, labels)

    @classmethod
    def from_codes(cls, names: "pa.LargeStringArray", codes: np.ndarray, labels: np.ndarray | None) -> "NamedTriplets":
        """Trims names, and encodes those as one that are the same then.

        Args:
            names: Arrow large strings, all different.
            codes: int32 of shape (n, 3): positions in `names`.
            labels: int8 of shape (n,), or None.
        """
        trimmed = trim(names)
        if not trimmed.equals(names):
            encoded = trimmed.dictionary_encode()
            names, codes = encoded.dictionary, encoded.indices.to_numpy()[codes]
        return cls(names, codes, labels)

    @classmethod
    def from_true_and_false(cls, true: "NamedTriplets", false: "NamedTriplets") -> "NamedTriplets":
        """Joins n true and m false triplets, whose own labels are ignored, to n + m triplets with labels."""
        import pyarrow as pa

        encoded = pa.concat_arrays([true.names, false.names]).dictionary_encode()
        positions = encoded.indices.to_numpy()
        codes = np.concatenate([positions[true.codes], positions[false.codes + len(true.names)]])
        labels = np.repeat(np.array([1, 0], dtype=np.int8), [len(true.codes), len(false.codes)])
        return cls(encoded.dictionary, codes, labels)

    def find_header(self) -> list[str]:
        """Returns the names of the first triplet if it is the header of a table, else [].

        A header consists of the names of columns, and none of them occurs in another triplet.
        """
        first, others = self.codes[0], self.codes[1:]
        names = [self.names[code].as_py() for code in first.tolist()]
        if not names_columns(names):
            return []
        occurs = (others[:, 1] == first[1]).any() or np.isin(others[:, [0, 2]], first[[0, 2]]).any()
        return [] if occurs else names

    def select(self, rows: np.ndarray | slice) -> "NamedTriplets":
        """Returns some of the triplets.

        Args:
            rows: their numbers, a mask of shape (n,), or a slice.
        """
        return NamedTriplets(self.names, self.codes[rows], None if self.labels is None else self.labels[rows])

    def distinct_names(self, kind: str) -> "pa.LargeStringArray":
        """Lists the different names of "entities" or "relations" by first occurrence: head, tail, next head, ..."""
        import pyarrow as pa

        return self.names.take(pa.array(self.codes[:, SLOTS_OF_KIND[kind]].ravel()).unique())


def to_arrow_strings(kind: str, names: Sequence[str]) -> "pa.LargeStringArray":
    """Converts Python strings to Arrow large strings.

    Args:
        kind: "entities" or "relations"; the error message names it.
        names: the strings.

    Raises:
        GraphError: a string is not valid Unicode.
    """
    import pyarrow as pa

    try:
        return pa.array(names, pa.large_string())
    except UnicodeEncodeError as error:
        raise GraphError(f"{kind}: {error.object!r} is not valid Unicode ({error.reason})") from None


def first_true(mask: Any) -> int:
    """Returns the position of the first true value, or the length of the mask if no value is true.

    Args:
        mask: booleans of shape (n,), as a NumPy or Arrow array.
    """
    values = np.asarray(mask)
    return int(values.argmax()) if values.any() else len(values)


def collect_names(splits: Mapping[str, NamedTriplets], kind: str) -> "pa.LargeStringArray":
    """Lists the different names of "entities" or "relations" in all splits, by first occurrence."""
    import pyarrow as pa

    return pa.concat_arrays([split.distinct_names(kind) for split in splits.values()]).unique()


def to_integers(splits: Mapping[str, NamedTriplets], vocabularies: Iterable[Vocabulary]) -> dict[str, np.ndarray]:
    """Replaces names by the integers of the vocabularies.

    Args:
        splits: the triplets of each split.
        vocabularies: the vocabulary of the entities and that of the relations.

    Returns:
        The triplets of each split, int64 of shape (n, 3); -1 stands for a name that is not in its vocabulary.
    """
    import pyarrow.compute as pc

    triplets = {name: np.empty(split.codes.shape, dtype=np.int64) for name, split in splits.items()}
    for vocabulary in vocabularies:
        ids = to_arrow_strings(vocabulary.kind, vocabulary.ids)
        for name, split in splits.items():
            numbers = pc.index_in(split.names, value_set=ids).fill_null(-1).to_numpy()
            for slot in SLOTS_OF_KIND[vocabulary.kind]:
                triplets[name][:, slot] = numbers[split.codes[:, slot]]
    return triplets
