"""`lass-hf info`: what is in a graph, and what is odd about it; needs neither torch nor transformers."""

import argparse
from typing import TYPE_CHECKING

from ..utils.console import report
from .options import add_graph, add_output

if TYPE_CHECKING:
    import numpy as np

    from ..core.token_store import TokenStore

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
        from ..core.vocabulary import escaped

        processor = LassProcessor.from_encoder(arguments.encoder)
        store = LassProcessor(processor.tokenizer, max_length=MEASURED_LENGTH).token_store(graph)
        lengths = summarize_lengths(store, graph["train" if "train" in graph else "test"].triplets)
        summary["tokens"] = {"encoder": arguments.encoder}
        for names in (graph.entities, graph.relations):
            count, pair = store.truncated(processor.max_length).find_indistinct(names.kind, names.texts)
            summary["tokens"] |= {
                f"{names.kind}_with_same_tokens": count,
                f"{names.kind}_example": pair and " and ".join(escaped(names.ids[number]) for number in pair),
            }
        summary["tokens"] |= lengths
    report(arguments.json, summary, graph=arguments.graph)
    if not arguments.encoder and not arguments.quiet:
        print("token lengths: with --encoder NAME, which needs its tokenizer")


def summarize_lengths(store: "TokenStore", triplets: "np.ndarray") -> dict[str, dict[str, float]]:
    """Returns statistics of the lengths, in tokens, of all texts and of the sequences of triplets.

    Args:
        store: the graph's texts as token ids.
        triplets: int of shape (n, 3).

    Returns:
        For "entity_text", "relation_text" and "sequence" a dict of "mean", "median", "p95" and "max".
    """
    import numpy as np

    texts = np.diff(store.offsets)
    lengths = {
        "entity_text": texts[store.num_relations :],
        "relation_text": texts[: store.num_relations],
        "sequence": store.lengths(triplets),
    }
    return {
        name: {
            "mean": float(values.mean()),
            "median": float(np.median(values)),
            "p95": float(np.percentile(values, 95)),
            "max": int(values.max()),
        }
        for name, values in lengths.items()
    }
