"""`lass-hf classify`: the accuracy of a threshold that the validation split fixes, on another split."""

import argparse

from ..options import add_graph, add_model, add_output, add_split

HELP = "true or false, by a threshold from the validation split"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf classify`."""
    add_model(parser)
    add_graph(parser)
    add_split(parser)
    parser.add_argument(
        "--evidence",
        default="auto",
        metavar="KINDS",
        help="what counts beside the text: auto (what the model has, if anything), text (nothing), or some of "
        "frequency, rules, vectors, with commas, which are found in the graph if the model has none",
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Classifies the triplets of a split, and keeps threshold and Platt scaling with the model."""
    from ...evaluation.evaluate_and_record import evaluate_and_record
    from ..loading import load_with_graph

    model, processor, graph = load_with_graph(arguments)
    evaluate_and_record(
        "triplet_classification",
        model,
        processor,
        graph,
        folder=arguments.model,
        graph_name=arguments.graph,
        file=arguments.json,
        split=arguments.split,
        dtype=arguments.dtype,
        quiet=arguments.quiet,
        evidence=arguments.evidence,
    )
