"""Findings: the most suspicious triplets, which signals speak against each, and what fits better instead."""

from dataclasses import dataclass

import numpy as np

from ..completion.isotonic_scaling import fit_isotonic
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES
from .auditing import Audit
from .signals import ABSOLUTE, SIGNALS

UNUSUAL = 0.1  # the share of the relation's triplets that a signal is lower for, up to which it is a reason
BROKEN = -0.5  # the value up to which a broken pattern is a reason: half of the other triplets keep to it
MOST_REASONS = 5
# A list without a given length. 5 % of the triplets are assumed to be wrong: twice as many leave room for true ones
# among them, and what follows is hardly suspicious. 50 are decided about in half an hour, 1,000 are a day's work.
SHARE_LISTED, LEAST_LISTED, MOST_LISTED = 0.1, 50, 1_000
LEAST_BETTER = 0.1  # the chance from which another answer is named
TIMES_BETTER = 2.0  # than the share of all triplets that have this value in this slot, and than the triplet's own value
LEAST_CHECKS = 100  # triplets from which chances are measured
VECTORS, OTHER_RELATIONS = "structural vectors that never saw it", "the other relations of head and tail"


@dataclass(frozen=True)
class Findings:
    """m findings, the most suspicious first.

    Attributes:
        positions: Int64 of shape (m,): the positions of their triplets in the audit.
        kinds: For each the kinds of signals that speak against it, the strongest first, with ", " between them; "all
            signals together" where none is unusual alone.
        against: For each texts: the signals that speak against it.
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
    keys = shares.copy()  # A pattern that all others keep to comes before the lowest share.
    keys[is_absolute] = np.where(values[is_absolute] <= BROKEN, (1 + values[is_absolute]) * UNUSUAL / 10, np.nan)
    kinds, against = [], []
    for column in range(len(positions)):
        order = [one for one in np.argsort(keys[:, column], kind="stable") if keys[one, column] <= UNUSUAL]
        unusual = [SIGNALS[audit.signals.names[one]] for one in order]
        own_kinds = list(dict.fromkeys(kind for kind, _ in unusual))
        kinds.append(", ".join(own_kinds) or "all signals together")
        # One reason of each kind comes first: the second signal of a kind says nearly the same.
        first = [next(words for kind, words in unusual if kind == own) for own in own_kinds]
        against.append(list(dict.fromkeys([*first, *(words for _, words in unusual)]))[:MOST_REASONS])
    return Findings(positions, kinds, against, find_better(audit, graph, positions), shares)


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
            text = " ".join(vocabularies[slot].texts[value].split())
            name = text.partition(", ")[0] or vocabularies[slot].ids[value]
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
