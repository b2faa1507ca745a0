"""Link and relation prediction in the filtered setting: every candidate is ranked, ties are ranked fairly.

It turns a score function into ranks and ranks into metrics. The filter is every true triplet of the graph, all splits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from tqdm.auto import tqdm

from .errors import GraphError, LassError
from .knowledge_graph import GraphSplit, KnowledgeGraph
from .metrics import ranking_metrics
from .modeling import LassForKGCompletion
from .processing import LassProcessor
from .scoring import TripletScorer

# (triplets of shape (n, 3), the slot asked for, a progress bar or None) -> float32 scores of shape (n,)
ScoreFunction = Callable[..., np.ndarray]

SLOT_NAMES = ("head", "relation", "tail")
UNIT_SIZE = 2**15  # candidates ranked together; fixed, so that ranks do not depend on the number of processes
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


def evaluate_link_prediction(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
) -> RankingResult:
    """Ranks the head and the tail of each true triplet of a split among all entities that occur in the graph.

    `limit` takes a seeded random choice of that many triplets (two queries each). Under several processes the queries
    are shared, and each process gets the whole result.
    """
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    return rank_split(scorer.score, graph[split], (0, 2), limit, seed, quiet)


def evaluate_relation_prediction(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str = "test",
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
) -> RankingResult:
    """Ranks the relation of each true triplet among all relations; otherwise as `evaluate_link_prediction`."""
    scorer = TripletScorer(model, processor.token_store(graph), dtype)
    return rank_split(scorer.score, graph[split], (1,), limit, seed, quiet)


def rank_split(
    score: ScoreFunction,
    split: GraphSplit,
    slots: tuple[int, ...] = (0, 2),
    limit: int | None = None,
    seed: int = 42,
    quiet: bool = False,
) -> RankingResult:
    """Ranks the true triplets of a split by any score function."""
    if (limit is not None and limit < 1) or seed < 0:
        raise LassError(f"limit={limit}, seed={seed}; expected a limit of 1 or more (or None), and a seed of 0 or more")
    triplets = split.positives
    if limit is not None and limit < len(triplets):
        triplets = triplets[np.sort(np.random.default_rng(seed).choice(len(triplets), limit, replace=False))]
    if not len(triplets):
        raise GraphError(f"the {split.name} split has no true triplet to rank")
    sides = [rank_slot(score, split.graph, triplets, slot, quiet) for slot in slots]
    optimistic, pessimistic, candidates = (np.concatenate(arrays) for arrays in zip(*sides, strict=True))
    result = RankingResult(triplets, slots, optimistic, pessimistic, candidates)
    _add_metrics(result, split.graph)
    return result


def rank_slot(
    score: ScoreFunction, graph: KnowledgeGraph, triplets: np.ndarray, slot: int, quiet: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Optimistic rank, pessimistic rank and number of candidates of each triplet's own value in `slot`; int64, (n,).

    Triplets that ask the same are scored once. The optimistic rank counts candidates with a higher score, the
    pessimistic one also those with an equal score; other known answers are no candidates.
    """
    anchors = triplets.copy()
    anchors[:, slot] = 0
    queries, query_of = np.unique(anchors, axis=0, return_inverse=True)
    candidates = graph.candidates[slot]
    per_unit = max(1, UNIT_SIZE // len(candidates))
    units = [np.arange(start, min(start + per_unit, len(queries))) for start in range(0, len(queries), per_unit)]
    state = PartialState()
    mine = range(state.process_index, len(units), state.num_processes)
    found = np.zeros((3, len(triplets)), dtype=np.int64)
    total = sum(len(units[unit]) for unit in mine) * len(candidates)
    hidden = quiet or not state.is_main_process
    with tqdm(
        total=total,
        desc=f"ranking {SLOT_NAMES[slot]}s",
        unit=" triplets",
        unit_scale=True,
        disable=hidden,
        mininterval=0.5,
    ) as bar:
        for unit in mine:
            rows = np.flatnonzero((query_of >= units[unit][0]) & (query_of <= units[unit][-1]))
            own = np.searchsorted(candidates, triplets[rows, slot])
            found[:, rows] = _rank_unit(
                score, graph, queries[units[unit]], slot, candidates, query_of[rows] - units[unit][0], own, bar
            )
    if state.num_processes > 1:
        found = reduce(torch.from_numpy(found).to(state.device), "sum").cpu().numpy()
    return found[0], found[1], found[2]


def _rank_unit(score, graph, queries, slot, candidates, query_of, own, bar) -> np.ndarray:
    """The three arrays of `rank_slot`, stacked, for targets `own` (positions in `candidates`) of a few queries."""
    known_rows, known_values = graph.known.values(slot, queries)
    known = np.zeros((len(queries), len(candidates)), dtype=bool)
    known[known_rows, np.searchsorted(candidates, known_values)] = True
    wanted = ~known
    wanted[query_of, own] = True  # of the known answers, only those that are asked for are scored
    rows, columns = np.nonzero(wanted)
    triplets = queries[rows]
    triplets[:, slot] = candidates[columns]
    scores = np.full(known.shape, -np.inf, dtype=np.float32)
    scores[rows, columns] = score(triplets, slot, bar)
    bar.update(known.size - len(rows))
    targets = scores[query_of, own][:, None]
    scores[known] = -np.inf  # no known answer competes with another
    higher = (scores[query_of] > targets).sum(axis=1)
    equal = (scores[query_of] == targets).sum(axis=1)
    return np.stack([1 + higher, 1 + higher + equal, 1 + (~known).sum(axis=1)[query_of]])


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


def _add_metrics(result: RankingResult, graph: KnowledgeGraph) -> None:
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
