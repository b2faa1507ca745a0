"""Retrieve, then rerank: a cross-encoder puts the best candidates of a bi-encoder in order, and leaves the rest.

Ranks are filtered and fair to ties, as in `link_prediction`; a rank below `top_k` is the retriever's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..evidence.choosing import EvidenceChoice, choose_evidence, make_ranking_scorer
from ..evidence.evidence_files import evidence_fingerprint
from ..scoring.chunk_progress import ChunkProgress, share_chunks
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import place, processes, sum_over_processes
from ..utils.fingerprints import candidates_fingerprint, graph_fingerprint, model_fingerprint, texts_fingerprint
from .link_prediction import choose_triplets
from .ranking_result import RankingResult, are_possible_ranks
from .retrieval import Retrieved, retrieve
from .score_fusion import fit_retriever_weight, fused_ranks

ENTITY_SLOTS = (0, 2)
QUERIES_PER_CHUNK = 32  # queries reranked together; fixed, so that ranks do not depend on the number of processes
FIT_TRIPLETS = 100  # validation triplets that the retriever's weight is fitted on


@dataclass
class RerankingResult:
    """Both stages of a link prediction by two models.

    Attributes:
        retrieval: ranks and metrics of the retriever alone.
        reranked: ranks and metrics after reranking.
        top_k: number of candidates that were reranked.
        recall: share of the queries whose target is among the top k.
        num_reranked: number of these queries; the rank of the others cannot change, so they are not scored.
        retriever_weight: a reranked score is the reranker's + retriever_weight * the retriever's.
        num_fitted: number of validation queries that the weight was fitted on; 0 for a weight that was given.
        tokens: tokens that each stage of this run encoded: "indexing" (0 where the entity vectors were on disk),
            "retrieval", "fitting" of the weight, "reranking". The part that an interrupted run did is not counted.
        seconds: the time that each stage of this run took.
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
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
    resume_dir: str | Path | None = None,
    evidence: EvidenceChoice = "auto",
) -> RerankingResult:
    """Ranks heads and tails by a bi-encoder, and then its best candidates by a cross-encoder.

    Queries whose target is not among the top k are not reranked: their rank cannot change. Several processes share
    each stage and must all call this.

    Args:
        model: the retriever, a bi-encoder.
        processor: its processor.
        reranker_model: the reranker, a cross-encoder.
        reranker_processor: its processor.
        graph: the graph.
        split: name of the split.
        top_k: number of candidates to rerank, 2 or more; None: 100, or all of fewer.
        retriever_weight: weight of the retriever's score; None fits it by likelihood on 100 seeded validation triplets.
        limit: rank a seeded choice of this many triplets; None ranks all.
        dtype: precision of scoring, as in `evaluate_link_prediction`.
        seed: seed of the choices of triplets.
        quiet: show no progress bars.
        index_folder: folder that keeps the entity vectors of the retriever; None keeps them in memory only.
        resume_dir: folder that keeps the ranks of finished queries, as in `evaluate_link_prediction`.
        evidence: what the retriever ranks by, as in `evaluate_link_prediction`: its score is then that of all evidence.

    Returns:
        Ranks and metrics of both stages.

    Raises:
        LassError: architectures that do not fit, a `top_k` or `retriever_weight` out of range, or no validation
            triplets to fit the weight on that are not ranked themselves. It is raised before anything is encoded.
    """
    check_reranking(model, reranker_model, graph, split, top_k, retriever_weight)
    retriever = TripletScorer(model, processor.token_store(graph), dtype)
    reranker = TripletScorer(reranker_model, reranker_processor.token_store(graph), dtype)
    top_k = min(100, len(graph.candidates[0])) if top_k is None else top_k
    triplets = choose_triplets(graph[split], limit, seed)
    to_fit = None
    if retriever_weight is None:
        to_fit = choose_triplets(graph["validation"], FIT_TRIPLETS, seed)
    fused = choose_evidence(evidence, graph, model, processor, dtype, seed, quiet, index_folder)
    num_fitted = 0
    tokens: dict[str, int] = {}
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        before, start = retriever.tokens + reranker.tokens, time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start
        spent = np.array([retriever.tokens + reranker.tokens - before])
        tokens[name] = int(sum_over_processes(spent)[0])

    with stage("indexing"):
        score_candidates = make_ranking_scorer(fused, retriever, graph[split], index_folder, quiet)
    with stage("retrieval"):
        retrieved = [retrieve(score_candidates, graph, triplets, slot, top_k, quiet) for slot in ENTITY_SLOTS]
    with stage("fitting"):
        if to_fit is not None:
            parts = [retrieve(score_candidates, graph, to_fit, slot, top_k, quiet) for slot in ENTITY_SLOTS]
            rows = np.arange(len(to_fit))
            scores = [score_retrieved(reranker, part, top_k, rows, quiet, "fitting", shared=True) for part in parts]
            num_fitted = sum(int(np.isfinite(side[:, 0]).sum()) for side in scores)
            retriever_weight = fit_retriever_weight(parts, scores, top_k)
    assert retriever_weight is not None
    progress = None
    if resume_dir is not None:
        identity = {
            **model.config.ranking_weights,
            **({"evidence": evidence_fingerprint(fused)} if fused is not None else {}),
            "retriever": model_fingerprint(retriever.model),
            "model": model_fingerprint(reranker.model),
            "texts": [texts_fingerprint(scorer.store) for scorer in (retriever, reranker)],
            "graph": graph_fingerprint(graph),
            "candidates": candidates_fingerprint(graph, ENTITY_SLOTS),
            **{"split": split, "limit": limit, "seed": seed, "top_k": top_k, "retriever_weight": retriever_weight},
            "token_budget": reranker.token_budget,
            "dtype": str(reranker.model.dtype),
            "device": reranker.model.device.type,
        }
        progress = ChunkProgress(resume_dir, identity)
    with stage("reranking"):
        reranked = [rerank(reranker, part, top_k, retriever_weight, quiet, progress) for part in retrieved]
    first = np.concatenate([part.ranks for part in retrieved], axis=1)
    second = np.concatenate(reranked, axis=1)
    inside = first[1] <= top_k
    return RerankingResult(
        retrieval=RankingResult.from_ranks(graph, triplets, ENTITY_SLOTS, first),
        reranked=RankingResult.from_ranks(graph, triplets, ENTITY_SLOTS, second),
        top_k=top_k,
        recall=float(inside.mean()),
        num_reranked=int(inside.sum()),
        retriever_weight=retriever_weight,
        num_fitted=num_fitted,
        tokens=tokens,
        seconds=seconds,
    )


def check_reranking(
    model: LassForKGCompletion,
    reranker_model: LassForKGCompletion,
    graph: KnowledgeGraph,
    split: str,
    top_k: int | None,
    retriever_weight: float | None,
) -> None:
    """Raises what `evaluate_reranking` would raise of its arguments, before anything is loaded, fitted or encoded.

    Args:
        model: as in `evaluate_reranking`, as the following ones.
        reranker_model: the reranker.
        graph: the graph.
        split: name of the split.
        top_k: number of candidates to rerank, or None.
        retriever_weight: weight of the retriever's score, or None.

    Raises:
        LassError: the arguments do not fit.
    """
    if not model.architecture.encodes_entities or reranker_model.architecture.encodes_entities:
        raise LassError(
            f"reranking needs a bi-encoder (it is {model.config.architecture}), and a cross-encoder "
            f"to rerank with (it is {reranker_model.config.architecture})"
        )
    most = len(graph.candidates[0])
    if top_k is not None and not (isinstance(top_k, int) and 2 <= top_k <= most):
        raise LassError(f"top_k={top_k!r}; expected 2 or more candidates to rerank, and at most all {most:,}")
    is_number = isinstance(retriever_weight, (int, float))
    if retriever_weight is not None and not (is_number and 0 <= retriever_weight < float("inf")):
        raise LassError(f"retriever_weight={retriever_weight!r}; expected a number of 0 or more, or None to fit it")
    graph[split]
    if retriever_weight is None and (split == "validation" or "validation" not in graph):
        reason = "is the one to be ranked" if split == "validation" else "the graph lacks"
        raise LassError(f"retriever_weight is fitted on the validation split, which {reason}: give a retriever_weight")
    if retriever_weight is None:
        choose_triplets(graph["validation"], FIT_TRIPLETS, seed=0)


def score_retrieved(
    reranker: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    rows: np.ndarray,
    quiet: bool = True,
    title: str = "reranking",
    shared: bool = False,
) -> np.ndarray:
    """Scores the target and the best candidates of each query with the reranker.

    Args:
        reranker: the engine of the cross-encoder.
        retrieved: the first stage.
        top_k: number of candidates to score, the target included.
        rows: the queries to score, int, shape (m,).
        quiet: show no progress bar.
        title: title of the progress bar.
        shared: several processes, which must all ask for the same rows, share them.

    Returns:
        Scores of the target and its best candidates, float32, shape (m, top_k). Rows whose target is not among the
        top k, and candidates beyond the last one, are not scored and get -inf.
    """
    rank, count = place(shared)
    scores = np.full((len(rows), top_k), -np.inf, dtype=np.float32)
    slot = retrieved.slot
    with tqdm(
        total=len(rows), desc=f"{title} {SLOT_NAMES[slot]}s", disable=quiet or not processes().is_main_process
    ) as bar:
        for start in range(0, len(rows), QUERIES_PER_CHUNK):
            part = rows[start : start + QUERIES_PER_CHUNK]
            bar.update(len(part))
            if start // QUERIES_PER_CHUNK % count != rank:
                scores[start : start + QUERIES_PER_CHUNK] = 0  # the sum over processes brings the scores
                continue
            inside = part[retrieved.ranks[1, part] <= top_k]
            exists = np.isfinite(retrieved.candidate_scores[inside, : top_k - 1])
            mask = np.concatenate([np.ones((len(inside), 1), dtype=bool), exists], axis=1)
            entities = np.concatenate(
                [retrieved.triplets[inside, slot, None], retrieved.candidates[inside, : top_k - 1]], axis=1
            )
            queries, columns = np.nonzero(mask)
            triplets = retrieved.triplets[inside[queries]]
            triplets[:, slot] = entities[queries, columns]
            positions = np.flatnonzero(np.isin(part, inside)) + start
            scores[positions[queries], columns] = reranker.score(triplets, slot)
    return sum_over_processes(scores) if shared else scores


def rerank(
    reranker: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    retriever_weight: float,
    quiet: bool = True,
    progress: ChunkProgress | None = None,
) -> np.ndarray:
    """Ranks targets again after their best candidates are scored by the reranker; several processes share the work.

    Args:
        reranker: the engine of the cross-encoder.
        retrieved: the first stage for n queries.
        top_k: number of candidates to rerank.
        retriever_weight: weight of the retriever's score.
        quiet: show no progress bar.
        progress: finished chunks of an earlier run, and a place for those of this run.

    Returns:
        Optimistic ranks, pessimistic ranks and numbers of candidates, int64, shape (3, n).
    """
    count = len(retrieved.triplets)
    chunks = np.array_split(np.arange(count), range(QUERIES_PER_CHUNK, count, QUERIES_PER_CHUNK))

    def rank_chunk(chunk: int, bar: tqdm) -> np.ndarray:
        rows = chunks[chunk]
        scores = score_retrieved(reranker, retrieved, top_k, rows)
        bar.update(len(rows))
        return fused_ranks(retrieved, rows, scores, top_k, retriever_weight)

    slot, sizes = retrieved.slot, np.array([len(rows) for rows in chunks])
    return share_chunks(
        rank_chunk,
        chunks,
        sizes,
        slot,
        f"reranking {SLOT_NAMES[slot]}s",
        "queries",
        3,
        are_possible_ranks,
        quiet,
        progress,
    )
