"""Says why triplets stand as they do, in words with the facts of the graph that show it."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..core.vocabulary import Vocabulary
from ..quality.consequences import Consequences
from ..quality.relation_traits import Implication
from ..structure.reachability import find_way
from ..structure.rule_scores import RuleScorer
from ..structure.rule_words import fact_in_words, in_one_line, reason_in_words

MOST_SHOWN = 4  # steps of a way


class StandingWords:
    """Writes a sentence for each standing but "new" and "known".

    Args:
        consequences: The facts and what follows from one of them.
        declared: The rules with confidence 1, which imply.
        entities: The entities of the graph.
        relations: The relations of the graph.
    """

    def __init__(self, consequences: Consequences, declared: RuleScorer, entities: Vocabulary, relations: Vocabulary):
        self.declared = declared
        self._links = lru_cache(16)(consequences.links)  # which takes longer than a sentence
        self.consequences, self.facts, self.traits = consequences, consequences.facts, consequences.traits
        self.entities, self.relations = entities, relations

    def explain(self, triplet: list[int], standing: str) -> str:
        """Returns why a triplet stands as it does, "" if it is new or known.

        Args:
            triplet: Head, relation and tail.
            standing: The name of the standing.
        """
        explain = {
            "implied": self._implied,
            "reverse": self._reverse,
            "known by another relation": self._linked,
            "sibling": self._sibling,
            "conflict": self._conflict,
        }
        return explain[standing](triplet) if standing in explain else ""

    def _words(self, triplet: Sequence[int]) -> str:
        return fact_in_words(triplet, self.entities, self.relations)

    def _name(self, relation: int) -> str:
        return f'"{in_one_line(self.relations.texts[relation])}"'

    def _fact(self, triplet: list[int]) -> tuple[list[int], Implication | None]:
        """Returns the fact that a triplet is, or that implies it, and what it implies it by."""
        row = np.array([triplet])
        if not self.consequences.known.contains(row)[0]:
            for one in self.traits.implications:
                if (
                    one.head == triplet[1]
                    and self.consequences.known.contains(body := self.consequences.body(one, row))[0]
                ):
                    return body[0].tolist(), one
        return triplet, None

    def _implied(self, triplet: list[int]) -> str:
        fact, rule = self._fact(triplet)
        if rule is not None:
            return f"{self._words(fact)}, and {self._rule_in_words(rule)}."
        for slot in (2, 0) if len(self.declared.rules) else ():
            for position, path in self.declared.firing(np.array([triplet]), slot, most=1)[0]:
                words = reason_in_words(self.declared.rules, position, path, self.entities, self.relations)
                return f"{words}, and a rule with confidence 1 says that this follows."
        relation = triplet[1]
        way = self._way(relation, triplet[0], triplet[2])
        if self.traits.parents[relation] >= 0:
            return f"{way}, and {self._name(relation)} is a hierarchy, in which such steps lead on."
        share = self.traits.transitive_shares[relation]
        return f"{way}, and {_percent(share)} of such two steps of {self._name(relation)} are one step, too."

    def _rule_in_words(self, rule: Implication) -> str:
        turned, body = divmod(rule.body, self.facts.num_relations)
        count = round(rule.support / rule.share)
        facts = f"{_percent(rule.share)} of the {count:,} facts of {self._name(body)}"
        if body == rule.head:
            return f"{facts} hold in both directions"
        backwards = " read backwards" if turned else ""
        return f"{facts}{backwards} are facts of {self._name(rule.head)}"

    def _way(self, relation: int, start: int, end: int) -> str:
        """Returns the facts that lead from one entity to another in words."""
        upwards = self.traits.parents[relation]
        if upwards in (-1, relation):
            way = find_way(self._links(relation), start, end)
        else:  # Parents are fewer than children.
            way = find_way(self._links(upwards), end, start)[::-1]
        steps = [self._words(self._fact([one, relation, other])[0]) for one, other in pairwise(way)]
        if len(steps) > MOST_SHOWN:
            steps = [*steps[: MOST_SHOWN - 1], f"so on to {steps[-1]}"]
        return " and ".join(steps)

    def _reverse(self, triplet: list[int]) -> str:
        return f"The graph has it the other way round: {self._words(self._fact(triplet[::-1])[0])}."

    def _linked(self, triplet: list[int]) -> str:
        links = self.facts.links
        key = triplet[0] * self.facts.num_entities + triplet[2]
        place = int(np.searchsorted(links.keys, key))
        fact = [triplet[0], int(links.relations[place]), triplet[2]]
        return f"The graph links the two otherwise: {self._words(fact)}."

    def _sibling(self, triplet: list[int]) -> str:
        head, _, tail = triplet
        for upwards in self.traits.parents[self.traits.parents >= 0].tolist():
            links = self._links(upwards)
            one, other = (links.indices[links.indptr[x] : links.indptr[x + 1]] for x in (head, tail))
            for parent in np.intersect1d(one, other)[:1].tolist():
                turned, relation = divmod(upwards, self.facts.num_relations)
                facts = [
                    self._fact([parent, relation, x] if turned else [x, relation, parent])[0] for x in (head, tail)
                ]
                return f"The two have the same parent: {self._words(facts[0])} and {self._words(facts[1])}."
        return ""

    def _conflict(self, triplet: list[int]) -> str:
        relation, row = triplet[1], np.array([triplet])
        for slot, first, name, other in ((2, 0, "heads", "tail"), (0, self.facts.num_relations, "tails", "head")):
            share, (_, values) = (
                self.traits.functional_shares[relation + first],
                self.consequences.known.values(slot, row),
            )
            if share > 0 and len(values):
                fact = list(triplet)
                fact[slot] = int(values[0])
                rule = f"{_percent(share)} of the {name} of {self._name(relation)} have one {other} only"
                return f"{self._words(fact)}, and {rule}."
        if triplet[0] == triplet[2]:
            return f"Nothing leads back to itself by {self._name(relation)}."
        way = self._way(relation, triplet[2], triplet[0])
        return f"It would close a circle, which {self._name(relation)} does not have: {way}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
