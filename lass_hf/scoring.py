"""The scoring engine: arrays of triplet ids in, float32 scores out; evaluation, classification and prediction call it.

It batches sequences of nearly equal length, so that next to no padding is computed, scores triplets that read the same
once, and works in bfloat16 where the hardware multiplies that natively. It knows no filter, no ranks and no names.
"""

import copy
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from .batching import batch_cost, batches_by_length
from .errors import LassError, NonFiniteError
from .modeling import LassForKGCompletion
from .token_store import TokenStore

MEMORY_ERRORS = (torch.OutOfMemoryError, MemoryError)
DTYPES = ("auto", "float32", "bfloat16")
TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}


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
    """

    def __init__(
        self, model: LassForKGCompletion, store: TokenStore, dtype: str = "auto", token_budget: int | None = None
    ):
        if "_original_forward" in vars(model):  # accelerate's autocast around forward, left by a training
            model = copy.copy(model)
            del model.__dict__["forward"]
        wanted = scoring_dtype(dtype, model.device)
        if wanted is not None and wanted != model.dtype:
            model = copy.deepcopy(model)
            for parameter in model.parameters():  # not the buffers: rotary frequencies need their precision
                parameter.data = parameter.data.to(wanted)
        self.model = model
        self.store = store
        self.token_budget = token_budget or TOKENS_PER_BATCH.get(model.device.type, TOKENS_PER_BATCH["cuda"])
        self._too_large: float = float("inf")  # tokens of the smallest batch that did not fit

    def with_store(self, store: TokenStore) -> "TripletScorer":
        """The same model over other texts."""
        other = copy.copy(self)
        other.store = store
        return other

    def score(self, triplets: np.ndarray, slot: int | None = None, progress: Any = None) -> np.ndarray:
        """Eq. 1 of int triplets of shape (n, 3): float32, shape (n,).

        `slot` is the slot that is being asked for, for scores that depend on it (this model's do not). `progress` is
        a `tqdm` bar to advance by n. Triplets that read the same get exactly the same score. Raises NonFiniteError,
        naming triplets, for NaN or infinite scores, and LassError when one sequence alone does not fit the memory.
        """
        triplets = np.asarray(triplets, dtype=np.int64).reshape(-1, 3)
        if not len(triplets):
            return np.empty(0, dtype=np.float32)
        entity, relation = self.store.same_text
        keys = entity[triplets[:, 0]] * len(relation) + relation[triplets[:, 1]]
        _, first, inverse, counts = np.unique(
            keys * len(entity) + entity[triplets[:, 2]], return_index=True, return_inverse=True, return_counts=True
        )
        distinct = triplets[first]
        lengths = self.store.lengths(distinct)
        batches = batches_by_length(lengths, batch_cost(self.model.device.type), self.token_budget)
        was_training = self.model.training
        self.model.eval()
        try:
            parts = []  # stay on the device until the end, so that it never waits for the next batch
            for batch in batches:
                parts += self._forward(distinct[batch], lengths[batch])
                if progress is not None:
                    progress.update(int(counts[batch].sum()))
        finally:
            self.model.train(was_training)
        scores = np.empty(len(distinct), dtype=np.float32)
        scores[np.concatenate(batches)] = torch.cat(parts).cpu().numpy()
        if not np.isfinite(scores).all():
            bad = distinct[~np.isfinite(scores)]
            raise NonFiniteError(
                f"{len(bad)} of {len(distinct)} scores are NaN or infinite, first for the triplet numbers (head, "
                f"relation, tail) {tuple(bad[0].tolist())}: the model's weights are damaged, or its training diverged; "
                'if it was trained in another precision, score with dtype="float32"'
            )
        return scores[inverse]

    @torch.inference_mode()
    def _forward(self, triplets: np.ndarray, lengths: np.ndarray) -> list[torch.Tensor]:
        """Scores of one batch, in one part or, where it does not fit the memory, in several."""
        tokens = len(triplets) * int(lengths.max())
        if tokens < self._too_large or len(triplets) == 1:
            try:
                batch = self.store.assemble(triplets)
                if lengths.min() == lengths.max():
                    del batch["attention_mask"]  # attention is faster without one
                inputs = {name: value.to(self.model.device, non_blocking=True) for name, value in batch.items()}
                return [self.model(**inputs).scores]
            except (RuntimeError, MemoryError) as error:
                if not (isinstance(error, MEMORY_ERRORS) or should_reduce_batch_size(error)):
                    raise
                if len(triplets) == 1:
                    raise LassError(
                        f"out of memory with one sequence of {tokens} tokens: lower max_length, or use a smaller "
                        "encoder"
                    ) from error
            self._too_large = tokens
            clear_device_cache()
        half = len(triplets) // 2
        return self._forward(triplets[:half], lengths[:half]) + self._forward(triplets[half:], lengths[half:])
