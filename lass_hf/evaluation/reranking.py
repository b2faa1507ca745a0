"""Retrieve, then rerank: the best answers of an entity index put in order by a cross-encoder, the rest left as they are.

Ranks are filtered and fair, as in `link_prediction`; a rank below `top_k` is the retriever's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..scoring.candidate_scores import candidate_scores
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import place, processes, sum_over_processes
from ..utils.fingerprints import graph_fingerprint, model_fingerprint, texts_fingerprint
from .link_prediction import RankingResult, chosen_triplets, with_metrics
from .ranking_progress import RankingProgress, rank_chunks
from .retrieval import Retrieved, retrieve

SLOTS = (0, 2)
QUERIES_PER_CHUNK = 32  # queries reranked together; fixed, so that ranks do not depend on the number of processes
# Weights of the retriever's score to choose from, in units of the cross-encoder score's spread over the retriever's.
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass
class RerankingResult:
    """Both stages. `retrieval`, `reranked`: their ranks and metrics. `recall`: share of the true answers in the top k.

    `num_reranked`: queries whose true answer is among the top k; of the others the rank cannot change, so they are not
    scored. `retriever_weight`: a reranked score is the cross-encoder's + retriever_weight * the retriever's, fitted on `num_fitted` validation
    queries whose true answer is among the top k, or given (0). `tokens`, `seconds`: what this run
    spent on "indexing" (0 tokens where the entities' vectors were there), "retrieval", "fitting" of the retriever_weight, and
    "reranking" (what an interrupted run had done is not in them).
    """

    retrieval: RankingResult
    reranked: RankingResult
    top_k: int
    recall: float
    num_reranked: int
    retriever_weight: float
    num_fitted: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def evaluate_reranking(
    model: LassForKGCompletion,
    processor: LassProcessor,
    reranker_model: LassForKGCompletion,
    reranker_processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    top_k: int | None = None,
    retriever_weight: float | None = None,
    fit_limit: int = 100,
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
    resume_dir: str | Path | None = None,
) -> RerankingResult:
    """Link prediction by a bi-encoder, whose `top_k` best answers (100, or all) a cross-encoder puts in order.

    `retriever_weight`: weight of the retriever's score; None fits it on `fit_limit` seeded validation triplets by MRR. Queries
    whose true answer is not among the top k are not reranked: their rank cannot change. Other arguments are those of
    `evaluate_link_prediction`. Several processes share each stage. Raises LassError, before anything is encoded, for
    architectures that do not fit, for a `top_k` below 2 or above the number of candidates, and where there are no
    validation triplets to fit on, or they are those that are ranked.
    """
    retriever = TripletScorer(model, processor.token_store(graph), dtype)
    reranker = TripletScorer(reranker_model, reranker_processor.token_store(graph), dtype)
    if not retriever.is_bi_encoder or reranker.is_bi_encoder:
        raise LassError(
            f"reranking needs a bi-encoder (it is {model.config.architecture}), and a cross-encoder "
            f"to rerank with (it is {reranker_model.config.architecture})"
        )
    candidates = graph.candidates[0]
    top_k = min(100, len(candidates)) if top_k is None else top_k
    if not 2 <= top_k <= len(candidates):
        raise LassError(f"top_k={top_k}; expected 2 to {len(candidates)}, the number of candidates")
    triplets = chosen_triplets(graph[split], limit, seed)
    if retriever_weight is None and split == "validation":
        raise LassError(
            "the retriever_weight is fitted on the validation split, which is the one to be ranked: give a retriever_weight"
        )
    if retriever_weight is None and "validation" not in graph:
        raise LassError(
            "the retriever_weight is fitted on the validation split, which the graph lacks: give a retriever_weight"
        )
    to_fit = chosen_triplets(graph["validation"], fit_limit, seed) if retriever_weight is None else None
    num_fitted = 0
    tokens: dict[str, int] = {}
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        before, start = retriever.tokens + reranker.tokens, time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start
        spent = np.array([retriever.tokens + reranker.tokens - before])
        tokens[name] = int(sum_over_processes(spent)[0])  # of all processes

    with stage("indexing"):
        scores = candidate_scores(retriever, graph[split], index_folder, quiet)
    with stage("retrieval"):
        retrieved = [retrieve(scores, graph, triplets, slot, top_k, quiet) for slot in SLOTS]
    with stage("fitting"):
        if to_fit is not None:
            parts = [retrieve(scores, graph, to_fit, slot, top_k, quiet) for slot in SLOTS]
            rows = range(len(to_fit))
            reranker_lists = [
                reranker_scores(reranker, part, top_k, rows, quiet, "fitting", shared=True) for part in parts
            ]
            num_fitted = sum(int(np.isfinite(scores[:, 0]).sum()) for scores in reranker_lists)
            retriever_weight = fit_retriever_weight(parts, reranker_lists, top_k)
    assert retriever_weight is not None
    progress = None
    if resume_dir is not None:
        identity = {
            **model.config.ranking_weights,
            "retriever": model_fingerprint(retriever.model),
            "model": model_fingerprint(reranker.model),
            "texts": [texts_fingerprint(scorer.store) for scorer in (retriever, reranker)],
            "graph": graph_fingerprint(graph),
            **{"split": split, "limit": limit, "seed": seed, "top_k": top_k, "retriever_weight": retriever_weight},
            "token_budget": reranker.token_budget,
            "dtype": str(reranker.model.dtype),
            "device": reranker.model.device.type,
        }
        progress = RankingProgress(resume_dir, identity)
    with stage("reranking"):
        reranked = [rerank(reranker, part, top_k, retriever_weight, quiet, progress) for part in retrieved]
    ranks = [np.concatenate([part.ranks for part in retrieved], axis=1), np.concatenate(reranked, axis=1)]
    retrieval, after = (with_metrics(RankingResult(triplets, SLOTS, *found), graph) for found in ranks)
    inside = ranks[0][1] <= top_k
    return RerankingResult(
        retrieval=retrieval,
        reranked=after,
        top_k=top_k,
        recall=float(inside.mean()),
        num_reranked=int(inside.sum()),
        retriever_weight=retriever_weight,
        num_fitted=num_fitted,
        tokens=tokens,
        seconds=seconds,
    )


def reranker_scores(
    reranker: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    rows: Any,
    quiet: bool = True,
    title: str = "reranking",
    shared: bool = False,
) -> np.ndarray:
    """The cross-encoder's scores of the true answer and its `top_k` - 1 best rivals: float32 (rows, top_k).

    Rows whose true answer is not in the top k, and rivals that there are not, get -inf and are not scored. With
    `shared` several processes, which must all ask for the same rows, share them.
    """
    rows = np.asarray(rows)
    rank, count = place(shared)
    found = np.full((len(rows), top_k), -np.inf, dtype=np.float32)
    slot = retrieved.slot
    with tqdm(
        total=len(rows), desc=f"{title} {SLOT_NAMES[slot]}s", disable=quiet or not processes().is_main_process
    ) as bar:
        for start in range(0, len(rows), QUERIES_PER_CHUNK):
            part = rows[start : start + QUERIES_PER_CHUNK]
            bar.update(len(part))
            if start // QUERIES_PER_CHUNK % count != rank:
                found[start : start + QUERIES_PER_CHUNK] = 0  # until the sum brings them
                continue
            inside = part[retrieved.ranks[1, part] <= top_k]
            others = np.isfinite(retrieved.rival_scores[inside, : top_k - 1])
            wanted = np.concatenate([np.ones((len(inside), 1), dtype=bool), others], axis=1)
            entities = np.concatenate(
                [retrieved.triplets[inside, slot, None], retrieved.rivals[inside, : top_k - 1]], axis=1
            )
            which, places = np.nonzero(wanted)
            asked = retrieved.triplets[inside[which]]
            asked[:, slot] = entities[which, places]
            target = np.flatnonzero(np.isin(part, inside)) + start
            found[target[which], places] = reranker.score(asked, slot)
    return sum_over_processes(found) if shared else found


def rerank(
    reranker: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    retriever_weight: float,
    quiet: bool = True,
    progress: RankingProgress | None = None,
) -> np.ndarray:
    """Ranks after reranking, int64 (3, n): optimistic, pessimistic, candidates. Several processes share the work."""
    count = len(retrieved.triplets)
    chunks = np.array_split(np.arange(count), range(QUERIES_PER_CHUNK, count, QUERIES_PER_CHUNK))

    def rank_chunk(unit: int, bar: tqdm) -> np.ndarray:
        rows = chunks[unit]
        ranks = fused_ranks(retrieved, rows, reranker_scores(reranker, retrieved, top_k, rows), top_k, retriever_weight)
        bar.update(len(rows))
        return ranks

    slot, sizes = retrieved.slot, np.array([len(rows) for rows in chunks])
    return rank_chunks(rank_chunk, chunks, sizes, slot, f"reranking {SLOT_NAMES[slot]}s", "queries", quiet, progress)


def fused_ranks(
    retrieved: Retrieved, rows: np.ndarray, reranker: np.ndarray, top_k: int, retriever_weight: float
) -> np.ndarray:
    """Ranks of rows with cross-encoder scores, (rows, top_k), of the answer and its best rivals: int64 (3, rows)."""
    retriever = np.concatenate(
        [retrieved.own_scores[rows, None], retrieved.rival_scores[rows, : top_k - 1]], axis=1, dtype=np.float64
    )
    inside = np.isfinite(reranker[:, 0])
    scores = reranker + retriever_weight * np.where(np.isfinite(retriever), retriever, 0)
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    not_below = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
    ranks = retrieved.ranks[:, rows].copy()
    ranks[0, inside], ranks[1, inside] = 1 + above[inside], 1 + not_below[inside]
    return ranks


def fit_retriever_weight(retrieved: list[Retrieved], reranker_lists: list[np.ndarray], top_k: int) -> float:
    """The weight of the retriever's score with the best MRR; 0 where no query can tell."""
    rivals = np.concatenate([part.rival_scores[:, : top_k - 1] for part in retrieved])
    reranker_rivals = np.concatenate([reranker[:, 1:] for reranker in reranker_lists])
    used = np.isfinite(rivals) & np.isfinite(reranker_rivals)
    rows, _ = np.nonzero(used)
    if not len(rows):
        return 0.0
    spread, reranker_spread = (_spread(scores[used], rows) for scores in (rivals, reranker_rivals))
    unit = reranker_spread / spread if spread > 0 else 0.0

    def mrr(retriever_weight: float) -> float:
        ranks = [
            fused_ranks(part, np.arange(len(part.triplets)), reranker, top_k, retriever_weight)[:2].mean(axis=0)
            for part, reranker in zip(retrieved, reranker_lists, strict=True)
        ]
        return float((1 / np.concatenate(ranks)).mean())

    return max((unit * retriever_weight for retriever_weight in WEIGHTS), key=mrr)


def _spread(scores: np.ndarray, rows: np.ndarray) -> float:
    """Standard deviation within rows: scores of different questions need not be comparable."""
    means = np.bincount(rows, scores) / np.maximum(np.bincount(rows), 1)
    return float((scores - means[rows]).std())
