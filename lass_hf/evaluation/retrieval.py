"""The first stage of a reranking: the best candidates of a bi-encoder for each query, and the rank of the true one."""

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from ..core.architectures import BiEncoder
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES
from ..scoring.candidate_scores import CandidateScorer, top_positions
from ..utils.distributed import place, processes, sum_over_processes


@dataclass
class Retrieved:
    """The retriever's best candidates for n queries of one slot, one query for each triplet.

    Attributes:
        triplets: int64, shape (n, 3).
        slot: the slot that is asked for.
        candidates: the k' best candidates beside the target, best first, int64, shape (n, k').
        candidate_scores: their scores, float32; -inf where there are fewer.
        target_scores: scores of the targets, which are the true values of the slot, float32, shape (n,).
        ranks: optimistic ranks, pessimistic ranks and numbers of candidates of the targets, int64, shape (3, n).
    """

    triplets: np.ndarray
    slot: int
    candidates: np.ndarray
    candidate_scores: np.ndarray
    target_scores: np.ndarray
    ranks: np.ndarray


def retrieve(
    score_candidates: CandidateScorer,
    graph: KnowledgeGraph,
    triplets: np.ndarray,
    slot: int,
    top_k: int,
    quiet: bool = True,
) -> Retrieved:
    """Ranks each triplet's value in a slot among all candidates, filtered, and keeps the best of these.

    Several processes share the triplets and must all call this.

    Args:
        score_candidates: scores all candidates of some queries.
        graph: the graph, which gives candidates and filter.
        triplets: int64, shape (n, 3).
        slot: the slot to ask for.
        top_k: number of candidates to keep for each query.
        quiet: show no progress bar.
    """
    candidates, count = graph.candidates[slot], len(triplets)
    per_chunk = max(1, BiEncoder.candidates_per_chunk // len(candidates))
    kept = min(top_k, len(candidates))
    retrieved = Retrieved(
        triplets,
        slot,
        candidates=np.zeros((count, kept), dtype=np.int64),
        candidate_scores=np.zeros((count, kept), dtype=np.float32),
        target_scores=np.zeros(count, dtype=np.float32),
        ranks=np.zeros((3, count), dtype=np.int64),
    )
    rank, num_processes = place()
    starts = range(0, count, per_chunk)[rank::num_processes]
    title = f"retrieving {SLOT_NAMES[slot]}s"
    for start in tqdm(starts, desc=title, disable=quiet or not processes().is_main_process):
        chunk = slice(start, start + per_chunk)
        queries = triplets[chunk]
        rows = np.arange(len(queries))
        mask = np.ones((len(queries), len(candidates)), dtype=bool)
        known_rows, known_values = graph.known.values(slot, queries)
        mask[known_rows, np.searchsorted(candidates, known_values)] = False
        targets = np.searchsorted(candidates, queries[:, slot])
        mask[rows, targets] = True
        scores = score_candidates(queries, slot, candidates, mask, None)
        target_scores = scores[rows, targets].copy()
        mask[rows, targets] = False
        scores[~mask] = -np.inf
        above = [scores > target_scores[:, None], scores >= target_scores[:, None], mask]
        top = np.stack([top_positions(row, kept) for row in scores])  # of equal scores the lower entity comes first
        retrieved.candidates[chunk] = candidates[top]
        retrieved.candidate_scores[chunk] = np.take_along_axis(scores, top, 1)
        retrieved.target_scores[chunk] = target_scores
        retrieved.ranks[:, chunk] = [1 + better.sum(axis=1) for better in above]
    for name in ("candidates", "candidate_scores", "target_scores", "ranks"):
        setattr(retrieved, name, sum_over_processes(getattr(retrieved, name)))
    return retrieved
