"""Link and relation prediction in the filtered setting: every candidate is ranked, ties are ranked fairly.

It turns a score function into ranks and ranks into metrics. The filter is every true triplet of the graph, all splits.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..scoring.candidate_scores import CHUNK_SIZE, CandidateScores, by_triplets, candidate_scores
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from ..utils.fingerprints import digest, graph_fingerprint, model_fingerprint, texts_fingerprint
from .metrics import ranking_metrics
from .ranking_progress import RankingProgress, rank_chunks

CATEGORY_THRESHOLD = 1.5  # mean tails per head (heads per tail) from which a side is "N" (Bordes et al., 2013)


@dataclass
class RankingResult:
    """Ranks and metrics of a set of triplets, one query per triplet and slot.

    `metrics`: of the realistic ranks over all queries (`mr`, `mrr`, `hits@k`, `amri`), per slot (`head_mrr`, ...),
    of the optimistic and pessimistic ranks (`optimistic_mrr`, ...), and `num_triplets`, `num_queries`, `tied_queries`.
    `ranks`, `optimistic_ranks`, `pessimistic_ranks`, `num_candidates`: shape (slots * triplets,), slot by slot
    (link prediction: head side, then tail side). `by_relation`, `by_category` (1-1, 1-N, N-1, N-N), `unseen` (queries
    of triplets with an entity that no training triplet has): metrics of those queries, with their number.
    """

    triplets: np.ndarray
    slots: tuple[int, ...]
    optimistic_ranks: np.ndarray
    pessimistic_ranks: np.ndarray
    num_candidates: np.ndarray
    metrics: dict[str, float] = field(default_factory=dict)
    by_relation: dict[str, dict[str, float]] = field(default_factory=dict)
    by_category: dict[str, dict[str, float]] = field(default_factory=dict)
    unseen: dict[str, float] = field(default_factory=dict)

    @property
    def ranks(self) -> np.ndarray:
        """Realistic ranks: the mean of the optimistic and the pessimistic, float64."""
        return (self.optimistic_ranks + self.pessimistic_ranks) / 2

    @property
    def num_scored(self) -> int:
        """How many triplets were scored for these ranks: of each distinct query its answers and their rivals."""
        total, count = 0, len(self.triplets)
        for number, slot in enumerate(self.slots):
            anchors = np.delete(self.triplets, slot, axis=1)
            rows = np.unique(anchors, axis=0, return_index=True)[1] + number * count
            total += int((self.num_candidates[rows] - 1).sum()) + len(np.unique(self.triplets, axis=0))
        return total


def evaluate_link_prediction(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    resume_dir: str | Path | None = None,
    slots: tuple[int, ...] = (0, 2),
    index_folder: str | Path | None = None,
) -> RankingResult:
    """Ranks the head and the tail of each true triplet of a split among all entities that occur in the graph.

    `limit` takes a seeded random choice of that many triplets (two queries each). Under several processes the queries
    are shared, and each process gets the whole result: the same ranks as one process with as many threads. With
    `resume_dir` the ranks of finished queries are kept in that folder, and an evaluation that was killed continues with
    them; raises LassError when they are those of another model, graph or choice of queries. `index_folder`: keeps the
    vectors of all entities that a bi-encoder needs; None: memory only.
    """
    asked = graph[split]
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    progress, chunk_size = None, CHUNK_SIZE[model.config.architecture]
    if resume_dir is not None:
        identity = {
            **model.config.ranking_weights,
            "model": model_fingerprint(scorer.model),
            "texts": texts_fingerprint(scorer.store),
            "graph": graph_fingerprint(graph),
            "candidates": digest(graph.candidates[slot] for slot in slots),
            "split": split,
            "limit": limit,
            "seed": seed,
            "slots": slots,
            "chunk_size": chunk_size,
            "token_budget": scorer.token_budget,
            "dtype": str(scorer.model.dtype),
            "device": scorer.model.device.type,
        }
        progress = RankingProgress(resume_dir, identity)
    scores = by_triplets(scorer.score) if slots == (1,) else candidate_scores(scorer, asked, index_folder, quiet)
    return rank_split(scores, asked, slots, limit, seed, quiet, chunk_size, progress)


def evaluate_relation_prediction(
    model: LassForKGCompletion, processor: LassProcessor, graph: KnowledgeGraph, split: str = "test", **choices: Any
) -> RankingResult:
    """Ranks the relation of each true triplet among all relations; `choices` as in `evaluate_link_prediction`."""
    return evaluate_link_prediction(model, processor, graph, split, slots=(1,), **choices)


def rank_split(
    scores: CandidateScores,
    split: GraphSplit,
    slots: tuple[int, ...] = (0, 2),
    limit: int | None = None,
    seed: int = 42,
    quiet: bool = False,
    chunk_size: int = CHUNK_SIZE["cross-encoder"],
    progress: RankingProgress | None = None,
) -> RankingResult:
    """Ranks the true triplets of a split by the scores of all candidates, `chunk_size` of them together.

    `by_triplets` makes `scores` of any score function of triplets.
    """
    triplets = chosen_triplets(split, limit, seed)
    if progress is not None and progress.finished and not quiet and processes().is_main_process:
        print(f"continuing: {len(progress.finished)} chunks of work are done in {progress.folder}", file=sys.stderr)
    sides = [rank_slot(scores, split.graph, triplets, slot, quiet, chunk_size, progress) for slot in slots]
    return with_metrics(RankingResult(triplets, slots, *np.concatenate(sides, axis=1)), split.graph)


def chosen_triplets(split: GraphSplit, limit: int | None, seed: int) -> np.ndarray:
    """The true triplets of a split, or a seeded choice of `limit` of them, in their order: int64 of shape (n, 3)."""
    if (limit is not None and limit < 1) or seed < 0:
        raise LassError(f"limit={limit}, seed={seed}; expected a limit of 1 or more (or None), and a seed of 0 or more")
    triplets = split.positives
    if limit is not None and limit < len(triplets):
        triplets = triplets[np.sort(np.random.default_rng(seed).choice(len(triplets), limit, replace=False))]
    if not len(triplets):
        raise GraphError(f"the {split.name} split has no true triplet to rank")
    return triplets


def rank_slot(
    scores: CandidateScores,
    graph: KnowledgeGraph,
    triplets: np.ndarray,
    slot: int,
    quiet: bool = True,
    chunk_size: int = CHUNK_SIZE["cross-encoder"],
    progress: RankingProgress | None = None,
) -> np.ndarray:
    """Optimistic rank, pessimistic rank and number of candidates of each triplet's own value in `slot`; int64, (3, n).

    Triplets that ask the same are scored once. The optimistic rank counts candidates with a higher score, the
    pessimistic one also those with an equal score; other known answers are no candidates.
    """
    anchors = triplets.copy()
    anchors[:, slot] = 0
    queries, query_of = np.unique(anchors, axis=0, return_inverse=True)
    by_query = np.argsort(query_of, kind="stable")
    candidates = graph.candidates[slot]
    bounds = np.append(np.arange(0, len(queries), max(1, chunk_size // len(candidates))), len(queries))
    rows_of_chunk = np.split(by_query, np.searchsorted(query_of[by_query], bounds[1:-1]))
    # Of the known answers only those that are asked for are scored.
    asked = np.bincount(query_of[np.unique(triplets, axis=0, return_index=True)[1]], minlength=len(queries))
    size_of_query = len(candidates) - graph.known.count(slot, queries) + asked
    size_of_chunk = np.add.reduceat(size_of_query, bounds[:-1])

    def rank_chunk(unit: int, bar: tqdm) -> np.ndarray:
        rows, first = rows_of_chunk[unit], bounds[unit]
        own = np.searchsorted(candidates, triplets[rows, slot])
        mine = queries[first : bounds[unit + 1]]
        return _rank_chunk(scores, graph, mine, slot, candidates, query_of[rows] - first, own, bar)

    title = f"ranking {SLOT_NAMES[slot]}s"
    return rank_chunks(rank_chunk, rows_of_chunk, size_of_chunk, slot, title, "triplets", quiet, progress)


def _rank_chunk(scores, graph, queries, slot, candidates, query_of, own, bar) -> np.ndarray:
    """What `rank_slot` gives, for targets `own` (positions in `candidates`) of a few queries."""
    known_rows, known_values = graph.known.values(slot, queries)
    known = np.zeros((len(queries), len(candidates)), dtype=bool)
    known[known_rows, np.searchsorted(candidates, known_values)] = True
    wanted = ~known
    wanted[query_of, own] = True
    matrix = scores(queries, slot, candidates, wanted, bar)
    found = np.empty((3, len(own)), dtype=np.int64)
    for query in range(len(queries)):
        mine = np.flatnonzero(query_of == query)
        targets = matrix[query, own[mine], None]
        rivals = matrix[query, ~known[query]]  # no known answer competes with another
        found[0, mine] = 1 + (rivals > targets).sum(axis=1)
        found[1, mine] = 1 + (rivals >= targets).sum(axis=1)
        found[2, mine] = 1 + len(rivals)
    return found


def relation_categories(graph: KnowledgeGraph) -> list[str]:
    """1-1, 1-N, N-1 or N-N for each relation, over all true triplets: N from 1.5 on average (Bordes et al., 2013)."""
    every = np.unique(np.concatenate([split.positives for split in graph.splits.values()]), axis=0)
    categories = []
    for relation in range(graph.num_relations):
        rows = every[every[:, 1] == relation]
        heads, tails = (max(1, len(np.unique(rows[:, slot]))) for slot in (0, 2))
        many = [len(rows) / count >= CATEGORY_THRESHOLD for count in (tails, heads)]  # heads per tail, tails per head
        categories.append("-".join("N" if side else "1" for side in many))
    return categories


def with_metrics(result: RankingResult, graph: KnowledgeGraph) -> RankingResult:
    """The result with all metrics of its ranks filled in."""
    ranks, candidates, count = result.ranks, result.num_candidates, len(result.triplets)
    result.metrics = ranking_metrics(ranks, candidates)
    if len(result.slots) > 1:
        for number, slot in enumerate(result.slots):
            side = slice(number * count, (number + 1) * count)
            metrics = ranking_metrics(ranks[side], candidates[side])
            result.metrics |= {f"{SLOT_NAMES[slot]}_{name}": value for name, value in metrics.items()}
    for kind, other in (("optimistic", result.optimistic_ranks), ("pessimistic", result.pessimistic_ranks)):
        result.metrics |= {f"{kind}_{name}": value for name, value in ranking_metrics(other, candidates).items()}
    tied = int((result.optimistic_ranks != result.pessimistic_ranks).sum())
    result.metrics |= {"num_triplets": count, "num_queries": len(ranks), "tied_queries": tied}

    def metrics_of(chosen: np.ndarray) -> dict[str, float]:
        every = np.tile(chosen, len(result.slots))
        return {**ranking_metrics(ranks[every], candidates[every]), "num_queries": int(every.sum())}

    relations = result.triplets[:, 1]
    result.by_relation = {
        graph.relations.ids[relation]: metrics_of(relations == relation) for relation in np.unique(relations).tolist()
    }
    categories = np.array(relation_categories(graph))[relations]
    result.by_category = {str(category): metrics_of(categories == category) for category in np.unique(categories)}
    seen = graph.occurs_in_train()[0]
    new = ~(seen[result.triplets[:, 0]] & seen[result.triplets[:, 2]])
    result.unseen = metrics_of(new) if new.any() else {"num_queries": 0}
    return result
