"""The best answers to questions, in numbers: candidates are scored, known ones left out, the best kept.

It knows no names and no texts; `prediction.py` has those. Entities new to the graph have numbers behind its own.
"""

from typing import Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..scoring.candidate_scores import CandidateScores, ScoreFunction, best

Answers = list[tuple[np.ndarray, np.ndarray]]  # of each query: triplets, and their scores


def best_answers(
    scores_of: CandidateScores,
    queries: np.ndarray,
    slot: int,
    candidates: np.ndarray,
    left_out: tuple[np.ndarray, np.ndarray],
    count: int,
    at_once: int,
    bar: Any = None,
) -> Answers:
    """Of each query the `count` best answers: triplets, int (k, 3), best first, and their scores, float32 (k,).

    `queries`: int of shape (q, 3); `candidates`: sorted numbers; `left_out`: rows of queries, ascending, and places of
    candidates that are no answers to them; `at_once`: candidates of all queries in memory together, of one at least.
    """
    found, size = [], max(1, at_once // len(candidates))
    for start in range(0, len(queries), size):
        part = queries[start : start + size]
        wanted = np.ones((len(part), len(candidates)), dtype=bool)
        first, last = np.searchsorted(left_out[0], [start, start + size])
        wanted[left_out[0][first:last] - start, left_out[1][first:last]] = False
        matrix = scores_of(part, slot, candidates, wanted, bar)
        for query, row, scores in zip(part, wanted, matrix, strict=True):
            places = np.flatnonzero(row)
            kept = places[best(scores[places], count)]
            triplets = np.repeat(query[None], len(kept), axis=0)
            triplets[:, slot] = candidates[kept]
            found.append((triplets, scores[kept]))
    return found


def reranked(score: ScoreFunction, found: Answers, slot: int, depth: int, retriever_weight: float) -> Answers:
    """Answers whose `depth` best are in the order of another score function + `retriever_weight` * the score that they have.

    The others stay behind them as they are, with the score that they have.
    """
    top = [(triplets[:depth], scores[:depth]) for triplets, scores in found]
    triplets, scores = (np.concatenate(parts) for parts in zip(*top, strict=True))
    scores = score(triplets, slot) + retriever_weight * scores
    ends = np.cumsum([len(values) for _, values in top])[:-1]
    answers = []
    for (every, before), after in zip(found, np.split(scores, ends), strict=True):
        order = best(after, len(after))
        rest = slice(len(after), None)
        answers.append((np.concatenate([every[order], every[rest]]), np.concatenate([after[order], before[rest]])))
    return answers


def is_known(known: KnownTriplets, triplets: np.ndarray) -> np.ndarray:
    """Whether each triplet, int of shape (n, 3), is known: bool, shape (n,); with a new entity it is not."""
    found = np.zeros(len(triplets), dtype=bool)
    old = (triplets < known.sizes).all(axis=1)
    found[old] = known.contains(triplets[old])
    return found


def known_places(
    known: KnownTriplets, slot: int, queries: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which candidates, sorted numbers, are known answers: rows of queries, ascending, and places of candidates."""
    old = np.flatnonzero((queries < known.sizes).all(axis=1))
    rows, values = known.values(slot, queries[old])
    places = np.minimum(np.searchsorted(candidates, values), len(candidates) - 1)
    among = candidates[places] == values
    return old[rows[among]], places[among]
