"""Findings: the most suspicious triplets, which signals speak against each, and what fits better instead."""

from dataclasses import dataclass

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES
from .auditing import Audit
from .signals import ABSOLUTE, SIGNALS

UNUSUAL = 0.1  # the share of the relation's triplets that a signal is lower for, up to which it is a reason
BROKEN = -0.5  # the value up to which a broken pattern is a reason: half of the other triplets keep to it
MOST_REASONS = 5
LEAST_BETTER = 0.1  # the probability from which another answer is named
TIMES_BETTER = 2.0  # than the triplet's own


@dataclass(frozen=True)
class Findings:
    """m findings, the most suspicious first.

    Attributes:
        positions: Int64 of shape (m,): the positions of their triplets in the audit.
        kinds: For each the kinds of signals that speak against it, the strongest first, with ", " between them; "all
            signals together" where none is unusual alone.
        reasons: For each texts: the signals that speak against it, then what fits better.
    """

    positions: np.ndarray
    kinds: list[str]
    reasons: list[list[str]]


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
    for number, name in enumerate(audit.signals.names):
        kind = SIGNALS[name][0]
        if kind == "context":
            shares[number] = np.nan
        elif kind in ABSOLUTE:  # A pattern that all others keep to comes before the lowest share.
            broken = values[number] <= BROKEN
            shares[number] = np.where(broken, (1 + values[number]) * UNUSUAL / 10, np.nan)
    kinds, reasons = [], []
    for column, position in enumerate(positions.tolist()):
        order = [one for one in np.argsort(shares[:, column], kind="stable") if shares[one, column] <= UNUSUAL]
        unusual = [SIGNALS[audit.signals.names[one]] for one in order]
        own_kinds = list(dict.fromkeys(kind for kind, _ in unusual))
        kinds.append(", ".join(own_kinds) or "all signals together")
        # One reason of each kind comes first: the second signal of a kind says nearly the same.
        first = [next(words for kind, words in unusual if kind == own) for own in own_kinds]
        words = list(dict.fromkeys([*first, *(words for _, words in unusual)]))[:MOST_REASONS]
        reasons.append([*words, *_what_fits_better(audit, graph, position)])
    return Findings(positions, kinds, reasons)


def _what_fits_better(audit: Audit, graph: KnowledgeGraph, position: int) -> list[str]:
    """Writes which other answers are more probable than the triplet's own, each with both probabilities."""
    better = []
    vocabularies = graph.entities, graph.relations, graph.entities
    for slot in (2, 0, 1):
        ranks = audit.answers[slot]
        better.append(
            (slot, ranks.best[position], ranks.best_log_probabilities[position], ranks.log_probabilities[position])
        )
    own, other = audit.profiles.log_probabilities[position]
    sources = ["structural vectors that never saw it"] * 3 + ["the other relations of head and tail"]
    better.append((1, audit.profiles.best_relations[position], other, own))
    lines = []
    for (slot, answer, log_probability, log_own), source in zip(better, sources, strict=True):
        chance, own_chance = np.exp([log_probability, log_own]).tolist()
        if chance >= max(LEAST_BETTER, TIMES_BETTER * own_chance):
            text = " ".join(vocabularies[slot].texts[answer].split())
            name = text.partition(", ")[0] or vocabularies[slot].ids[answer]
            lines.append(
                f"a better {SLOT_NAMES[slot]}: {name[:100]} (probability {chance:.2f}, this one {own_chance:.2g}, by "
                f"{source})"
            )
    return lines
