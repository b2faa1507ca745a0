"""A training whose settings nobody chose: they are chosen for the graph and the machine, told, and kept as a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..evidence.building import find_lack_of_structure
from ..scoring.output_folders import only_writer
from ..training.output_folder import warn
from ..training.recipes import TrainArguments, find_option, given_arguments, leaves_settings_open, parse_training
from ..training.training_args import LassTrainingArguments
from ..utils.distributed import processes
from ..utils.result_files import TRAINING_FILE, read_training, update_results
from .chosen_settings import (
    DEFAULT_ENCODER,
    FIXED,
    ChosenSettings,
    choose_settings,
    fit_schedule,
    fixed_settings,
)
from .reranker_settings import FIXED_OF_RERANKER, choose_reranker_settings
from .run import RECIPE_FILE, TrainingRun, add_evidence, prepare, train
from .training_graph import load_training_graph


@dataclass
class Plan:
    """What a command line of a training stands for.

    Attributes:
        arguments: Data and choices.
        training: The training arguments.
        graph: The graph, if it is loaded; it is where settings are chosen.
        settings: The chosen settings, or None where a recipe or the command line has them.
        given: The arguments that the command line names, as a recipe has them.
    """

    arguments: TrainArguments
    training: LassTrainingArguments
    graph: KnowledgeGraph | None
    settings: ChosenSettings | None
    given: dict[str, Any]


def plan_training(argv: Sequence[str], prog: str = "lass-hf train") -> Plan:
    """Parses the command line of a training, and chooses settings if it has no recipe, preset or architecture.

    With a retriever they are those of a cross-encoder that reranks its answers, else those of a bi-encoder.

    Args:
        argv: The command line behind the program's name.
        prog: The program's name in messages.

    Returns:
        The arguments, and how they were chosen.

    Raises:
        LassError: The arguments cannot be parsed or do not fit together, or the graph cannot be loaded.
    """
    if not leaves_settings_open(argv):
        arguments, training = parse_training(argv, prog=prog)
        if arguments.minutes is not None:
            raise LassError(
                f"--minutes {arguments.minutes:g} is for settings that are chosen; leave it out, or recipe, preset and "
                "architecture"
            )
        return Plan(arguments, training, None, None, {})
    retriever = find_option(argv, "retriever") or None  # an empty one is refused where all options are parsed
    fixed = {"encoder": DEFAULT_ENCODER, **FIXED} if retriever is None else {"encoder": retriever, **FIXED_OF_RERANKER}
    schedule = find_option(argv, "lr_scheduler_type")
    first, training = parse_training(argv, prog=prog, chosen=fit_schedule(fixed, schedule))
    if retriever is None:  # Some heads and score functions cannot use all of what is fixed.
        fixed = {"encoder": DEFAULT_ENCODER, **fixed_settings(first.score_function, first.score_head)}
        first, training = parse_training(argv, prog=prog, chosen=fit_schedule(fixed, schedule))
    prepare(first, training)
    graph = load_training_graph(first, training.seed, prog)
    choose = choose_settings if retriever is None else choose_reranker_settings
    settings: ChosenSettings = choose(graph, first, training, given_arguments(argv, first, training))
    arguments, training = parse_training(argv, prog=prog, chosen=settings.values)
    arguments.held_out, arguments.decided = first.held_out, first.decided
    return Plan(arguments, training, graph, settings, given_arguments(argv, arguments, training))


def run_plan(plan: Plan) -> TrainingRun:
    """Trains as planned; where settings were chosen, it tells them before, and keeps them as a recipe with the model.

    Args:
        plan: The plan.

    Returns:
        The trainer and the run metadata.

    Raises:
        LassError: As `train`.
    """
    arguments, training, settings = plan.arguments, plan.training, plan.settings
    if settings is None:
        return train(arguments, training, plan.graph)
    if not arguments.quiet:
        warn("\n".join(settings.describe(plan.given)))
    head = f"lass-hf train {RECIPE_FILE} --graph DIR --output_dir DIR trains the same model again."
    return train(arguments, training, plan.graph, settings.as_recipe(head, plan.given))


def train_once(folder: str | Path, argv: Sequence[str], prog: str) -> None:
    """Trains a model with chosen settings into a folder, or goes on where a training that was killed had come to.

    Args:
        folder: The folder of the model. If a training ended there, only its evidence is added, where that is missing.
        argv: The command line of the training, without `--output_dir`.
        prog: The program's name in messages.

    Raises:
        LassError: A training ended in the folder that had another command line; or as `plan_training` and `train`.
    """
    folder = Path(folder)
    trained = read_training(folder)
    if trained is None:
        where = ["--output_dir", str(folder)]
        if any(folder.glob("checkpoint-*")):
            where += ["--resume_from_checkpoint", "last"]
        plan = plan_training([*argv, *where], prog)
        with only_writer(folder):  # before the training does, which would name its own option
            run_plan(plan)
        return
    _check_same(folder, trained, parse_training(argv, prog=prog, chosen={"encoder": DEFAULT_ENCODER, **FIXED}))
    graph = LassProcessor.from_pretrained(folder).graph
    # A kill came before the evidence, or the graph has no structure.
    if trained["evidence"] is None and graph is not None and not find_lack_of_structure(graph):
        with only_writer(folder):
            report = add_evidence(folder, graph, None, trained["seed"], "--quiet" in argv)
            if processes().is_main_process:
                update_results(folder / TRAINING_FILE, evidence=report)
            processes().wait_for_everyone()


def _check_same(folder: Path, trained: Mapping[str, Any], parsed: tuple[Any, ...]) -> None:
    """Raises LassError if a training that ended had other arguments."""
    arguments, training = parsed
    for name, before, now in (
        ("graph", trained["graph"], Path(arguments.graph).resolve().name),
        ("seed", trained["seed"], training.seed),
        ("long_text", trained["choices"].get("long_text", False), arguments.long_text),
        ("minutes", trained.get("minutes"), arguments.minutes),
    ):
        if before != now:
            raise LassError(
                f"{folder}: has a model that was trained with {name} {before}, not {now}; choose another --output, "
                "or take the model with --model"
            )
