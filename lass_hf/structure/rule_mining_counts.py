"""Counts for how many pairs the body of a rule holds, with sparse matrices."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .facts import Facts
from .rule_mining_paths import voices

MOST_STEPS = 300_000  # products of a sparse matrix product; of a body that needs more, evenly spread rows are counted


@dataclass(frozen=True)
class BodyCounts:
    """How often the bodies of m rules hold, for tails and for heads.

    Attributes:
        paths: Float64 of shape (m, 2): the paths from an x that has a tail, and those to a y that has a head. Other
            paths say nothing: what is asked for has an answer ("partial completeness").
        pairs: Float64 of shape (m, 2): the pairs (x, y) that these paths join.
        known: Float64 of shape (m,): the paths between pairs that are facts of the head's relation, where the body may
            use these facts themselves; else 0.
        known_pairs: Float64 of shape (m,): the number of these pairs.
    """

    paths: np.ndarray
    pairs: np.ndarray
    known: np.ndarray
    known_pairs: np.ndarray


def count_bodies(
    facts: Facts, bodies: np.ndarray, relations: list[np.ndarray], is_over: Callable[[int], bool]
) -> BodyCounts:
    """Counts how often bodies hold; of one that needs many steps, from evenly spread entities.

    Args:
        facts: The facts.
        bodies: Int32 of shape (n, 3), padded with -1.
        relations: For each body the relations of the heads of its rules.
        is_over: Is called with the number of counted bodies before each; after True, the others are left out.

    Returns:
        The counts of all rules, body after body, relation after relation; `known` is NaN for those left out.
    """
    matrices, shift = facts.adjacency, facts.num_relations
    total = sum(map(len, relations))
    paths, pairs, known, known_pairs = (
        np.zeros((total, 2)),
        np.zeros((total, 2)),
        np.full(total, np.nan),
        np.zeros(total),
    )
    place = 0
    for number, (body, heads) in enumerate(zip(bodies.tolist(), relations, strict=True)):
        if is_over(number):
            break
        reached = matrices[body[0]]
        rows = np.flatnonzero(np.diff(reached.indptr))
        share = 1.0
        if body[1] >= 0:
            steps = int(np.diff(matrices[body[1]].indptr)[reached.indices].sum())
            kept = max(1, len(rows) * MOST_STEPS // max(steps, MOST_STEPS))
            share = kept / len(rows)
            rows = rows[np.arange(kept) * len(rows) // kept]
        reached = reached[rows]
        for atom in (atom for atom in body[1:] if atom >= 0):
            reached = reached @ matrices[atom]
        reached.data = voices(reached.data)
        ends, pairs_of_row, paths_of_row = reached.indices, np.diff(reached.indptr), reached.sum(axis=1)
        pairs_of_end = np.bincount(ends, minlength=facts.num_entities)
        paths_of_end = np.bincount(ends, reached.data, minlength=facts.num_entities)
        for head in heads.tolist():
            has_tail, has_head = np.diff(matrices[head].indptr)[rows] > 0, np.diff(matrices[head + shift].indptr) > 0
            paths[place] = paths_of_row[has_tail].sum() / share, paths_of_end[has_head].sum() / share
            pairs[place] = pairs_of_row[has_tail].sum() / share, pairs_of_end[has_head].sum() / share
            known[place] = 0
            if head in body or head + shift in body:
                between = reached.multiply(matrices[head][rows])
                known[place], known_pairs[place] = between.sum() / share, between.nnz / share
            place += 1
    return BodyCounts(paths, pairs, known, known_pairs)
