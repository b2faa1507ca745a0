"""The standing of triplets: whether the graph already implies, mirrors, connects or contradicts them.

A triplet has the first standing of this order that fits:

1. known: the graph holds it.
2. implied: it follows. Another fact of the same two entities implies it (a symmetric relation, an inverse one, or one
   that is narrower), it closes a two-step path of a transitive relation, or a way of any length in a hierarchy.
3. reverse: the graph holds, or implies, the same with head and tail exchanged, and the relation is not symmetric.
4. known by another relation: the graph links the two entities otherwise, in either direction.
5. sibling: head and tail have the same parent in a hierarchy.
6. conflict: the relation has a single value in the graph and has another one already, or it has no cycles and this would
   close one.
7. new.

What comes first explains best why a model gives a triplet a high score although it is no news. The fourth and the fifth
count only for relations of whose own facts few are like that: opposites are siblings, and often new links all the same.
What a rule has to hold for is in `quality.relation_traits`.
"""

from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import Vocabulary
from ..quality.relation_traits import Implication, RelationTraits, find_traits
from ..structure.facts import Facts
from ..structure.reachability import find_way, is_reached, share_others
from ..structure.rule_words import fact_in_words, in_one_line, name_in_words

# The codes of standings are positions here.
STANDINGS = ("new", "known", "implied", "reverse", "known by another relation", "sibling", "conflict")
NEW, KNOWN, IMPLIED, REVERSE, OTHER_RELATION, SIBLING, CONFLICT = range(len(STANDINGS))
MOST_USUAL = 0.1  # The share of a relation's own facts up to which a link or a parent in common counts against others.
FACTS_LOOKED_AT = 1000  # of a relation, to measure that share
MOST_SHOWN = 4  # steps of a way in words


class Standings:
    """Classifies triplets against the facts of a graph.

    Args:
        facts: The facts.

    Attributes:
        facts: The facts.
        traits: What the facts show about the relations.
    """

    def __init__(self, facts: Facts):
        self.facts = facts
        self.traits: RelationTraits = find_traits(facts)
        self._known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)
        order = np.argsort(facts.triplets[:, 1], kind="stable")
        self._by_relation = facts.triplets[order]
        self._starts = np.searchsorted(self._by_relation[:, 1], np.arange(facts.num_relations + 1))

    def classify(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the standing of each triplet.

        Args:
            triplets: Int of shape (n, 3), whose entities are the graph's.

        Returns:
            Int8 of shape (n,): positions in `STANDINGS`.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        codes = np.where(self._known.contains(triplets), KNOWN, NEW).astype(np.int8)
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
        explain = {
            IMPLIED: self._why_implied,
            REVERSE: self._why_reverse,
            OTHER_RELATION: self._why_linked,
            SIBLING: self._why_sibling,
            CONFLICT: self._why_conflict,
        }
        words = _Words(entities, relations)
        return [
            explain[code](triplet, words) if code in explain else ""
            for triplet, code in zip(triplets.tolist(), codes.tolist(), strict=True)
        ]

    def _is_implied(self, triplets: np.ndarray) -> np.ndarray:
        found = self._is_implied_by_one(triplets)
        for relation in np.unique(triplets[:, 1]).tolist():
            upwards, is_transitive = self.traits.parents[relation], self.traits.transitive_shares[relation] > 0
            own = np.flatnonzero((triplets[:, 1] == relation) & ~found) if upwards >= 0 or is_transitive else []
            if not len(own):
                continue
            heads, _, tails = triplets[own].T
            if upwards >= 0:  # The search goes to parents, of which there are fewer than children.
                ends = (heads, tails) if upwards == relation else (tails, heads)
                found[own] = is_reached(self._links(upwards), *ends)
            else:
                links = self._links(relation)
                found[own] = share_others(links, links.T.tocsr(), heads, tails)
        return found

    def _is_implied_by_one(self, triplets: np.ndarray) -> np.ndarray:
        found = np.zeros(len(triplets), dtype=bool)
        for one in self.traits.implications:
            own = np.flatnonzero((triplets[:, 1] == one.head) & ~found)
            found[own] = self._known.contains(self._body(one, triplets[own]))
        return found

    def _body(self, one: Implication, triplets: np.ndarray) -> np.ndarray:
        """Returns the triplets that would imply others."""
        turned, relation = divmod(one.body, self.facts.num_relations)
        bodies = triplets[:, ::-1].copy() if turned else triplets.copy()
        bodies[:, 1] = relation
        return bodies

    def _links(self, directed: int) -> csr_array:
        """Returns the links of a directed relation, float32 of shape (E, E), and those that follow with one atom."""
        turned, relation = divmod(directed, self.facts.num_relations)
        links = self._edges(relation)
        for one in self.traits.implications:
            if one.head == relation:
                body_turned, body = divmod(one.body, self.facts.num_relations)
                links = links + (self._edges(body).T if body_turned else self._edges(body))
        return (links.T if turned else links).tocsr()

    def _edges(self, relation: int) -> csr_array:
        heads, _, tails = self._by_relation[self._starts[relation] : self._starts[relation + 1]].T
        shape = (self.facts.num_entities, self.facts.num_entities)
        return csr_array((np.ones(len(heads), np.float32), (heads, tails)), shape=shape)

    def _is_reverse(self, triplets: np.ndarray) -> np.ndarray:
        turned = triplets[:, ::-1]
        found = self._known.contains(turned) | self._is_implied_by_one(turned)
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
            links = self._links(upwards)
            found |= share_others(links, links, heads, tails)
        return found & (heads != tails)

    def _is_conflict(self, triplets: np.ndarray) -> np.ndarray:
        shift, relations = self.facts.num_relations, triplets[:, 1]
        has_one_tail, has_one_head = (self.traits.functional_shares[relations + first] > 0 for first in (0, shift))
        found = has_one_tail & (self._known.count(2, triplets) > 0)
        found |= has_one_head & (self._known.count(0, triplets) > 0)
        return found | self._closes_cycle(triplets)

    def _closes_cycle(self, triplets: np.ndarray) -> np.ndarray:
        heads, relations, tails = triplets.T
        found = self.traits.is_acyclic[relations] & (heads == tails)
        for relation in np.unique(relations[self.traits.is_acyclic[relations]]).tolist():
            own = np.flatnonzero(relations == relation)
            # The way leads from tail to head; where parents are fewer than children, it is walked towards them.
            turned = self.traits.parents[relation] >= self.facts.num_relations
            ends = (heads[own], tails[own]) if turned else (tails[own], heads[own])
            found[own] |= is_reached(self._links(relation + turned * self.facts.num_relations), *ends)
        return found

    @cached_property
    def _is_usual(self) -> dict[int, np.ndarray]:
        """For two standings whether a relation's own facts are often like that, but for themselves: bool of shape (R,).

        One more fact that is so, and nine that are not, are assumed.
        """
        sizes = np.diff(self._starts)
        looked_at = np.minimum(sizes, FACTS_LOOKED_AT)
        relations = np.repeat(np.arange(len(sizes)), looked_at)
        within = np.arange(len(relations)) - np.repeat(np.cumsum(looked_at) - looked_at, looked_at)
        facts = self._by_relation[self._starts[relations] + within * sizes[relations] // looked_at[relations]]
        explained = self._is_implied_by_one(facts) | self._is_reverse(facts) | self._known.contains(facts[:, ::-1])
        facts = facts[~explained]
        counts = np.bincount(facts[:, 1], minlength=len(sizes))
        return {
            code: (np.bincount(facts[:, 1], holds, len(sizes)) + 1) / (counts + 10) > MOST_USUAL
            for code, holds in ((OTHER_RELATION, self._count_links(facts) > 1), (SIBLING, self._is_sibling(facts)))
        }

    # Words.

    def _fact(self, triplet: list[int]) -> tuple[list[int], Implication | None]:
        """Returns the fact that a triplet is, or that implies it, and what it implies it by."""
        row = np.array([triplet])
        if not self._known.contains(row)[0]:
            for one in self.traits.implications:
                if one.head == triplet[1] and self._known.contains(body := self._body(one, row))[0]:
                    return body[0].tolist(), one
        return triplet, None

    def _why_implied(self, triplet: list[int], words: "_Words") -> str:
        fact, rule = self._fact(triplet)
        if rule is not None:
            return f"{words.fact(fact)}, and {self._rule_in_words(rule, words)}."
        relation = triplet[1]
        way = self._way(relation, triplet[0], triplet[2], words)
        if self.traits.parents[relation] >= 0:
            return f'{way}, and "{words.relation(relation)}" is a hierarchy, in which such steps lead on.'
        share = self.traits.transitive_shares[relation]
        return f'{way}, and {_percent(share)} of such two steps of "{words.relation(relation)}" are one step, too.'

    def _rule_in_words(self, rule: Implication, words: "_Words") -> str:
        turned, body = divmod(rule.body, self.facts.num_relations)
        name, share = words.relation(body), _percent(rule.share)
        if body == rule.head:
            return f'{share} of the facts of "{name}" hold in both directions'
        backwards = " read backwards" if turned else ""
        return f'{share} of the facts of "{name}"{backwards} are facts of "{words.relation(rule.head)}"'

    def _way(self, relation: int, start: int, end: int, words: "_Words") -> str:
        """Returns the facts that lead from one entity to another in words."""
        upwards = self.traits.parents[relation]
        if upwards in (-1, relation):
            way = find_way(self._links(relation), start, end)
        else:  # Parents are fewer than children.
            way = find_way(self._links(upwards), end, start)[::-1]
        steps = [words.fact(self._fact([one, relation, other])[0]) for one, other in zip(way, way[1:], strict=False)]
        if len(steps) > MOST_SHOWN:
            steps = [*steps[: MOST_SHOWN - 1], f"so on to {steps[-1]}"]
        return " and ".join(steps)

    def _why_reverse(self, triplet: list[int], words: "_Words") -> str:
        return f"The graph has it the other way round: {words.fact(self._fact(triplet[::-1])[0])}."

    def _why_linked(self, triplet: list[int], words: "_Words") -> str:
        links = self.facts.links
        key = triplet[0] * self.facts.num_entities + triplet[2]
        place = int(np.searchsorted(links.keys, key))
        fact = [triplet[0], int(links.relations[place]), triplet[2]]
        return f"The graph links the two otherwise: {words.fact(fact)}."

    def _why_sibling(self, triplet: list[int], words: "_Words") -> str:
        head, _, tail = triplet
        for upwards in self.traits.parents[self.traits.parents >= 0].tolist():
            links = self._links(upwards)
            one, other = (links.indices[links.indptr[x] : links.indptr[x + 1]] for x in (head, tail))
            for parent in np.intersect1d(one, other)[:1].tolist():
                turned, relation = divmod(upwards, self.facts.num_relations)
                facts = [
                    self._fact([parent, relation, x] if turned else [x, relation, parent])[0] for x in (head, tail)
                ]
                return f"The two have the same parent: {words.fact(facts[0])} and {words.fact(facts[1])}."
        return ""

    def _why_conflict(self, triplet: list[int], words: "_Words") -> str:
        relation, row = triplet[1], np.array([triplet])
        for slot, first, name, other in ((2, 0, "heads", "tail"), (0, self.facts.num_relations, "tails", "head")):
            share, (_, values) = self.traits.functional_shares[relation + first], self._known.values(slot, row)
            if share > 0 and len(values):
                fact = list(triplet)
                fact[slot] = int(values[0])
                rule = f'{_percent(share)} of the {name} of "{words.relation(relation)}" have one {other} only'
                return f"{words.fact(fact)}, and {rule}."
        if triplet[0] == triplet[2]:
            return f'Nothing leads back to itself by "{words.relation(relation)}".'
        way = self._way(relation, triplet[2], triplet[0], words)
        return f'It would close a circle, which "{words.relation(relation)}" does not have: {way}.'


class _Words:
    """Names of a graph as they stand in sentences."""

    def __init__(self, entities: Vocabulary, relations: Vocabulary):
        self.entities, self.relations = entities, relations

    def fact(self, triplet: list[int]) -> str:
        return fact_in_words(triplet, self.entities, self.relations)

    def relation(self, relation: int) -> str:
        return in_one_line(self.relations.texts[relation])

    def entity(self, entity: int) -> str:
        return name_in_words(self.entities, entity)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
