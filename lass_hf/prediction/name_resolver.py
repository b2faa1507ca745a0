"""`NameResolver`: the one place where names become integers, and where integers become names again.

An entity that is new to the graph gets an integer behind the graph's own. Its text travels along with the integers, as
`NameResolver.new_texts`, to whatever scores them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import BLANKS, SLOT_NAMES, Vocabulary, shown, triplet_rows
from .top_predictions import as_rows

# An entity or relation by id, else by text; or {"text": "..."} for an entity that is new to the graph.
Name = str | Mapping[str, str]


class NameResolver:
    """Resolves the names of one call to integers, and names integers.

    Args:
        graph: The graph whose entities and relations are named.
        suggest: Returns ids that resemble an unknown name, given the name and its slot. None for the suggestions of
            `Vocabulary.find`, which take long in a large graph.

    Attributes:
        new_texts: Texts of the entities that are new to the graph, in the order of their integers, of which the first
            is `graph.num_entities`.
    """

    def __init__(self, graph: KnowledgeGraph, suggest: Callable[[str, int], Sequence[str]] | None = None):
        self.graph = graph
        self.new_texts: list[str] = []
        self._suggest = suggest

    def vocabulary(self, slot: int) -> Vocabulary:
        """Returns the relations for slot 1, the entities for slots 0 and 2."""
        return self.graph.relations if slot == 1 else self.graph.entities

    def resolve(self, name: Name, slot: int) -> int:
        """Returns the integer of a name.

        Args:
            name: An id, else a text; `{"text": "..."}` for an entity that is new to the graph.
            slot: 0 for a head, 1 for a relation, 2 for a tail.

        Raises:
            UnknownNameError: The graph lacks the name (the message has those that resemble it), or the text is that of
                several entities (the message has their ids).
            LassError: `name` is neither a string nor the text of a new entity.
        """
        if isinstance(name, str):
            return self._resolve_string(name, slot)
        text = name["text"] if isinstance(name, Mapping) and set(name) == {"text"} else None
        if slot == 1 or not isinstance(text, str) or not text.strip(BLANKS):
            raise LassError(f'{SLOT_NAMES[slot]}={shown(name)}; expected a name, or {{"text": "..."}} for a new entity')
        self.new_texts.append(text)
        return self.graph.num_entities + len(self.new_texts) - 1

    def _resolve_string(self, name: str, slot: int) -> int:
        vocabulary = self.vocabulary(slot)
        if self._suggest is None:
            return vocabulary.find(name)
        integer = vocabulary.find_exactly(name)
        if integer is None:
            raise vocabulary.unknown(name, self._suggest(name, slot))
        return integer

    def resolve_triplets(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Returns the integers of triplets of names, in any form that `triplet_rows` reads: int64, shape (n, 3).

        Raises:
            LassError: An item has not three names, or as `resolve`.
        """
        rows = triplet_rows(triplets)
        integers = [[self.resolve(name, slot) for slot, name in enumerate(row)] for row in rows]
        return np.array(integers, dtype=np.int64).reshape(-1, 3)

    def resolve_query(self, query: Mapping[str, Name | None]) -> tuple[np.ndarray, int]:
        """Returns the integers of a query, 0 in the slot that it leaves open (int64, shape (3,)), and that slot.

        Args:
            query: Names by slot: two of `head`, `relation` and `tail`. The third is absent or None.

        Raises:
            LassError: `query` does not have exactly two of the three, or as `resolve`.
        """
        if not isinstance(query, Mapping):
            raise LassError(
                f"{shown(query)} is a {type(query).__name__}; expected a dict with exactly two of head, relation and "
                "tail"
            )
        given = [slot for slot in SLOT_NAMES if query.get(slot) is not None]
        if len(given) != 2 or not set(query) <= set(SLOT_NAMES):
            raise LassError(
                f"{shown(query)}: a query needs exactly two of head, relation and tail; the third is what it asks for"
            )
        names: list[Any] = [query.get(slot) for slot in SLOT_NAMES]
        integers = [0 if name is None else self.resolve(name, slot) for slot, name in enumerate(names)]
        return np.array(integers, dtype=np.int64), names.index(None)

    def resolve_candidates(self, candidates: Sequence[Name], slot: int) -> np.ndarray:
        """Returns the integers of the names to choose from: int64, ascending, none twice.

        Raises:
            LassError: `candidates` is not a list of one name or more, or as `resolve`.
        """
        if isinstance(candidates, (str, Mapping)) or not hasattr(candidates, "__len__") or not len(candidates):
            raise LassError(f"candidates={shown(candidates)}; expected a list of one name or more, or None for all")
        return np.unique([self.resolve(name, slot) for name in candidates])

    def name_of(self, integer: int, slot: int) -> tuple[str, str]:
        """Returns the id and the text of an integer. The text of an entity that is new to the graph is also its id."""
        vocabulary = self.vocabulary(slot)
        if integer >= len(vocabulary):
            text = self.new_texts[integer - len(vocabulary)]
            return text, text
        return vocabulary.ids[integer], vocabulary.texts[integer]

    def name_predictions(
        self, predictions: np.ndarray, slot: int, reasons: Sequence[list[str]] | None = None
    ) -> list[dict[str, Any]]:
        """Returns predictions for a slot as dicts of plain values.

        Args:
            predictions: An array of `SCORED_TRIPLET`, such as `LassPredictor.rank` returns.
            slot: The slot that was predicted.
            reasons: What `LassPredictor.explain` returns for them; None for no reasons.

        Returns:
            For each prediction `id`, `text`, `score`, `known` and, where it is calibrated, `label` ("true" or "false")
            and `probability`; where evidence counts, `shares` and `reasons`.
        """
        names = [self.name_of(integer, slot) for integer in predictions["triplet"][:, slot].tolist()]
        rows = as_rows(predictions)
        if reasons is not None:
            for row, sentences in zip(rows, reasons, strict=True):
                row["reasons"] = sentences
        return [{"id": name, "text": text, **row} for (name, text), row in zip(names, rows, strict=True)]
