"""`lass-hf split`: validation and test triplets for a graph that has none, in its folder or in a new one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import GraphError, LassError
from ..utils.environment import command_line
from ..utils.result_files import write_results
from ..utils.terminal import one_line
from .options import add_output, add_split_options, share

if TYPE_CHECKING:
    from ..core.knowledge_graph import KnowledgeGraph
    from ..graphs.splitting import SplitReport

HELP = "hold out validation and test triplets"
USES_MODELS = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf split`."""
    parser.add_argument("source", metavar="SOURCE", help="folder of a graph, or what else --graph accepts")
    add_split_options(parser, default="5%")
    parser.add_argument("--date_column", metavar="NAME", help="hold out the newest triplets by this column of a table")
    parser.add_argument(
        "--inductive",
        type=share,
        metavar="SHARE",
        help="also take this share of the entities out, such as 20%%: DIR/seen is to train on, and DIR/unseen has the "
        "triplets among them as its test split",
    )
    parser.add_argument("--output", metavar="DIR", help="folder to write (default: SOURCE itself, if it is a folder)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Splits a graph, writes it, and prints what was found."""
    from ..graphs.inductive_split import inductive_split
    from ..graphs.text_folder import find_split_files, write_directory, write_splits

    source, output = Path(arguments.source), Path(arguments.output or arguments.source)
    is_folder = source.is_dir() and bool(find_split_files(source))
    if arguments.output is None and (not is_folder or arguments.inductive):
        why = "--inductive makes two graphs" if arguments.inductive else f"{source} is no folder of text files"
        raise LassError(f"{why}: give --output DIR")
    graph, dates = _load(arguments, is_folder)
    split, report = split_as_asked(arguments, graph, dates)
    folders = [output]
    if arguments.inductive:
        folders = [output / "seen", output / "unseen"]
        for part, folder in zip(inductive_split(split, arguments.inductive, arguments.seed), folders, strict=True):
            write_directory(part, folder)
            sizes = ", ".join(f"{len(triplets):,} {name}" for name, triplets in part.splits.items())
            print(f"{one_line(folder)}: {part.num_entities:,} entities; {sizes}")
    elif is_folder:
        write_splits(split, source, output)
    else:
        write_directory(split, output)
    if arguments.json:
        metrics = report.to_dict(graph.relations)
        write_results(arguments.json, metrics, graph=source.name, seed=arguments.seed, command=command_line())
    if not arguments.inductive:
        print_report(report, output, graph)
    print(f"next: lass-hf train --graph {one_line(folders[0])} --encoder ...")


def split_as_asked(
    arguments: argparse.Namespace, graph: "KnowledgeGraph", dates: Any = None
) -> "tuple[KnowledgeGraph, SplitReport]":
    """Splits a graph by the options of `add_split_options`.

    Args:
        arguments: `validation`, `test` and `seed`; and `source`, for messages.
        graph: the graph.
        dates: the date of each training triplet, if they are split by date.

    Raises:
        GraphError: as `split_graph`; the message names the source.
    """
    from ..graphs.splitting import split_graph

    try:
        return split_graph(graph, arguments.validation, arguments.test, seed=arguments.seed, dates=dates)
    except GraphError as error:
        raise GraphError(f"{arguments.source}: {error}") from None


def print_report(report: "SplitReport", folder: Path, graph: "KnowledgeGraph") -> None:
    """Prints what became of a split.

    Args:
        report: the report.
        folder: where the graph is.
        graph: the graph.
    """
    sizes, *lines = report.describe(graph.relations)
    print(f"{one_line(folder)}: {sizes}")
    for line in lines:
        print(f"  {one_line(line)}")


def _load(arguments: argparse.Namespace, is_folder: bool) -> "tuple[KnowledgeGraph, Any]":
    """Returns the graph, and the dates of its training triplets by `--date_column`."""
    if arguments.date_column is None:
        from ..graphs.loading import load_graph

        return load_graph(arguments.source), None
    from ..formats.source import ReadingOptions
    from ..graphs.importing import import_graph

    if is_folder or not Path(arguments.source).exists():
        raise LassError(f"{arguments.source}: no table of triplets, so it has no column {arguments.date_column!r}")
    imported = import_graph(arguments.source, ReadingOptions(date_column=arguments.date_column))
    return imported.graph, imported.source.dates if imported.source else None
