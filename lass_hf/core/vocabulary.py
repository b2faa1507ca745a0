"""Names of entities and relations: id, text, and the integer that stands for them everywhere else.

It knows no triplets and no files; `named_triplets.py` turns names as they were read into integers.
"""

import difflib
import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .errors import UnknownNameError

SLOT_NAMES = ("head", "relation", "tail")
SPLITS = ("train", "validation", "test")
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
        if (number := self.find_exactly(name)) is None:
            raise self.unknown(name, self._alike(name))
        return number

    def find_exactly(self, name: str) -> int | None:
        """As `find`, but None for an unknown name, at once: its closest matches take long among many names."""
        if name in self.index:
            return self.index[name]
        number_of, shared = self._by_text
        if name in shared:
            numbers = [number for number, text in enumerate(self.texts) if text == name]
            ids = ", ".join(self.ids[number] for number in numbers[:20])
            raise UnknownNameError(
                f"{len(numbers)} {self.kind} have the text {name!r}: {ids}; name the one you mean by its id"
            )
        return number_of.get(name)

    def unknown(self, name: str, matches: Sequence[str]) -> UnknownNameError:
        """The error that says that a name is unknown, and which ones are like it."""
        hint = f"; did you mean {', '.join(map(repr, matches))}?" if matches else ""
        return UnknownNameError(f"{name!r} is no id or text of the graph's {len(self)} {self.kind}{hint}")

    def _alike(self, name: str) -> list[str]:
        """Up to 5 ids and texts that are spelled like a name, the closest first."""
        numbers = range(len(self)) if len(self) <= SHORTLIST else self._sharing_letters(name)
        ids, texts = [self.ids[number] for number in numbers], [self.texts[number] for number in numbers]
        # A text may be "label, definition": its label is what a person types.
        labels = {text.split(",")[0].lower(): name for name, text in zip(ids, texts, strict=True)}
        lowered = labels | {key.lower(): key for key in [*texts, *ids]}
        return [lowered[key] for key in difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.5)]

    def _sharing_letters(self, name: str) -> list[int]:
        """The entries whose ids or texts have most of the pairs of letters that a name begins with."""
        try:
            import pyarrow as pa
            import pyarrow.compute as pc
        except ImportError:  # code that was saved with a model asks for no more than a model needs
            return []
        start = name.lower()[:21]
        pairs = {start[place : place + 2] for place in range(max(1, len(start) - 1))}
        shared = np.zeros((2, len(self)), dtype=np.int8)
        for row, given in enumerate((self.ids, self.texts)):
            strings = pc.utf8_lower(pa.array(given, pa.large_string()))
            for pair in pairs:
                shared[row] += np.asarray(pc.match_substring(strings, pair))
        return np.sort(np.argpartition(shared.max(axis=0), -SHORTLIST)[-SHORTLIST:]).tolist()
