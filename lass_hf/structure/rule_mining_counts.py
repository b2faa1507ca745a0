"""Counts for how many pairs the body of a rule holds, with sparse matrices."""

from collections.abc import Callable

import numpy as np

from .facts import Facts

MOST_STEPS = 300_000  # products of a sparse matrix product; of a body that needs more, evenly spread rows are counted


def count_bodies(
    facts: Facts, bodies: np.ndarray, relations: list[np.ndarray], is_over: Callable[[int], bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pairs (x, y) for which bodies hold, where x has a tail, or y a head, by the relation of a rule's head.

    Other pairs say nothing: what is asked for has an answer ("partial completeness").

    Args:
        facts: The facts.
        bodies: Int32 of shape (n, 3), padded with -1.
        relations: For each body the relations of the heads of its rules.
        is_over: Is called with the number of counted bodies before each; after True, the others are left out.

    Returns:
        Float64 of shape (m, 2) for the m rules (body after body, relation after relation): the pairs whose x has a
        tail, and those whose y has a head; NaN for those left out. Float64 of shape (m,): the pairs that are facts of
        the relation, where the body may use them itself; else 0.
    """
    matrices, shift = facts.adjacency, facts.num_relations
    degrees = np.stack([np.diff(matrix.indptr) for matrix in matrices], axis=1)
    has = degrees > 0
    counts, known = [], []
    for number, body in enumerate(bodies.tolist()):
        heads = relations[number]
        if is_over(number):
            counts.append(np.full((len(heads), 2), np.nan))
            known.append(np.zeros(len(heads)))
            continue
        reached, rows = matrices[body[0]], np.flatnonzero(has[:, body[0]])
        share = 1.0
        if body[1] >= 0:
            steps = int(degrees[reached.indices, body[1]].sum())
            kept = max(1, len(rows) * MOST_STEPS // max(steps, MOST_STEPS))
            share = kept / len(rows) if len(rows) else 1.0
            rows = rows[np.arange(min(kept, len(rows))) * len(rows) // kept]
        reached = reached[rows]
        for atom in (atom for atom in body[1:] if atom >= 0):
            reached = reached @ matrices[atom]
        of_tails = np.diff(reached.indptr) @ has[rows][:, heads]
        of_heads = np.bincount(reached.indices, minlength=facts.num_entities) @ has[:, heads + shift]
        counts.append(np.stack([of_tails, of_heads], axis=1) / share)
        uses = [any(atom in (head, head + shift) for atom in body) for head in heads.tolist()]
        known.append(np.zeros(len(heads)))
        for place in np.flatnonzero(uses).tolist():
            reached.data[:] = 1
            known[-1][place] = reached.multiply(matrices[heads[place]][rows]).nnz / share
    if not counts:
        return np.empty((0, 2)), np.empty(0)
    return np.concatenate(counts), np.concatenate(known)
