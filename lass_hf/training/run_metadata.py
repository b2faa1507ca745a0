"""Run metadata: what identifies a training, in results files and model cards: graph, recipe, seed, choices, command."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from ..core.choices import PRESETS, ModelChoices, SequenceChoices, TrainingChoices, choice_names
from ..core.configuration_lass import LassConfig
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..graphs.loading import EMBEDDED
from ..utils.environment import command_line
from ..utils.fingerprints import graph_fingerprint, graph_texts_fingerprint
from .data_collators import InBatchCollator, KGDataCollator
from .negative_sampling import NegativeSampler
from .recipes import TrainArguments, recipe_values
from .training_args import SEARCHABLE, LassTrainingArguments

# Choices that are recorded at their defaults, too: those that the paper and recipes name. `dropout` and `long_text`
# are unknown of a Trainer that was made by hand.
COMMAND_LINE_ONLY = ("dropout", "long_text")
ALWAYS = (
    *("encoder", *PRESETS["paper"], "max_length", *COMMAND_LINE_ONLY),
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_epsilon"),
    *("num_train_epochs", "max_steps"),
)
# How the names begin of transformers' training arguments that no model depends on: where files go, what is logged,
# saved and evaluated on the way. The batch size is recorded as `positives_per_step`, seed and bf16 beside the choices.
BOOKKEEPING = (
    *("output_dir", "resume_from", "restore_callback", "seed", "bf16", "use_cpu", "local_rank", "ddp_"),
    *("per_device_", "gradient_accumulation_steps", "do_", "eval_", "log", "save_", "disable_tqdm", "include_"),
    *("report_to", "run_name", "project", "trackio", "hub_", "push_to_hub", "skip_memory", "greater_is", "debug"),
    *("dataloader_num_workers", "dataloader_pin", "dataloader_persistent"),
)

OF_THE_OPTIMIZER = ("learning_rate", "adam_beta1", "adam_beta2", "adam_epsilon", "optim", "optim_args")
OF_THE_SCHEDULE = ("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps")
PLAIN = (bool, int, float, str, type(None))  # values


def collect_run_metadata(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph
) -> dict[str, Any]:
    """Returns what identifies a training.

    Trainings that differ in nothing but `seed` and `command` are the same experiment.

    Args:
        arguments: what the command line or the recipe gave besides the training arguments.
        training: the training arguments.
        graph: the graph that is trained on.

    Returns:
        Plain values: `graph` (its name), `load_graph` (the name that others can load it by, or None),
        `graph_fingerprint`, `graph_texts_fingerprint`, `recipe` (its name, or None), `changed` (choices that flags set
        otherwise than the recipe; not the encoder), `held_out` (how many true triplets were taken out of the training
        triplets for each split, by `seed`), `minutes` (for which settings were chosen, or None), `decisions` (the files
        of people's decisions, fingerprint and counts; empty without one), `seed`, `bf16`, `dtype` (of the weights),
        `choices` (all that a model depends on; the batch size is that of a step over all processes, in positives) and
        `command`.
    """
    choices = _choices(arguments, training)
    changed = {}
    if arguments.recipe:
        values = recipe_values(arguments.recipe) | {"encoder": arguments.encoder}
        step = values["per_device_train_batch_size"] * max(1, training.n_gpu) * values["gradient_accumulation_steps"]
        values["positives_per_step"] = step
        recipe = _chosen(values, values, _defaults())
        names = [name for name in {**recipe, **choices} if recipe.get(name) != choices.get(name)]
        changed = {name: choices.get(name, "default") for name in names}
    named = arguments.graph in EMBEDDED or not Path(arguments.graph).exists()
    return {
        "graph": Path(arguments.graph).resolve().name,
        "load_graph": arguments.graph if named else None,
        "graph_fingerprint": graph_fingerprint(graph),
        "graph_texts_fingerprint": graph_texts_fingerprint(graph),
        "recipe": Path(arguments.recipe).stem if arguments.recipe else None,
        "changed": changed,
        "held_out": arguments.held_out,
        "minutes": arguments.minutes,
        "decisions": arguments.decided,
        "seed": training.seed,
        "bf16": training.bf16,
        "dtype": arguments.dtype,
        "choices": choices,
        "command": command_line(),
    }


def trainer_metadata(config: LassConfig, processor: LassProcessor, training: LassTrainingArguments) -> dict[str, Any]:
    """Returns the run metadata of a Trainer that was made by hand: seed, bf16 and the choices that are known."""
    values = {name: getattr(config, name) for name in choice_names(ModelChoices)}
    values |= {name: getattr(processor, name) for name in choice_names(SequenceChoices)}
    encoder = getattr(config.encoder_config, "_name_or_path", "")
    choices = _choices(TrainArguments(graph="", encoder=encoder, **values), training)
    plain = {n: value for n, value in choices.items() if n in SEARCHABLE or not isinstance(value, (dict, list))}
    choices = {name: value for name, value in plain.items() if name not in COMMAND_LINE_ONLY}
    return {"seed": training.seed, "bf16": training.bf16, "choices": choices}


def describe_run(trainer: Any) -> dict[str, Any]:
    """Returns the run metadata of a `LassTrainer`, by what it does: of several sources, that which takes effect.

    Args:
        trainer: The trainer. A collator, a sampler, a loss or an optimizer of the user's own takes the place of the
            choices that it makes void, and the batch size is the one that was found.

    Returns:
        The run metadata that the trainer was given, or else those of `trainer_metadata`; and `resumes`, for each time
        that the training was resumed the `step`, and what was `changed`: the values before and now by name.
    """
    args, collator = trainer.args, trainer.data_collator
    now = trainer_metadata(trainer.model.config, trainer.processing_class, args)
    run = {**(trainer.card.run_metadata or now), "seed": now["seed"], "bf16": now["bf16"]}
    found = {name: value for name, value in now["choices"].items() if name in SEARCHABLE}
    choices = {name: value for name, value in run["choices"].items() if name not in SEARCHABLE or name in found} | found
    choices["positives_per_step"] = trainer._train_batch_size * args.gradient_accumulation_steps * args.world_size
    drawn = choice_names(TrainingChoices, affects="negatives")
    if isinstance(collator, KGDataCollator):
        sampler = collator.sampler
        choices |= {name: getattr(sampler, name) for name in drawn if name in choices and hasattr(sampler, name)}
        if (seed := getattr(sampler, "seed", None)) not in (None, args.seed):
            choices["negative_seed"] = seed
        choices |= _own("negative_sampler", sampler, NegativeSampler)
    elif not isinstance(collator, InBatchCollator):
        choices = {name: value for name, value in choices.items() if name not in drawn}
    choices |= _own("data_collator", collator, KGDataCollator, InBatchCollator)
    if trainer.compute_loss_func is not None:
        choices["loss"] = _named(trainer.compute_loss_func)
    void, own = _own_optimizers(trainer)
    choices = {name: value for name, value in choices.items() if name not in void} | own
    return {**run, "choices": choices, "resumed": bool(trainer.resumes), "resumes": trainer.resumes}


def _own_optimizers(trainer: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Returns the choices that an optimizer or a schedule of the user's own makes void, and those in their place."""
    void: tuple[str, ...] = ()
    own: dict[str, Any] = {}
    optimizer, schedule = trainer.own_optimizers
    if optimizer is not None:
        void, own = (*OF_THE_OPTIMIZER, "weight_decay"), {"optimizer": _named(optimizer)}
    elif trainer.optimizer_cls_and_kwargs is not None:
        kind, given = trainer.optimizer_cls_and_kwargs
        void = OF_THE_OPTIMIZER  # The Trainer gives it the weight decay.
        own = {"optimizer": _named(kind), "optimizer_kwargs": _plain_values(given)}
    if schedule is not None:
        void, own["lr_scheduler"] = void + OF_THE_SCHEDULE, _named(schedule)
    return void, own


def _plain_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of some arguments that are plain values, or tuples of them, as JSON has them."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    parts = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return {name: values[name] for name, part in parts.items() if all(isinstance(one, PLAIN) for one in part)}


def _own(name: str, given: Any, *kinds: type) -> dict[str, str]:
    """Returns an entry of a name for an object of the user's own, whose class is none of `kinds`."""
    return {} if type(given) in kinds else {name: _named(given)}


def _named(given: Any) -> str:
    """Returns the name of a function or of an object's class, with its module."""
    kind = given if hasattr(given, "__qualname__") else type(given)
    return f"{kind.__module__}.{kind.__qualname__}"


def _choices(arguments: TrainArguments, training: LassTrainingArguments) -> dict[str, Any]:
    """Returns the choices of a training."""
    step = training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    given = {**vars(training), **vars(arguments), "positives_per_step": step}
    return _chosen(given, {**given, **training.to_dict()}, _defaults() | training.derived)


def _defaults() -> dict[str, Any]:
    """Returns the defaults of all arguments; not those of an instance, which would reset the state of accelerate."""
    return {one.name: one.default for kind in (TrainArguments, LassTrainingArguments) for one in fields(kind)}


def _chosen(given: dict[str, Any], plain: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns, as plain values, the choices that are always recorded, and others that are not at their defaults."""
    known = (*choice_names(TrainArguments), *choice_names(LassTrainingArguments))
    known += tuple(one.name for one in fields(TrainingArguments) if not one.name.startswith(BOOKKEEPING))
    choices = {name: plain[name] for name in (*ALWAYS, "positives_per_step")}
    return choices | {name: plain[name] for name in known if name in plain and given[name] != defaults[name]}
