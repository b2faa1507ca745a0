"""The standing of triplets: whether the graph already implies, mirrors, connects or contradicts them.

A triplet has the first standing of this order that fits:

1. known: the graph holds it.
2. implied: it follows. Another fact of the same two entities implies it (a symmetric relation, an inverse one, or one
   that is narrower), it closes a two-step path of a transitive relation, or a way of any length in a hierarchy, or a
   rule with confidence 1 says so: people wrote that confidence, as what is counted in facts is never so sure.
3. reverse: the graph holds, or implies, the same with head and tail exchanged, and the relation is not symmetric.
4. known by another relation: the graph links the two entities otherwise, in either direction.
5. sibling: head and tail have the same parent in a hierarchy.
6. conflict: the relation has a single value in the graph and has another one already, or it has no cycles and the
   triplet would close one.
7. new.

What comes first explains best why a model gives a triplet a high score although it is no news. The fourth and the fifth
count only for relations of whose own facts few are like that: opposites are siblings, and often new links all the same.
How often a rule has to hold is in `quality.relation_traits`.
"""

from functools import cached_property

import numpy as np

from ..core.vocabulary import Vocabulary
from ..quality.consequences import Consequences
from ..structure.facts import Facts
from ..structure.reachability import is_reached, share_others
from ..structure.rule_scores import RuleScorer
from ..structure.rule_words import fact_in_words
from ..structure.rules import RuleSet
from .standing_words import StandingWords

# The codes of standings are positions here.
STANDINGS = ("new", "known", "implied", "reverse", "known by another relation", "sibling", "conflict")
NEW, KNOWN, IMPLIED, REVERSE, OTHER_RELATION, SIBLING, CONFLICT = range(len(STANDINGS))
MOST_USUAL = 0.1  # The share of a relation's own facts up to which a link or a parent in common counts against others.
FACTS_LOOKED_AT = 1000  # of a relation, to measure that share


class Standings:
    """Classifies triplets against the facts of a graph.

    Args:
        facts: The facts.
        rules: Rules over these facts, of which those with confidence 1 imply; None for none.

    Attributes:
        facts: The facts.
        traits: What the facts show about the relations.
    """

    def __init__(self, facts: Facts, rules: RuleSet | None = None):
        self._consequences = Consequences(facts)
        declared = RuleSet.from_rows([]) if rules is None else rules.select(rules.confidences == 1)
        self._declared = RuleScorer(declared, facts)
        self.facts, self.traits = facts, self._consequences.traits

    def classify(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the standing of each triplet.

        Args:
            triplets: Int of shape (n, 3), whose entities are the graph's.

        Returns:
            Int8 of shape (n,): positions in `STANDINGS`.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        codes = np.where(self._consequences.known.contains(triplets), KNOWN, NEW).astype(np.int8)
        for code, holds in (
            (IMPLIED, self._is_implied),
            (REVERSE, self._is_reverse),
            (OTHER_RELATION, self._is_linked),
            (SIBLING, self._is_sibling),
            (CONFLICT, self._is_conflict),
        ):
            left = np.flatnonzero(codes == NEW)
            if code in (OTHER_RELATION, SIBLING):
                left = left[~self._is_usual[code][triplets[left, 1]]]
            codes[left[holds(triplets[left])]] = code
        return codes

    def because(
        self, triplets: np.ndarray, codes: np.ndarray, entities: Vocabulary, relations: Vocabulary
    ) -> list[str]:
        """Returns why triplets stand as they do, in words with the facts that show it.

        Args:
            triplets: Int of shape (n, 3), few of them.
            codes: What `classify` returned for them.
            entities: The entities of the graph.
            relations: The relations of the graph.

        Returns:
            A sentence for each triplet; "" for those that are new or known.
        """
        words = StandingWords(self._consequences, self._declared, entities, relations)
        rows = zip(triplets.tolist(), codes.tolist(), strict=True)
        return [words.explain(triplet, STANDINGS[code]) for triplet, code in rows]

    def restate(self, triplets: np.ndarray, entities: Vocabulary, relations: Vocabulary) -> list[str]:
        """Returns which other triplets state the same facts, in words: the mirror image, or that of an equal relation.

        Args:
            triplets: Int of shape (n, 3), few of them.
            entities: The entities of the graph.
            relations: The relations of the graph.

        Returns:
            A sentence for each triplet; "" where no other states the same.
        """
        others = (
            [fact_in_words(row, entities, relations) for row in self.traits.restatements(one)] for one in triplets
        )
        return [f"The same as {' and '.join(some)}." if some else "" for some in others]

    def _is_implied(self, triplets: np.ndarray) -> np.ndarray:
        found = self._consequences.follow_from_one(triplets)
        if len(self._declared.rules):
            found |= self._declared.triplet_scores(triplets) > 0
        for relation in np.unique(triplets[:, 1]).tolist():
            upwards, is_transitive = self.traits.parents[relation], self.traits.transitive_shares[relation] > 0
            own = np.flatnonzero((triplets[:, 1] == relation) & ~found)
            if not len(own) or not (upwards >= 0 or is_transitive):
                continue
            heads, _, tails = triplets[own].T
            if upwards >= 0:  # The search goes to parents, of which there are fewer than children.
                ends = (heads, tails) if upwards == relation else (tails, heads)
                found[own] = is_reached(self._consequences.links(upwards), *ends)
            else:
                links = self._consequences.links(relation)
                found[own] = share_others(links, links.T.tocsr(), heads, tails)
        return found

    def _is_reverse(self, triplets: np.ndarray) -> np.ndarray:
        turned = triplets[:, ::-1]
        found = self._consequences.known.contains(turned) | self._consequences.follow_from_one(turned)
        return found & ~self.traits.is_symmetric[triplets[:, 1]]

    def _is_linked(self, triplets: np.ndarray) -> np.ndarray:
        return self._count_links(triplets) > 0

    def _count_links(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the number of links of head and tail, in either direction."""
        keys, wanted = self.facts.links.keys, triplets[:, 0] * self.facts.num_entities + triplets[:, 2]
        return np.searchsorted(keys, wanted, side="right") - np.searchsorted(keys, wanted)

    def _is_sibling(self, triplets: np.ndarray) -> np.ndarray:
        heads, _, tails = triplets.T
        found = np.zeros(len(triplets), dtype=bool)
        for upwards in self.traits.parents[self.traits.parents >= 0].tolist() if len(triplets) else []:
            links = self._consequences.links(upwards)
            found |= share_others(links, links, heads, tails)
        return found & (heads != tails)

    def _is_conflict(self, triplets: np.ndarray) -> np.ndarray:
        shift, relations = self.facts.num_relations, triplets[:, 1]
        has_one_tail, has_one_head = (self.traits.functional_shares[relations + first] > 0 for first in (0, shift))
        found = has_one_tail & (self._consequences.known.count(2, triplets) > 0)
        found |= has_one_head & (self._consequences.known.count(0, triplets) > 0)
        return found | self._closes_cycle(triplets)

    def _closes_cycle(self, triplets: np.ndarray) -> np.ndarray:
        heads, relations, tails = triplets.T
        found = self.traits.is_acyclic[relations] & (heads == tails)
        for relation in np.unique(relations[self.traits.is_acyclic[relations]]).tolist():
            own = np.flatnonzero(relations == relation)
            # The way leads from tail to head; where parents are fewer than children, it is walked towards them.
            turned = self.traits.parents[relation] >= self.facts.num_relations
            ends = (heads[own], tails[own]) if turned else (tails[own], heads[own])
            found[own] |= is_reached(self._consequences.links(relation + turned * self.facts.num_relations), *ends)
        return found

    @cached_property
    def _is_usual(self) -> dict[int, np.ndarray]:
        """For two standings whether a relation's own facts are often like that, but for themselves: bool of shape (R,).

        One more fact that is so, and nine that are not, are assumed.
        """
        starts, sizes = self._consequences.starts, np.diff(self._consequences.starts)
        looked_at = np.minimum(sizes, FACTS_LOOKED_AT)
        relations = np.repeat(np.arange(len(sizes)), looked_at)
        within = np.arange(len(relations)) - np.repeat(np.cumsum(looked_at) - looked_at, looked_at)
        facts = self._consequences.by_relation[starts[relations] + within * sizes[relations] // looked_at[relations]]
        explained = (
            self._consequences.follow_from_one(facts)
            | self._is_reverse(facts)
            | self._consequences.known.contains(facts[:, ::-1])
        )
        facts = facts[~explained]
        counts = np.bincount(facts[:, 1], minlength=len(sizes))
        return {
            code: (np.bincount(facts[:, 1], holds, len(sizes)) + 1) / (counts + 10) > MOST_USUAL
            for code, holds in ((OTHER_RELATION, self._count_links(facts) > 1), (SIBLING, self._is_sibling(facts)))
        }
