"""A training whose settings nobody chose: they are chosen for the graph and the machine, told, and kept as a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..evidence.building import find_lack_of_structure
from ..training.output_folder import warn
from ..training.recipes import TrainArguments, given_arguments, leaves_settings_open, parse_training
from ..training.training_args import LassTrainingArguments
from ..utils.atomic_files import write_whole
from ..utils.distributed import processes
from ..utils.result_files import read_training
from .chosen_settings import DEFAULT_ENCODER, DEFAULT_MINUTES, FIXED, ChosenSettings, choose_settings
from .run import TrainingRun, add_evidence, prepare, train
from .training_graph import load_training_graph

RECIPE_FILE = "recipe.yaml"  # in the folder of a model whose settings were chosen


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
    first, training = parse_training(argv, prog=prog, chosen={"encoder": DEFAULT_ENCODER, **FIXED})
    prepare(first, training)
    graph = load_training_graph(first, training.seed)
    settings = choose_settings(graph, first.encoder, first.minutes or DEFAULT_MINUTES)
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
    if settings is not None and not arguments.quiet:
        warn("\n".join(settings.describe(plan.given)))
    done = train(arguments, training, plan.graph)
    file = Path(training.output_dir or "trainer_output", RECIPE_FILE)
    if processes().is_main_process:
        if settings is None:
            file.unlink(missing_ok=True)  # of the folder's earlier model
        else:
            head = f"lass-hf train {RECIPE_FILE} --graph DIR --output_dir DIR trains the same model again."
            write_whole(file, settings.as_recipe(head, plan.given))
    return done


def train_once(folder: str | Path, argv: Sequence[str], prog: str) -> None:
    """Trains a model with chosen settings into a folder, or goes on where a training that was killed had come to.

    Args:
        folder: The folder of the model. If a training ended there, only its evidence is added, where that is missing.
        argv: The command line of the training, without `--output_dir`.
        prog: The program's name in messages.

    Raises:
        LassError: As `plan_training` and `train`.
    """
    trained = read_training(folder)
    if trained is None:
        where = ["--output_dir", str(folder)]
        if any(Path(folder).glob("checkpoint-*")):
            where += ["--resume_from_checkpoint", "last"]
        run_plan(plan_training([*argv, *where], prog))
    elif trained["evidence"] is None:  # A kill came before it, or the graph has no structure.
        graph = LassProcessor.from_pretrained(folder).graph
        if graph is not None and not find_lack_of_structure(graph):
            add_evidence(Path(folder), graph, None, trained["seed"], "--quiet" in argv)
