"""`lass-hf analyze`: errors and attention of a split, as pages, plots and numbers."""

import argparse
from pathlib import Path

from ..options import add_graph, add_model, add_output, add_split, positive

HELP = "errors and attention of a split, as pages, plots and numbers"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf analyze`."""
    add_model(parser)
    add_graph(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write into")
    add_split(parser)
    parser.add_argument(
        "--triplet", nargs=3, metavar=("HEAD", "RELATION", "TAIL"), help="show the attention of this triplet"
    )
    parser.add_argument(
        "--layer", type=positive, metavar="N", help="layer of the attention; 1 is the first (default: the last)"
    )
    parser.add_argument("--ranks", metavar="FILE", help="--json file of lass-hf evaluate: do not rank again")
    parser.add_argument("--limit", type=positive, metavar="N", help="rank a seeded choice of N triplets")
    parser.add_argument("--top_k", type=positive, default=10, help="length of each list of examples")
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the report into a folder and prints its main figures."""
    from ...analysis.report import analyze
    from ...utils.console import print_metrics
    from ...utils.distributed import processes
    from ...utils.result_files import write_results
    from ..loading import load_with_graph

    model, processor, graph = load_with_graph(arguments)
    metadata = {name: getattr(arguments, name) for name in ("model", "graph", "long_text", "dtype", "limit")}
    analysis = analyze(
        model,
        processor,
        graph,
        arguments.output,
        split=arguments.split,
        triplet=arguments.triplet,
        layer=arguments.layer,
        ranks_file=arguments.ranks,
        limit=arguments.limit,
        top_k=arguments.top_k,
        dtype=arguments.dtype,
        quiet=arguments.quiet,
        metadata=metadata,
    )
    if processes().is_main_process:
        if arguments.json:
            write_results(arguments.json, **(metadata | analysis))
        names = ("accuracy", "roc_auc", "ece_sigmoid", "ece_platt", "mr", "mrr", "hits@1", "hits@10")
        print_metrics({name: analysis["metrics"].get(name) for name in names})
        print(f"open {Path(arguments.output, 'index.html')}")
