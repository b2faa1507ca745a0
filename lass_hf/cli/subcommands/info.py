"""`lass-hf info`: what is in a graph, and what is odd about it; needs neither torch nor transformers."""

import argparse
from typing import TYPE_CHECKING, Any

from ..options import add_graph, add_output

if TYPE_CHECKING:
    import numpy as np

    from ...core.knowledge_graph import KnowledgeGraph
    from ...core.token_store import TokenStore

HELP = "what is in a graph and what is odd about it; with --encoder, token lengths"
USES_MODELS = False
MEASURED_LENGTH = 1_000_000  # tokens: `info` measures whole texts, not the part of them that an encoder would read
SHOWN_RELATIONS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf info`."""
    add_graph(parser)
    parser.add_argument(
        "--encoder", metavar="DIR_OR_NAME", help="measure the texts in tokens of this encoder (default: no measuring)"
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 if something would make results wrong")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what is in a graph and what is odd about it; with an encoder the lengths of its texts in tokens too.

    Returns:
        The exit code: 1 with `--strict` if something would make results wrong, else 0.
    """
    import dataclasses

    from ...graphs.loading import load_graph
    from ...quality.faults import find_faults
    from ...quality.findings import format_findings, sort_findings
    from ...utils.console import print_metrics
    from ...utils.result_files import write_results

    if arguments.quiet:
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()  # of a download, too
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    summary = graph.summary()
    findings = find_faults(graph)
    if arguments.encoder:
        from ...core.processing_lass import LassProcessor
        from ...quality.token_faults import find_token_faults

        processor = LassProcessor.from_encoder(arguments.encoder)
        tokenizer, max_length = processor.tokenizer, processor.max_length
        store = LassProcessor(tokenizer, max_length=MEASURED_LENGTH).token_store(graph)
        lengths = summarize_lengths(store, graph[next(iter(graph.splits), "train")].triplets)
        summary["tokens"] = {"encoder": arguments.encoder}
        of_tokens = list(find_token_faults(graph, store, max_length, tokenizer.unk_token_id))
        findings = sort_findings([*findings, *of_tokens])
        found = {one.kind: one for one in of_tokens}
        for kind in ("entities", "relations"):
            same = found.get(f"{kind}_with_same_tokens")
            counts = {f"{kind}_with_same_tokens": same.count if same else 0, f"{kind}_example": same and same.example}
            summary["tokens"] |= counts
        summary["tokens"] |= lengths
    summary["findings"] = [dataclasses.asdict(one) for one in findings]
    if arguments.json:
        write_results(arguments.json, summary, graph=arguments.graph)
    print("\n".join(describe(graph, summary)))
    if arguments.encoder:
        print()
        print_metrics({"tokens": summary["tokens"]})
    elif not arguments.quiet:
        print("token lengths: with --encoder NAME, which needs its tokenizer")
    print("", *format_findings(findings), sep="\n")
    return int(arguments.strict and any(one.severity == "wrong" for one in findings))


def describe(graph: "KnowledgeGraph", summary: dict[str, Any]) -> list[str]:
    """Writes what is in a graph: its splits, its texts and its relations, each of these with a triplet in words.

    Args:
        graph: the graph.
        summary: what `graph.summary()` returned.

    Returns:
        The lines.
    """
    import numpy as np

    from ...quality.name_faults import in_words, triplet_in_words
    from ...utils.terminal import one_line

    lines = [f"{graph.num_entities:,} entities, {graph.num_relations:,} relations"]
    for name, counts in summary["splits"].items():
        labels = f", {counts['triplets'] - counts['positives']:,} of them labeled false"
        of_false = labels if graph[name].labels is not None else ""
        lines.append(f"{name:<10} {counts['triplets']:>11,} triplets{of_false}")
    lengths = np.array([len(text) for text in graph.entities.texts])
    longest = in_words(graph.entities, int(lengths.argmax()))
    lines.append(f"texts      {np.median(lengths):>11,.0f} characters (median), {lengths.max():,} at most: {longest}")
    triplets = graph.known.triplets()
    counts = np.bincount(triplets[:, 1], minlength=graph.num_relations)
    most = np.argsort(-counts, kind="stable")[:SHOWN_RELATIONS]
    lines += ["", "relations" if len(counts) <= len(most) else f"the {len(most)} most frequent relations"]
    for number in most[counts[most] > 0].tolist():
        example = triplet_in_words(graph, triplets[(triplets[:, 1] == number).argmax()])
        lines.append(f"{counts[number]:>11,}  {example}")
    return [one_line(line) for line in lines]


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
