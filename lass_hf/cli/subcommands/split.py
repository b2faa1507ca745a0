"""`lass-hf split`: validation and test triplets for a graph that has none, in its folder or in a new one."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import LassError
from ...utils.environment import command_line
from ...utils.result_files import write_results
from ...utils.terminal import one_line
from ..options import add_output, add_split_options, quoted, share
from .importing import load_imported, print_lines, split_as_asked

if TYPE_CHECKING:
    from ...core.knowledge_graph import KnowledgeGraph

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
    from ...graphs.import_files import write_import
    from ...graphs.loading import find_path
    from ...graphs.text_folder import find_split_files, write_splits
    from ...names.source import ReadingOptions
    from ...quality.faults import find_faults

    if not (arguments.validation or arguments.test or arguments.inductive):
        raise LassError("--validation 0 and --test 0 hold nothing out; give one of them, or --inductive")
    path, output = find_path(arguments.source), Path(arguments.output or arguments.source)
    is_folder = path is not None and bool(find_split_files(path))
    if arguments.output is None and (not is_folder or arguments.inductive):
        why = "--inductive makes two graphs" if arguments.inductive else f"{output} is no folder of text files"
        raise LassError(f"{why}: give --output DIR")
    options = ReadingOptions(date_column=arguments.date_column)
    imported, report = split_as_asked(arguments, load_imported(arguments.source, options))
    graph, trained = imported.graph, output
    lines, metrics = report.describe(graph.relations), report.to_dict(graph.relations)
    if arguments.inductive:
        trained = output / "seen"
        lines, metrics = _write_inductive(graph, arguments, trained, output / "unseen")
    elif path is not None and is_folder:
        write_splits(graph, path, output)
    else:
        findings = [dataclasses.asdict(one) for one in find_faults(graph)]
        write_import(imported, arguments.source, options, output, findings)
    if arguments.json:
        write_results(arguments.json, metrics, graph=arguments.source, seed=arguments.seed, command=command_line())
    if not arguments.quiet:
        print(f"{one_line(output)}:")
        print_lines(lines)
        print(f"next: lass-hf train --graph {quoted(trained)}")


def _write_inductive(
    graph: "KnowledgeGraph", arguments: argparse.Namespace, first: Path, second: Path
) -> tuple[list[str], dict[str, Any]]:
    """Writes the graph of the entities that are left, and the one whose test is about the others.

    Returns:
        Lines that describe both; and by the name of its folder the numbers of `entities` and, under `sizes`, of the
        triplets of each split.
    """
    from ...graphs.import_files import SOURCE_FILE, find_source_record, refuse_lost_split
    from ...graphs.inductive_split import inductive_split
    from ...graphs.text_folder import write_directories

    lines, metrics, record = [], {}, find_source_record(arguments.source, graph)
    more = {SOURCE_FILE: record.as_json()} if record else {}
    seen, unseen = inductive_split(graph, arguments.inductive, arguments.seed)
    parts = [(seen, first), (unseen, second)]
    for _, folder in parts:
        refuse_lost_split(folder, record)
    write_directories(parts, more)  # Both or neither: one of another seed trains on what this one asks for.
    for part, folder in parts:
        sizes = {name: len(triplets) for name, triplets in part.splits.items()}
        metrics[folder.name] = {"entities": part.num_entities, "sizes": sizes}
        in_words = ", ".join(f"{size:,} {name}" for name, size in sizes.items())
        lines.append(f"{folder.name}: {part.num_entities:,} entities; {in_words}")
    if untrained := int((seen.occurring(*seen.splits)[0] & ~seen.occurs_in_train()[0]).sum()):
        lines.append(f"{first.name}: {untrained:,} of these entities have no training triplet any more")
    return lines, metrics
