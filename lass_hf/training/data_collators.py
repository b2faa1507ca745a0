"""Data collators: triplets in, a padded training batch out. One collator for each architecture.

Both put sequences of nearly equal length beside each other and name these length buckets, so that the model computes
next to no padding.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..core.token_store import TokenStore
from ..core.vocabulary import escaped, shown
from ..quality.token_faults import find_indistinct
from ..scoring.length_buckets import batch_cost, batches_by_length
from ..utils.distributed import processes
from .hard_negatives import HardNegatives
from .negative_sampling import NegativeSampler

logger = logging.getLogger(__name__)

QUERY_SLOTS = (2, 0)  # the order of a positive's two queries: for its tail, then for its head
Features = GraphSplit | Sequence[Mapping[str, int]]


class KGDataCollator:
    """Makes batches for a cross-encoder: each positive, and its corrupted triplets.

    `NegativeSampler` draws the corrupted triplets. A triplet that is labeled 0 is a negative of its own, and is not
    corrupted unless the loss compares it with others. The batch holds int64 tensors of n sequences of up to L tokens,
    shorter ones first:

        {"input_ids": (n, L), "attention_mask": (n, L), "segment_ids": (n, L),
         "labels": (n,),            # 1 positive, 0 negative
         "groups": (n,),            # the triplet of the split that a triplet is, or was made from
         "is_false": (n,),          # bool: triplets of the split that are labeled 0; only where there are some
         "length_buckets": [(rows, shortest length, longest length), ...]}

    Args:
        processor: Processor of a cross-encoder, which makes the sequences.
        graph: Graph whose texts and training triplets are used; None for the processor's own.
        num_negatives: See `NegativeSampler`, as the following ones.
        corruption: How positives are corrupted.
        replacement: Whether negatives are drawn with replacement.
        seed: Key of the random numbers.
        hard_negatives: Wrong entities to draw from, too.
        num_mined: How many negatives of a slot are drawn from `hard_negatives`.
        pseudo_typed: Whether entities are drawn from those that occur in the slot of the relation.
        corrupt_false: Whether triplets labeled 0 are corrupted, too, as the softmax loss needs it.

    Attributes:
        graph: The graph.
        sampler: The `NegativeSampler` of training batches. Assign another one to draw other negatives.
        store: The graph's texts as token ids.

    Raises:
        LassError: There is no graph, or the processor is that of a bi-encoder.
    """

    def __init__(
        self,
        processor: LassProcessor,
        graph: KnowledgeGraph | None = None,
        num_negatives: int = 5,
        corruption: str = "each_slot",
        replacement: bool = False,
        seed: int = 42,
        hard_negatives: HardNegatives | None = None,
        num_mined: int = 0,
        pseudo_typed: bool = False,
        corrupt_false: bool = False,
    ):
        graph = graph or processor.graph
        if graph is None:
            raise LassError("KGDataCollator needs a graph: pass graph=..., or a processor that has one")
        _check_architecture(self, processor, "cross-encoder")
        self.graph, self.store, self.corrupt_false = graph, processor.token_store(graph), corrupt_false
        choices = (graph, num_negatives, corruption, replacement, seed)
        self.uniform_sampler = NegativeSampler(*choices, pseudo_typed=pseudo_typed, store=self.store)
        self.sampler = self.uniform_sampler
        if num_mined:
            self.sampler = NegativeSampler(*choices, hard_negatives, num_mined, pseudo_typed, self.store)
        # In shared memory, so that data loader workers that live on see a new epoch too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._batch_cost = _cost_of_training_batches()

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch whose negatives are drawn from now on."""
        self._epoch.fill_(epoch)

    def with_negatives(
        self, triplets: np.ndarray, labels: np.ndarray | None = None, epoch: int = 0, uniform: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adds corrupted triplets.

        Args:
            triplets: Int of shape (n, 3).
            labels: 1 or 0, shape (n,); None if all are positives.
            epoch: Epoch whose negatives are drawn.
            uniform: Whether hard negatives, which there are for training triplets only, are left out.

        Returns:
            All triplets, int64 of shape (m, 3), each followed by its negatives; and their labels, int64 (m,).
        """
        return self._with_negatives(triplets, labels, epoch, uniform)[:2]

    def _with_negatives(
        self, triplets: np.ndarray, labels: np.ndarray | None, epoch: int, uniform: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns what `with_negatives` does, and the given triplet that each is or was made from, int64 (m,)."""
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        labels = np.ones(len(triplets), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
        parts, rows = [triplets], [np.arange(len(triplets))]
        samplers = [(1, self.uniform_sampler if uniform else self.sampler)]
        if self.corrupt_false:
            samplers.append((0, self.uniform_sampler))  # Hard negatives are those of true triplets.
        for label, sampler in samplers:
            chosen = np.flatnonzero(labels == label)
            corrupted = sampler.corrupt(triplets[chosen], epoch)
            parts.append(corrupted.triplets)
            rows.append(chosen[corrupted.rows])
        row = np.concatenate(rows)
        order = np.argsort(row, kind="stable")
        labels = np.concatenate([labels, np.zeros(len(row) - len(labels), dtype=np.int64)])
        return np.concatenate(parts)[order], labels[order], row[order]

    def __call__(self, features: Features) -> dict[str, Any]:
        """Makes a batch of a part of a `GraphSplit`, or of a list of its items."""
        triplets, labels, rows = self._with_negatives(*_triplets_and_labels(features), int(self._epoch))
        is_given = np.diff(rows, prepend=-1) > 0
        sequences, order = _in_length_buckets(self.store, triplets, triplets[is_given][:, [0, 2]], self._batch_cost)
        batch = {**sequences, "labels": torch.from_numpy(labels[order]), "groups": torch.from_numpy(rows[order])}
        is_false = is_given & (labels == 0)
        return {**batch, "is_false": torch.from_numpy(is_false[order])} if is_false.any() else batch


class InBatchCollator:
    """Makes batches for a bi-encoder: the queries of n triplets, and the entities that are candidates for all of them.

    A triplet is two queries: (head, relation) for its tail, and (tail, inverse relation) for its head. The candidates
    are all heads and tails of the batch, each entity once; those of false triplets are among them. The batch holds
    int64 tensors of R sequences of up to L tokens, shorter ones first:

        {"input_ids": (R, L), "attention_mask": (R, L), "segment_ids": (R, L),
         "labels": (n,),            # 1 positive, 0 false triplet
         "triplets": (n, 3),        # the triplets; the first of several entities with the same text stands for all
         "query_rows": (2n,),       # sequences of the queries for the tails, then of those for the heads
         "candidates": (m,),        # the entities of the batch, ascending
         "candidate_rows": (m,),    # their sequences
         "length_buckets": [(rows, shortest length, longest length), ...]}

    Args:
        processor: Processor of a bi-encoder, which makes the sequences.
        graph: Graph whose texts are used; None for the processor's own.

    Attributes:
        graph: That graph.
        store: Its texts as token ids.

    Raises:
        LassError: The processor is that of a cross-encoder, or there is no graph.
    """

    def __init__(self, processor: LassProcessor, graph: KnowledgeGraph | None = None):
        _check_architecture(self, processor, "bi-encoder")
        self.graph, self.store = processor.graph if graph is None else graph, processor.token_store(graph)
        self._batch_cost = _cost_of_training_batches()

    def __call__(self, features: Features) -> dict[str, Any]:
        """Makes a batch of a part of a `GraphSplit`, or of a list of its items."""
        given, labels = _triplets_and_labels(features)
        triplets = self.store.canonical_triplets(given)
        labels = np.ones(len(triplets)) if labels is None else labels
        candidates = np.unique(triplets[:, [0, 2]])
        queries = np.concatenate([self.store.queries(triplets, slot) for slot in QUERY_SLOTS])
        distinct, row_of_query = np.unique(queries, axis=0, return_inverse=True)
        rows = np.concatenate([distinct, self.store.candidates(candidates)])
        sequences, order = _in_length_buckets(self.store, rows, candidates, self._batch_cost)
        position = np.argsort(order)  # of each row in the batch
        arrays = {
            "triplets": triplets,
            "query_rows": position[row_of_query.reshape(-1)],
            "candidates": candidates,
            "candidate_rows": position[len(distinct) :],
        }
        return {
            **sequences,
            "labels": torch.from_numpy(labels.astype(np.int64)),
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
        }


def warn_of_indistinct_names(processor: LassProcessor, graph: KnowledgeGraph) -> None:
    """Logs a warning, on the main process, if a graph has names that the tokenizer cannot tell apart."""
    for names in (graph.entities, graph.relations):
        count, pair = find_indistinct(processor.token_store(graph), names.kind, names.texts)
        if pair is not None and processes().is_main_process:
            first, second = (f"{escaped(names.ids[number])} ({shown(names.texts[number])})" for number in pair)
            logger.warning(
                "%d of %d %s have other texts but the same tokens, and get the same scores, such as %s and %s: use a "
                "tokenizer of their script, or texts that differ in the first %d tokens",
                *(count, len(names), names.kind, first, second, processor.max_length),
            )


def groups_of(labels: np.ndarray) -> np.ndarray:
    """Returns the number of each triplet's positive, int64, if positives (1) are followed by their negatives (0)."""
    return np.cumsum(labels) - 1


def _check_architecture(collator: object, processor: LassProcessor, expected: str) -> None:
    if processor.architecture != expected:
        other = KGDataCollator if expected == "bi-encoder" else InBatchCollator
        raise LassError(
            f'{type(collator).__name__} needs a processor with architecture="{expected}"; {other.__name__} is for '
            f'"{processor.architecture}"'
        )


def _triplets_and_labels(features: Features) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns triplets, int64 of shape (n, 3), and labels of shape (n,), or None where all are true."""
    if isinstance(features, GraphSplit):
        return features.triplets, features.labels
    triplets = np.array([(item["head"], item["relation"], item["tail"]) for item in features], dtype=np.int64)
    return triplets, np.array([item.get("label", 1) for item in features], dtype=np.int64)


def _cost_of_training_batches() -> int:
    """Returns the cost of one more batch in training, see `batch_cost`.

    Collators ask once, in the process that trains: a data loader's worker, forked from it, sees no CUDA device.
    """
    return batch_cost("cuda" if torch.accelerator.is_available() else "cpu")


def _in_length_buckets(
    store: TokenStore, rows: np.ndarray, given: np.ndarray, cost: int
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the sequences of rows, shorter ones first, with their length buckets; and the order that they are in.

    No sequence names an entity of the batch's triplets, `given`, as a neighbor: that would give an answer away. All
    leave out the same names, the negatives too, so that what is left out tells nothing.
    """
    left_out = np.unique(given)
    lengths = store.lengths(rows, left_out)
    buckets = batches_by_length(lengths, cost)
    order = np.concatenate(buckets)
    spans = [(len(bucket), int(lengths[bucket[0]]), int(lengths[bucket[-1]])) for bucket in buckets]
    return {**store.assemble(rows[order], left_out), "length_buckets": spans}, order
