"""The scoring engine: integer triplets in, float32 scores out. Everything that scores triplets calls it.

It batches sequences of nearly equal length, so that next to no padding is computed, encodes sequences with the same
texts once, and works in bfloat16 where the hardware multiplies bfloat16 natively. For a bi-encoder it also makes the
vectors of an `EntityIndex`.
"""

import copy
import math
from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache

from ..core.architectures import check_fit
from ..core.errors import GraphError, LassError, NonFiniteError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.token_store import TokenStore
from ..utils.distributed import place, sum_over_processes
from ..utils.memory import is_out_of_memory
from .length_buckets import batch_cost, batches_by_length
from .precision import scoring_dtype

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
PAIRS_AT_ONCE = 2**14  # Pairs of a query and an entity whose difference vectors are in memory together.


class Progress(Protocol):
    """A progress bar: a `tqdm` bar, or any object with its `update`."""

    def update(self, count: int, /) -> object:
        """Advances the bar.

        Args:
            count: The number of triplets or entities that are done since the last call.
        """
        ...


class TripletScorer:
    """Scores triplets of a graph with a model.

    Args:
        model: The model. It is copied if `dtype` differs from its own, so that later training does not change the copy.
        store: The graph's texts as token ids, `processor.token_store(graph)`.
        dtype: "auto", "float32" or "bfloat16", the precision of the encoder. The energy of Eq. 1 is float32 in any
            case.
        token_budget: Tokens of a batch, padding included; None for the device's default. A batch that does not fit the
            memory is halved until it does, and so are later ones of its size. (After that, the last bits of scores
            depend on where it happened.)

    Attributes:
        model: The model, or its copy.
        store: The graph's texts as token ids.
        tokens: The number of tokens that went through the encoder so far, padding included.

    Raises:
        LassError: The model cannot read the store's sequences, or the dtype is unknown.
    """

    def __init__(
        self, model: LassForKGCompletion, store: TokenStore, dtype: str = "auto", token_budget: int | None = None
    ):
        check_fit(model, store.template, store.largest_token)
        if "_original_forward" in vars(model):  # A training leaves the autocast of accelerate around forward.
            model = copy.copy(model)
            del model.__dict__["forward"]
        torch_dtype = scoring_dtype(dtype, model.device)
        if torch_dtype is not None and any(weight.dtype != torch_dtype for weight in _floating_weights(model)):
            model = _copy_in(torch_dtype, model)
        self.model = model
        self.store = store
        self.token_budget = token_budget or TOKENS_PER_BATCH.get(model.device.type, TOKENS_PER_BATCH["cuda"])
        self.tokens = 0
        self._too_large: float = float("inf")  # The tokens of the smallest batch that did not fit the memory.

    def with_store(self, store: TokenStore) -> "TripletScorer":
        """Returns a scorer of the same model over other texts.

        Args:
            store: The other texts as token ids.

        Returns:
            Another scorer, which shares the model.
        """
        other = copy.copy(self)
        other.store = store
        return other

    @property
    def is_bi_encoder(self) -> bool:
        """True if queries and entities are encoded apart, so that an entity index can keep the entities."""
        return self.model.architecture.encodes_entities

    @property
    def self_match_bonus(self) -> np.float32:
        """The number that is added to the score of a triplet whose head and tail have the same text.

        It is the logarithm of `LassConfig.self_match_weight`.
        """
        return np.float32(math.log(self.model.config.self_match_weight))

    def score(
        self, triplets: np.ndarray, slot: int | None = None, progress: Progress | None = None, shared: bool = False
    ) -> np.ndarray:
        """Scores triplets by Eq. 1. Triplets with the same texts get exactly the same score.

        Args:
            triplets: Int of shape (n, 3).
            slot: The slot whose candidates are compared. A bi-encoder has one query for the head (0) and one for the
                tail (2); the score for another slot, or for None, is the mean of both. A cross-encoder ignores it.
            progress: A progress bar to advance by n, or None.
            shared: Whether several processes compute a part of the batches each. All of them must call this method with
                the same triplets, and all get the scores that one process would compute.

        Returns:
            Float32 of shape (n,).

        Raises:
            NonFiniteError: Scores are NaN or infinite; the message names triplets.
            LassError: The triplets are no integers of the store's entities and relations, or one sequence alone does
                not fit the memory.
        """
        triplets = self._check_integers(np.asarray(triplets))
        if not len(triplets):
            return np.empty(0, dtype=np.float32)
        if not self.is_bi_encoder:
            values, inverse = self._run(triplets, "scores", progress, shared)
            return self._check_finite(values.cpu().numpy()[inverse], triplets)
        scores = self._score_queries(triplets, (slot,) if slot in (0, 2) else (2, 0), shared)
        if progress is not None:
            progress.update(len(triplets))
        is_self_match = np.equal(*self.store.canonical_triplets(triplets)[:, [0, 2]].T)
        bonus = np.where(is_self_match, self.self_match_bonus, np.float32(0))
        return self._check_finite(scores.mean(axis=0, dtype=np.float32) + bonus, triplets)

    def _check_integers(self, triplets: np.ndarray) -> np.ndarray:
        """Returns triplets as int64 of shape (n, 3), or raises LassError if they are none of the store's."""
        if triplets.size and (triplets.dtype.kind not in "iu" or triplets.size % 3):
            raise LassError(
                f"triplets of type {triplets.dtype} and shape {triplets.shape}; expected integers of shape (n, 3): "
                "head, relation and tail as the graph numbers them (LassPredictor scores names)"
            )
        triplets = triplets.astype(np.int64, copy=False).reshape(-1, 3)
        entities, relations = self.store.num_entities, self.store.num_relations // (1 + self.is_bi_encoder)
        sizes = np.array([entities, relations, entities])
        if len(triplets) and ((triplets.min(axis=0) < 0) | (triplets.max(axis=0) >= sizes)).any():
            bad = triplets[((triplets < 0) | (triplets >= sizes)).any(axis=1)][0]
            raise LassError(
                f"a triplet of the integers (head, relation, tail) {tuple(bad.tolist())}; expected entities from 0 to "
                f"{entities - 1:,} and relations from 0 to {relations - 1:,}, as the graph numbers them"
            )
        return triplets

    @torch.inference_mode()
    def _score_queries(self, triplets: np.ndarray, slots: Sequence[int], shared: bool) -> np.ndarray:
        """Returns the scores that a bi-encoder gives each slot's entities as candidates for the triplets' queries.

        They are float32 of shape (slots, n). What several slots read alike is encoded once.
        """
        rows = [(self.store.queries(triplets, slot), self.store.candidates(triplets[:, slot])) for slot in slots]
        vectors, inverse = self._run(np.concatenate([*chain(*rows)]), "embeddings", shared=shared)
        head, factor = self.model.score_head, self.model.distance_factor()
        pairs = torch.from_numpy(inverse.reshape(len(slots), 2, -1)).to(vectors.device).transpose(0, 1).flatten(1)
        parts = pairs.split(PAIRS_AT_ONCE, dim=1)
        scores = [head.compare(vectors[one], vectors[other][:, : head.size], factor) for one, other in parts]
        return torch.cat(scores).cpu().numpy().reshape(len(slots), -1)

    @torch.inference_mode()
    def score_energies(self, energies: torch.Tensor) -> torch.Tensor:
        """Returns the scores of energies (Eq. 1).

        Args:
            energies: Float32 of any shape.

        Returns:
            Float32 of the same shape.
        """
        return self.model.score_of_energy(energies)

    def encode_queries(self, triplets: np.ndarray, slot: int) -> torch.Tensor:
        """Encodes queries with a bi-encoder.

        Args:
            triplets: Int of shape (n, 3); their values in `slot` are ignored.
            slot: The slot that the queries leave open, 0 or 2.

        Returns:
            Float32 of shape (n, k) on the model's device; longer rows where there is no query vector.
        """
        return self._encode(self.store.queries(triplets, slot))

    def encode_entities(self, entities: np.ndarray, progress: Progress | None = None) -> torch.Tensor:
        """Encodes entities as candidates, with a bi-encoder.

        Args:
            entities: Int of shape (n,).
            progress: A progress bar to advance by n, or None.

        Returns:
            Float32 of shape (n, k) on the model's device.
        """
        return self._encode(self.store.candidates(entities), progress)[:, : self.model.score_head.size]

    def _encode(self, rows: np.ndarray, progress: Progress | None = None) -> torch.Tensor:
        if not len(rows):
            return torch.empty((0, *self._shape("embeddings")), device=self.model.device)
        vectors, inverse = self._run(rows, "embeddings", progress)
        return vectors[torch.from_numpy(inverse).to(vectors.device)]

    def _shape(self, output: str) -> tuple[int, ...]:
        """Returns the shape of one row of an output of the model."""
        if output == "scores":
            return ()
        return (self.model.row_size,)

    def _check_finite(self, scores: np.ndarray, triplets: np.ndarray) -> np.ndarray:
        """Returns the scores, or raises NonFiniteError if some of them are NaN or infinite."""
        if not np.isfinite(scores).all():
            bad = np.unique(triplets[~np.isfinite(scores)], axis=0)
            raise NonFiniteError(
                f"{len(bad)} of {len(scores)} scores are NaN or infinite, first for the integers (head, relation, "
                f"tail) {tuple(bad[0].tolist())}: the model's weights are damaged, or its training diverged; "
                'if it was trained in another precision, score with dtype="float32"'
            )
        return scores

    def _run(
        self, rows: np.ndarray, output: str, progress: Progress | None = None, shared: bool = False
    ) -> tuple[torch.Tensor, np.ndarray]:
        """Returns an output of the model for the distinct rows, and the position of each row among them."""
        rank, count = place(shared)
        first, inverse, counts = _find_distinct(self.store, rows)
        distinct = rows[first]
        lengths = self.store.lengths(distinct)
        batches = batches_by_length(lengths, batch_cost(self.model.device.type), self.token_budget)
        was_training = self.model.training
        self.model.eval()
        try:
            parts = []  # They stay on the device until the end, so that it never waits for the next batch.
            for number, batch in enumerate(batches):
                if number % count == rank:
                    parts += self._forward(distinct[batch], lengths[batch], output)
                if progress is not None:
                    progress.update(int(counts[batch].sum()))
        finally:
            self.model.train(was_training)
        values = torch.zeros((len(distinct), *self._shape(output)), device=self.model.device)
        if batches_of_process := batches[rank::count]:
            values[torch.from_numpy(np.concatenate(batches_of_process)).to(values.device)] = torch.cat(parts)
        return sum_over_processes(values) if shared else values, inverse

    @torch.inference_mode()
    def _forward(self, rows: np.ndarray, lengths: np.ndarray, output: str) -> list[torch.Tensor]:
        """Returns an output for one batch, in one part or, where the batch does not fit the memory, in several."""
        tokens = len(rows) * int(lengths.max())
        if tokens < self._too_large or len(rows) == 1:
            try:
                batch = self.store.assemble(rows)
                self.tokens += tokens
                if lengths.min() == lengths.max():
                    del batch["attention_mask"]  # Attention is faster without a mask.
                inputs = {name: value.to(self.model.device, non_blocking=True) for name, value in batch.items()}
                return [getattr(self.model(**inputs, return_dict=True), output)]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    raise LassError(
                        f"out of memory with one sequence of {tokens} tokens: lower max_length, or use a smaller "
                        "encoder"
                    ) from error
            self._too_large = tokens
            clear_device_cache()
        half = len(rows) // 2
        return self._forward(rows[:half], lengths[:half], output) + self._forward(rows[half:], lengths[half:], output)


def _copy_in(dtype: torch.dtype, model: LassForKGCompletion) -> LassForKGCompletion:
    """Returns a copy whose encoder has weights of a dtype, but buffers as before: rotary frequencies need theirs."""
    converted = {
        id(weight): torch.nn.Parameter(weight.detach().to(dtype), weight.requires_grad)
        for weight in _floating_weights(model)
    }
    return copy.deepcopy(model, converted)


def _floating_weights(model: LassForKGCompletion) -> list[torch.nn.Parameter]:
    """Returns the weights of the encoder, but for quantized ones."""
    return [weight for weight in model.encoder.parameters() if weight.is_floating_point()]


def _find_distinct(store: TokenStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds rows, int of shape (n, 3), whose sequences are the same.

    Returns:
        The positions of m distinct rows, int64 of shape (m,); for each row, which of them it equals, int64 of shape
        (n,); and for each distinct row, how many rows equal it, int64 of shape (m,).
    """
    entity, relation = (np.append(same, -1) for same in store.first_with_same_text)
    keys = ((entity[rows[:, 0]] + 1) * len(relation) + relation[rows[:, 1]] + 1) * len(entity) + entity[rows[:, 2]]
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return first, inverse, counts


def check_pair(model: LassForKGCompletion | None, processor: LassProcessor | None) -> None:
    """Raises LassError if only one of a model and its processor is given.

    Args:
        model: The model, or None.
        processor: The processor, or None.
    """
    if (model is None) != (processor is None):
        raise LassError("model and processor belong together; only one of them is given")


def check_model_is_of(processor: LassProcessor, graph: KnowledgeGraph) -> None:
    """Checks that a model was not trained on a graph that has nothing in common with another one.

    Args:
        processor: The processor of the model.
        graph: The other graph.

    Raises:
        GraphError: They have no entity, or no relation, in common.
    """
    own = processor.graph
    if own is None:
        return
    for kind, mine, theirs in (
        ("entities", own.entities.ids, graph.entities.ids),
        ("relations", own.relations.ids, graph.relations.ids),
    ):
        if not set(mine) & set(theirs):
            raise GraphError(
                f"the model is that of another graph, with {len(mine):,} {kind} such as {mine[0]!r}, none of which "
                f"this graph has (such as {theirs[0]!r}): give the graph that it was trained on, or train on this one"
            )
