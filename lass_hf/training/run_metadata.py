"""What a results file says of the training that it depends on: graph, recipe, seed, every choice, the command line."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState

from ..core.configuration_lass import SCORE_CHOICES, LassConfig
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..utils.environment import command_line
from ..utils.fingerprints import graph_fingerprint, graph_texts_fingerprint
from .recipes import CHOICES, TrainArguments, parse_training
from .training_args import LassTrainingArguments

# Training arguments that a model does not depend on: where things go, what is shown, saved and measured on the way.
NO_CHOICE = (
    *("output_dir", "seed", "bf16", "per_device_train_batch_size", "gradient_accumulation_steps", "use_cpu"),
    *("per_device_eval_batch_size", "do_", "eval_", "log", "save_", "report_to", "run_name", "project", "trackio"),
    *("hub_", "push_to_hub", "dataloader_num_workers", "dataloader_pin", "dataloader_persistent", "disable_tqdm"),
    *(
        "graph",
        "quiet",
        "json",
        "recipe",
        "resume_from_checkpoint",
        "restore_callback",
        "skip_memory",
        "ddp_",
        "local_rank",
        "include_",
        "greater_is",
    ),
)


def describe_training(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph
) -> dict[str, Any]:
    """Returns what identifies a training; trainings that differ only in `seed` and `command` are one experiment.

    `choices` holds what a recipe names and every other training argument that is not at its default. The batch size is
    that of a step over all processes, in positives. `changed`: what flags set otherwise than the recipe (not: encoder).
    """
    state = dict(AcceleratorState._shared_state)  # a Trainer that exists needs it, and new arguments reset it
    choices = chosen(arguments, training, training.world_size)
    changed = {}
    if arguments.recipe:
        own = ["--graph", arguments.graph, "--encoder", arguments.encoder, "--output_dir", str(training.output_dir)]
        recipe_arguments, recipe_training = parse_training([arguments.recipe, *own])
        recipe = chosen(recipe_arguments, recipe_training, num_processes=1)
        names = [name for name in {**recipe, **choices} if recipe.get(name) != choices.get(name)]
        changed = {name: choices.get(name, "default") for name in names}
    AcceleratorState._shared_state.update(state)
    return {
        "graph": Path(arguments.graph).resolve().name,
        "graph_fingerprint": graph_fingerprint(graph),
        "graph_texts_fingerprint": graph_texts_fingerprint(graph),
        "recipe": Path(arguments.recipe).stem if arguments.recipe else None,
        "changed": changed,
        "seed": training.seed,
        "bf16": training.bf16,
        "choices": choices,
        "command": command_line(),
    }


def record_by_hand(config: LassConfig, processor: LassProcessor, training: LassTrainingArguments) -> dict[str, Any]:
    """The same, as far as model, processor and arguments tell, for a Trainer that was made by hand."""
    encoder = config.encoder_config
    given: dict[str, Any] = {name: getattr(config, name) for name in SCORE_CHOICES}
    given |= {name: getattr(processor, name) for name in ("separators", "max_length", "inverse")}
    arguments = TrainArguments(graph="", encoder=getattr(encoder, "_name_or_path", ""), **given)
    # Not the defaults of an instance: to make one resets the state of accelerate, which a Trainer needs.
    default = {field.name: field.default for field in fields(LassTrainingArguments)} | training.derived
    choices = chosen(arguments, training, training.world_size, default)
    untold = ("dropout", "long_text")
    told = {
        name: value for name, value in choices.items() if name not in untold and not isinstance(value, (dict, list))
    }
    return {"seed": training.seed, "bf16": training.bf16, "choices": told}


def chosen(
    arguments: TrainArguments,
    training: LassTrainingArguments,
    num_processes: int,
    default: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Every choice that a model depends on: what a recipe names, and what else is not at its default."""
    given = {**training.to_dict(), **asdict(arguments)}
    default = {
        **(default or LassTrainingArguments(output_dir=training.output_dir).to_dict()),
        **asdict(TrainArguments(graph=arguments.graph, encoder=arguments.encoder)),
    }
    choices = {name: given[name] for name in CHOICES if not name.startswith(NO_CHOICE)}
    per_process = training.train_batch_size * training.gradient_accumulation_steps
    choices["positives_per_step"] = per_process * num_processes
    others = {name: value for name, value in given.items() if value != default.get(name)}
    return choices | {
        name: value for name, value in others.items() if name not in choices and not name.startswith(NO_CHOICE)
    }
