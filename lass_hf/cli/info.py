"""`lass-hf info`: what is in a graph, and what is odd about it; needs neither torch nor transformers."""

import argparse

from ..utils.console import report
from .options import add_graph, add_output

HELP = "counts, data quality and, with --encoder, token lengths of a graph"
USES_MODELS = False
MEASURED_LENGTH = 1_000_000  # tokens: `info` measures whole texts, not the part of them that an encoder would read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf info`."""
    add_graph(parser)
    parser.add_argument(
        "--encoder", metavar="DIR_OR_NAME", help="measure the texts in tokens of this encoder (default: no measuring)"
    )
    add_output(parser)


def run(arguments: argparse.Namespace) -> None:
    """Prints counts and data quality of a graph; with an encoder the lengths of its texts in tokens too."""
    from ..graphs.loading import load_graph

    if arguments.quiet:
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()  # of a download, too
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    summary = graph.summary()
    if arguments.encoder:
        from ..core.processing_lass import LassProcessor

        tokenizer = LassProcessor.from_encoder(arguments.encoder).tokenizer
        store = LassProcessor(tokenizer, max_length=MEASURED_LENGTH).token_store(graph)
        lengths = store.length_summary(graph["train" if "train" in graph else "test"].triplets)
        summary["tokens"] = {"encoder": arguments.encoder, **lengths}
    report(arguments.json, summary, graph=arguments.graph)
    if not arguments.encoder and not arguments.quiet:
        print("token lengths: with --encoder NAME, which needs its tokenizer")
