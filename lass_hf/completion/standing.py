"""The standing of triplets: whether the graph already implies, mirrors, connects or contradicts them."""

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..structure.facts import Facts

# The codes of standings are positions here.
STANDINGS = ("new", "known", "implied", "reverse", "known by another relation", "sibling", "conflict")
NEW, KNOWN, IMPLIED, REVERSE, OTHER_RELATION, SIBLING, CONFLICT = range(len(STANDINGS))


class Standings:
    """Classifies triplets against the facts of a graph.

    Args:
        facts: The facts.
    """

    def __init__(self, facts: Facts):
        self.facts = facts

    def classify(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the standing of each triplet: int8 of shape (n,), positions in `STANDINGS`.

        Args:
            triplets: Int of shape (n, 3).
        """
        raise NotImplementedError

    def because(self, triplets: np.ndarray, codes: np.ndarray, graph: KnowledgeGraph) -> list[str]:
        """Returns why triplets stand as they do, in words with the facts that show it; "" for new and known ones.

        Args:
            triplets: Int of shape (n, 3), few of them.
            codes: What `classify` returned for them.
            graph: The graph, whose texts are the names.
        """
        raise NotImplementedError
