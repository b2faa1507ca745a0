"""`lass-hf search`: a recipe with ranges in, trials of them measured, the best one as a recipe out."""

import argparse
from dataclasses import asdict
from pathlib import Path

from ...core.errors import LassError
from ..options import GRAPH, above_zero, add_output, not_negative, positive, quoted

HELP = "try values of a recipe, and write the best recipe"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf search`."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="YAML file of arguments; its section `search:` has the ranges to search"
    )
    parser.add_argument("--graph", metavar="PATH_OR_NAME", help=GRAPH)
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="folder for the trials and the best recipe; a search that was cut off goes on there (default: runs/ and "
        "the recipe's name)",
    )
    parser.add_argument("--trials", type=positive, default=20, help="number of trials in all (default: %(default)s)")
    parser.add_argument(
        "--minutes",
        type=above_zero,
        default=60.0,
        metavar="M",
        help="longest time of all trials, of which each gets an equal share (default: %(default)s)",
    )
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of all choices (default: %(default)s)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Searches, prints the metrics of the best and of the first trial, and where the best recipe is."""
    try:
        from ...runs.searching import TRIALS_FILE, best_file, search
    except ModuleNotFoundError as error:
        raise LassError(f'{error.name} is not installed: pip install "lass-hf[search]"') from None
    from ...utils.console import report
    from ...utils.environment import command_line
    from ...utils.result_files import refuse_own_file

    folder = arguments.output_dir or f"runs/{Path(arguments.recipe).stem}-search"
    if arguments.json:
        refuse_own_file(arguments.json, folder, [best_file(folder, arguments.recipe).name])
    choices = (arguments.trials, arguments.minutes, arguments.seed, arguments.quiet)
    found = search(arguments.recipe, arguments.graph, folder, *choices)
    states = [trial.state for trial in found.trials]
    metrics = {
        "num_trials": len(states) - states.count("cut off"),
        "num_pruned": states.count("pruned"),
        "best_trial": found.best.number,
        "best": found.best.metrics,
        "first": found.first.metrics,
    }
    trials = [asdict(trial) for trial in found.trials]
    more = {"values": found.best.values, "epochs": found.epochs, "ranges": found.ranges, "trials": trials}
    made_by = {"recipe": arguments.recipe, "seed": arguments.seed, "command": command_line()}
    report(arguments.json, metrics, task="search", **made_by, **more)
    best = best_file(folder, arguments.recipe)
    following = f"lass-hf train {quoted(best)} --output_dir {quoted(f'runs/{best.stem}')}"
    print(f"{Path(folder, TRIALS_FILE)}: the trials; next: {following}")
