"""What each kind of evidence is worth: ranks by each kind alone, by all kinds without it, and by all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.building import refit_evidence
from ..evidence.fused_evidence import FusedEvidence
from ..scoring.triplet_scorer import Progress, TripletScorer, check_pair
from ..utils.stopwatch import Stopwatch
from .link_prediction import choose_triplets, rank_slot
from .ranking_result import RankingResult

SLOTS = (0, 2)
FEATURES_AT_ONCE = 2**20  # pairs of a query and a candidate whose features, and scores by all fusions, are in memory


@dataclass(frozen=True)
class AblationRow:
    """Ranks by some kinds of evidence, with weights that were fitted for just these.

    Attributes:
        kinds: The kinds.
        result: Ranks and metrics.
        seconds: The time that this process took for the features of these kinds, which rows share; 0 for one that had
            none to compute.
    """

    kinds: tuple[str, ...]
    result: RankingResult
    seconds: float

    @property
    def source(self) -> str:
        """What the kinds are made of: "text", "structure", or "both"; a neighbor's text is both."""
        of_text = [kind == "text" for kind in self.kinds]
        if all(of_text):
            return "text"
        return "both" if any(of_text) or "neighbors" in self.kinds else "structure"

    def to_dict(self) -> dict[str, Any]:
        """Returns the row for a results file."""
        names = ("mrr", "hits@1", "hits@3", "hits@10", "mr", "num_queries")
        metrics = {name: self.result.metrics[name] for name in names}
        return {"kinds": list(self.kinds), "source": self.source, **metrics, "seconds": round(self.seconds, 3)}


def subsets_to_compare(kinds: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns each kind alone, all kinds without each of them, and all kinds; no subset is there twice.

    Args:
        kinds: The kinds.
    """
    alone = [(kind,) for kind in kinds]
    without = [tuple(other for other in kinds if other != kind) for kind in kinds]
    return list(dict.fromkeys([*alone, *filter(None, without), tuple(kinds)]))


def ablate(
    evidence: FusedEvidence,
    graph: KnowledgeGraph,
    split: str = "test",
    model: LassForKGCompletion | None = None,
    processor: LassProcessor | None = None,
    limit: int | None = None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = False,
    index_folder: str | Path | None = None,
) -> list[AblationRow]:
    """Ranks a split by each kind of evidence alone, by all kinds without it, and by all.

    Weights are fitted on validation for each of these subsets. The features are computed once for all of them. Several
    processes share the queries and must all call this.

    Args:
        evidence: The evidence.
        graph: The graph, with a validation split.
        split: The name of the split.
        model: The text model of the evidence, if it has text.
        processor: Its processor.
        limit: Rank a seeded choice of this many triplets; None ranks all.
        dtype: Precision of the text model.
        seed: Seed of the choices of triplets.
        quiet: Whether no progress bars are shown.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.

    Returns:
        A row for each subset, all evidence last.

    Raises:
        GraphError: The graph has no true validation triplets, or the split no true triplet; or the evidence is that of
            another graph.
        LassError: A model is given without its processor.
    """
    triplets = choose_triplets(graph[split], limit, seed)
    check_pair(model, processor)
    scorer = None if model is None or processor is None else TripletScorer(model, processor.token_store(graph), dtype)
    subsets = subsets_to_compare(evidence.kinds)
    fusions = [one.fusion for one in refit_evidence(evidence, graph, subsets, scorer, seed, quiet, index_folder)]
    bound, watch = evidence.bind(graph, scorer, index_folder), Stopwatch()

    def score(
        queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        scores = bound.score_by(fusions, queries, slot, candidates, mask, watch)
        if progress is not None:
            progress.update(int(mask.sum()))
        return scores

    sides = [
        rank_slot(score, graph, triplets, slot, quiet, FEATURES_AT_ONCE, num_scores=len(subsets)) for slot in SLOTS
    ]
    ranks = np.concatenate([side.reshape(3, len(subsets), len(triplets)) for side in sides], axis=2)
    return [
        AblationRow(
            kinds,
            RankingResult.from_ranks(graph, triplets, SLOTS, ranks[:, number]),
            sum(spent for names, spent in watch.seconds.items() if set(names.split(",")) & set(kinds)),
        )
        for number, kinds in enumerate(subsets)
    ]


def print_ablation(rows: Sequence[AblationRow]) -> None:
    """Prints a table of the rows.

    Args:
        rows: The result of `ablate`.
    """
    width = max(len(",".join(row.kinds)) for row in rows)
    print(f"{'evidence':<{width}}  made of       MRR  Hits@1  Hits@10       MR  seconds")
    for row in rows:
        values = [row.result.metrics[name] for name in ("mrr", "hits@1", "hits@10", "mr")]
        shown = "  ".join(
            f"{value:{size}}" for value, size in zip(values, ("7.4f", "6.4f", "7.4f", "7.1f"), strict=True)
        )
        print(f"{','.join(row.kinds):<{width}}  {row.source:<9}  {shown}  {row.seconds:7.1f}")
