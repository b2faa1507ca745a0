"""Link and relation prediction in the filtered setting: scores of all candidates become ranks, fair to ties.

A query is a triplet with one slot left out; its candidates are all entities (or relations) of the graph. The filter is
every true triplet of all splits: another known answer does not compete with the one that is asked for.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.architectures import BiEncoder, CrossEncoder
from ..core.errors import GraphError, LassError, NonFiniteError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..evidence.choosing import EvidenceChoice, choose_evidence, make_ranking_scorer
from ..evidence.evidence_files import evidence_fingerprint
from ..scoring.candidate_scores import CandidateScorer
from ..scoring.chunk_progress import ChunkProgress, share_chunks
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from ..utils.fingerprints import candidates_fingerprint, graph_fingerprint, model_fingerprint, texts_fingerprint
from .ranking_result import RankingResult, are_possible_ranks


def evaluate_link_prediction(
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    graph: KnowledgeGraph,
    split: str = "test",
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    resume_dir: str | Path | None = None,
    slots: tuple[int, ...] = (0, 2),
    index_folder: str | Path | None = None,
    evidence: EvidenceChoice = "auto",
) -> RankingResult:
    """Ranks the head and the tail of each true triplet of a split among all entities that occur in the graph.

    Several processes share the queries and must all call this. Each gets the whole result, with the same ranks as one
    process with as many threads.

    Args:
        model: the model to evaluate; None ranks by evidence of the graph alone.
        processor: its processor, or None.
        graph: the graph; its texts are those that the model reads.
        split: name of the split.
        limit: rank a seeded choice of this many triplets (two queries each); None ranks all.
        dtype: precision of scoring: "auto" (bfloat16 where the hardware multiplies it natively), "float32" or
            "bfloat16".
        seed: seed of the choice of triplets.
        quiet: show no progress bar.
        resume_dir: folder that keeps the ranks of finished queries; an evaluation that was killed continues with them.
            All processes must see it.
        slots: slots to ask for; 0, 1, 2 = head, relation, tail.
        index_folder: folder that keeps the entity vectors of a bi-encoder; None keeps them in memory only.
        evidence: what heads and tails are ranked by: "auto" for all evidence that the model's folder has, "text" for
            the model alone, kinds such as "rules,vectors", or a `FusedEvidence`. Relations are ranked by the model.

    Returns:
        Ranks, shape (2 * triplets,), head side first, and metrics.

    Raises:
        GraphError: the graph has no such split, or the split no true triplet.
        LassError: `slots`, `limit`, `seed` or `dtype` out of range; ranks of another model, graph, evidence or choice
            of queries in `resume_dir`; or evidence that the folder lacks, or that of another model or graph.
    """
    graph_split = graph[split]
    _check_slots(slots)
    choose_triplets(graph_split, limit, seed)  # what it refuses is refused before anything is found or encoded
    choice = "text" if 1 in slots and evidence == "auto" else evidence  # relations are ranked by the model
    fused = choose_evidence(choice, graph, model, processor, dtype, seed, quiet, index_folder)
    scorer, chunk_size = None, BiEncoder.candidates_per_chunk
    if model is not None and processor is not None:
        scorer = TripletScorer(model, processor.token_store(graph), dtype)
        chunk_size = model.architecture.candidates_per_chunk
    progress = None
    if resume_dir is not None:
        identity = {
            **(model_identity(scorer) if scorer is not None else {}),
            **({"evidence": evidence_fingerprint(fused)} if fused is not None else {}),
            "graph": graph_fingerprint(graph),
            "candidates": candidates_fingerprint(graph, slots),
            "split": split,
            "limit": limit,
            "seed": seed,
            "slots": slots,
            "chunk_size": chunk_size,
        }
        progress = ChunkProgress(resume_dir, identity)
    score_candidates = make_ranking_scorer(fused, scorer, graph_split, index_folder, quiet, slots)
    return rank_split(score_candidates, graph_split, slots, limit, seed, quiet, chunk_size, progress)


def model_identity(scorer: TripletScorer) -> dict[str, Any]:
    """Returns what the ranks of a text model depend on, besides graph and queries, as plain values.

    Args:
        scorer: the scorer of the model.
    """
    return {
        **scorer.model.config.ranking_weights,
        "model": model_fingerprint(scorer.model),
        "texts": texts_fingerprint(scorer.store),
        "token_budget": scorer.token_budget,
        "dtype": str(scorer.model.dtype),
        "device": scorer.model.device.type,
    }


def evaluate_relation_prediction(
    model: LassForKGCompletion, processor: LassProcessor, graph: KnowledgeGraph, split: str = "test", **choices: Any
) -> RankingResult:
    """Ranks the relation of each true triplet of a split among all relations.

    Args:
        model: the model to evaluate.
        processor: its processor.
        graph: the graph.
        split: name of the split.
        choices: further arguments of `evaluate_link_prediction`.

    Returns:
        Ranks, shape (triplets,), and metrics.
    """
    return evaluate_link_prediction(model, processor, graph, split, slots=(1,), **choices)


def rank_split(
    score_candidates: CandidateScorer,
    split: GraphSplit,
    slots: tuple[int, ...] = (0, 2),
    limit: int | None = None,
    seed: int = 42,
    quiet: bool = False,
    chunk_size: int = CrossEncoder.candidates_per_chunk,
    progress: ChunkProgress | None = None,
) -> RankingResult:
    """Ranks the true triplets of a split by any score function of candidates.

    Args:
        score_candidates: scores all candidates of some queries; `scorer_from_triplets` makes one of a score function of
            triplets.
        split: the split to rank.
        slots: slots to ask for; 0, 1, 2 = head, relation, tail.
        limit: rank a seeded choice of this many triplets; None ranks all.
        seed: seed of that choice.
        quiet: show no progress bar.
        chunk_size: number of candidates that are ranked together.
        progress: finished chunks of an earlier run, and a place for those of this run.

    Returns:
        Ranks and metrics.

    Raises:
        GraphError: the split has no true triplet.
        LassError: `slots`, `limit` or `seed` out of range.
        NonFiniteError: scores are NaN or infinite.
    """
    _check_slots(slots)
    triplets = choose_triplets(split, limit, seed)
    if progress is not None and progress.finished and not quiet and processes().is_main_process:
        print(f"continuing: {len(progress.finished)} chunks of work are done in {progress.folder}", file=sys.stderr)
    sides = [rank_slot(score_candidates, split.graph, triplets, slot, quiet, chunk_size, progress) for slot in slots]
    return RankingResult.from_ranks(split.graph, triplets, slots, np.concatenate(sides, axis=1))


def _check_slots(slots: tuple[int, ...]) -> None:
    if not slots or any(slot not in (0, 1, 2) for slot in slots):
        raise LassError(f"slots={slots!r}; expected one or more of 0, 1, 2 (head, relation, tail)")


def choose_triplets(split: GraphSplit, limit: int | None, seed: int) -> np.ndarray:
    """Returns the true triplets of a split, or a seeded choice of them.

    Args:
        split: the split.
        limit: number of triplets to choose; None takes all.
        seed: seed of the choice.

    Returns:
        Triplets in the order of the split, int64, shape (n, 3).

    Raises:
        GraphError: the split has no true triplet.
        LassError: `limit` or `seed` out of range.
    """
    has_limit = limit is None or (isinstance(limit, int) and limit > 0)
    if not has_limit or not isinstance(seed, int) or seed < 0:
        expected = "a limit of 1 or more (or None), and a seed of 0 or more, both whole numbers"
        raise LassError(f"limit={limit!r}, seed={seed!r}; expected {expected}")
    triplets = split.positives
    if limit is not None and limit < len(triplets):
        triplets = triplets[np.sort(np.random.default_rng(seed).choice(len(triplets), limit, replace=False))]
    if not len(triplets):
        raise GraphError(f"the {split.name} split has no true triplet to rank")
    return triplets


def rank_slot(
    score_candidates: CandidateScorer,
    graph: KnowledgeGraph,
    triplets: np.ndarray,
    slot: int,
    quiet: bool = True,
    chunk_size: int = CrossEncoder.candidates_per_chunk,
    progress: ChunkProgress | None = None,
    num_scores: int = 1,
) -> np.ndarray:
    """Ranks the value in one slot of each triplet; triplets with the same query are scored once.

    The optimistic rank counts candidates with a higher score, the pessimistic rank also those with an equal score.
    Other known answers are not counted.

    Args:
        score_candidates: scores all candidates of some queries.
        graph: the graph, which gives candidates and filter.
        triplets: int64, shape (n, 3).
        slot: the slot to ask for.
        quiet: show no progress bar.
        chunk_size: number of candidates that are ranked together.
        progress: as in `rank_split`.
        num_scores: the number s of different scores; if it is not 1, `score_candidates` returns s matrices as one
            array.

    Returns:
        Optimistic ranks, pessimistic ranks and numbers of candidates, int64, shape (3, s * n): all n by the first
        scores, then all by the second ones, and so on.

    Raises:
        NonFiniteError: scores are NaN or infinite.
    """
    anchors = triplets.copy()
    anchors[:, slot] = 0
    queries, query_of = np.unique(anchors, axis=0, return_inverse=True)
    by_query = np.argsort(query_of, kind="stable")
    candidates = graph.candidates[slot]
    bounds = np.append(np.arange(0, len(queries), max(1, chunk_size // len(candidates))), len(queries))
    rows_of_chunk = np.split(by_query, np.searchsorted(query_of[by_query], bounds[1:-1]))
    # Known answers are scored only where they are targets.
    targets = np.bincount(query_of[np.unique(triplets, axis=0, return_index=True)[1]], minlength=len(queries))
    size_of_query = len(candidates) - graph.known.count(slot, queries) + targets
    size_of_chunk = np.add.reduceat(size_of_query, bounds[:-1])

    def rank_chunk(chunk: int, bar: tqdm) -> np.ndarray:
        rows, first = rows_of_chunk[chunk], bounds[chunk]
        targets = np.searchsorted(candidates, triplets[rows, slot])
        own_queries = queries[first : bounds[chunk + 1]]
        return _rank_chunk(score_candidates, graph, own_queries, slot, candidates, query_of[rows] - first, targets, bar)

    title = f"ranking {SLOT_NAMES[slot]}s"
    starts = len(triplets) * np.arange(num_scores)[:, None]
    places = [(starts + rows).reshape(-1) for rows in rows_of_chunk]
    return share_chunks(
        rank_chunk, places, size_of_chunk, slot, title, "triplets", 3, are_possible_ranks, quiet, progress
    )


def _rank_chunk(score_candidates, graph, queries, slot, candidates, query_of, targets, bar) -> np.ndarray:
    """Ranks targets, which are positions in `candidates`, of a few queries; the result is that of `rank_slot`."""
    known_rows, known_values = graph.known.values(slot, queries)
    known = np.zeros((len(queries), len(candidates)), dtype=bool)
    known[known_rows, np.searchsorted(candidates, known_values)] = True
    mask = ~known
    mask[query_of, targets] = True
    scores = score_candidates(queries, slot, candidates, mask, bar)
    if not (np.isfinite(scores) | ~mask).all():  # Nothing is above or equal to a NaN, which would rank first.
        raise NonFiniteError(
            f"scores of {SLOT_NAMES[slot]}s are NaN or infinite; expected a finite score of each candidate, and a low "
            "one of what is unlikely or unknown"
        )
    if scores.ndim == 2:
        return _rank_targets(scores, known, query_of, targets)
    return np.concatenate([_rank_targets(matrix, known, query_of, targets) for matrix in scores], axis=1)


def _rank_targets(scores, known, query_of, targets) -> np.ndarray:
    """Ranks targets by scores of shape (queries, candidates), among the candidates that are not known answers."""
    ranks = np.empty((3, len(targets)), dtype=np.int64)
    bounds = np.searchsorted(query_of, np.arange(len(scores) + 1)).tolist()  # `query_of` ascends
    for query in range(len(scores)):
        rows = slice(bounds[query], bounds[query + 1])
        target_scores = scores[query, targets[rows], None]
        competing = scores[query, ~known[query]]  # no known answer competes with another
        ranks[0, rows] = 1 + (competing > target_scores).sum(axis=1)
        ranks[1, rows] = 1 + (competing >= target_scores).sum(axis=1)
        ranks[2, rows] = 1 + len(competing)
    return ranks
