"""Names of entities and relations: id, text, and the integer that stands for them everywhere else.

Names as they were read are Arrow strings (`NamedTriplets`); Arrow finds their integers, so no loop runs over triplets.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import GraphError, UnknownNameError

if TYPE_CHECKING:
    import pyarrow as pa

SLOTS = {"entities": (0, 2), "relations": (1,)}
SHORTLIST = 50_000  # names that are compared with one that is unknown, letter by letter


def text_of_id(name: str) -> str:
    """The text of an entity or relation that has no other: its id, underscores and slashes spaced."""
    return re.sub(r"[_/\s]+", " ", name).strip() or name


class Vocabulary:
    """Ids and texts of all entities, or of all relations; the position in the list is the integer used everywhere."""

    def __init__(self, kind: str, ids: Sequence[str], texts: Sequence[str]):
        self.kind = kind
        self.ids = list(ids)
        self.texts = list(texts)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        """Integer of each id."""
        return dict(zip(self.ids, range(len(self)), strict=True))

    @cached_property
    def _by_text(self) -> tuple[dict[str, int], set[str]]:
        """The last integer of each text, and the texts that have several."""
        last = dict(zip(self.texts, range(len(self)), strict=True))
        return last, {text for number, text in enumerate(self.texts) if last[text] != number}

    def find(self, name: str) -> int:
        """Integer of an entity or relation given by id, else by its exact text.

        Raises UnknownNameError, with the closest matches, for an unknown name, and with the ids for an ambiguous text.
        """
        if name in self.index:
            return self.index[name]
        number_of, shared = self._by_text
        if name in shared:
            numbers = [number for number, text in enumerate(self.texts) if text == name]
            ids = ", ".join(self.ids[number] for number in numbers[:20])
            raise UnknownNameError(
                f"{len(numbers)} {self.kind} have the text {name!r}: {ids}; name the one you mean by its id"
            )
        if name in number_of:
            return number_of[name]
        matches = self._alike(name)
        hint = f"; did you mean {', '.join(repr(match) for match in matches)}?" if matches else ""
        raise UnknownNameError(f"{name!r} is no id or text of the graph's {len(self)} {self.kind}{hint}")

    def _alike(self, name: str) -> list[str]:
        """Up to 5 ids and texts that are spelt like a name, the closest first."""
        numbers = range(len(self)) if len(self) <= SHORTLIST else self._sharing_letters(name)
        ids, texts = [self.ids[number] for number in numbers], [self.texts[number] for number in numbers]
        # A text may be "label, definition": its label is what a person types.
        labels = {text.split(",")[0].lower(): name for name, text in zip(ids, texts, strict=True)}
        lowered = labels | {key.lower(): key for key in [*texts, *ids]}
        return [lowered[key] for key in difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.5)]

    def _sharing_letters(self, name: str) -> list[int]:
        """The entries whose ids or texts have most of the pairs of letters that a name begins with."""
        import pyarrow.compute as pc

        start = name.lower()[:21]
        pairs = {start[place : place + 2] for place in range(max(1, len(start) - 1))}
        shared = np.zeros((2, len(self)), dtype=np.int8)
        for row, given in enumerate((self.ids, self.texts)):
            strings = pc.utf8_lower(to_arrow_strings(self.kind, given))
            for pair in pairs:
                shared[row] += np.asarray(pc.match_substring(strings, pair))
        return np.sort(np.argpartition(shared.max(axis=0), -SHORTLIST)[-SHORTLIST:]).tolist()


# Names as they were read


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
