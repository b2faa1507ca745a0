"""`LassTrainingArguments`: the Trainer's arguments with the choices of LASS training."""

import logging
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from math import inf, isfinite
from numbers import Integral, Real
from typing import Any, get_args

import torch
from transformers import TrainingArguments
from transformers.training_args import trainer_log_levels

from ..core.choices import LOSSES, TrainingChoices, check, choice_names
from ..core.errors import LassError, first_line
from ..core.knowledge_graph import GraphSplit
from ..core.processing_lass import INCLUDE_GRAPH, LassProcessor
from ..evaluation.metrics import METRICS, more_is_better
from ..scoring.precision import scoring_dtype

logger = logging.getLogger(__name__)

# What a hyperparameter search can vary: the arguments that are read when a training begins, and not before.
SEARCHABLE = (
    *choice_names(TrainingChoices),
    *("seed", "data_seed", "num_train_epochs", "max_steps"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon"),
)
# Arguments of transformers that no part of lass-hf reads, and why.
NO_EFFECT = {
    **dict.fromkeys(
        ["per_device_eval_batch_size", "eval_accumulation_steps", "eval_do_concat_batches", "eval_use_gather_object"],
        "an evaluation makes its batches by length",
    ),
    **dict.fromkeys(
        ["prediction_loss_only", "include_for_metrics", "batch_eval_metrics"],
        "an evaluation computes loss, ranks and metrics of the whole split",
    ),
    **dict.fromkeys(
        ["bf16_full_eval", "fp16_full_eval"], "an evaluation scores in the precision that suits the machine"
    ),
    **dict.fromkeys(["label_names", "length_column_name"], "triplets have no columns"),
    "label_smoothing_factor": "the losses compare scores and no classes",
    "average_tokens_across_devices": "the loss is a mean over the positives of all devices",
    "use_cache": "an encoder has no cache",
}
ALLOWED = {
    "train_sampling_strategy": ("random", "sequential"),  # The collator sorts the sequences of a batch by length.
    "include_num_input_tokens_seen": ("all", "non_padding", "no", True, False),
    "dataloader_multiprocessing_context": (None, *multiprocessing.get_all_start_methods()),
    "log_level": tuple(trainer_log_levels),
    "log_level_replica": tuple(trainer_log_levels),
}
PLAIN_SCHEDULES = ("linear", "constant", "constant_with_warmup")  # they have no arguments of their own
BY_EVALUATIONS = ("reduce_lr_on_plateau", "greedy")  # schedules that follow the evaluations on the way
WITHOUT_WARMUP = ("constant", *BY_EVALUATIONS)
OWN_WARMUP = ("schedule_free_adamw", "schedule_free_sgd")  # optimizers that warm up by themselves
# The arguments that PyTorch's optimizers take by `optim_args`; weight decay has an argument of its own.
OPTIM_ARGS = {
    **dict.fromkeys(["adamw_torch", "adamw_torch_fused", "adafactor"], ()),
    "sgd": ("momentum", "dampening", "nesterov"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "centered"),
}
SWITCHES, TRUE_OR_FALSE = ("nesterov", "centered"), ("true", "yes", "1", "false", "no", "0")
# How the optimizers are called, or begin to be, that get no betas and no epsilon from the Trainer.
WITHOUT_ADAM = ("sgd", "adagrad", "rmsprop", "adafactor", "galore", "lomo", "adalomo", "grokadamw", "schedule_free_sgd")
LAYERWISE = ("galore", "apollo", "lomo", "adalomo")  # the optimizers that train `optim_target_modules`

# Where numbers begin, and where they end without that number.
AT_LEAST = {
    **dict.fromkeys(["per_device_train_batch_size", "gradient_accumulation_steps", "eval_triplets"], (1, inf)),
    **dict.fromkeys(["torch_empty_cache_steps", "save_total_limit", "dataloader_prefetch_factor"], (1, inf)),
    **dict.fromkeys(["ddp_timeout", "ddp_bucket_cap_mb"], (1, inf)),
    **dict.fromkeys(["learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "adam_epsilon"], (0, inf)),
    **dict.fromkeys(["eval_delay", "neftune_noise_alpha", "dataloader_num_workers", "num_train_epochs"], (0, inf)),
    **dict.fromkeys(["adam_beta1", "adam_beta2"], (0, 1)),
    **dict.fromkeys(["seed", "data_seed"], (0, 2**32)),  # NumPy's seeds
    **dict.fromkeys(["num_negatives", "neighborhood_size"], (1, inf)),
    **dict.fromkeys(["queue_size", "gradient_cache_tokens"], (0, inf)),
    "max_steps": (-1, inf),
}
ABOVE_ZERO = ("logging_steps", "eval_steps", "save_steps")


def _check_number(name: str, value: Any, whole: bool) -> None:
    """Raises LassError for a number out of its bounds, and for what is no number."""
    if value is None or name not in (*AT_LEAST, *ABOVE_ZERO):
        return
    low, high = AT_LEAST.get(name, (0, inf))
    bounds = f"above {low}" if name in ABOVE_ZERO else f"of {low} or more" + (f" and below {high}" * (high < inf))
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not low <= value < high or (name in ABOVE_ZERO and value == 0):
        raise LassError(f"{name}={value!r}; expected a finite number {bounds}")
    if whole and not isinstance(value, Integral):
        raise LassError(f"{name}={value!r}; expected a whole number, an int")


def _check_evaluations(args: TrainingArguments) -> None:
    """Raises LassError for arguments of evaluations that are not made."""
    strategy = str(getattr(args.eval_strategy, "value", args.eval_strategy))
    if strategy == "no" and (args.load_best_model_at_end or args.save_strategy == "best"):
        raise LassError("the best model is asked for without evaluations; expected an eval_strategy of steps or epoch")
    if args.eval_steps is not None and strategy != "steps":
        raise LassError(
            f"eval_steps={args.eval_steps:g} changes nothing with eval_strategy={strategy!r}; leave it out, or give "
            "eval_strategy='steps'"
        )
    if args.eval_delay and strategy == "no":
        raise LassError(
            f"eval_delay={args.eval_delay:g} changes nothing without evaluations; leave it out, or choose eval_strategy"
        )


def _check_schedule(optimizer: str, args: TrainingArguments) -> None:
    """Raises LassError for arguments of a schedule that it does not have, which the Trainer would pass over."""
    if isinstance(args.lr_scheduler_kwargs, str) and not args.lr_scheduler_kwargs.startswith("{"):
        raise LassError(f"lr_scheduler_kwargs={args.lr_scheduler_kwargs!r}; expected a JSON object, in braces")
    schedule = str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))
    if args.lr_scheduler_kwargs and schedule in PLAIN_SCHEDULES:
        raise LassError(f"lr_scheduler_kwargs with lr_scheduler_type={schedule!r}, which has none; leave them out")
    if args.warmup_steps and schedule in WITHOUT_WARMUP and optimizer not in OWN_WARMUP:
        raise LassError(
            f"warmup_steps={args.warmup_steps:g} with lr_scheduler_type={schedule!r}, which has none; leave it out, or "
            "take a schedule that warms up, such as 'constant_with_warmup'"
        )


def _is_finite(text: str) -> bool:
    """Returns whether a text is a finite number."""
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _check_optimizer(optimizer: str, args: TrainingArguments) -> None:
    """Raises LassError for arguments that an optimizer does not get, which the Trainer would pass over, or bad ones."""
    if args.optim_target_modules is not None and not optimizer.startswith(LAYERWISE):
        raise LassError(f"optim_target_modules with optim={optimizer!r}, which trains all modules; leave it out")
    if optimizer.startswith(WITHOUT_ADAM):
        for name in ("adam_beta1", "adam_beta2", "adam_epsilon"):
            if (given := getattr(args, name)) != (default := TrainingArguments.__dataclass_fields__[name].default):
                raise LassError(
                    f"{name}={given} with optim={optimizer!r}, which does not get it; leave it out, or give {default}"
                )
    if args.optim_args and optimizer in OPTIM_ARGS:
        parts, known = [part.partition("=") for part in args.optim_args.split(",")], OPTIM_ARGS[optimizer]
        for name, mark, value in parts:
            if not mark or name.strip() not in known:
                expected = f"some of {', '.join(f'{one}=...' for one in known)}" if known else "none"
                raise LassError(f"optim_args={args.optim_args!r} with optim={optimizer!r}; expected {expected}")
            is_switch = name.strip() in SWITCHES
            if not (value.strip().lower() in TRUE_OR_FALSE if is_switch else _is_finite(value)):
                expected = "true or false" if is_switch else "a finite number"
                raise LassError(f"optim_args={args.optim_args!r}: {name.strip()}={value}; expected {expected}")


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turns transformers' errors about arguments into a LassError with their first line, whose cause they are."""
    try:
        yield
    except LassError:
        raise
    except Exception as error:
        raise LassError(first_line(error)) from error


@dataclass
class LassTrainingArguments(TrainingArguments, TrainingChoices):
    """`transformers.TrainingArguments`, the choices of `TrainingChoices`, and what evaluation and upload take.

    The batch size counts positives, without their negatives. `derived` holds the values that nobody chose: those that
    followed from other arguments, or from the machine.

    Raises:
        LassError: an argument has a value that is not allowed.
    """

    eval_triplets: int | None = field(
        default=None,
        metadata={"help": "Rank, or classify, a seeded choice of this many validation triplets; all when not given."},
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
        return {**{name: getattr(self, name) for name in names}, "corrupt_false": self.loss == "softmax"}

    def check(self) -> None:
        """Raises LassError for a value that is not allowed; the Trainer calls this again when a training begins."""
        for one in fields(self):
            value = getattr(self, one.name)
            _check_number(one.name, value, int in (one.type, *get_args(one.type)))
            if one.type in (bool, bool | None) and value not in (None, True, False):  # Any word would count as true.
                raise LassError(f"{one.name}={value!r}; expected True or False")
        check(self)
        for name, why in NO_EFFECT.items():
            given, default = getattr(self, name), type(self).__dataclass_fields__[name].default
            if given not in (default, None, []):
                raise LassError(f"{name}={given!r} would change nothing: {why}; leave it out")
        if self.max_steps == 0:
            raise LassError("max_steps=0; expected 1 or more, or -1 for num_train_epochs")
        if self.max_steps < 0 and not self.num_train_epochs > 0:
            raise LassError(
                f"num_train_epochs={self.num_train_epochs}; expected a number above 0, or max_steps of 1 or more"
            )
        for name, allowed in ALLOWED.items():
            if getattr(self, name) not in allowed:
                raise LassError(f"{name}={getattr(self, name)!r}; expected one of {', '.join(map(str, allowed))}")
        if self.data_seed is not None and self.train_sampling_strategy == "sequential":
            raise LassError(
                f"data_seed={self.data_seed} with train_sampling_strategy='sequential', which draws nothing; leave it "
                "out"
            )
        if self.neighborhood_size > 1 and self.train_sampling_strategy != "random":
            raise LassError("train_sampling_strategy='sequential' and neighborhood_size; expected one of the two")
        _check_evaluations(self)
        optimizer = str(getattr(self.optim, "value", self.optim))
        _check_schedule(optimizer, self)
        _check_optimizer(optimizer, self)

    def check_batches(self, split: GraphSplit) -> None:
        """Raises LassError if no batch has a true triplet, or if the only batch of an epoch would be dropped."""
        if split.labels is not None and not split.labels.any():
            raise LassError("the training split has false triplets only; expected true ones to compare them with")
        if self.dataloader_drop_last and len(split) < self.train_batch_size * self.world_size:
            raise LassError(
                f"dataloader_drop_last=True drops all of the {len(split)} triplets, which are fewer than the batch of "
                f"{self.train_batch_size * self.world_size}; leave it off, or lower per_device_train_batch_size"
            )

    def check_taken(self, values: Mapping[str, Any]) -> None:
        """Raises LassError if a value of a search's trial was turned into another one when it was taken over."""
        for name, value in values.items():
            if value != (taken := getattr(self, name)):
                raise LassError(f"{name}={value!r} in hp_space; expected a value of the kind of {taken!r}")

    def __post_init__(self):
        given = vars(self).copy()
        self.check()
        if self.remove_unused_columns:
            raise LassError("remove_unused_columns=True; leave it off: the collator needs the triplets")
        if self.hub_include_graph not in INCLUDE_GRAPH:
            raise LassError(f"hub_include_graph={self.hub_include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = more_is_better(self.metric_for_best_model)  # The Trainer knows it of losses only.
            if self.greater_is_better is None:
                raise LassError(
                    f"metric_for_best_model={self.metric_for_best_model!r}; expected one of "
                    f"{', '.join(METRICS)}, or a metric of your own with greater_is_better=True or False"
                )
        if not torch.accelerator.is_available():
            self.use_cpu = True  # Otherwise the Trainer refuses bf16 without a GPU.
        if self.bf16 is None:
            device = torch.device("cpu") if self.use_cpu else torch.accelerator.current_accelerator()
            self.bf16 = not self.fp16 and scoring_dtype("auto", device) == torch.bfloat16
        if self.use_cpu and self.fp16:
            raise LassError("fp16=True without a GPU would change nothing; expected bf16, or neither")
        with told_in_one_line():
            super().__post_init__()
        untouched = [one.name for one in fields(self) if given[one.name] == one.default]
        self.derived = {name: getattr(self, name) for name in untouched if getattr(self, name) != given[name]}


def check_searchable(names: Iterable[str]) -> None:
    """Raises LassError for the name of an argument that a search cannot vary."""
    if unknown := [name for name in names if name not in SEARCHABLE]:
        raise LassError(
            f"{unknown[0]!r} in hp_space; a search varies {', '.join(SEARCHABLE)}. What the model depends on belongs "
            "into model_init(trial)"
        )


def check_architecture(args: LassTrainingArguments, architecture: str) -> None:
    """Raises LassError for arguments that do not fit an architecture."""
    fitting = [loss for loss, kind in LOSSES.items() if architecture in kind.architectures]
    if args.loss not in fitting:
        raise LassError(f"loss={args.loss!r} with a {architecture}; expected one of {', '.join(fitting)}")
    check(args, architecture)


def check_any_trained(model: torch.nn.Module) -> None:
    """Raises LassError for a model of which no weight is trained."""
    if not any(weight.requires_grad for weight in model.parameters()):
        raise LassError(
            "no weight of the model is trained: load its adapter with is_trainable=True, or call "
            "model.requires_grad_(True) to train all of them"
        )


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


def memory_error(error: Exception, args: LassTrainingArguments, processor: LassProcessor) -> LassError:
    """Returns the error of a training that needs more memory than there is, with what to do about it.

    Args:
        error: What PyTorch raised.
        args: The training arguments.
        processor: The model's processor.
    """
    remedy = "gradient_cache_tokens" if processor.architecture == "bi-encoder" else "activation_checkpointing"
    return LassError(
        f"out of memory in training ({first_line(error)}): lower per_device_train_batch_size "
        f"({args.per_device_train_batch_size}; gradient_accumulation_steps keep a step as large) or max_length "
        f"({processor.max_length}), or turn on {remedy} or bf16"
    )
