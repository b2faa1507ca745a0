"""The settings of a completion: what is asked, and how long the list is.

The command line takes its defaults from here, so the module imports no library.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import LassError

if TYPE_CHECKING:
    import numpy as np

    from ..core.knowledge_graph import KnowledgeGraph

MOST_LETTERS = 100  # of names that are shown among the settings
SIDES = {"both": (0, 2), "heads": (0,), "tails": (2,)}  # that are asked for, and their slots


@dataclass(frozen=True)
class CompletionSettings:
    """What is asked, and how long the list is.

    Attributes:
        relations: Ids or texts of the relations that are asked for; None for all.
        entities: Ids or texts of the entities that are asked about; None for all.
        side: "both", or what is asked for alone: "heads" or "tails".
        any_candidate: Whether any entity may be an answer, and not only those that the relation has on that side.
        per_query: The most suggestions of a query that has one answer, as a rule; others get more.
        per_relation: The most suggestions of a relation; None for no limit, but that a relation with much of the list
            gives way to others.
        most: The most suggestions in all.
        seed: Seed of all random numbers.
        rerank_top_k: The answers of a query that a reranker scores again, where there is one.
        retriever_weight: Their order is that of the reranker's score + `retriever_weight` * the log probability before.
        decisions: A file, or several, of what people decided about earlier lists, of which nothing is on this one; None
            for none.
    """

    relations: tuple[str, ...] | None = None
    entities: tuple[str, ...] | None = None
    side: str = "both"
    any_candidate: bool = False
    per_query: int = 2
    per_relation: int | None = None
    most: int = 10_000
    seed: int = 42
    rerank_top_k: int = 100
    retriever_weight: float = 0.0
    decisions: str | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Raises LassError for values out of range."""
        if self.side not in SIDES:
            raise LassError(f"side={self.side!r}; expected one of {', '.join(SIDES)}")
        for name in ("relations", "entities"):
            given = getattr(self, name)
            if given is not None and (isinstance(given, str) or not len(given)):
                raise LassError(f"{name}={given!r}; expected ids or texts, one or more, or None for all")
        for name in ("per_query", "per_relation", "most", "rerank_top_k"):
            value = getattr(self, name)
            if not (value is None and name == "per_relation") and (not isinstance(value, int) or value < 1):
                raise LassError(f"{name}={value!r}; expected 1 or more")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise LassError(f"seed={self.seed!r}; expected a whole number of 0 or more")
        if not isinstance(self.retriever_weight, (int, float)) or not 0 <= self.retriever_weight < float("inf"):
            raise LassError(f"retriever_weight={self.retriever_weight!r}; expected 0 or more")

    def describe(self) -> dict[str, Any]:
        """Returns the settings by name, as values to show: of names that fill more than a line, number and digest."""
        from ..utils.fingerprints import digest

        values = asdict(self)
        for name in ("relations", "entities"):
            given = values[name]
            if given is not None and len(", ".join(given)) > MOST_LETTERS:
                values[name] = f"{len(given):,} names with digest {digest([json.dumps(given).encode()])}"
        return values

    def numbers(self, graph: "KnowledgeGraph") -> "tuple[np.ndarray, np.ndarray | None]":
        """Returns the relations and the entities, int64, the latter None for all.

        Raises:
            UnknownNameError: The graph lacks a name.
        """
        import numpy as np

        from ..prediction.name_resolver import NameResolver

        resolver = NameResolver(graph)

        def resolve(names: Collection[str], slot: int) -> "np.ndarray":
            return np.unique(np.array([resolver.resolve(name, slot) for name in names], dtype=np.int64))

        relations = np.arange(graph.num_relations) if self.relations is None else resolve(self.relations, 1)
        return relations, None if self.entities is None else resolve(self.entities, 0)
