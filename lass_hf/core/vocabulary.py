"""Names of entities and relations: their ids, their texts, and the integers that stand for them everywhere else.

The module holds no triplets and reads no files; `graphs/named_triplets.py` turns the names of triplets into integers.
"""

import difflib
import re
import reprlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .errors import GraphError, UnknownNameError

SLOT_NAMES = ("head", "relation", "tail")  # the names of the slots 0, 1 and 2
SPLITS = ("train", "validation", "test")
SHOWN = 20  # names that an error lists, if it has no better idea
SHORTLIST = 50_000  # the most names that are compared letter by letter with an unknown one


def text_of_id(name: str) -> str:
    """Makes a text from an id, for an entity or relation without a text of its own.

    Args:
        name: the id.

    Returns:
        The id with runs of underscores, slashes and white space replaced by one space each; the id itself if nothing
        else is left.
    """
    return re.sub(r"[_/\s]+", " ", name).strip() or name


class Vocabulary:
    """Ids and texts of all entities, or of all relations, of a graph.

    The position of a name in the lists is the integer that stands for it in every array.

    Args:
        kind: "entities" or "relations"; error messages name it.
        ids: the ids, all different.
        texts: one text for each id, in the same order; several ids may share a text.
    """

    def __init__(self, kind: str, ids: Sequence[str], texts: Sequence[str]):
        self.kind = kind
        self.ids = list(ids)
        self.texts = list(texts)

    def __len__(self) -> int:
        return len(self.ids)

    def check(self) -> None:
        """Checks what was read from a file.

        Raises:
            GraphError: There are no names, not as many texts as ids, ids or texts that are no strings, that are empty
                or not valid Unicode, or an id that is there twice.
        """
        if not self.ids or len(self.ids) != len(self.texts):
            raise GraphError(
                f"{self.kind}: {len(self.ids)} ids and {len(self.texts)} texts; expected a text for each id"
            )
        for what, names in (("id", self.ids), ("text", self.texts)):
            try:  # Operations on all names, because there can be millions.
                if all(map(str.strip, names)):
                    "".join(names).encode()
                    continue
            except (TypeError, UnicodeEncodeError):
                pass
            number = next(number for number, name in enumerate(names) if not _is_name(name))
            raise GraphError(
                f"{self.kind}, number {number}: the {what} is {reprlib.repr(names[number])}; expected a name or text"
            )
        if len(self.index) < len(self):
            number = next(number for number, name in enumerate(self.ids) if self.index[name] != number)
            raise GraphError(f"{self.kind}, number {number}: a second one has the id {reprlib.repr(self.ids[number])}")

    @cached_property
    def index(self) -> dict[str, int]:
        """Maps each id to its integer."""
        return dict(zip(self.ids, range(len(self)), strict=True))

    @cached_property
    def _by_text(self) -> tuple[dict[str, int], set[str]]:
        """Maps each text to its last integer, and holds the texts that several ids share."""
        last = dict(zip(self.texts, range(len(self)), strict=True))
        return last, {text for number, text in enumerate(self.texts) if last[text] != number}

    def find(self, name: str) -> int:
        """Returns the integer of an entity or relation.

        Args:
            name: an id, or else the exact text of one entity or relation.

        Returns:
            The integer, from 0 to `len(self) - 1`.

        Raises:
            UnknownNameError: no id or text matches (the message lists the closest ones), or several ids share the
                text (the message lists the ids).
        """
        if (number := self.find_exactly(name)) is None:
            raise self.unknown(name, self._closest_names(name))
        return number

    def find_exactly(self, name: str) -> int | None:
        """Returns the integer of a name, or None, without the search for similar names that makes `find` slow.

        Args:
            name: an id, or else the exact text of one entity or relation.

        Returns:
            The integer; None for an unknown name.

        Raises:
            UnknownNameError: several ids share the text.
        """
        if name in self.index:
            return self.index[name]
        number_of, shared_texts = self._by_text
        if name in shared_texts:
            numbers = [number for number, text in enumerate(self.texts) if text == name]
            ids = ", ".join(self.ids[number] for number in numbers[:20])
            raise UnknownNameError(
                f"{len(numbers)} {self.kind} have the text {name!r}: {ids}; name the one you mean by its id"
            )
        return number_of.get(name)

    def unknown(self, name: str, matches: Sequence[str]) -> UnknownNameError:
        """Makes the error for an unknown name; the caller raises it.

        Args:
            name: the unknown name.
            matches: similar names, the closest first; the message suggests them.
        """
        hint = f"; did you mean {', '.join(map(repr, matches))}?" if matches else ""
        if not matches and len(self) <= SHOWN:
            hint = f"; they are {', '.join(map(repr, self.ids))}"
        return UnknownNameError(f"{name!r} is not an id or text of the graph's {len(self)} {self.kind}{hint}")

    def _closest_names(self, name: str) -> list[str]:
        """Returns up to 5 ids and texts with a spelling close to the name, the closest first."""
        numbers = range(len(self)) if len(self) <= SHORTLIST else self._numbers_sharing_letters(name)
        ids, texts = [self.ids[number] for number in numbers], [self.texts[number] for number in numbers]
        # A text is often "label, definition", and people type the label.
        id_of_label = {text.split(",")[0].lower(): name for name, text in zip(ids, texts, strict=True)}
        original_of = id_of_label | {key.lower(): key for key in [*texts, *ids]}
        return [original_of[key] for key in difflib.get_close_matches(name.lower(), original_of, n=5, cutoff=0.5)]

    def _numbers_sharing_letters(self, name: str) -> list[int]:
        """Returns the SHORTLIST integers whose ids or texts contain most of the letter pairs at the name's start."""
        try:
            import pyarrow as pa
            import pyarrow.compute as pc
        except ImportError:  # The copy of this module beside a saved model must work without pyarrow.
            return []
        start = name.lower()[:21]
        pairs = {start[position : position + 2] for position in range(max(1, len(start) - 1))}
        num_shared = np.zeros((2, len(self)), dtype=np.int8)
        for row, names in enumerate((self.ids, self.texts)):
            strings = pc.utf8_lower(pa.array(names, pa.large_string()))
            for pair in pairs:
                num_shared[row] += np.asarray(pc.match_substring(strings, pair))
        return np.sort(np.argpartition(num_shared.max(axis=0), -SHORTLIST)[-SHORTLIST:]).tolist()


def _is_name(name: object) -> bool:
    """Returns whether an id or text is a string that is not empty and valid Unicode."""
    return isinstance(name, str) and bool(name.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in name)
