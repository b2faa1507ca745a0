"""Retrieve, then rerank: the best answers of an entity index put in order by a joint model, the rest left as they are.

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

from .candidate_scores import candidate_scores
from .configuration import RANKING_CHOICES
from .errors import LassError
from .fingerprints import graph_fingerprint, model_fingerprint, texts_fingerprint
from .knowledge_graph import KnowledgeGraph
from .link_prediction import SLOT_NAMES, RankingResult, chosen_triplets, with_metrics
from .modeling import LassForKGCompletion
from .processes import place, processes, sum_over_processes
from .processing import LassProcessor
from .ranking_progress import RankingProgress, rank_units
from .retrieval import Retrieved, retrieve
from .scoring import TripletScorer

SLOTS = (0, 2)
ROWS_OF_UNIT = 32  # queries reranked together; fixed, so that ranks do not depend on the number of processes
# Weights of the retriever's score to choose from, in units of the joint score's spread over the retriever's.
BLENDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


@dataclass
class RerankingResult:
    """Both stages. `retrieval`, `reranked`: their ranks and metrics. `recall`: share of the true answers in the top k.

    `num_reranked`: queries whose true answer is among the top k; of the others the rank cannot change, so they are not
    scored. `blend`: a reranked score is the joint one + blend * the retriever's, fitted on `num_fitted` validation
    queries whose true answer is among the top k, or given (0). `tokens`, `seconds`: what this run
    spent on "indexing" (0 tokens where the entities' vectors were there), "retrieval", "fitting" of the blend, and
    "reranking" (what an interrupted run had done is not in them).
    """

    retrieval: RankingResult
    reranked: RankingResult
    top_k: int
    recall: float
    num_reranked: int
    blend: float
    num_fitted: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def evaluate_reranking(
    model: LassForKGCompletion,
    processor: LassProcessor,
    joint_model: LassForKGCompletion,
    joint_processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    top_k: int | None = None,
    blend: float | None = None,
    fit_limit: int = 100,
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
    resume_dir: str | Path | None = None,
) -> RerankingResult:
    """Link prediction by a separate model, whose `top_k` best answers (100, or all) a joint model puts in order.

    `blend`: weight of the retriever's score; None fits it on `fit_limit` seeded validation triplets by MRR. Queries
    whose true answer is not among the top k are not reranked: their rank cannot change. Other arguments are those of
    `evaluate_link_prediction`. Several processes share each stage. Raises LassError, before anything is encoded, for
    encodings that do not fit, for a `top_k` below 2 or above the number of candidates, and where there are no
    validation triplets to fit on, or they are those that are ranked.
    """
    retriever = TripletScorer(model, processor.token_store(graph), dtype)
    joint = TripletScorer(joint_model, joint_processor.token_store(graph), dtype)
    if not retriever.separate or joint.separate:
        raise LassError(
            f"reranking needs a model with separate encoding (it is {model.config.encoding}), and one with joint "
            f"encoding to rerank with (it is {joint_model.config.encoding})"
        )
    candidates = graph.candidates[0]
    top_k = min(100, len(candidates)) if top_k is None else top_k
    if not 2 <= top_k <= len(candidates):
        raise LassError(f"top_k={top_k}; expected 2 to {len(candidates)}, the number of candidates")
    triplets = chosen_triplets(graph[split], limit, seed)
    if blend is None and split == "validation":
        raise LassError("the blend is fitted on the validation split, which is the one to be ranked: give a blend")
    if blend is None and "validation" not in graph:
        raise LassError("the blend is fitted on the validation split, which the graph lacks: give a blend")
    to_fit = chosen_triplets(graph["validation"], fit_limit, seed) if blend is None else None
    num_fitted = 0
    tokens: dict[str, int] = {}
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        before, start = retriever.tokens + joint.tokens, time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start
        spent = np.array([retriever.tokens + joint.tokens - before])
        tokens[name] = int(sum_over_processes(spent)[0])  # of all processes

    with stage("indexing"):
        scores = candidate_scores(retriever, graph[split], index_folder, quiet)
    with stage("retrieval"):
        retrieved = [retrieve(scores, graph, triplets, slot, top_k, quiet) for slot in SLOTS]
    with stage("fitting"):
        if to_fit is not None:
            parts = [retrieve(scores, graph, to_fit, slot, top_k, quiet) for slot in SLOTS]
            rows = range(len(to_fit))
            joints = [joint_scores(joint, part, top_k, rows, quiet, "fitting", shared=True) for part in parts]
            num_fitted = sum(int(np.isfinite(scores[:, 0]).sum()) for scores in joints)
            blend = fit_blend(parts, joints, top_k)
    assert blend is not None
    progress = None
    if resume_dir is not None:
        identity = {
            **{name: getattr(model.config, name) for name in RANKING_CHOICES},
            "retriever": model_fingerprint(retriever.model),
            "model": model_fingerprint(joint.model),
            "texts": [texts_fingerprint(scorer.store) for scorer in (retriever, joint)],
            "graph": graph_fingerprint(graph),
            **{"split": split, "limit": limit, "seed": seed, "top_k": top_k, "blend": blend},
            "token_budget": joint.token_budget,
            "dtype": str(joint.model.dtype),
            "device": joint.model.device.type,
        }
        progress = RankingProgress(resume_dir, identity)
    with stage("reranking"):
        reranked = [rerank(joint, part, top_k, blend, quiet, progress) for part in retrieved]
    ranks = [np.concatenate([part.ranks for part in retrieved], axis=1), np.concatenate(reranked, axis=1)]
    retrieval, after = (with_metrics(RankingResult(triplets, SLOTS, *found), graph) for found in ranks)
    inside = ranks[0][1] <= top_k
    return RerankingResult(
        retrieval=retrieval,
        reranked=after,
        top_k=top_k,
        recall=float(inside.mean()),
        num_reranked=int(inside.sum()),
        blend=blend,
        num_fitted=num_fitted,
        tokens=tokens,
        seconds=seconds,
    )


def joint_scores(
    joint: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    rows: Any,
    quiet: bool = True,
    title: str = "reranking",
    shared: bool = False,
) -> np.ndarray:
    """The joint model's scores of the true answer and its `top_k` - 1 best rivals: float32 (rows, top_k).

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
        for start in range(0, len(rows), ROWS_OF_UNIT):
            part = rows[start : start + ROWS_OF_UNIT]
            bar.update(len(part))
            if start // ROWS_OF_UNIT % count != rank:
                found[start : start + ROWS_OF_UNIT] = 0  # until the sum brings them
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
            found[target[which], places] = joint.score(asked, slot)
    return sum_over_processes(found) if shared else found


def rerank(
    joint: TripletScorer,
    retrieved: Retrieved,
    top_k: int,
    blend: float,
    quiet: bool = True,
    progress: RankingProgress | None = None,
) -> np.ndarray:
    """Ranks after reranking, int64 (3, n): optimistic, pessimistic, candidates. Several processes share the work."""
    count = len(retrieved.triplets)
    units = np.array_split(np.arange(count), range(ROWS_OF_UNIT, count, ROWS_OF_UNIT))

    def rank_unit(unit: int, bar: tqdm) -> np.ndarray:
        rows = units[unit]
        ranks = blended_ranks(retrieved, rows, joint_scores(joint, retrieved, top_k, rows), top_k, blend)
        bar.update(len(rows))
        return ranks

    slot, sizes = retrieved.slot, np.array([len(rows) for rows in units])
    return rank_units(rank_unit, units, sizes, slot, f"reranking {SLOT_NAMES[slot]}s", "queries", quiet, progress)


def blended_ranks(retrieved: Retrieved, rows: np.ndarray, joint: np.ndarray, top_k: int, blend: float) -> np.ndarray:
    """Ranks of rows with joint scores, (rows, top_k), of the answer and its best rivals: int64 (3, rows)."""
    retriever = np.concatenate(
        [retrieved.own_scores[rows, None], retrieved.rival_scores[rows, : top_k - 1]], axis=1, dtype=np.float64
    )
    inside = np.isfinite(joint[:, 0])
    scores = joint + blend * np.where(np.isfinite(retriever), retriever, 0)
    above = (scores[:, 1:] > scores[:, :1]).sum(axis=1)
    not_below = (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
    ranks = retrieved.ranks[:, rows].copy()
    ranks[0, inside], ranks[1, inside] = 1 + above[inside], 1 + not_below[inside]
    return ranks


def fit_blend(retrieved: list[Retrieved], joints: list[np.ndarray], top_k: int) -> float:
    """The weight of the retriever's score with the best MRR; 0 where no query can tell."""
    rivals = np.concatenate([part.rival_scores[:, : top_k - 1] for part in retrieved])
    joint_rivals = np.concatenate([joint[:, 1:] for joint in joints])
    used = np.isfinite(rivals) & np.isfinite(joint_rivals)
    rows, _ = np.nonzero(used)
    if not len(rows):
        return 0.0
    spread, joint_spread = (_spread(scores[used], rows) for scores in (rivals, joint_rivals))
    unit = joint_spread / spread if spread > 0 else 0.0

    def mrr(blend: float) -> float:
        ranks = [
            blended_ranks(part, np.arange(len(part.triplets)), joint, top_k, blend)[:2].mean(axis=0)
            for part, joint in zip(retrieved, joints, strict=True)
        ]
        return float((1 / np.concatenate(ranks)).mean())

    return max((unit * blend for blend in BLENDS), key=mrr)


def _spread(scores: np.ndarray, rows: np.ndarray) -> float:
    """Standard deviation within rows: scores of different questions need not be comparable."""
    means = np.bincount(rows, scores) / np.maximum(np.bincount(rows), 1)
    return float((scores - means[rows]).std())
