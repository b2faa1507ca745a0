"""`lass-hf compare`: methods of papers, the rules of the graph, and a trained model, in one protocol."""

import argparse

from ...comparison.methods import METHODS, OURS, check_choices, check_methods, title_of
from ...core.errors import LassError
from ..options import above_zero, add_graph, add_model, add_output, add_split, names, not_negative

HELP = "train methods that papers compare with, and measure them and a model in the same way"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf compare`."""
    add_graph(parser)
    parser.add_argument(
        "--methods",
        type=names,
        metavar="A,B",
        help=f"some of {', '.join(METHODS)} (default: all; {OURS} only with --model)",
    )
    add_model(parser, required=False)
    add_split(parser)
    parser.add_argument(
        "--minutes", type=above_zero, metavar="N", help="time for all trainings together, an equal part each"
    )
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of all trainings (default: %(default)s)")
    parser.add_argument(
        "--output", metavar="DIR", help="folder that keeps the results of each method as soon as it is done"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Compares the methods, and prints a table."""
    given = arguments.methods or tuple(name for name in METHODS if name != OURS or arguments.model)
    methods = check_methods(given)
    check_choices(methods, bool(arguments.model), arguments.minutes, arguments.dtype)
    from pathlib import Path

    from ...comparison.comparing import compare, comparison_file, write_comparison
    from ...comparison.contenders import Task
    from ...comparison.report import comparison_table
    from ...graphs.loading import load_graph
    from ...utils.environment import environment
    from ...utils.result_files import refuse_input_folder
    from ..loading import load_with_graph

    if arguments.output:
        refuse_input_folder(arguments.output, graph=arguments.graph)
    model = processor = None
    if arguments.model:
        model, processor, graph = load_with_graph(arguments)
    else:
        graph = load_graph(arguments.graph, long_text=arguments.long_text)
    environment()  # as it is before the work
    task = Task(graph, arguments.split, arguments.seed, arguments.quiet)
    choices = {"minutes": arguments.minutes, "dtype": arguments.dtype}
    rows = compare(methods, task, model=model, processor=processor, folder=arguments.output, **choices)
    more = {"graph": Path(arguments.graph).resolve().name, "model": arguments.model, **choices}
    files = [arguments.json, comparison_file(arguments.output) if arguments.output else None]
    for file in filter(None, files):
        write_comparison(file, rows, task, **more)
    print(*comparison_table(rows), sep="\n")
    if errors := {title_of(row["method"]): row["error"] for row in rows if "error" in row}:
        told = [f"{title}: {error.removeprefix(f'{title}: ')}" for title, error in errors.items()]
        raise LassError(f"no figures of {'; '.join(told)}")
