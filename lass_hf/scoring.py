"""The scoring engine: arrays of triplet ids in, float32 scores out; evaluation, classification and prediction call it.

It sorts by length, so that batches hold next to no padding, scores triplets that read the same once, and works in
bfloat16 where the hardware multiplies that natively. It knows no filter, no ranks and no names.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size

from .errors import LassError, NonFiniteError
from .modeling import LassForKGCompletion
from .token_store import TokenStore

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
        token_budget: tokens of a batch, padding included; a device's default when None.
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
        scores = np.empty(len(distinct), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            for batch in self._batches(self.store.lengths(distinct)):
                scores[batch] = self._forward(distinct[batch])
                if progress is not None:
                    progress.update(int(counts[batch].sum()))
        finally:
            self.model.train(was_training)
        if not np.isfinite(scores).all():
            bad = distinct[~np.isfinite(scores)]
            raise NonFiniteError(
                f"{len(bad)} of {len(distinct)} scores are NaN or infinite, first for the triplet numbers (head, "
                f"relation, tail) {tuple(bad[0].tolist())}: the model's weights are damaged, or its training diverged; "
                'if it was trained in another precision, score with dtype="float32"'
            )
        return scores[inverse]

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Positions in batches of at most `token_budget` tokens, sequences of nearly equal length together."""
        order = np.argsort(lengths, kind="stable")
        ordered = lengths[order]
        start = 0
        while start < len(order):
            window = ordered[start : start + max(1, self.token_budget // int(ordered[start]))]
            tokens = np.arange(1, len(window) + 1) * window  # of a batch that ends here; ascending
            end = start + max(1, int((tokens <= self.token_budget).sum()))
            yield order[start:end]
            start = end

    @torch.inference_mode()
    def _forward(self, triplets: np.ndarray) -> np.ndarray:
        try:
            batch = {name: value.to(self.model.device) for name, value in self.store.assemble(triplets).items()}
            return self.model(**batch).scores.float().cpu().numpy()
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if len(triplets) == 1:
                length = int(self.store.lengths(triplets)[0])
                raise LassError(
                    f"out of memory with one sequence of {length} tokens: lower max_length, or use a smaller encoder"
                ) from error
        half = len(triplets) // 2
        return np.concatenate([self._forward(triplets[:half]), self._forward(triplets[half:])])
