"""`KGDataCollator`: positives in, a batch of positives and their corrupted triplets out, with labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..scoring.length_buckets import batch_cost, batches_by_length
from .hard_negatives import MinedNegatives
from .negative_sampling import NegativeSampler


class KGDataCollator:
    """Collates items of a `GraphSplit` into a training batch.

    Each positive gets its corrupted triplets (`NegativeSampler` says which); an item labeled 0 is a negative of its
    own and is not corrupted. The batch holds int64 tensors, n sequences of up to L tokens, shorter ones first:

        {"input_ids": (n, L), "attention_mask": (n, L), "segment_ids": (n, L), "labels": (n,),    # labels 1 / 0
         "groups": (n,),            # with the softmax loss: which positive of the batch it belongs to
         "length_buckets": [(rows, shortest length, longest length), ...]}

    `length_buckets` says which rows the model encodes together, so that it computes next to no padding.

    Args:
        processor: gives the sequences.
        graph: whose texts and training triplets are used; the processor's own by default.
        num_negatives, corruption, replacement, seed, mined, num_mined, pseudo_typed: as in `NegativeSampler`.
    """

    def __init__(
        self,
        processor: LassProcessor,
        graph: KnowledgeGraph | None = None,
        num_negatives: int = 5,
        corruption: str = "each_slot",
        replacement: bool = False,
        seed: int = 42,
        mined: MinedNegatives | None = None,
        num_mined: int = 0,
        pseudo_typed: bool = False,
    ):
        graph = graph or processor.graph
        if graph is None:
            raise LassError("KGDataCollator needs a graph: pass graph=..., or a processor that has one")
        if processor.architecture != "cross-encoder":
            raise LassError(
                'KGDataCollator needs a processor with architecture="cross-encoder"; InBatchCollator is for "bi-encoder"'
            )
        self.store = processor.token_store(graph)
        self.groups = False  # the softmax loss needs them: its trainer asks
        choices = (graph, num_negatives, corruption, replacement, seed)
        self.unmined_sampler = NegativeSampler(*choices, pseudo_typed=pseudo_typed)
        self.sampler = self.unmined_sampler
        if num_mined:
            self.sampler = NegativeSampler(*choices, mined, num_mined, pseudo_typed)
        self._batch_cost = batch_cost("cuda" if torch.accelerator.is_available() else "cpu")
        # In shared memory, so that data loader workers that live on see a new epoch too.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch's negatives to draw from now on."""
        self._epoch.fill_(epoch)

    def with_negatives(
        self, triplets: np.ndarray, labels: np.ndarray | None = None, epoch: int = 0, unmined: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Triplets of shape (n, 3), each positive followed by its negatives, and labels (1 / 0) of shape (n,).

        `unmined`: no mined ones, which there are for training triplets only.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        labels = np.ones(len(triplets), dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
        positives = np.flatnonzero(labels == 1)
        corrupted = (self.unmined_sampler if unmined else self.sampler).corrupt(triplets[positives], epoch)
        order = np.argsort(np.concatenate([np.arange(len(triplets)), positives[corrupted.rows]]), kind="stable")
        every = np.concatenate([triplets, corrupted.triplets])[order]
        return every, np.concatenate([labels, np.zeros(len(corrupted.rows), dtype=np.int64)])[order]

    def __call__(self, features: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        triplets = np.array([(item["head"], item["relation"], item["tail"]) for item in features], dtype=np.int64)
        labels = np.array([item.get("label", 1) for item in features], dtype=np.int64)
        if self.groups and not labels.all():
            raise LassError("a false triplet in a batch whose positives are compared with their own negatives")
        every, every_label = self.with_negatives(triplets, labels, int(self._epoch))
        lengths = self.store.lengths(every)
        parts = batches_by_length(lengths, self._batch_cost)
        order = np.concatenate(parts)
        return {
            **self.store.assemble(every[order]),
            "labels": torch.from_numpy(every_label[order]),
            **({"groups": torch.from_numpy(groups_of(every_label)[order])} if self.groups else {}),
            "length_buckets": [(len(part), int(lengths[part[0]]), int(lengths[part[-1]])) for part in parts],
        }


def groups_of(labels: np.ndarray) -> np.ndarray:
    """Which positive each triplet belongs to, int64, where each positive (1) is followed by its negatives (0)."""
    return np.cumsum(labels) - 1
