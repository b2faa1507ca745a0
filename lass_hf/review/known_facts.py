"""Known facts of an entity, in words: what a person who decides about a link looks at."""

from dataclasses import dataclass

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph


@dataclass(frozen=True)
class Fact:
    """A known fact of an entity.

    Attributes:
        relation: The text of the relation.
        other: The text of the other entity.
        is_head: Whether the entity itself is the head of the fact.
    """

    relation: str
    other: str
    is_head: bool


class KnownFacts:
    """The true triplets of a graph, of any split, by entity.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: KnowledgeGraph):
        self.entities, self.relations = graph.entities, graph.relations
        parts = [np.empty((0, 3), dtype=np.int64), *(split.positives for split in graph.splits.values())]
        self._triplets = np.unique(np.concatenate(parts), axis=0)
        ends = self._triplets[:, [0, 2]].T.ravel()
        self._order = np.argsort(ends, kind="stable")
        self._starts = np.searchsorted(ends[self._order], np.arange(graph.num_entities + 1))

    def of(self, entity: str, but: tuple[str, str, str], limit: int) -> tuple[list[Fact], int]:
        """Returns known facts of an entity, those that it is the head of first.

        Args:
            entity: Its id. An entity that the graph lacks has no facts.
            but: A triplet of ids that is not among them: the one that is decided about.
            limit: The most facts.

        Returns:
            The facts, and how many there are in all.
        """
        number = self.entities.index.get(entity)
        if number is None:
            return [], 0
        places = self._order[self._starts[number] : self._starts[number + 1]]
        triplets = self._triplets[places % len(self._triplets)]
        left_out = [self.entities.index.get(but[0]), self.relations.index.get(but[1]), self.entities.index.get(but[2])]
        kept = np.ones(len(triplets), dtype=bool)
        if None not in left_out:
            kept = (triplets != np.array(left_out)).any(axis=1)
        is_head = places < len(self._triplets)
        facts = [
            Fact(self.relations.texts[relation], self.entities.texts[tail if first else head], first)
            for (head, relation, tail), first in zip(
                triplets[kept][:limit].tolist(), is_head[kept][:limit].tolist(), strict=True
            )
        ]
        return facts, int(kept.sum())
