"""Finds the best candidates of queries, in integers: scores candidates, leaves known ones out, keeps the best.

Names and texts are the business of `name_resolver.py` and `predictor.py`. Entities that are new to the graph have
integers behind its own.
"""

from collections.abc import Callable
from math import isnan
from typing import Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..evidence.evidence import KINDS
from ..scoring.candidate_scores import CandidateScorer, top_positions

# One row for each triplet that was scored. `known`: the graph holds it. `probability` of being true is NaN, and
# `label` means nothing, where no calibration was applied. `shares` is what each of `KINDS` adds to the score, NaN for
# the kinds that do not count. A ranking is one array, which is cut, filtered and cached whole: many small arrays
# between the large ones of scoring would keep memory from the system.
SCORED_TRIPLET = np.dtype(
    [
        ("triplet", "i8", 3),
        ("score", "f4"),
        ("known", "?"),
        ("label", "?"),
        ("probability", "f8"),
        ("shares", "f4", len(KINDS)),
    ],
    align=True,
)

# Returns what each kind of evidence adds to the scores of queries' candidates, as `BoundEvidence.shares` does.
Shares = Callable[[np.ndarray, int, np.ndarray, np.ndarray], dict[str, np.ndarray]]


def scored_triplets(triplets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns triplets, int of shape (n, 3), and their scores, shape (n,), as an array of `SCORED_TRIPLET`."""
    scored = np.zeros(len(triplets), dtype=SCORED_TRIPLET)
    scored["triplet"], scored["score"], scored["probability"], scored["shares"] = triplets, scores, np.nan, np.nan
    return scored


def as_rows(scored: np.ndarray) -> list[dict[str, Any]]:
    """Returns an array of `SCORED_TRIPLET` as dicts of plain values, without the triplets.

    Returns:
        For each triplet `score`, `known` and, where it is calibrated, `label` ("true" or "false") and `probability`;
        where evidence counts, `shares`, what each kind adds to the score.
    """
    rows: list[dict[str, Any]] = []
    for (score, known, label, probability), shares in zip(
        scored[["score", "known", "label", "probability"]].tolist(), scored["shares"].tolist(), strict=True
    ):
        row = {"score": score, "known": known}
        if not isnan(probability):
            row |= {"label": "true" if label else "false", "probability": probability}
        if counting := {kind: share for kind, share in zip(KINDS, shares, strict=True) if not isnan(share)}:
            row["shares"] = counting
        rows.append(row)
    return rows


def top_predictions(
    score_candidates: CandidateScorer,
    queries: np.ndarray,
    slot: int,
    candidates: np.ndarray,
    excluded: tuple[np.ndarray, np.ndarray],
    count: int,
    chunk_size: int,
    progress: Any = None,
    shares: Shares | None = None,
) -> list[np.ndarray]:
    """Returns the best candidates of each query, best first; of equal scores the first candidate comes first.

    Args:
        score_candidates: Scores candidates of queries as a matrix.
        queries: Int of shape (q, 3); the entry in `slot` is ignored.
        slot: The slot to predict.
        candidates: Ascending integers, shape (c,).
        excluded: Rows of queries, ascending, and positions of candidates that are no predictions for them.
        count: How many to keep for each query.
        chunk_size: How many scores are in memory together; those of one query at least.
        progress: An object whose `update` gets the number of triplets scored, or None.
        shares: Returns what each kind of evidence adds to scores. None where words alone count.

    Returns:
        For each query an array of `SCORED_TRIPLET`, with triplets, scores and shares.
    """
    rankings, size = [], max(1, chunk_size // len(candidates))
    for start in range(0, len(queries), size):
        chunk = queries[start : start + size]
        wanted = np.ones((len(chunk), len(candidates)), dtype=bool)
        first, last = np.searchsorted(excluded[0], [start, start + size])
        wanted[excluded[0][first:last] - start, excluded[1][first:last]] = False
        matrix = score_candidates(chunk, slot, candidates, wanted, progress)
        for query, row, scores in zip(chunk, wanted, matrix, strict=True):
            positions = np.flatnonzero(row)
            kept = positions[top_positions(scores[positions], count)]
            triplets = np.repeat(query[None], len(kept), axis=0)
            triplets[:, slot] = candidates[kept]
            rankings.append(scored_triplets(triplets, scores[kept]))
        if shares is not None:
            _fill_shares(rankings[start:], shares, chunk, slot)
    return rankings


def _fill_shares(rankings: list[np.ndarray], shares: Shares, queries: np.ndarray, slot: int) -> None:
    """Fills the shares of the rankings of queries, in place."""
    found = [ranking["triplet"][:, slot] for ranking in rankings]
    distinct, positions = np.unique(np.concatenate(found), return_inverse=True)
    parts = np.split(positions, np.cumsum([len(entities) for entities in found])[:-1])
    mask = np.zeros((len(queries), len(distinct)), dtype=bool)
    mask[np.repeat(np.arange(len(queries)), [len(entities) for entities in found]), positions] = True
    for kind, matrix in shares(queries, slot, distinct, mask).items():
        for ranking, row, columns in zip(rankings, matrix, parts, strict=True):
            ranking["shares"][:, KINDS.index(kind)] = row[columns]


def rerank_predictions(
    rankings: list[np.ndarray],
    slot: int,
    score: Callable[[np.ndarray, int], np.ndarray],
    depth: int,
    retriever_weight: float,
) -> None:
    """Puts the `depth` best of each ranking in the order of a second score, in place.

    Args:
        rankings: Arrays of `SCORED_TRIPLET`, best first. Those behind the `depth` best stay as they are.
        slot: The slot that was predicted.
        score: Scores triplets of that slot. The new score is this one + `retriever_weight` * the old one.
        depth: How many are scored again; all where there are fewer.
        retriever_weight: The weight of the old score.
    """
    top = np.concatenate([ranking[:depth] for ranking in rankings])
    scores = score(top["triplet"], slot) + retriever_weight * top["score"]
    ends = np.cumsum([len(ranking[:depth]) for ranking in rankings])[:-1]
    for ranking, new in zip(rankings, np.split(scores, ends), strict=True):
        ranking["score"][: len(new)] = new
        ranking[: len(new)] = ranking[top_positions(new, len(new))]


def is_known(known: KnownTriplets, triplets: np.ndarray) -> np.ndarray:
    """Returns the mask of known triplets among some of shape (n, 3): bool, shape (n,). New entities have none."""
    found = np.zeros(len(triplets), dtype=bool)
    old = (triplets < known.sizes).all(axis=1)
    found[old] = known.contains(triplets[old])
    return found


def count_known(known: KnownTriplets, slot: int, query: np.ndarray) -> int:
    """Returns how many values of `slot` make a known triplet with the rest of a query, int of shape (3,)."""
    return int(known.count(slot, query[None])[0]) if (query < known.sizes).all() else 0


def known_positions(
    known: KnownTriplets, slot: int, queries: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which candidates, ascending integers, make known triplets with queries, int of shape (q, 3).

    Returns:
        Rows of queries, ascending, and positions of candidates: int64, of the same length.
    """
    old = np.flatnonzero((queries < known.sizes).all(axis=1))
    rows, values = known.values(slot, queries[old])
    positions = np.minimum(np.searchsorted(candidates, values), len(candidates) - 1)
    among = candidates[positions] == values
    return old[rows[among]], positions[among]
