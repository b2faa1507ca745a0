"""Hard negatives: for each query of training triplets the nearest entities that are no known ones.

A bi-encoder finds them with its entity index. `NegativeSampler` draws the negatives of a training step from them.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit
from ..core.token_store import TokenStore
from ..scoring.entity_index import EntityIndex
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes, sum_over_processes

logger = logging.getLogger(__name__)

QUERIES_MINED_AT_ONCE = 2**12  # Queries encoded and compared together, by one process.


@dataclass(frozen=True)
class HardNegatives:
    """Hard negatives of the queries of training triplets, for the slots 0 (head) and 2 (tail).

    Attributes:
        queries: For each slot the distinct queries, (relation, tail) or (relation, head), int64 of shape (q, 2),
            ascending.
        entities: For each slot the hard negatives of each query, int32 of shape (q, depth), nearest first, and -1
            behind the last one of a query that has fewer.
        num_entities: The number of entities of the graph.
    """

    queries: dict[int, np.ndarray]
    entities: dict[int, np.ndarray]
    num_entities: int

    def lookup(self, slot: int, triplets: np.ndarray) -> np.ndarray:
        """Returns the hard negatives for a slot of training triplets.

        Args:
            slot: 0 or 2.
            triplets: Int of shape (n, 3).

        Returns:
            Int64 of shape (n, depth), nearest first, and -1 behind the last one of a query that has fewer.

        Raises:
            LassError: The query of a triplet is none of those that hard negatives were mined for.
        """
        keys, keys_of_triplets = (
            pairs[:, 0] * self.num_entities + pairs[:, 1] for pairs in (self.queries[slot], triplets[:, [1, 2 - slot]])
        )
        positions = np.minimum(np.searchsorted(keys, keys_of_triplets), len(keys) - 1)
        if not (keys[positions] == keys_of_triplets).all():
            raise LassError("no hard negatives for a triplet: they were mined for other training triplets")
        return self.entities[slot][positions].astype(np.int64)


def mine_hard_negatives(
    scorer: TripletScorer,
    split: GraphSplit,
    depth: int = 50,
    index_folder: str | Path | None = None,
    quiet: bool = False,
) -> HardNegatives:
    """Finds the nearest entities of each query of a split that are no known entities of it.

    Entities are near by their texts alone: neighbors and frequencies are not used, because they are counted in training
    triplets and give the known entities away, and neither is `self_match_weight`. An entity with the same text as a
    known one is no hard negative, because a text model cannot tell them apart. Several processes share the queries.

    Args:
        scorer: The scorer of a bi-encoder, over the texts of the split's graph.
        split: The training split of a graph, or a part of it. Triplets that are labeled 0 are left out.
        depth: The number of entities for each query; a query has fewer if fewer entities are not known.
        index_folder: The folder that keeps the vectors of the entities. None keeps them in memory.
        quiet: Whether no progress bar is shown.

    Returns:
        The hard negatives of the queries for the heads and for the tails of the split's triplets.

    Raises:
        LassError: The scorer makes no vectors of queries, or the index folder is not that of its model and graph.
    """
    if not scorer.model.config.has_query_vector:
        raise LassError(
            f"{scorer.model.config.compared_by} of the retriever makes no vector of a query, by which an index finds "
            "the nearest entities; expected a score function with one, such as translation"
        )
    index = build_entity_index(scorer, index_folder, quiet)
    graph, store = split.graph, scorer.store
    known = store.known_in_train(graph)
    queries, entities = {}, {}
    for slot in (0, 2):
        queries[slot], first = np.unique(split.positives[:, [1, 2 - slot]], axis=0, return_index=True)
        triplets = split.positives[first]
        excluded = _with_same_text(store, *known.values(slot, store.canonical_triplets(triplets)))
        entities[slot] = _nearest(scorer, index, triplets, slot, depth, excluded, quiet)
    if num_skipped := sum(int((found == -1).all(1).sum()) for found in entities.values()):
        logger.warning(
            "%d of %d queries have no hard negatives, because all entities are known answers; they are skipped",
            num_skipped,
            sum(map(len, queries.values())),
        )
    return HardNegatives(queries, entities, graph.num_entities)


def _nearest(
    scorer: TripletScorer,
    index: EntityIndex,
    triplets: np.ndarray,
    slot: int,
    depth: int,
    excluded: tuple[np.ndarray, np.ndarray],
    quiet: bool,
) -> np.ndarray:
    """Returns the nearest entities, int32, for a slot of triplets, without excluded pairs of a row and an entity."""
    rows, entities = excluded
    most_left = index.num_entities - int(np.bincount(rows, minlength=len(triplets)).min())
    state, name = processes(), "heads" if slot == 0 else "tails"
    nearest = np.zeros((len(triplets), min(depth, max(1, most_left))), dtype=np.int32)
    starts = range(0, len(triplets), QUERIES_MINED_AT_ONCE)[state.process_index :: state.num_processes]
    for start in tqdm(starts, desc=f"mining {name}", unit=" blocks", disable=quiet or not state.is_main_process):
        part = slice(start, start + QUERIES_MINED_AT_ONCE)
        vectors = scorer.encode_queries(triplets[part], slot)
        first, last = np.searchsorted(rows, [start, start + QUERIES_MINED_AT_ONCE])
        nearest[part] = index.nearest(vectors, nearest.shape[1], (rows[first:last] - start, entities[first:last]))[1]
    return sum_over_processes(nearest)


def _with_same_text(store: TokenStore, rows: np.ndarray, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replaces each pair of a row and the first entity with some text by pairs with all entities with that text."""
    first_with_same_text = store.first_with_same_text[0]
    by_text, counts = (
        np.argsort(first_with_same_text, kind="stable"),
        np.bincount(first_with_same_text, minlength=len(first_with_same_text)),
    )
    sizes, ends_of_texts = counts[entities], np.cumsum(counts)[entities]
    ends = np.cumsum(sizes)
    return np.repeat(rows, sizes), by_text[np.arange(sizes.sum()) - np.repeat(ends - ends_of_texts, sizes)]
