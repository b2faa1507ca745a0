"""Findings: the most suspicious triplets, which signals speak against each, and what fits better instead."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..completion.isotonic_scaling import fit_isotonic
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import SLOT_NAMES
from ..quality.regularities import PairCounts
from ..structure.rule_words import fact_in_words, in_one_line
from .auditing import Audit
from .signals import ABSOLUTE, SIGNALS

UNUSUAL = 0.1  # the share of the relation's triplets that a signal is lower for, up to which it is a reason
BROKEN = -0.5  # the value up to which a broken pattern is a reason: half of the other triplets keep to it
# A relation that is functional but for the 5 % of wrong triplets that are assumed shows .95 or so. One more head with
# one tail, and one with several, are counted, so that a few heads are not enough.
FUNCTIONAL = 0.9
SECOND_VALUES = {"second_tail": (2, "heads", "tail"), "second_head": (0, "tails", "head")}  # slot; what has one what
MOST_REASONS = 5
# Where no signal is unusual alone, so many are named, one of a kind, if they are lower for at most this share.
MOST_LEAST_USUAL, LEAST_USUAL = 3, 0.25
# A list without a given length. 5 % of the triplets are assumed to be wrong: twice as many leave room for true ones
# among them, and what follows is hardly suspicious. 50 are decided about in half an hour, 1,000 are a day's work.
SHARE_LISTED, LEAST_LISTED, MOST_LISTED = 0.1, 50, 1_000
# What a broken pattern says of one triplet, with the share of the others that keep to it.
BROKEN_PATTERNS = {
    "mirror_missing": "{share} of the other triplets of {relation} are there in both directions, and this one is not",
    "mirror_present": "{share} of the other triplets of {relation} have one direction, and this one has both",
    "cycle": "it closes a circle of {relation}, and {share} of the other triplets of {relation} are in none",
    "self_loop": "it leads from an entity to itself, and {share} of the other triplets of {relation} do not",
}
LEAST_BETTER = 0.1  # the chance from which another answer is named
TIMES_BETTER = 2.0  # than the share of all triplets that have this value in this slot, and than the triplet's own value
LEAST_CHECKS = 100  # triplets from which chances are measured
VECTORS, OTHER_RELATIONS = "the rest of the graph", "the other relations of head and tail"


@dataclass(frozen=True)
class Findings:
    """m findings, the most suspicious first.

    Attributes:
        positions: Int64 of shape (m,): the positions of their triplets in the audit.
        kinds: For each the kinds of signals that speak against it, the strongest first, with ", " between them; "all
            signals together" where none is unusual alone.
        against: For each texts, one at least: the signals that speak against it, or the least usual ones.
        better: For each texts: what fits better.
        shares: Float32 of shape (F, m): how unusual each signal is, the share of the relation's triplets for which it
            is lower. NaN where a signal knows nothing or is none, and for patterns and labels, which are broken or not.
    """

    positions: np.ndarray
    kinds: list[str]
    against: list[list[str]]
    better: list[list[str]]
    shares: np.ndarray


def usual_length(num_triplets: int) -> int:
    """Returns how many findings the list of an audit has at most if nothing else is asked for."""
    return min(max(round(SHARE_LISTED * num_triplets), LEAST_LISTED), MOST_LISTED)


def find_reasons(audit: Audit, graph: KnowledgeGraph, most: int) -> Findings:
    """Writes the findings of an audit.

    Args:
        audit: The audit.
        graph: The graph.
        most: The most findings.
    """
    positions = audit.order()[:most]
    shares = audit.signals.within_relations()[:, positions]
    values = audit.signals.values[:, positions]
    of_signals = [SIGNALS[name][0] for name in audit.signals.names]
    is_absolute = np.array([kind in ABSOLUTE for kind in of_signals])
    shares[is_absolute | np.array([kind == "context" for kind in of_signals])] = np.nan
    patterns = SignalWords(audit, graph)
    keys = shares.copy()  # A pattern that all others keep to comes before the lowest share.
    is_broken = patterns.are_broken(positions)[is_absolute]
    keys[is_absolute] = np.where(is_broken, (1 + values[is_absolute]) * UNUSUAL / 10, np.nan)
    kinds, against = [], []
    for column, position in enumerate(positions.tolist()):
        order = [one for one in np.argsort(keys[:, column], kind="stable") if keys[one, column] <= UNUSUAL]
        unusual = [(of_signals[one], patterns.explain(one, position)) for one in order]
        own_kinds = list(dict.fromkeys(kind for kind, _ in unusual))
        kinds.append(", ".join(own_kinds) or "all signals together")
        # One reason of each kind comes first: the second signal of a kind says nearly the same.
        first = [next(words for kind, words in unusual if kind == own) for own in own_kinds]
        reasons = list(dict.fromkeys([*first, *(words for _, words in unusual)]))[:MOST_REASONS]
        against.append(reasons or [_name_least_usual(audit.signals.names, shares[:, column])])
    return Findings(positions, kinds, against, find_better(audit, graph, positions), shares)


class SignalWords:
    """Writes what signals say against triplets; of broken patterns also how many others keep to them.

    Args:
        audit: The audit.
        graph: The graph.
    """

    def __init__(self, audit: Audit, graph: KnowledgeGraph):
        self.triplets, self.signals, self.graph = audit.triplets, audit.signals, graph
        sizes = graph.num_entities, graph.num_relations
        self.known = KnownTriplets(audit.triplets, *sizes)
        self.num_single = {  # the heads, or tails, of each relation
            name: np.bincount(PairCounts.of(audit.triplets, 2 - slot, *sizes).relations, minlength=sizes[1])
            for name, (slot, _, _) in SECOND_VALUES.items()
        }

    def are_broken(self, positions: np.ndarray) -> np.ndarray:
        """Returns which signals are patterns that triplets break and most others keep to.

        Args:
            positions: The positions of the triplets, int of shape (m,).

        Returns:
            Bool of shape (F, m); meaningless for signals that are no patterns or labels.
        """
        values = self.signals.values[:, positions]
        broken = values <= BROKEN
        for name, counts in self.num_single.items():
            row, cases = self.signals.names.index(name), counts[self.triplets[positions, 1]]
            broken[row] = (1 - cases * values[row]) / (2 + cases) >= FUNCTIONAL
        return broken

    def explain(self, signal: int, position: int) -> str:
        """Returns what a signal, by its row, says against a triplet, by its position."""
        name, triplet = self.signals.names[signal], self.triplets[position].tolist()
        share, relation = _percent(-self.signals.values[signal, position]), triplet[1]
        called = f'"{in_one_line(self.graph.relations.texts[relation])}"'
        if name not in SECOND_VALUES:
            return BROKEN_PATTERNS.get(name, SIGNALS[name][1]).format(share=share, relation=called)
        slot, several, one = SECOND_VALUES[name]
        others = [
            other for other in self.known.values(slot, self.triplets[[position]])[1].tolist() if other != triplet[slot]
        ]
        fact = list(triplet)
        fact[slot] = others[0]
        words = fact_in_words(fact, self.graph.entities, self.graph.relations)
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return (
            f"the graph also has: {words}{more}; without this triplet, {share} of the "
            f"{self.num_single[name][relation]:,} {several} of {called} have one {one} only"
        )


def _name_least_usual(names: Sequence[str], shares: np.ndarray) -> str:
    """Writes which signals of a triplet are least usual, one of each kind, where none is unusual alone."""
    lowest: dict[str, str] = {}
    for one in np.argsort(shares, kind="stable").tolist():
        if shares[one] <= LEAST_USUAL:
            kind, words = SIGNALS[names[one]]
            lowest.setdefault(kind, f"{words} ({_percent(shares[one])} of the relation's triplets look worse)")
    if not lowest:
        return "no signal stands out: only all of them together speak against it"
    return "no signal is unusual alone, all together are; least usual: " + "; ".join(
        list(lowest.values())[:MOST_LEAST_USUAL]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def find_better(audit: Audit, graph: KnowledgeGraph, positions: np.ndarray) -> list[list[str]]:
    """Writes which other answers fit better than the triplets' own, each with its chance.

    The chance is measured and not what vectors or profiles claim: of the graph's triplets that are judged without their
    own help, the share whose own value came first among the values that are no other fact, where the first value claims
    as much. It is the chance of the other value if this one is wrong and one value is right that the graph lacks.

    Args:
        audit: The audit.
        graph: The graph.
        positions: The positions of the triplets, int of shape (m,).
    """
    sources = [(slot, audit.answers[slot], VECTORS) for slot in (2, 0, 1)]
    of_profiles = audit.profiles.log_probabilities.T
    tables = [
        (slot, ranks.best, ranks.best_log_probabilities, ranks.log_probabilities, by) for slot, ranks, by in sources
    ]
    tables.append((1, audit.profiles.best_relations, of_profiles[1], of_profiles[0], OTHER_RELATIONS))
    vocabularies = graph.entities, graph.relations, graph.entities
    named: list[dict[tuple[int, int], tuple[float, str]]] = [{} for _ in positions]  # by slot and value
    for slot, best, claimed, own, by in tables:
        shares = np.bincount(audit.triplets[:, slot], minlength=len(vocabularies[slot])) / len(audit.triplets)
        chances = measured_chances(own, claimed)[positions]
        least = np.maximum(LEAST_BETTER, TIMES_BETTER * shares[best[positions]])
        for row in np.flatnonzero(chances >= least).tolist():
            place = slot, int(best[positions[row]])
            named[row][place] = max(named[row].get(place, (0.0, "")), (float(chances[row]), by))
    lines: list[list[str]] = [[] for _ in positions]
    for own_lines, better in zip(lines, named, strict=True):
        for (slot, value), (chance, by) in better.items():
            name = " ".join(vocabularies[slot].name_of(value).split())
            own_lines.append(
                f"a better {SLOT_NAMES[slot]}: {name[:100]} (chance {chance:.2f} if this one is wrong, by {by})"
            )
    return lines


def measured_chances(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the chance of the best other value, by how often triplets' own values are first at the same claim.

    Args:
        own: The log probabilities that a method gives the values of n triplets, which it never saw; NaN: unknown.
        other: Those of the best other value.

    Returns:
        Float64 of shape (n,): NaN where the other value does not come first by far, or too few triplets are known.
    """
    chances = np.full(len(own), np.nan)
    known = np.flatnonzero(np.isfinite(own) & np.isfinite(other))
    if len(known) >= LEAST_CHECKS:
        first = np.maximum(own, other)[known].astype(np.float64)
        chances[known] = fit_isotonic(first, own[known] > other[known], np.ones(len(known)))(first)
        chances[known[other[known] < own[known] + np.log(TIMES_BETTER)]] = np.nan
    return chances
