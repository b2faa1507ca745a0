"""Answers queries in chunks that processes share: scores all candidates, and keeps the best with their probabilities.

A probability is among all entities that occur in the graph, as `BoundEvidence.probabilities` has it, but for the known
answers: a range of candidates only leaves answers out, and changes no number of the others.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np
from scipy.special import logsumexp
from tqdm.auto import tqdm

from ..core.errors import NonFiniteError
from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import SLOT_NAMES
from ..prediction.top_predictions import known_positions, rerank_predictions, scored_triplets
from ..scoring.candidate_scores import CandidateScorer
from ..scoring.chunk_progress import ChunkProgress, share_chunks
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from .suggestions import Answers

VALUES = 3  # of an answer in a finished chunk: its entity, and the bits of log probability and margin
MOST_MARGIN = 20.0  # nats; the margin of an answer without a next candidate

Ranges = Mapping[tuple[int, int], np.ndarray]  # entities, ascending, by slot and relation


@dataclass(frozen=True)
class Reranking:
    """A second model, which puts the best answers of each query in order.

    Attributes:
        scorer: The scorer of a cross-encoder over the texts of the graph.
        top_k: The answers of a query that are scored again; those behind them stay behind them.
        retriever_weight: The first model's log probability has this weight beside the second model's score.
    """

    scorer: TripletScorer
    top_k: int = 100
    retriever_weight: float = 0.0

    def __call__(self, queries: np.ndarray, slot: int, entities: np.ndarray, logs: np.ndarray) -> None:
        """Reorders answers, in place. The probability of all that are scored again together stays as it is.

        It is divided by softmax(log probability + second score / `retriever_weight`), whose likelihood the weight was
        fitted to; by the second score alone where the weight is 0.

        Args:
            queries: Int of shape (q, 3).
            slot: The slot that is asked for.
            entities: The answers, the best first, int of shape (q, k); -1 behind the last.
            logs: Their log probabilities, float32 of shape (q, k).
        """
        rankings = []
        for query, own, before in zip(queries, entities, logs, strict=True):
            triplets = np.repeat(query[None], (own[: self.top_k] >= 0).sum(), axis=0)
            triplets[:, slot] = own[: len(triplets)]
            rankings.append(scored_triplets(triplets, before[: len(triplets)]))
        if not sum(map(len, rankings)):
            return
        rerank_predictions(rankings, slot, self.scorer.score, self.top_k, self.retriever_weight)
        for row, ranking in enumerate(rankings):
            if count := len(ranking):
                scores = ranking["score"].astype(np.float64) / (self.retriever_weight or 1)
                entities[row, :count] = ranking["triplet"][:, slot]
                logs[row, :count] = scores - logsumexp(scores) + logsumexp(logs[row, :count].astype(np.float64))
                np.minimum(logs[row, count:], logs[row, count - 1], out=logs[row, count:])


def answer_queries(
    score_candidates: CandidateScorer,
    known: KnownTriplets,
    candidates: np.ndarray,
    queries: np.ndarray,
    slots: np.ndarray,
    per_query: int = 10,
    ranges: Ranges | None = None,
    reflexive: Collection[int] | None = None,
    reranking: Reranking | None = None,
    chunk_size: int = 2**22,
    progress: ChunkProgress | None = None,
    quiet: bool = True,
) -> Answers:
    """Returns the best answers to queries, equal for any number of processes and after a kill.

    Args:
        score_candidates: Scores candidates: `BoundEvidence.score_candidates`, or the scorer of a text model alone,
            whose scores are taken for logits.
        known: The triplets that are no answers.
        candidates: The entities that probabilities are among, int of shape (c,), ascending.
        queries: Int of shape (q, 3), ordered by slot and relation, as `choose_queries` returns them.
        slots: The slot that each of them asks for, int of shape (q,).
        per_query: The number of answers to each query at most.
        ranges: The candidates that may be answers, by slot and relation; a relation without a range has no answers.
            None for all candidates.
        reflexive: The relations that may link an entity to itself; None for all. A query of another one never has its
            own entity as an answer.
        reranking: Reorders the best answers; None for the order of the scores.
        chunk_size: Pairs of a query and a candidate that are scored together. It decides what is in one chunk.
        progress: Finished chunks of an earlier run, and a place for those of this run.
        quiet: Whether nothing is shown.

    Returns:
        The answers in the order of the queries. Their ranks count the candidates of the range.

    Raises:
        NonFiniteError: Scores are NaN or infinite.
        LassError: A finished chunk has impossible values.
    """
    jobs = [(slot, _chunks(queries, slots, slot, max(1, chunk_size // max(1, len(candidates))))) for slot in (0, 2)]
    tell = _estimate(queries, sum(len(rows) for _, rows in jobs), progress, quiet)
    parts = []
    for slot, rows_of_chunk in jobs:
        if not rows_of_chunk:
            continue

        def answer_chunk(chunk: int, bar: tqdm, slot: int = slot, rows_of_chunk: list[np.ndarray] = rows_of_chunk):
            started, own = time.perf_counter(), queries[rows_of_chunk[chunk]]
            allowed = candidates if ranges is None else ranges.get((slot, int(own[0, 1])), candidates[:0])
            may_loop = reflexive is None or int(own[0, 1]) in reflexive
            values = _answer(score_candidates, known, candidates, own, slot, allowed, may_loop, per_query, reranking)
            tell(bar, (time.perf_counter() - started) / len(own))
            bar.update(len(own))
            return values

        first = rows_of_chunk[0][0]
        sizes = np.array([len(rows) for rows in rows_of_chunk])
        found = share_chunks(
            answer_chunk,
            [rows - first for rows in rows_of_chunk],
            sizes,
            slot,
            f"answering for {SLOT_NAMES[slot]}s",
            "queries",
            VALUES * per_query,
            lambda values: _are_possible(values, candidates),
            quiet,
            progress,
        )
        parts.append(_to_answers(found, queries[first : first + len(found[0])], slot))
    return _concatenate(parts)


def _chunks(queries: np.ndarray, slots: np.ndarray, slot: int, size: int) -> list[np.ndarray]:
    """Returns the rows of each chunk of a slot: at most `size` queries of one relation."""
    rows = np.flatnonzero(slots == slot)
    starts = np.flatnonzero(np.diff(queries[rows, 1], prepend=-1))
    return [
        part
        for start, stop in pairwise([*starts.tolist(), len(rows)])
        for part in np.split(rows[start:stop], range(size, stop - start, size))
    ]


def _estimate(
    queries: np.ndarray, num_chunks: int, progress: ChunkProgress | None, quiet: bool
) -> Callable[[tqdm, float], None]:
    """Returns what takes the seconds of a query, and says after the first chunk how long the rest will take."""
    done = 0 if progress is None else len(progress.finished)
    left = len(queries) * (1 - done / max(1, num_chunks)) / processes().num_processes
    told = quiet or not processes().is_main_process

    def tell(bar: tqdm, seconds: float) -> None:
        nonlocal told
        if not told:
            told = True
            rest = timedelta(seconds=round(left * seconds))
            before = f" ({done:,} are finished)" if done else ""
            text = f"{len(queries):,} queries in {num_chunks:,} chunks{before}: about {rest}, by the time of the first"
            bar.write(text, file=sys.stderr)

    return tell


def _answer(
    score_candidates: CandidateScorer,
    known: KnownTriplets,
    candidates: np.ndarray,
    queries: np.ndarray,
    slot: int,
    allowed: np.ndarray,
    may_loop: bool,
    per_query: int,
    reranking: Reranking | None,
) -> np.ndarray:
    """Returns the values of the answers to queries of one relation: int64 of shape (VALUES * per_query, q)."""
    rows, positions = known_positions(known, slot, queries, candidates)
    is_open = np.ones((len(queries), len(candidates)), dtype=bool)
    is_open[rows, positions] = False
    scores = score_candidates(queries, slot, candidates, is_open, None)
    scores[rows, positions] = -np.inf
    highest = scores.max(axis=1, initial=-np.inf)
    if (np.isnan(highest) | np.isposinf(highest)).any():
        raise NonFiniteError("scores are NaN or infinite: the model's weights or its evidence are damaged")
    highest[~np.isfinite(highest)] = 0  # a query whose every answer is known
    sums = np.exp(scores - highest[:, None]).sum(axis=1, dtype=np.float64)
    if not may_loop:
        itself = queries[:, 2 - slot, None] == candidates
        scores[itself] = -np.inf
    columns = np.flatnonzero(_among(candidates, allowed))
    if len(columns) < len(candidates):
        scores = scores[:, columns]
    places, best = top_of_rows(scores, 1 + max(per_query, 0 if reranking is None else reranking.top_k))
    entities = np.where(places >= 0, candidates[columns][places] if len(columns) else -1, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (best - highest[:, None] - np.log(sums)[:, None]).astype(np.float32)
        if reranking is not None:
            reranking(queries, slot, entities, logs)
            best = logs
        margins = np.minimum(best[:, :per_query] - best[:, 1 : per_query + 1], np.float32(MOST_MARGIN))
    values = [
        entities[:, :per_query],
        *(np.ascontiguousarray(one).view(np.int32) for one in (logs[:, :per_query], margins)),
    ]
    return np.concatenate([one.astype(np.int64).T for one in values])


def _among(candidates: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    if allowed is candidates:
        return np.ones(len(candidates), dtype=bool)
    return np.isin(candidates, allowed, assume_unique=True)


def top_of_rows(scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the highest scores of each row, the highest first; of equal scores the first column comes first.

    Args:
        scores: Float32 of shape (q, c); -inf for what is left out.
        count: The number k of columns of each row.

    Returns:
        Columns, int64, and their scores, float32, both of shape (q, k); -1 and -inf where a row has no more.
    """
    columns = np.full((len(scores), count), -1, dtype=np.int64)
    best = np.full((len(scores), count), -np.inf, dtype=np.float32)
    if not scores.size:
        return columns, best
    least = np.full((len(scores), 1), -np.inf, dtype=np.float32)
    if count < scores.shape[1]:
        least = np.partition(scores, -count, axis=1)[:, -count, None]
    rows, found = np.nonzero((scores >= least) & (scores > -np.inf))
    values = scores[rows, found]
    order = np.lexsort([-values, rows])  # stable: of equal scores the first column stays first
    rows, found, values = rows[order], found[order], values[order]
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = places < count
    columns[rows[kept], places[kept]], best[rows[kept], places[kept]] = found[kept], values[kept]
    return columns, best


def _are_possible(values: np.ndarray, candidates: np.ndarray) -> bool:
    """Returns whether the values of a finished chunk are those of candidates, ordered by log probability."""
    entities, logs, margins = _split(values)
    exists = entities >= 0
    if not (np.isin(entities[exists], candidates).all() and (np.diff(exists.astype(int), axis=0) <= 0).all()):
        return False
    right = (logs[exists] <= 1e-3).all() and ((margins[exists] >= 0) & (margins[exists] <= MOST_MARGIN)).all()
    return bool(right and (logs[1:][exists[1:]] <= logs[:-1][exists[1:]]).all())


def _split(values: np.ndarray) -> list[np.ndarray]:
    """Returns entities, log probabilities and margins of values, each of shape (k, q)."""
    entities, *bits = np.split(values, VALUES)
    return [entities, *(one.astype(np.int32).view(np.float32) for one in bits)]


def _to_answers(values: np.ndarray, queries: np.ndarray, slot: int) -> Answers:
    entities, logs, margins = (one.T for one in _split(values))
    rows, places = np.nonzero(entities >= 0)
    triplets = queries[rows]
    triplets[:, slot] = entities[rows, places]
    return Answers(
        triplets,
        np.full(len(rows), slot, dtype=np.int8),
        logs[rows, places],
        (places + 1).astype(np.int32),
        margins[rows, places],
    )


def _concatenate(parts: list[Answers]) -> Answers:
    empty = np.empty(0, np.float32)
    none = Answers(np.empty((0, 3), np.int64), np.empty(0, np.int8), empty, np.empty(0, np.int32), empty)
    columns = zip(*(vars(one).values() for one in (none, *parts)), strict=True)
    return Answers(*(np.concatenate(column) for column in columns))
