"""`LassTrainingArguments`: the Trainer's arguments, and the choices of LASS training that change the loss."""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments

from ..core.architectures import ARCHITECTURES
from ..core.errors import LassError
from ..core.processing_lass import INCLUDE_GRAPH
from ..scoring.triplet_scorer import scoring_dtype
from .negative_sampling import CORRUPTIONS

OF_SOFTMAX = ("additive_margin", "temperature")  # choices of that loss


@dataclass
class LassTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` and what LASS adds. The batch size counts positives, without their negatives."""

    loss: str = field(
        default="negative_sampling",
        metadata={
            "help": "negative_sampling (Eq. 4, a positive counts once per slot), mean_bce (published code; joint "
            "architecture) or softmax (Eq. 3). The cross-encoder compares a positive with its negatives, the bi-encoder "
            "with the batch."
        },
    )
    num_negatives: int = field(default=5, metadata={"help": "Corrupted triplets per positive and slot."})
    corruption: str = field(
        default="each_slot",
        metadata={"help": "each_slot (head, relation and tail), head_or_tail (one of the two by coin flip) or tail."},
    )
    replacement: bool = field(default=False, metadata={"help": "Draw negatives with replacement (published code)."})
    pseudo_typed: bool = field(
        default=False,
        metadata={"help": "Draw heads and tails from those that stand in that slot of that relation in training."},
    )
    additive_margin: float = field(
        default=0.0, metadata={"help": "Taken from the score of the right answer in the softmax loss."}
    )
    temperature: float = field(default=1.0, metadata={"help": "What scores are divided by in the softmax loss."})
    neighborhood_size: int = field(
        default=1,
        metadata={"help": "Triplets of a batch that come from one neighborhood of the graph (the bi-encoder)."},
    )
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
        """What says which negatives are drawn, as `KGDataCollator` takes it."""
        names = ("num_negatives", "corruption", "replacement", "seed", "pseudo_typed")
        return {name: getattr(self, name) for name in names}

    def __post_init__(self):
        given = vars(self).copy()
        losses = dict.fromkeys(loss for kind in ARCHITECTURES.values() for loss in kind.losses)
        choices = (("loss", losses), ("corruption", CORRUPTIONS), ("hub_include_graph", INCLUDE_GRAPH))
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise LassError(f"{name}={getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        counts = (
            "num_negatives",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "eval_triplets",
            "neighborhood_size",
        )
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise LassError(f"{name}={value}; expected 1 or more")
        if not self.temperature > 0:
            raise LassError(f"temperature={self.temperature}; expected a number above 0")
        if not self.additive_margin >= 0:
            raise LassError(f"additive_margin={self.additive_margin}; expected 0 or more")
        changed = {name for name in OF_SOFTMAX if getattr(self, name) != getattr(type(self), name)}
        if changed and self.loss != "softmax":
            name = min(changed)
            raise LassError(f"{name}={getattr(self, name)} with loss={self.loss!r}; it belongs to loss='softmax'")
        if self.learning_rate < 0:
            raise LassError(f"learning_rate={self.learning_rate}; expected 0 or more")
        if self.greater_is_better is None and (self.metric_for_best_model or "").split("_")[-1] == "mr":
            self.greater_is_better = False  # the Trainer thinks so of losses only
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else the Trainer refuses bf16 without a GPU
        if self.bf16 is None:
            device = torch.device("cpu") if self.use_cpu else torch.accelerator.current_accelerator()
            self.bf16 = not self.fp16 and scoring_dtype("auto", device) == torch.bfloat16
        super().__post_init__()
        # What nobody chose: it followed from what was given, or from the machine.
        self.derived = {name: getattr(self, name) for name, value in given.items() if getattr(self, name) != value}
