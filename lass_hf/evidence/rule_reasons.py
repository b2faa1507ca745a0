"""Rules as reasons: which ones speak for triplets, and how that reads."""

import numpy as np

from ..structure.rule_words import reason_in_words
from .bound_evidence import BoundEvidence


def firing_rules(
    evidence: BoundEvidence, triplets: np.ndarray, slot: int, most: int | None = None
) -> list[list[tuple[int, tuple[int, ...]]]]:
    """Returns the rules that speak for triplets. Of redundant ones, as in the score, only the best counts.

    Args:
        evidence: The evidence.
        triplets: Int of shape (n, 3).
        slot: The slot that is asked for, 0 or 2.
        most: The most rules of a triplet; None for all.

    Returns:
        For each triplet what `RuleScorer.firing` does; nothing without rules, or for entities new to the graph.
    """
    found: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in triplets]
    scorer = evidence.rule_scorer
    if scorer is None:
        return found
    is_old = (triplets[:, [0, 2]] < evidence.graph.num_entities).all(axis=1)
    for relation in np.unique(triplets[is_old, 1]).tolist():
        own = np.flatnonzero(is_old & (triplets[:, 1] == relation))
        for row, firing in zip(own.tolist(), scorer.firing(triplets[own], slot, most), strict=True):
            found[row] = firing
    return found


def rule_reasons(evidence: BoundEvidence, triplet: np.ndarray, slot: int, most: int = 3) -> list[str]:
    """Returns the rules that speak for a triplet, in words with the entities that fulfil them, the best first.

    Args:
        evidence: The evidence.
        triplet: Int of shape (3,).
        slot: The slot that is asked for, 0 or 2.
        most: The number of rules.

    Returns:
        A sentence for each rule, such as "France borders Spain and Spain is in Europe (confidence 0.83)".
    """
    scorer = evidence.rule_scorer
    if scorer is None:
        return []
    names = evidence.graph.entities, evidence.graph.relations
    return [
        f"{reason_in_words(scorer.rules, position, path, *names)} (confidence {scorer.rules.confidences[position]:.2g})"
        for position, path in firing_rules(evidence, triplet[None], slot, most)[0]
    ]
