"""Measures what follows from the facts of a relation: its mirrors, hierarchies, transitivity, and single values.

A directed relation is a number below 2R, as in `structure.facts`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..structure.facts import Facts
from ..structure.relation_patterns import find_mirrors
from .regularities import LEAST_CASES, PairCounts, find_transitive

# The share of the cases that must hold before a rule counts. A graph out of which a tenth was held shows at most .9 of
# a rule without exceptions, and one of whose links a fifth is missing .8.
CERTAIN = 0.75
FUNCTIONAL = 0.95  # The share of the entities that must have a single value, one more of each kind assumed.
MOST_CYCLIC = 0.01  # The share of the facts of an acyclic relation that may be on a cycle: errors of the graph.
# In a hierarchy most facts continue others, entities have few parents, and parents several children.
LEAST_CONTINUED = 0.5  # of the facts
MOST_PARENTS = 2.0
LEAST_CHILDREN = 1.5


@dataclass(frozen=True)
class Implication:
    """A rule with one atom: where `body` holds from x to y, `head` does.

    Attributes:
        body: The directed relation of the body.
        head: The relation of the head, which is not directed.
        support: The number of facts of the body for which it is so.
        share: The same as a share of all facts of the body.
    """

    body: int
    head: int
    support: int
    share: float


@dataclass(frozen=True)
class RelationTraits:
    """What the facts of R relations show about them.

    Attributes:
        implications: The rules with one atom, the most certain first. A symmetric relation is implied by its inverse.
        transitive_shares: Float64 of shape (R,): the share of the two-step paths that are facts; 0 for relations that
            are not transitive.
        is_acyclic: Bool of shape (R,): whether a relation has paths, and hardly any that leads back.
        parents: Int64 of shape (R,): for a hierarchy the directed relation that leads from an entity to its parents;
            else -1. Facts of a hierarchy such as "is a" are often direct links only, so that hardly any of the
            two-step paths are facts, although they follow.
        functional_shares: Float64 of shape (2R,): the share of the entities with one value; 0 for directed relations
            that are not functional.
    """

    implications: list[Implication]
    transitive_shares: np.ndarray
    is_acyclic: np.ndarray
    parents: np.ndarray
    functional_shares: np.ndarray

    @property
    def is_symmetric(self) -> np.ndarray:
        """Bool of shape (R,): whether a relation holds in both directions."""
        symmetric = np.zeros(len(self.parents), dtype=bool)
        shift = len(self.parents)
        symmetric[[one.head for one in self.implications if one.body == one.head + shift]] = True
        return symmetric

    @cached_property
    def first_of_same(self) -> np.ndarray:
        """Int64 of shape (2R,): the first of the directed relations that imply a directed one and follow from it.

        Each of them does so with each other one. Where a follows from b and b from c, but not a from c, none does.
        """
        shift = len(self.parents)
        bodies, heads = np.array([[one.body, one.head] for one in self.implications], dtype=np.int64).reshape(-1, 2).T
        # What implies a relation implies its inverse, turned.
        starts, ends = np.concatenate([bodies, (bodies + shift) % (2 * shift)]), np.concatenate([heads, heads + shift])
        links = csr_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(2 * shift, 2 * shift))
        mutual = links.multiply(links.T)
        number, groups = connected_components(mutual, directed=False)
        others = np.bincount(groups, minlength=number)[groups] - 1
        is_split = np.bincount(groups, np.diff(mutual.tocsr().indptr) < others, minlength=number)[groups] > 0
        firsts = np.unique(groups, return_index=True)[1][groups]
        own = np.arange(2 * shift)
        alone = np.where(np.tile(self.is_symmetric, 2), own % shift, own)
        return np.where(is_split, alone, firsts)

    def canonical(self, triplets: np.ndarray) -> np.ndarray:
        """Returns one triplet for all that state the same fact: mirror images, and those of relations that imply it.

        Args:
            triplets: Int64 of shape (n, 3).

        Returns:
            Int64 of shape (n, 3): that with the first relation, and in a symmetric one with the first entity as head.
        """
        heads, relations, tails = triplets.T
        own, turned = self.first_of_same[relations], self.first_of_same[relations + len(self.parents)]
        is_turned = (turned < own) | ((turned == own) & (heads > tails))
        same = np.stack([heads, own, tails], axis=1)
        same[is_turned] = np.stack([tails, turned, heads], axis=1)[is_turned]
        return same

    def restatements(self, triplet: np.ndarray) -> np.ndarray:
        """Returns the other triplets that state the same fact as one, int64 of shape (n, 3)."""
        head, relation, tail = triplet.tolist()
        same, shift = self.first_of_same, len(self.parents)
        found = [
            (tail, other, head) if turned else (head, other, tail)
            for turned in (False, True)
            for other in np.flatnonzero(same[:shift] == same[relation + turned * shift]).tolist()
        ]
        return np.array([one for one in found if one != (head, relation, tail)], dtype=np.int64).reshape(-1, 3)


def find_traits(facts: Facts) -> RelationTraits:
    """Measures what follows from facts.

    Args:
        facts: The facts.
    """
    sizes = facts.num_entities, facts.num_relations
    transitive_shares, functional_shares = np.zeros(facts.num_relations), np.zeros(2 * facts.num_relations)
    for one in find_transitive(facts.triplets, *sizes, least_share=CERTAIN):
        transitive_shares[one.relation] = one.share
    for slot, first in ((0, 0), (2, facts.num_relations)):
        pairs = PairCounts.of(facts.triplets, slot, *sizes)
        cases = np.bincount(pairs.relations, minlength=facts.num_relations)
        single = np.bincount(pairs.relations, pairs.counts == 1, minlength=facts.num_relations)
        shares = np.where((single + 1) / (cases + 2) >= FUNCTIONAL, single / np.maximum(cases, 1), 0)
        functional_shares[first : first + facts.num_relations] = shares
    return RelationTraits(_find_implications(facts), transitive_shares, *_find_hierarchies(facts), functional_shares)


def _find_implications(facts: Facts) -> list[Implication]:
    """Returns the rules with one atom, the most certain first."""
    found, shift = [], facts.num_relations
    for one in find_mirrors(facts.triplets, facts.num_entities, facts.num_relations, least_share=CERTAIN):
        turn = 0 if one.kind == "same" else shift
        found.append(Implication(one.relation + turn, one.other, one.support, one.share))
        if one.relation != one.other and one.share_of_other >= CERTAIN:
            found.append(Implication(one.other + turn, one.relation, one.support, one.share_of_other))
    return sorted(found, key=lambda one: (-one.share, -one.support, one.head, one.body))


def _find_hierarchies(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Returns which relations are acyclic, bool of shape (R,), and what leads to parents, int64 of shape (R,)."""
    heads, relations, tails = facts.triplets[facts.triplets[:, 0] != facts.triplets[:, 2]].T
    count, size = facts.num_relations, facts.num_entities
    # A node is an entity in the graph of one relation. Nodes ascend by relation.
    nodes, numbers = np.unique(
        np.concatenate([relations * size + heads, relations * size + tails]), return_inverse=True
    )
    starts, ends = numbers.reshape(2, -1)
    links = csr_array((np.ones(len(starts), np.int8), (starts, ends)), shape=(len(nodes), len(nodes)))
    component = connected_components(links, connection="strong")[1] if len(nodes) else nodes
    of_node, num_facts = nodes // max(size, 1), np.bincount(relations, minlength=count)
    leaves, arrives = np.bincount(starts, minlength=len(nodes)) > 0, np.bincount(ends, minlength=len(nodes)) > 0
    continued = np.bincount(relations, leaves[ends] | arrives[starts], minlength=count)
    cyclic = np.bincount(relations, component[starts] == component[ends], minlength=count)
    is_acyclic = (continued >= LEAST_CASES) & (cyclic <= MOST_CYCLIC * num_facts)
    # The number of tails of a head, and of heads of a tail.
    tails_of, heads_of = (
        num_facts / np.maximum(np.bincount(of_node, has, minlength=count), 1) for has in (leaves, arrives)
    )
    is_hierarchy = is_acyclic & (continued >= LEAST_CONTINUED * num_facts)
    is_hierarchy &= (np.minimum(tails_of, heads_of) <= MOST_PARENTS) & (
        np.maximum(tails_of, heads_of) >= LEAST_CHILDREN
    )
    upwards = np.arange(count) + np.where(tails_of <= heads_of, 0, count)
    return is_acyclic, np.where(is_hierarchy, upwards, -1)
