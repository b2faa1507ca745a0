"""What follows from one fact: the links of a relation, and those that its mirrors and narrower relations imply."""

import numpy as np
from scipy.sparse import csr_array

from ..core.known_triplets import KnownTriplets
from ..structure.facts import Facts
from .relation_traits import Implication, RelationTraits, find_traits


class Consequences:
    """Looks up facts, and what follows from one of them.

    Args:
        facts: The facts.

    Attributes:
        facts: The facts.
        known: The index of the facts.
        traits: What the facts show about the relations.
        by_relation: The facts in the order of their relations, int64 of shape (n, 3).
        starts: Int64 of shape (R + 1,): the facts of relation r are those from `starts[r]` to `starts[r + 1]`.
    """

    def __init__(self, facts: Facts):
        self.facts = facts
        self.traits: RelationTraits = find_traits(facts)
        self.known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
        self.by_relation = facts.triplets[np.argsort(facts.triplets[:, 1], kind="stable")]
        self.starts = np.searchsorted(self.by_relation[:, 1], np.arange(facts.num_relations + 1))

    def follow_from_one(self, triplets: np.ndarray) -> np.ndarray:
        """Returns which triplets follow from one fact, bool of shape (n,).

        Args:
            triplets: Int64 of shape (n, 3).
        """
        found = np.zeros(len(triplets), dtype=bool)
        for one in self.traits.implications:
            own = np.flatnonzero((triplets[:, 1] == one.head) & ~found)
            found[own] = self.known.contains(self.body(one, triplets[own]))
        return found

    def body(self, one: Implication, triplets: np.ndarray) -> np.ndarray:
        """Returns the triplets that would imply others, int64 of shape (n, 3).

        Args:
            one: The rule.
            triplets: Int64 of shape (n, 3), of the relation of its head.
        """
        turned, relation = divmod(one.body, self.facts.num_relations)
        bodies = triplets[:, ::-1].copy() if turned else triplets.copy()
        bodies[:, 1] = relation
        return bodies

    def links(self, directed: int) -> csr_array:
        """Returns the links of a directed relation, and those that follow from one other fact.

        Args:
            directed: The directed relation.

        Returns:
            Float32 of shape (E, E), above 0 for each link from the row to the column.
        """
        turned, relation = divmod(directed, self.facts.num_relations)
        links = self._edges(relation)
        for one in self.traits.implications:
            if one.head == relation:
                body_turned, body = divmod(one.body, self.facts.num_relations)
                links = links + (self._edges(body).T if body_turned else self._edges(body))
        return (links.T if turned else links).tocsr()

    def _edges(self, relation: int) -> csr_array:
        heads, _, tails = self.by_relation[self.starts[relation] : self.starts[relation + 1]].T
        shape = (self.facts.num_entities, self.facts.num_entities)
        return csr_array((np.ones(len(heads), np.float32), (heads, tails)), shape=shape)
