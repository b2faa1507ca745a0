"""The objective of a training: the collator, the loss of a batch, and the loss of a split, for each architecture.

A cross-encoder compares a positive with its own corrupted triplets. A bi-encoder compares each query with all entities
of the batch. A false triplet of the training split counts with -log(1 - p), where a positive counts with -log p:

- Cross-encoder, sigmoid losses: it is one more negative, `softplus(f(false))`.
- Cross-encoder, softmax: p is its likelihood among itself and its own corrupted triplets.
- Bi-encoder, sigmoid: `softplus(f(false))` for each of its two queries.
- Bi-encoder, softmax: p is the likelihood of its answer among all entities of the batch, known answers to the query
  among them, for each of its two queries. With either loss its entities are candidates of the other queries, too.

The losses themselves are plain functions of scores, in `losses.py`; that of Eq. 4, which a model has too, in
`core/modeling_lass.py`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.choices import LOSSES
from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.modeling_lass import LassForKGCompletion, LassOutput, negative_sampling_loss
from ..core.processing_lass import LassProcessor
from ..scoring.length_buckets import cut_buckets
from ..scoring.triplet_scorer import TripletScorer
from .data_collators import QUERY_SLOTS, InBatchCollator, KGDataCollator, groups_of
from .in_batch_candidates import CandidateMasks, NegativeQueue, candidate_masks, gather_candidates, naming_mask
from .losses import in_batch_sigmoid_loss, mean_bce_loss, softmax_loss, softmax_loss_of_groups
from .training_args import LassTrainingArguments, check_architecture

QUEUE_WEIGHT = 0.5  # of the loss beside older vectors, which say less

Collator = Callable[[Any], dict[str, Any]]


class Objective(ABC):
    """The objective of one training. `args` are read when they are used, so that a search may vary them.

    Args:
        processor: The processor of the model that is trained.
        args: The training arguments.
        compute_loss: A loss that takes the place of the one that `args.loss` names, as transformers' Trainer calls it:
            `compute_loss(outputs, labels, num_items_in_batch=...)`. For a cross-encoder only.
    """

    # Entries of a batch that the loss may need and the model does not.
    loss_inputs: tuple[str, ...] = ("labels",)
    collator: type  # which makes batches of the architecture

    def __init__(
        self, processor: LassProcessor, args: LassTrainingArguments, compute_loss: Callable[..., Tensor] | None = None
    ):
        self.processor, self.args, self.compute_loss = processor, args, compute_loss

    def split_batch(self, batch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Divides a batch into the inputs of the model and the inputs of the loss, two dicts."""
        model_inputs = dict(batch)
        return model_inputs, {name: model_inputs.pop(name) for name in self.loss_inputs if name in model_inputs}

    def in_parts(self, model_inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the inputs of a model that encodes them in parts of at most `args.gradient_cache_tokens`, twice.

        Raises:
            LassError: The batch is not in length buckets.
        """
        if "length_buckets" not in model_inputs:
            raise LassError(
                f"gradient_cache_tokens={self.args.gradient_cache_tokens} needs a batch in length buckets, which FSDP, "
                "DeepSpeed, torch_compile and some collators do without; expected 0, or activation_checkpointing in "
                "its place"
            )
        buckets = cut_buckets(model_inputs["length_buckets"], self.args.gradient_cache_tokens)
        return {**model_inputs, "length_buckets": buckets, "cache_gradients": True}

    @property
    def mean_over(self) -> str:
        """The items whose mean is the loss: "positives" or "triplets"."""
        return LOSSES[self.args.loss].mean_over

    def check(self) -> None:
        """Raises LassError for arguments that do not fit the architecture."""
        check_architecture(self.args, self.processor.architecture)

    def check_collator(self, collator: Any, graph: KnowledgeGraph) -> None:
        """Raises LassError for a collator of another architecture, or of another graph than the one trained on."""
        if not isinstance(collator, (KGDataCollator, InBatchCollator)):
            return  # one of the user's own: `check_batch` looks at what it makes
        given = f"data_collator={type(collator).__name__}(...)"
        if not isinstance(collator, self.collator):
            raise LassError(f"{given} with a {self.processor.architecture}; expected a {self.collator.__name__}")
        if collator.graph is not graph:
            raise LassError(
                f"{given} of another graph than the one that is trained on, whose texts it would not read; expected "
                "one that is made with the graph of train_dataset"
            )

    @property
    def needed(self) -> tuple[str, ...]:
        """The entries of a batch that the loss cannot do without."""
        return self.loss_inputs

    def check_batch(self, batch: Mapping[str, Any], collator: Any) -> None:
        """Raises LassError for a batch of a collator that lacks what the loss needs."""
        if missing := [name for name in self.needed if name not in batch]:
            raise LassError(
                f"a batch of {type(collator).__name__} has no {missing[0]!r}; loss={self.args.loss!r} needs "
                f"{', '.join(self.needed)}, as in a batch of {self.collator.__name__}"
            )

    def forget_batches(self) -> None:  # noqa: B027 # most losses need no earlier batch
        """Drops what the loss keeps of earlier batches."""

    @abstractmethod
    def make_collator(self, graph: KnowledgeGraph) -> Collator:
        """Returns the collator that makes training batches of a graph's triplets."""

    @abstractmethod
    def loss(
        self,
        model: LassForKGCompletion,
        outputs: LassOutput,
        loss_inputs: Mapping[str, Tensor],
        graph: KnowledgeGraph,
        collator: Collator,
        count: Tensor | float | None = None,
    ) -> Tensor:
        """Returns the loss of a batch, a float32 scalar.

        Args:
            model: The model, without wrappers.
            outputs: Its outputs for the batch.
            loss_inputs: The batch's entries for the loss, as `split_batch` returns them.
            graph: The graph that is trained on.
            collator: The collator that made the batch.
            count: The divisor of the summed loss; None for the number of positives (or triplets) of the batch.
        """

    @abstractmethod
    def evaluation_loss(self, scorer: TripletScorer, triplets: np.ndarray, graph: KnowledgeGraph, collator: Collator):
        """Returns the mean loss over true triplets, int of shape (n, 3), as training would compute it; a scalar."""


class CrossEncoderObjective(Objective):
    """Positives beside their own corrupted triplets: Eq. 4, the published code's binary cross-entropy, or a softmax."""

    loss_inputs, collator = ("labels", "groups", "is_false"), KGDataCollator

    @property
    def needed(self):
        grouped = self.args.loss == "softmax" and self.compute_loss is None
        return ("labels", "groups") if grouped else ("labels",)

    def make_collator(self, graph: KnowledgeGraph) -> KGDataCollator:
        return KGDataCollator(self.processor, graph, **self.args.sampling())

    def loss(self, model, outputs, loss_inputs, graph, collator, count=None):
        groups, is_false = (loss_inputs.get(name) for name in ("groups", "is_false"))
        return self._loss(outputs, loss_inputs["labels"], groups, collator, count, is_false)

    def evaluation_loss(self, scorer, triplets, graph, collator):
        if not isinstance(collator, KGDataCollator) or collator.graph is not graph:
            collator = self.make_collator(graph)
        triplets, labels = collator.with_negatives(triplets, uniform=True)
        arrays = scorer.score(triplets, shared=True), labels, groups_of(labels)
        scores, *rest = map(torch.from_numpy, arrays)
        return self._loss(LassOutput(scores=scores), *rest, collator)

    def _loss(
        self,
        outputs: LassOutput,
        labels: Tensor,
        groups: Tensor | None,
        collator: Collator,
        count: Tensor | float | None = None,
        is_false: Tensor | None = None,
    ) -> Tensor:
        if self.compute_loss is not None:
            return self.compute_loss(outputs, labels, num_items_in_batch=count)
        scores = outputs.scores
        assert scores is not None
        if self.args.loss == "mean_bce":
            return mean_bce_loss(scores, labels, count)
        if self.args.loss == "softmax":
            assert groups is not None
            if is_false is not None and not getattr(collator, "corrupt_false", True):
                raise LassError(
                    "loss='softmax' compares a false triplet with its own corrupted ones, and the collator makes none; "
                    "expected KGDataCollator(..., corrupt_false=True), or another loss"
                )
            return softmax_loss_of_groups(scores, labels, groups, count, is_false)
        if not isinstance(collator, KGDataCollator):
            raise LassError(
                f"loss={self.args.loss!r} with a {type(collator).__name__}, which does not say how many slots of a "
                "positive it corrupts; expected a KGDataCollator, or loss='mean_bce'"
            )
        return negative_sampling_loss(scores, labels, collator.sampler.num_slots, count)


class BiEncoderObjective(Objective):
    """Queries against all entities of the batch, of all processes: Eq. 3's softmax, or Eq. 4's sigmoid.

    With `args.queue_size`, a query is also compared with entities of earlier batches: the loss of its answer among them
    is added with a weight of .5. There the vectors of entities have no gradient. If they had, those of answers would be
    drawn to the queries, and no vector of the queue would be pushed away from them in return, so that all would come to
    lie together. Each process has the whole queue, because the candidates of all of them enter it.
    """

    loss_inputs, collator = ("labels", "triplets", "query_rows", "candidates", "candidate_rows"), InBatchCollator

    def __init__(
        self, processor: LassProcessor, args: LassTrainingArguments, compute_loss: Callable[..., Tensor] | None = None
    ):
        super().__init__(processor, args, compute_loss)
        self._known: tuple[KnowledgeGraph, KnownTriplets] | None = None
        self.queue = NegativeQueue()

    def check(self) -> None:
        super().check()
        if self.compute_loss is not None:
            raise LassError("compute_loss_func is for a cross-encoder: a bi-encoder's loss compares whole batches")
        if self.args.n_gpu > 1:
            raise LassError(
                f"a bi-encoder on {self.args.n_gpu} GPUs of one process: start one process for each of them, with "
                "torchrun or accelerate launch"
            )

    def make_collator(self, graph: KnowledgeGraph) -> InBatchCollator:
        return InBatchCollator(self.processor, graph)

    def loss(self, model, outputs, loss_inputs, graph, collator, count=None):
        entities = outputs.embeddings[loss_inputs["candidate_rows"]][:, : model.score_head.size]
        vectors, candidates = gather_candidates(entities, loss_inputs["candidates"])
        queries, triplets = outputs.embeddings[loss_inputs["query_rows"]], loss_inputs["triplets"]
        labels = loss_inputs["labels"]
        labels = None if bool((labels == 1).all()) else labels.repeat(len(QUERY_SLOTS))
        rest = labels, outputs.factor, None if count is None else len(QUERY_SLOTS) * count
        if not self.args.queue_size:
            return self._loss(model, queries, vectors, self._masks(triplets, candidates, graph, labels), *rest)
        every, all_candidates, queued = self.queue.candidates(vectors, candidates)
        masks = self._masks(triplets, all_candidates, graph, labels)
        loss = self._loss(model, queries, vectors, masks.of(~queued), *rest)
        if len(self.queue):
            against = self._masks_of_queue(masks, triplets, all_candidates, queued, graph)
            loss = loss + QUEUE_WEIGHT * self._loss(model, queries, every, against, *rest)
        self.queue.extend(vectors, candidates, self.args.queue_size)
        return loss

    def forget_batches(self):
        self.queue.clear()

    def evaluation_loss(self, scorer, triplets, graph, collator):
        """The batches are as large as those of the training, in the order of the triplets."""
        losses, size = [], self.args.per_device_train_batch_size * self.args.world_size
        for start in range(0, len(triplets), size):
            part = scorer.store.canonical_triplets(triplets[start : start + size])
            queries = torch.cat([scorer.encode_queries(part, slot) for slot in QUERY_SLOTS])
            candidates = np.unique(part[:, [0, 2]])
            vectors = scorer.encode_entities(candidates)
            masks = self._masks(torch.from_numpy(part), torch.from_numpy(candidates).to(queries.device), graph)
            losses.append(len(part) * self._loss(scorer.model, queries, vectors, masks).detach())
        return torch.stack(losses).sum() / len(triplets)

    def _masks(
        self, triplets: Tensor, candidates: Tensor, graph: KnowledgeGraph, labels: Tensor | None = None
    ) -> CandidateMasks:
        """Returns what is known of 2n queries, of n triplets (n, 3), with labels (2n,), and candidates (m,)."""
        arrays = [tensor.cpu().numpy() for tensor in (triplets, candidates)]
        found = candidate_masks(self._known_texts(graph), *arrays)
        masks = CandidateMasks(*(torch.from_numpy(mask).to(candidates.device) for mask in found))
        if labels is not None:
            masks.false_negatives[labels == 0] = False  # A false answer is compared with all, the true ones too.
        return masks

    def _masks_of_queue(
        self, masks: CandidateMasks, triplets: Tensor, candidates: Tensor, queued: Tensor, graph: KnowledgeGraph
    ) -> CandidateMasks:
        """Returns masks by which answers are compared with the candidates of earlier batches alone."""
        excluded = masks.false_negatives.clone()
        names = self.processor.token_store(graph).neighbors
        if names is not None:
            # No sequence names an entity of its own batch, but of another one. No answer would ever be named.
            naming = naming_mask(names, triplets.cpu().numpy(), candidates[queued].cpu().numpy())
            excluded[:, queued] |= torch.from_numpy(naming).to(excluded.device)
        excluded[:, ~queued] = True
        excluded.scatter_(1, masks.targets[:, None], False)
        return replace(masks, false_negatives=excluded)

    def _loss(
        self,
        model: LassForKGCompletion,
        queries: Tensor,
        vectors: Tensor,
        masks: CandidateMasks,
        labels: Tensor | None = None,
        factor: Tensor | None = None,
        count: Tensor | float | None = None,
    ) -> Tensor:
        """Returns the loss of queries, (2n, k), with labels (2n,), among candidates with vectors (m, k)."""
        with torch.autocast(queries.device.type, enabled=False):
            factor = model.distance_factor() if factor is None else factor
            scores = model.score_head.compare_all(queries, vectors, factor)
            scores = scores + math.log(model.config.self_match_weight) * masks.self_matches
            loss = in_batch_sigmoid_loss if self.args.loss == "negative_sampling" else softmax_loss
            return loss(scores, masks.targets, masks.false_negatives, count, labels)

    def _known_texts(self, graph: KnowledgeGraph) -> KnownTriplets:
        """Returns the true training triplets; the first of several entities with the same text stands for all."""
        if self._known is None or self._known[0] is not graph:
            self._known = graph, self.processor.token_store(graph).known_in_train(graph)
        return self._known[1]


OBJECTIVES = {"cross-encoder": CrossEncoderObjective, "bi-encoder": BiEncoderObjective}
