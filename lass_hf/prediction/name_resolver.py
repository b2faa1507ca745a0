"""Names into numbers and back, for one call: entities that are new to the graph are numbered behind its own.

It knows no scores; the texts of new entities are tokenized by who asks for scores.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES, Vocabulary

# An entity or relation by id, else by text; or {"text": "..."} for an entity that is new to the graph.
Name = str | Mapping[str, str]


class Names:
    """The names of one call, over a graph. `new`: texts of the new entities so far, in the order of their numbers."""

    def __init__(self, graph: KnowledgeGraph):
        self.graph = graph
        self.new: list[str] = []

    def vocabulary(self, slot: int) -> Vocabulary:
        return self.graph.relations if slot == 1 else self.graph.entities

    def find(self, name: Name, slot: int) -> int:
        """The number of a name; raises UnknownNameError, with the closest matches, for one that the graph lacks."""
        if isinstance(name, str):
            return self.vocabulary(slot).find(name)
        if slot == 1 or not isinstance(name, Mapping) or set(name) != {"text"} or not str(name["text"] or "").strip():
            raise LassError(f'{SLOT_NAMES[slot]}={name!r}; expected a name, or {{"text": "..."}} for a new entity')
        self.new.append(name["text"])
        return self.graph.num_entities + len(self.new) - 1

    def triplets(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Numbers of (head, relation, tail) triplets: int64, shape (n, 3)."""
        for number, triplet in enumerate(triplets):
            if isinstance(triplet, str) or len(triplet) != 3:
                raise LassError(f"item {number} is {triplet!r}; expected (head, relation, tail)")
        numbers = [[self.find(name, slot) for slot, name in enumerate(triplet)] for triplet in triplets]
        return np.array(numbers, dtype=np.int64).reshape(-1, 3)

    def question(self, question: Mapping[str, Name | None]) -> tuple[int, list[int]]:
        """The slot that a question leaves open, and its triplet of numbers, 0 in that slot."""
        if not isinstance(question, Mapping):
            raise LassError(
                f"{question!r} is a {type(question).__name__}; expected a dict with exactly two of head, relation "
                "and tail"
            )
        given = [name for name in SLOT_NAMES if question.get(name) is not None]
        if len(given) != 2 or not set(question) <= set(SLOT_NAMES):
            raise LassError(
                f"{question!r}: a question needs exactly two of head, relation and tail; the third is what it asks for"
            )
        names: list[Any] = [question.get(name) for name in SLOT_NAMES]
        return names.index(None), [0 if name is None else self.find(name, slot) for slot, name in enumerate(names)]

    def candidates(self, candidates: Sequence[Name] | None, slot: int) -> np.ndarray:
        """Numbers of the names to choose from, of all for None: int64, sorted."""
        if candidates is None:
            return np.arange(len(self.vocabulary(slot)))
        if isinstance(candidates, (str, Mapping)) or not len(candidates):
            raise LassError(f"candidates={candidates!r}; expected a list of one name or more, or None for all")
        return np.unique([self.find(name, slot) for name in candidates])

    def named(self, number: int, slot: int) -> tuple[str, str]:
        """Id and text of a number; of a new entity its text is both."""
        vocabulary = self.vocabulary(slot)
        if number >= len(vocabulary):
            return self.new[number - len(vocabulary)], self.new[number - len(vocabulary)]
        return vocabulary.ids[number], vocabulary.texts[number]
