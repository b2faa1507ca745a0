"""`lass-hf audit`: the most suspicious facts of a whole graph, as a list that people review."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ...core.errors import LassError
from ...utils.terminal import one_line
from ..options import above_zero, add_graph, add_model, add_output, not_negative, positive

if TYPE_CHECKING:
    from ...audit.auditing import Audit
    from ...core.knowledge_graph import KnowledgeGraph

HELP = "list the most suspicious facts of a graph, each with what speaks against it and what fits better"
USES_MODELS = True
SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf audit`."""
    add_model(parser, required=False)
    add_graph(parser)
    parser.add_argument("--output", metavar="DIR", help="folder for the list, its page and the progress")
    parser.add_argument(
        "--max",
        type=positive,
        metavar="N",
        help="most findings (default: 10%% of the triplets, but 50 at least and 1000 at most)",
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="inject 5%% errors first, and measure how many of them are found"
    )
    parser.add_argument(
        "--errors", metavar="FILE", help="with --evaluate: the errors of the graph (head, relation, tail, kind) instead"
    )
    parser.add_argument(
        "--encoder",
        metavar="DIR_OR_NAME",
        help="encoder whose vectors of texts, untrained, are compared (default: all-MiniLM-L6-v2)",
    )
    parser.add_argument(
        "--folds", type=positive, default=4, metavar="K", help="trainings of structural vectors (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=above_zero, metavar="N", help="end rules and structural vectors in time")
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of all choices (default: %(default)s)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Audits a graph, and writes the findings; or injects errors, and prints how many are found."""
    _check(arguments)
    from ...utils.distributed import processes

    if not processes().is_main_process:  # One process audits.
        return
    from ...audit.audit_files import audit_identity, only_audit, write_audit
    from ...audit.auditing import audit_graph, true_facts
    from ...audit.findings import usual_length
    from ...audit.measuring import evaluate_audit, read_errors
    from ...core.encoders import OFFLINE_ENCODER
    from ...graphs.loading import load_graph
    from ...scoring.output_folders import check_foreign
    from ...utils.console import report
    from ...utils.environment import command_line
    from ...utils.result_files import REPORT_FILE, refuse_input_folder
    from ..loading import load_with_graph

    if arguments.output:
        refuse_input_folder(arguments.output, graph=arguments.graph)
        check_foreign(arguments.output, "audit")
    model = processor = None
    if arguments.model:
        model, processor, graph = load_with_graph(arguments)
    else:
        graph = load_graph(arguments.graph, long_text=arguments.long_text)
    choices = {
        "encoder": arguments.encoder or OFFLINE_ENCODER,
        "num_folds": arguments.folds,
        "minutes": arguments.minutes,
        "seed": arguments.seed,
        "dtype": arguments.dtype,
    }
    options = {**choices, "model": model, "processor": processor, "quiet": arguments.quiet}
    more: dict[str, Any] = {"task": "audit", "graph": arguments.graph, "model": arguments.model, "settings": choices}
    if arguments.evaluate:
        errors = read_errors(arguments.errors, graph) if arguments.errors else None
        audit, metrics, signals = evaluate_audit(graph, **options, errors=errors)
        more |= {
            "injected_for_fit": audit.num_injected,
            "model_counts": audit.model_counts,
            "held_out": audit.num_held_out,
            "seconds_of": audit.seconds,
        }
        if not arguments.quiet:
            _print_note_on_model(audit, counts_too_high=not arguments.errors)
        report(arguments.json, metrics, **more, errors=arguments.errors, signals=signals, command=command_line())
        return
    most = arguments.max or usual_length(len(true_facts(graph).triplets))
    identity = audit_identity(graph, model, processor, most, **choices)
    with only_audit(arguments.output, identity) as progress:
        audit = audit_graph(graph, **options, progress=progress)
        write_audit(
            arguments.output,
            audit,
            graph,
            identity,
            model=arguments.model,
            graph_name=arguments.graph,
            **choices,
        )
        progress.remove()
    found = {"triplets": len(audit.triplets), "findings": min(most, len(audit.triplets))}
    if not arguments.quiet:
        _print_note_on_model(audit)
        _print_beginning(audit, graph, found["findings"])
    more |= {
        "injected_for_fit": audit.num_injected,
        "model_counts": audit.model_counts,
        "held_out": audit.num_held_out,
        "seconds_of": audit.seconds,
    }
    report(arguments.json, found, **more, command=command_line())
    print(
        f"wrote {one_line(arguments.output)}; open {REPORT_FILE}; --evaluate instead of --output measures how many "
        "errors such a list finds in this graph"
    )


def _print_note_on_model(audit: "Audit", counts_too_high: bool = False) -> None:
    """Prints for which triplets a text model counts, and why; and that `--evaluate` counts it too high if it does."""
    from ...audit.report import explain_model

    note = explain_model(audit.model_counts, audit.by_heart, audit.num_held_out, len(audit.triplets))
    if note and counts_too_high and audit.model_counts != "none":
        note += " It never saw the errors that --evaluate injects, which counts it too high."
    if note:
        print(f"lass-hf: note: {note[0].lower()}{note[1:]}", file=sys.stderr)


def _print_beginning(audit: "Audit", graph: "KnowledgeGraph", count: int) -> None:
    """Prints the first of so many findings."""
    print(f"the {count:,} most suspicious of {len(audit.triplets):,} triplets begin with")
    for position in audit.order()[: min(SHOWN, count)].tolist():
        head, relation, tail = audit.triplets[position].tolist()
        names = graph.entities.ids[head], graph.relations.ids[relation], graph.entities.ids[tail]
        print(one_line(f"  {audit.suspicion[position]:.2f}  {'  '.join(names)}"))


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.output and not arguments.evaluate:
        raise LassError("--output is not given; expected a folder for the findings, or --evaluate")
    if arguments.folds < 2:
        raise LassError(f"--folds {arguments.folds}; expected 2 or more")
    if arguments.errors and not arguments.evaluate:
        raise LassError("--errors are what --evaluate looks for, which is not given")
    for name in ("output", "max"):
        if arguments.evaluate and getattr(arguments, name):
            raise LassError(
                "--evaluate measures a graph with errors of its own making, whose findings help nobody; leave out "
                f"--{name}"
            )
