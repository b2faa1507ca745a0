"""`LassTrainingArguments`: the Trainer's arguments with the choices of LASS training."""

import logging
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from transformers import TrainingArguments

from ..core.choices import TrainingChoices, check
from ..core.errors import LassError
from ..core.processing_lass import INCLUDE_GRAPH
from ..scoring.precision import scoring_dtype

logger = logging.getLogger(__name__)


@dataclass
class LassTrainingArguments(TrainingArguments, TrainingChoices):
    """`transformers.TrainingArguments`, the choices of `TrainingChoices`, and what evaluation and upload take.

    The batch size counts positives, without their negatives. `derived` holds the values that nobody chose: those that
    followed from other arguments, or from the machine.

    Raises:
        LassError: an argument has a value that is not allowed.
    """

    eval_triplets: int | None = field(
        default=None, metadata={"help": "Rank a seeded choice of this many validation triplets; all when not given."}
    )
    hub_include_graph: str = field(
        default="vocabulary",
        metadata={"help": "What a push sends of the graph: vocabulary (names and texts), full (triplets too) or none."},
    )
    bf16: bool | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "Autocast to bfloat16; by default where the hardware multiplies it natively."}
    )
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay off: the collator needs triplets."})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "Off: a NaN loss stops the training."})

    def sampling(self) -> dict[str, Any]:
        """Returns the arguments of `KGDataCollator` that say which negatives are drawn."""
        names = ("num_negatives", "corruption", "replacement", "seed", "pseudo_typed")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self):
        given = vars(self).copy()
        check(self)
        if self.remove_unused_columns:
            raise LassError("remove_unused_columns=True; leave it off: the collator needs the triplets")
        if self.hub_include_graph not in INCLUDE_GRAPH:
            raise LassError(f"hub_include_graph={self.hub_include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "eval_triplets"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise LassError(f"{name}={value}; expected 1 or more")
        if self.learning_rate < 0:
            raise LassError(f"learning_rate={self.learning_rate}; expected 0 or more")
        if self.greater_is_better is None and (self.metric_for_best_model or "").split("_")[-1] == "mr":
            self.greater_is_better = False  # The Trainer assumes that of losses only.
        if not torch.accelerator.is_available():
            self.use_cpu = True  # Otherwise the Trainer refuses bf16 without a GPU.
        if self.bf16 is None:
            device = torch.device("cpu") if self.use_cpu else torch.accelerator.current_accelerator()
            self.bf16 = not self.fp16 and scoring_dtype("auto", device) == torch.bfloat16
        super().__post_init__()
        untouched = [one.name for one in fields(self) if given[one.name] == one.default]
        self.derived = {name: getattr(self, name) for name in untouched if getattr(self, name) != given[name]}


def check_trained_weights(model: torch.nn.Module, args: LassTrainingArguments) -> None:
    """Checks that weights are of a precision that can be trained, and warns of one that loses small updates.

    Args:
        model: The model.
        args: The training arguments, which name the precision of the computation.

    Raises:
        LassError: Weights are float16, whose gradients vanish, or do not go with `fp16` or `bf16`.
    """
    trained = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    frozen = {weight.dtype for weight in model.parameters()} - trained
    if torch.float16 in trained or (args.bf16 and torch.float16 in frozen):
        raise LassError(
            'the model has float16 weights, which cannot be trained: load it with dtype="float32"; bf16=True or '
            "fp16=True then computes in 16 bits"
        )
    if torch.bfloat16 in trained and args.fp16:
        raise LassError('fp16=True scales the gradients of float32 weights: load the model with dtype="float32"')
    if torch.bfloat16 in trained:
        logger.warning(
            "bfloat16 weights are trained, without float32 copies of them: updates smaller than about 1/256 of a "
            'weight are lost. Load the model with dtype="float32" unless you chose this'
        )
