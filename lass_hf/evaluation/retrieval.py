"""The best answers of a bi-encoder to each query, with the rank of the true one: what is reranked."""

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES
from ..scoring.candidate_scores import CHUNK_SIZE, CandidateScores, best
from ..utils.distributed import place, processes, sum_over_processes


@dataclass
class Retrieved:
    """What the retriever says of n queries of one slot: one for each triplet.

    `rivals`: int64 (n, k'), the best other candidates, best first, with `rival_scores`, float32; -inf where there are
    fewer. `own_scores`: float32 (n,), of the true answers. `ranks`: int64 (3, n): optimistic, pessimistic, candidates.
    """

    triplets: np.ndarray
    slot: int
    rivals: np.ndarray
    rival_scores: np.ndarray
    own_scores: np.ndarray
    ranks: np.ndarray


def retrieve(
    scores: CandidateScores, graph: KnowledgeGraph, triplets: np.ndarray, slot: int, top_k: int, quiet: bool = True
) -> Retrieved:
    """Ranks each triplet's value in `slot` among all candidates, and keeps its best rivals, filtered.

    Several processes share the triplets.
    """
    candidates, count = graph.candidates[slot], len(triplets)
    per_chunk = max(1, CHUNK_SIZE["bi-encoder"] // len(candidates))
    kept = min(top_k, len(candidates))
    found = Retrieved(
        triplets,
        slot,
        rivals=np.zeros((count, kept), dtype=np.int64),
        rival_scores=np.zeros((count, kept), dtype=np.float32),
        own_scores=np.zeros(count, dtype=np.float32),
        ranks=np.zeros((3, count), dtype=np.int64),
    )
    rank, num_processes = place()
    starts = range(0, count, per_chunk)[rank::num_processes]
    title = f"retrieving {SLOT_NAMES[slot]}s"
    for start in tqdm(starts, desc=title, disable=quiet or not processes().is_main_process):
        mine = slice(start, start + per_chunk)
        part = triplets[mine]
        rows = np.arange(len(part))
        wanted = np.ones((len(part), len(candidates)), dtype=bool)
        known_rows, known_values = graph.known.values(slot, part)
        wanted[known_rows, np.searchsorted(candidates, known_values)] = False
        own = np.searchsorted(candidates, part[:, slot])
        wanted[rows, own] = True
        matrix = scores(part, slot, candidates, wanted, None)
        own_scores = matrix[rows, own].copy()
        wanted[rows, own] = False
        matrix[~wanted] = -np.inf
        above = [matrix > own_scores[:, None], matrix >= own_scores[:, None], wanted]
        ranks = [1 + better.sum(axis=1) for better in above]
        top = np.stack([best(row, kept) for row in matrix])  # of equal scores the lower entity comes first
        found.rivals[mine], found.rival_scores[mine] = candidates[top], np.take_along_axis(matrix, top, 1)
        found.own_scores[mine], found.ranks[:, mine] = own_scores, ranks
    for name in ("rivals", "rival_scores", "own_scores", "ranks"):
        setattr(found, name, sum_over_processes(getattr(found, name)))
    return found
