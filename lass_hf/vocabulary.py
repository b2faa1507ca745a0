"""Names of entities and relations: id, text, and the integer that stands for them everywhere else."""

import difflib
import re
from collections.abc import Sequence
from functools import cached_property

from .errors import UnknownNameError


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
        return {name: number for number, name in enumerate(self.ids)}

    @cached_property
    def _by_text(self) -> dict[str, list[int]]:
        by_text: dict[str, list[int]] = {}
        for number, text in enumerate(self.texts):
            by_text.setdefault(text, []).append(number)
        return by_text

    def find(self, name: str) -> int:
        """Integer of an entity or relation given by id, else by its exact text.

        Raises UnknownNameError, with the closest matches, for an unknown name, and with the ids for an ambiguous text.
        """
        if name in self.index:
            return self.index[name]
        numbers = self._by_text.get(name, [])
        if len(numbers) == 1:
            return numbers[0]
        if numbers:
            ids = ", ".join(self.ids[number] for number in numbers[:20])
            raise UnknownNameError(
                f"{len(numbers)} {self.kind} have the text {name!r}: {ids}; name the one you mean by its id"
            )
        # A text may be "label, definition": its label is what a person types.
        labels = {text.split(",")[0].lower(): name for name, text in zip(self.ids, self.texts, strict=True)}
        lowered = labels | {key.lower(): key for key in [*self._by_text, *self.index]}
        matches = [lowered[key] for key in difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.5)]
        hint = f"; did you mean {', '.join(repr(match) for match in matches)}?" if matches else ""
        raise UnknownNameError(f"{name!r} is no id or text of the graph's {len(self)} {self.kind}{hint}")
