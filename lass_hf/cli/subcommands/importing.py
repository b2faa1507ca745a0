"""`lass-hf import`: a graph in any format becomes a folder that one can look at, with a report on what became of it."""

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from ...core.errors import GraphError, LassError
from ...utils.terminal import one_line
from ..options import SPLIT_SEED, add_output, add_reading, add_split_options, quoted

if TYPE_CHECKING:
    from ...graphs.importing import ImportedGraph
    from ...graphs.split_report import SplitReport
    from ...names.source import ReadingOptions
    from ...quality.findings import Finding

HELP = "read a graph in any format into a folder, and show what became of it"
USES_MODELS = False
SHOWN_RELATIONS = 15
SHOWN_LEFT_OUT = 6  # kinds for each reason
SHOWN_LETTERS = 60  # of a text in an example


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf import`."""
    parser.add_argument("source", metavar="SOURCE", help="file, folder or name of a graph: whatever --graph accepts")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write: new, or of an earlier import")
    add_reading(parser)
    add_split_options(parser, default="0")
    parser.set_defaults(seed=None)  # else a seed that changes nothing could not be told
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the folder, and prints the summary."""
    from ...graphs.import_files import check_output, write_import
    from ...names.source import ReadingOptions
    from ...quality.faults import find_faults
    from ...utils.environment import command_line
    from ...utils.result_files import write_results

    options = ReadingOptions(**{one.name: getattr(arguments, one.name) for one in dataclasses.fields(ReadingOptions)})
    check_output(arguments.output)
    is_split = bool(arguments.validation or arguments.test)
    if options.date_column and not is_split:
        raise LassError("--date_column is to split by; give --validation or --test, too")
    if arguments.seed is not None and not is_split:
        raise LassError("--seed is of the choice of validation and test triplets; give --validation or --test, too")
    imported = load_imported(arguments.source, options)
    if is_split:
        arguments.seed = SPLIT_SEED if arguments.seed is None else arguments.seed
        imported, split_report = split_as_asked(arguments, imported)
    findings = find_faults(imported.graph)
    rows = [dataclasses.asdict(one) for one in findings]
    report = write_import(imported, arguments.source, options, arguments.output, rows)
    if arguments.json:
        report |= {"split": split_report.to_dict(imported.graph.relations)} if is_split else {}
        write_results(arguments.json, report, graph=arguments.source, command=command_line())
    if not arguments.quiet:
        print_summary(report, findings, arguments.output)
        if is_split:
            print("\nSplit")
            print_lines(split_report.describe(imported.graph.relations))
        folder = quoted(arguments.output)
        print(f"\nNext\n  lass-hf info --graph {folder}")
        print(f"  lass-hf train --graph {folder} --output_dir runs/model")
        print(f"  lass-hf complete --graph {folder} --output runs/links")


def load_imported(name: str, options: "ReadingOptions") -> "ImportedGraph":
    """Loads whatever `--graph` accepts, with what is known of its source.

    Args:
        name: a file, a folder, or the name of a graph.
        options: what is read of it.

    Raises:
        GraphError: as `import_graph` and `load_graph`.
    """
    from ...graphs.importing import ImportedGraph, import_graph, refuse_options
    from ...graphs.loading import find_path, load_graph

    if (path := find_path(name)) is not None:
        return import_graph(path, options)
    refuse_options(name, options)
    return ImportedGraph(load_graph(name))


def split_as_asked(arguments: argparse.Namespace, imported: "ImportedGraph") -> "tuple[ImportedGraph, SplitReport]":
    """Splits a graph by the options of `add_split_options`, and by its dates if they were read.

    Args:
        arguments: `validation`, `test` and `seed`; and `source`, for messages.
        imported: the graph.

    Raises:
        GraphError: as `split_graph`; the message names the source.
    """
    from ...graphs.splitting import split_graph

    dates = imported.source.dates if imported.source else None
    try:
        graph, report = split_graph(
            imported.graph, arguments.validation, arguments.test, seed=arguments.seed, dates=dates
        )
    except GraphError as error:
        raise GraphError(f"{arguments.source}: {error}") from None
    return dataclasses.replace(imported, graph=graph), report


def print_lines(lines: list[str]) -> None:
    """Prints what became of a split."""
    for line in lines:
        print(f"  {one_line(line)}")


def print_summary(report: dict[str, Any], findings: "list[Finding]", output: str) -> None:
    """Prints the report on an import, as `describe_import` returns it, in words; of the findings, what may be wrong."""
    from ...graphs.import_files import REPORT_FILE
    from ...quality.findings import format_findings

    entities, lengths, relations = report["entities"], report["text_length"], report["relations"]
    splits = ", ".join(f"{count:,} {split}" for split, count in report["triplets"].items())
    print(f"{one_line(report['source'])}: {report['format']}")
    print(f"{one_line(output)}: {entities['count']:,} entities, {len(relations):,} relations; triplets: {splits}")

    print("\nRelations, with an example")
    shown = relations[:SHOWN_RELATIONS]
    width = max((len(_short(row["text"], 30)) for row in shown), default=0)
    for row in shown:
        example = " — ".join(_short(text, 30) for text in row["example"])
        print(f"{row['triplets']:>10,}  {_short(row['text'], 30):<{width}}  {example}")
    if rest := relations[SHOWN_RELATIONS:]:
        print(f"{sum(row['triplets'] for row in rest):>10,}  in {len(rest):,} more relations")

    print("\nTexts of entities")
    for key, what in (
        ("named", "have a name"),
        ("described", "have a description"),
        ("only_category", "have a category only"),
        ("only_id", f"have nothing but their id, such as {_short(entities.get('example'))}"),
        ("in_no_triplet", "are in no triplet"),
    ):
        if entities.get(key) or (key in ("named", "described") and key in entities):
            print(f"{entities[key]:>10,}  {what}")
    print(
        f"{lengths['median']:>10,}  characters in the median; 95 % have at most {lengths['p95']:,}, the longest ",
        end="",
    )
    print(f"{lengths['longest']:,}")

    if report["left_out"]:
        print("\nLeft out")
    for reason in dict.fromkeys(part["reason"] for part in report["left_out"]):
        parts = [part for part in report["left_out"] if part["reason"] == reason]
        parts.sort(key=lambda part: -part["count"])
        for part in parts[:SHOWN_LEFT_OUT]:
            example = f", such as {_short(part['example'])}" if part["example"] else ""
            print(f"{part['count']:>10,}  {one_line(part['what'])}{example}")
        if rest := parts[SHOWN_LEFT_OUT:]:
            print(f"{sum(part['count'] for part in rest):>10,}  of {len(rest):,} more kinds: {REPORT_FILE} lists them")
        print(f"{'':12}-> {one_line(reason)}")

    if remarks := [*report["bare_relations"], *report["notes"]]:
        print("\nTo look at")
        for remark in remarks:
            print(f"  - {one_line(remark)}")
    print("", *format_findings(findings, with_facts=False), sep="\n")


def _short(text: object, length: int = SHOWN_LETTERS) -> str:
    """Returns a text on one line, cut after some letters."""
    line = one_line(text)
    return line if len(line) <= length else f"{line[: length - 1]}…"
