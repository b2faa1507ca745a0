"""The result of a ranking: ranks of queries and all metrics of them, also by relation and by kind of relation."""

from dataclasses import dataclass, field

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SLOT_NAMES
from ..scoring.entity_frequencies import EntityFrequencies
from .metrics import ranking_metrics, rows_by_value

CATEGORY_THRESHOLD = 1.5  # mean tails per head (heads per tail) from which a side is "N" (Bordes et al., 2013)


def are_possible_ranks(ranks: np.ndarray) -> bool:
    """Returns whether some rows can be optimistic ranks, pessimistic ranks and numbers of candidates.

    Args:
        ranks: int of shape (3, n).
    """
    return bool((np.diff(ranks, axis=0, prepend=1) >= 0).all())


@dataclass
class RankingResult:
    """Ranks and metrics of a set of triplets, one query for each triplet and slot.

    Arrays of ranks have the shape (slots * triplets,), slot by slot (link prediction: head side, then tail side).

    Attributes:
        triplets: the ranked triplets, int64, shape (n, 3).
        slots: the slots that were asked for; 0, 1, 2 = head, relation, tail.
        optimistic_ranks: 1 + the candidates with a higher score, int64.
        pessimistic_ranks: the same, counting also candidates with an equal score, int64.
        num_candidates: candidates of each query after filtering, the true one included, int64.
        metrics: figures of the realistic ranks over all queries (`mr`, `mrr`, `hits@k`, `amri`) and of each slot
            (`head_mrr`, ...), of the optimistic and pessimistic ranks (`optimistic_mrr`, ...), and `num_triplets`,
            `num_queries`, `tied_queries`.
        by_relation: metrics of the queries of each relation, by its id, with `num_queries`.
        by_category: the same for 1-1, 1-N, N-1 and N-N relations.
        unseen: the same for triplets with an entity that occurs in no training triplet.
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

    @classmethod
    def from_ranks(
        cls, graph: KnowledgeGraph, triplets: np.ndarray, slots: tuple[int, ...], ranks: np.ndarray
    ) -> "RankingResult":
        """Makes a result with all its metrics.

        Args:
            graph: the graph of the triplets.
            triplets: int64, shape (n, 3).
            slots: the slots that were asked for.
            ranks: optimistic ranks, pessimistic ranks and numbers of candidates, int64, shape (3, slots * n).
        """
        result = cls(triplets, slots, *ranks)
        result._compute_metrics()
        result._compute_metrics_of_groups(graph)
        return result

    @property
    def ranks(self) -> np.ndarray:
        """Realistic ranks: the mean of the optimistic and the pessimistic rank, float64."""
        return (self.optimistic_ranks + self.pessimistic_ranks) / 2

    @property
    def num_scored(self) -> int:
        """Number of triplets that were scored for these ranks: for each distinct query, targets and candidates."""
        total, count = 0, len(self.triplets)
        for number, slot in enumerate(self.slots):
            anchors = np.delete(self.triplets, slot, axis=1)
            rows = np.unique(anchors, axis=0, return_index=True)[1] + number * count
            total += int((self.num_candidates[rows] - 1).sum()) + len(np.unique(self.triplets, axis=0))
        return total

    def _compute_metrics(self) -> None:
        """Fills in `metrics`."""
        ranks, candidates, count = self.ranks, self.num_candidates, len(self.triplets)
        self.metrics = ranking_metrics(ranks, candidates)
        if len(self.slots) > 1:
            for number, slot in enumerate(self.slots):
                side = slice(number * count, (number + 1) * count)
                metrics = ranking_metrics(ranks[side], candidates[side])
                self.metrics |= {f"{SLOT_NAMES[slot]}_{name}": value for name, value in metrics.items()}
        for kind, others in (("optimistic", self.optimistic_ranks), ("pessimistic", self.pessimistic_ranks)):
            metrics = ranking_metrics(others, candidates)
            self.metrics |= {f"{kind}_{name}": value for name, value in metrics.items()}
        tied = int((self.optimistic_ranks != self.pessimistic_ranks).sum())
        self.metrics |= {"num_triplets": count, "num_queries": len(ranks), "tied_queries": tied}

    def _compute_metrics_of_groups(self, graph: KnowledgeGraph) -> None:
        """Fills in `by_relation`, `by_category` and `unseen`."""
        ranks = self.ranks

        def metrics_of(rows: np.ndarray) -> dict[str, float]:
            queries = np.concatenate([rows + number * len(self.triplets) for number in range(len(self.slots))])
            return {**ranking_metrics(ranks[queries], self.num_candidates[queries]), "num_queries": len(queries)}

        relations = self.triplets[:, 1]
        self.by_relation = {
            graph.relations.ids[relation]: metrics_of(rows) for relation, rows in rows_by_value(relations).items()
        }
        categories = np.array(relation_categories(graph))[relations]
        self.by_category = {
            str(category): metrics_of(np.flatnonzero(categories == category)) for category in np.unique(categories)
        }
        seen = graph.occurs_in_train()[0]
        unseen = np.flatnonzero(~(seen[self.triplets[:, 0]] & seen[self.triplets[:, 2]]))
        self.unseen = metrics_of(unseen) if len(unseen) else {"num_queries": 0}


def relation_categories(graph: KnowledgeGraph) -> list[str]:
    """Returns 1-1, 1-N, N-1 or N-N for each relation, over the true triplets of all splits.

    The tail side is N where a head has at least 1.5 tails on average, and likewise the head side (Bordes et al., 2013).
    """
    every = graph.known.triplets()
    triplets = np.bincount(every[:, 1], minlength=graph.num_relations)
    counts = EntityFrequencies(every, graph.num_entities)
    heads, tails = (np.maximum(1, counts.num_distinct(slot, graph.num_relations)) for slot in (0, 2))
    many = [triplets / count >= CATEGORY_THRESHOLD for count in (tails, heads)]  # heads per tail, tails per head
    return ["-".join("N" if side else "1" for side in sides) for sides in zip(*many, strict=True)]
