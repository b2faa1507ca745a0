"""The scoring engine: arrays of triplet ids in, float32 scores out; evaluation, classification and prediction call it.

It batches sequences of nearly equal length, so that next to no padding is computed, encodes sequences that read the
same once, and works in bfloat16 where the hardware multiplies that natively. With a bi-encoder it also gives the
vectors that an `EntityIndex` is made of. It knows no filter, no ranks and no names.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from ..core.errors import LassError, NonFiniteError
from ..core.modeling_lass import LassForKGCompletion, LassOutput
from ..core.score_functions import distance_score
from ..core.token_store import TokenStore
from ..utils.distributed import place, sum_over_processes
from .length_buckets import batch_cost, batches_by_length

MEMORY_ERRORS = (torch.OutOfMemoryError, MemoryError)
DTYPES = ("auto", "float32", "bfloat16")
TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
PAIRS_AT_ONCE = 2**14  # whose difference vectors are in memory together


def scoring_dtype(dtype: str, device: torch.device) -> torch.dtype | None:
    """The dtype to score in, None for the model's own: "auto" is bfloat16 where the hardware multiplies it natively."""
    if dtype not in DTYPES:
        raise LassError(f"dtype={dtype!r}; expected one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return getattr(torch, dtype)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    else:
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else None


class TripletScorer:
    """Scores triplets of a graph with a model.

    Args:
        model: used as it is, or copied when `dtype` differs from its own (later training does not change the copy).
        store: the graph's texts as token ids, `processor.token_store(graph)`.
        dtype: "auto", "float32" or "bfloat16"; the sum in Eq. 1 is float32 in any case.
        token_budget: tokens of a batch, padding included; a device's default when None. A batch that does not fit the
            memory is halved until it does, and so are later ones of its size (so after an out-of-memory the last bits
            of scores depend on where it happened).

    Raises LassError for texts of a processor whose architecture is not the model's.
    """

    def __init__(
        self, model: LassForKGCompletion, store: TokenStore, dtype: str = "auto", token_budget: int | None = None
    ):
        if model.config.architecture != store.template.architecture:
            raise LassError(
                f"the model's architecture is {model.config.architecture!r}, the processor's {store.template.architecture!r}: make "
                "both with the same architecture="
            )
        if "_original_forward" in vars(model):  # accelerate's autocast around forward, left by a training
            model = copy.copy(model)
            del model.__dict__["forward"]
        wanted = scoring_dtype(dtype, model.device)
        if wanted is not None and wanted != model.dtype:
            model = copy.deepcopy(model)
            for parameter in model.encoder.parameters():  # not the buffers: rotary frequencies need their precision
                parameter.data = parameter.data.to(wanted)
        self.model = model
        self.store = store
        self.token_budget = token_budget or TOKENS_PER_BATCH.get(model.device.type, TOKENS_PER_BATCH["cuda"])
        self.tokens = 0  # run through the encoder so far, padding included
        self._too_large: float = float("inf")  # tokens of the smallest batch that did not fit

    def with_store(self, store: TokenStore) -> "TripletScorer":
        """The same model over other texts."""
        other = copy.copy(self)
        other.store = store
        return other

    @property
    def is_bi_encoder(self) -> bool:
        """Whether queries and answers are encoded apart."""
        return self.model.config.architecture == "bi-encoder"

    @property
    def self_match_bonus(self) -> np.float32:
        """What is added to Eq. 1 where head and tail read the same: see `LassConfig.self_match_weight`."""
        return np.float32(math.log(self.model.config.self_match_weight))

    def score(
        self, triplets: np.ndarray, slot: int | None = None, progress: Any = None, shared: bool = False
    ) -> np.ndarray:
        """Eq. 1 of int triplets of shape (n, 3): float32, shape (n,).

        `slot` is the slot that is being asked for: with a bi-encoder the head (0) and the tail (2) have queries
        of their own, and other scores are the mean of both. `progress` is a `tqdm` bar to advance by n. Triplets that
        read the same get exactly the same score. With `shared` several processes, which must all call it with the same
        triplets, each run a part of the batches, and all get the scores that one process would compute. Raises
        NonFiniteError, naming triplets, for NaN or infinite scores, and LassError when one sequence alone does not fit
        the memory.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        if not len(triplets):
            return np.empty(0, dtype=np.float32)
        if not self.is_bi_encoder:
            values, inverse = self._run(triplets, _scores, progress, shared)
            return self._checked(values.cpu().numpy()[inverse], triplets)
        scores = [
            self._score_pairs(self.store.queries(triplets, side), self.store.answers(triplets[:, side]), shared)
            for side in ((slot,) if slot in (0, 2) else (2, 0))
        ]
        if progress is not None:
            progress.update(len(triplets))
        same = np.equal(*self.store.of_texts(triplets)[:, [0, 2]].T)
        mean = np.stack(scores).mean(axis=0, dtype=np.float32) + np.where(same, self.self_match_bonus, np.float32(0))
        return self._checked(mean, triplets)

    def _score_pairs(self, queries: np.ndarray, answers: np.ndarray, shared: bool) -> np.ndarray:
        """Eq. 1 of rows of queries and their answers."""
        vectors, inverse = self._run(np.concatenate([queries, answers]), _embeddings, shared=shared)
        of_query, of_answer = (torch.from_numpy(part).to(vectors.device) for part in np.split(inverse, 2))
        squared = [
            (vectors[query] - vectors[answer]).square().sum(-1)
            for query, answer in zip(of_query.split(PAIRS_AT_ONCE), of_answer.split(PAIRS_AT_ONCE), strict=True)
        ]
        return self.score_distances(torch.cat(squared)).cpu().numpy()

    @torch.inference_mode()
    def score_distances(self, squared: torch.Tensor) -> torch.Tensor:
        """Eq. 1 of squared distances between vectors of queries and answers, of any shape."""
        return distance_score(squared, self.model.config.margin, self.model.distance_factor())

    def encode_queries(self, triplets: np.ndarray, slot: int) -> torch.Tensor:
        """Vectors of the queries for `slot` (0 or 2) of int triplets: float32, shape (n, k), on the model's device."""
        return self._encode(self.store.queries(triplets, slot))

    def encode_entities(self, entities: np.ndarray, progress: Any = None) -> torch.Tensor:
        """Vectors of entities as answers: float32, shape (n, k), on the model's device."""
        return self._encode(self.store.answers(entities), progress)

    def _encode(self, rows: np.ndarray, progress: Any = None) -> torch.Tensor:
        if not len(rows):
            return torch.empty((0, self.model.config.get_text_config().hidden_size), device=self.model.device)
        vectors, inverse = self._run(rows, _embeddings, progress)
        return vectors[torch.from_numpy(inverse).to(vectors.device)]

    def _checked(self, scores: np.ndarray, triplets: np.ndarray) -> np.ndarray:
        if not np.isfinite(scores).all():
            bad = np.unique(triplets[~np.isfinite(scores)], axis=0)
            raise NonFiniteError(
                f"{len(bad)} of {len(scores)} scores are NaN or infinite, first for the triplet numbers (head, "
                f"relation, tail) {tuple(bad[0].tolist())}: the model's weights are damaged, or its training diverged; "
                'if it was trained in another precision, score with dtype="float32"'
            )
        return scores

    def _run(
        self, rows: np.ndarray, take: Callable[[LassOutput], torch.Tensor], progress: Any = None, shared: bool = False
    ) -> tuple[torch.Tensor, np.ndarray]:
        """What `take` takes of the model's output for the distinct rows, and which of these each row is."""
        rank, count = place(shared)
        first, inverse, counts = self.store.distinct(rows)
        distinct = rows[first]
        lengths = self.store.lengths(distinct)
        batches = batches_by_length(lengths, batch_cost(self.model.device.type), self.token_budget)
        was_training = self.model.training
        self.model.eval()
        try:
            parts = []  # stay on the device until the end, so that it never waits for the next batch
            for number, batch in enumerate(batches):
                if number % count == rank:
                    parts += self._forward(distinct[batch], lengths[batch], take)
                if progress is not None:
                    progress.update(int(counts[batch].sum()))
        finally:
            self.model.train(was_training)
        width = () if take is _scores else (self.model.config.get_text_config().hidden_size,)
        values = torch.zeros((len(distinct), *width), device=self.model.device)
        if mine := batches[rank::count]:
            values[torch.from_numpy(np.concatenate(mine)).to(values.device)] = torch.cat(parts)
        return sum_over_processes(values) if shared else values, inverse

    @torch.inference_mode()
    def _forward(
        self, rows: np.ndarray, lengths: np.ndarray, take: Callable[[LassOutput], torch.Tensor]
    ) -> list[torch.Tensor]:
        """Outputs for one batch, in one part or, where it does not fit the memory, in several."""
        tokens = len(rows) * int(lengths.max())
        if tokens < self._too_large or len(rows) == 1:
            try:
                batch = self.store.assemble(rows)
                self.tokens += tokens
                if lengths.min() == lengths.max():
                    del batch["attention_mask"]  # attention is faster without one
                inputs = {name: value.to(self.model.device, non_blocking=True) for name, value in batch.items()}
                return [take(self.model(**inputs))]
            except (RuntimeError, MemoryError) as error:
                if not (isinstance(error, MEMORY_ERRORS) or should_reduce_batch_size(error)):
                    raise
                if len(rows) == 1:
                    raise LassError(
                        f"out of memory with one sequence of {tokens} tokens: lower max_length, or use a smaller "
                        "encoder"
                    ) from error
            self._too_large = tokens
            clear_device_cache()
        half = len(rows) // 2
        return self._forward(rows[:half], lengths[:half], take) + self._forward(rows[half:], lengths[half:], take)


def _scores(output: LassOutput) -> torch.Tensor:
    assert output.scores is not None
    return output.scores


def _embeddings(output: LassOutput) -> torch.Tensor:
    assert output.embeddings is not None
    return output.embeddings
