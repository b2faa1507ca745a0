"""`lass-hf add-evidence`: rules, structural vectors and other evidence beside the words, for a saved model."""

import argparse
import os
from pathlib import Path

from ...core.errors import LassError
from ..options import (
    above_zero,
    add_graph,
    add_model,
    add_output,
    names,
    not_negative,
    positive,
    repeat_options,
    write_options,
)

HELP = "add rules, structural vectors and other evidence to a saved model"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf add-evidence`."""
    add_model(parser)
    add_graph(parser, required=False)
    parser.add_argument(
        "--evidence",
        type=names,
        metavar="A,B",
        help="text and some of neighbors, frequency, rules and vectors (default: all that the model can have)",
    )
    parser.add_argument("--rules", metavar="FILE", help="take the rules of this file, an edited rules.tsv")
    parser.add_argument(
        "--minutes", type=above_zero, metavar="N", help="end the search for rules and the training of vectors in time"
    )
    parser.add_argument("--dim", type=positive, metavar="D", help="dimensions of the vectors (default: by the graph)")
    parser.add_argument("--seed", type=not_negative, default=42, help="seed of all choices (default: %(default)s)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Finds, fits and saves the evidence of a model, and prints what it is worth."""
    kinds = _check(arguments)
    from ...evidence.bound_evidence import training_facts
    from ...evidence.building import build_evidence
    from ...evidence.evidence_files import EVIDENCE_FOLDER, save_evidence
    from ...evidence.report import describe_evidence, report_evidence
    from ...hub.card_files import update_card
    from ...scoring.index_building import find_index_folder_for_graph
    from ...structure.rule_files import read_rules
    from ...structure.vector_training import VectorChoices
    from ...utils.distributed import processes
    from ...utils.environment import command_line
    from ...utils.result_files import write_results
    from ...utils.terminal import one_line
    from ..loading import load_with_graph

    folder = Path(arguments.model)
    model, processor, graph = load_with_graph(arguments)
    own, name = processor.graph, arguments.graph or arguments.model
    if own is not None and set(own.entities.ids).isdisjoint(graph.entities.ids):
        raise LassError(
            f"{name}: none of its {graph.num_entities:,} entities is in the graph of {arguments.model}; expected the "
            "graph that the model was trained on, or a later one"
        )
    training_facts(graph)
    evidence = build_evidence(
        graph,
        model,
        processor,
        kinds,
        rules=read_rules(arguments.rules, graph.entities, graph.relations) if arguments.rules else None,
        vector_choices=VectorChoices(dim=arguments.dim),
        minutes=arguments.minutes,
        seed=arguments.seed,
        quiet=arguments.quiet,
        index_folder=find_index_folder_for_graph(folder, processor, graph),
        dtype=arguments.dtype,
    )
    if not processes().is_main_process:
        return
    save_evidence(evidence, folder / EVIDENCE_FOLDER, graph)
    update_card(folder, own)
    if arguments.json:
        report = report_evidence(evidence)
        metrics = {name: report.pop(name) for name in ("mrr", "text_mrr")}
        more = {"graph": Path(name).resolve().name, "model": arguments.model, "seed": arguments.seed}
        write_results(arguments.json, metrics, task="evidence", **more, evidence=report, command=command_line())
    if not arguments.quiet:
        print(*describe_evidence(evidence), sep="\n")
    asked = repeat_options(arguments, "graph", "long_text", "dtype")
    models = write_options(model=folder)
    print(f"saved {one_line(folder / EVIDENCE_FOLDER)}; next: lass-hf evaluate{models}{asked}")


def _check(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """Returns the kinds of evidence that are asked for, None for all; raises LassError for what does not fit."""
    from ...evidence.building import check_kinds
    from ...structure.vector_training import VectorChoices

    kinds = check_kinds(arguments.evidence) if arguments.evidence else None
    if kinds and "text" not in kinds:
        raise LassError("--evidence leaves out the text, and so the model; expected text among it")
    found = {kind for kind in ("rules", "vectors") if kinds is None or kind in kinds}
    for name, kind in (("rules", "rules"), ("dim", "vectors")):
        if getattr(arguments, name) is not None and kind not in found:
            raise LassError(f"--{name} changes nothing, because --evidence leaves out {kind}")
    if arguments.minutes and not (found - {"rules"} if arguments.rules else found):
        raise LassError("--minutes changes nothing, because no rule is searched for and no vector trained")
    VectorChoices(dim=arguments.dim)
    if not os.access(arguments.model, os.W_OK):
        raise LassError(f"--model {arguments.model}: not a folder that can be written, and evidence is saved in it")
    return kinds
