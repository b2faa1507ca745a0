"""Hard negatives: for each query of training triplets the wrong answers that an entity index finds nearest.

It chooses no negatives for a step; `NegativeSampler` draws from what is found here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit
from ..core.known_triplets import KnownTriplets
from ..scoring.index_building import entity_index
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes, sum_over_processes

QUERIES_AT_ONCE = 2**12


@dataclass(frozen=True)
class HardNegatives:
    """Wrong answers of the queries of training triplets, for the slots 0 (head) and 2 (tail).

    `queries[slot]`: int64 (q, 2), the distinct queries, ascending: (relation, tail) or (relation, head).
    `entities[slot]`: int32 (q, depth), nearest first; known training answers are not among them.
    """

    queries: dict[int, np.ndarray]
    entities: dict[int, np.ndarray]
    num_entities: int

    def of(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """The wrong answers for `slot` of training triplets, shape (n, 3): int64 (n, depth).

        Raises LassError for a triplet that is not one of those that were mined for.
        """
        keys, wanted = (
            pairs[:, 0] * self.num_entities + pairs[:, 1] for pairs in (self.queries[slot], triplets[:, [1, 2 - slot]])
        )
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if not (keys[places] == wanted).all():
            raise LassError("no mined negatives for a triplet: they were mined for other training triplets")
        return self.entities[slot][places].astype(np.int64)


def mine_negatives(
    scorer: TripletScorer,
    split: GraphSplit,
    depth: int = 50,
    index_folder: str | Path | None = None,
    quiet: bool = False,
) -> HardNegatives:
    """The `depth` nearest wrong answers of each query of a split's true triplets, all or some of those of training.

    Nearest by text: neighbors and frequencies, which training triplets give right answers away by, do not count, nor
    does `self_match_weight`. An entity that reads like a right answer is no wrong one: a text model cannot tell them
    apart. `scorer`: of a bi-encoder, over the texts of the split's graph. `index_folder`: keeps the
    entities' vectors. Fewer than `depth` for all, where a query has fewer wrong answers; raises LassError for one that
    has none. Several processes share the queries.
    """
    index, state = entity_index(scorer, index_folder, quiet), processes()
    graph, store = split.graph, scorer.store
    known = KnownTriplets(store.of_texts(graph["train"].positives), graph.num_entities, graph.num_relations)
    queries, entities = {}, {}
    for slot, name in ((0, "heads"), (2, "tails")):
        pairs, first = np.unique(split.positives[:, [1, 2 - slot]], axis=0, return_index=True)
        asked = split.positives[first]
        rows, right = _entities_of(store.same_text[0], *known.values(slot, store.of_texts(asked)))
        left = graph.num_entities - int(np.bincount(rows).max())
        if left < 1:
            raise LassError("a query of the training triplets has every entity as an answer: nothing is wrong for it")
        found = np.zeros((len(asked), min(depth, left)), dtype=np.int32)
        starts = range(0, len(asked), QUERIES_AT_ONCE)[state.process_index :: state.num_processes]
        for start in tqdm(starts, desc=f"mining {name}", unit=" blocks", disable=quiet or not state.is_main_process):
            part = slice(start, start + QUERIES_AT_ONCE)
            vectors = scorer.encode_queries(asked[part], slot)
            first, last = np.searchsorted(rows, [start, start + QUERIES_AT_ONCE])
            found[part] = index.nearest(vectors, found.shape[1], (rows[first:last] - start, right[first:last]))[1]
        queries[slot], entities[slot] = pairs, sum_over_processes(found)
    return HardNegatives(queries, entities, graph.num_entities)


def _entities_of(same: np.ndarray, rows: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a row and a text, the first entity's that has it, as pairs of a row and each entity that has it."""
    entities, counts = np.argsort(same, kind="stable"), np.bincount(same, minlength=len(same))
    sizes, starts = counts[texts], np.cumsum(counts)[texts]
    ends = np.cumsum(sizes)
    return np.repeat(rows, sizes), entities[np.arange(sizes.sum()) - np.repeat(ends - starts, sizes)]
