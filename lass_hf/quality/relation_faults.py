"""Finds what the relations of a graph are like: mirrors, transitive, functional, constant and rare relations."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..structure.relation_patterns import Mirror
from .findings import Finding
from .name_faults import in_words, triplet_in_words
from .regularities import PairCounts, find_constant, find_functional, find_transitive

if TYPE_CHECKING:
    from ..core.knowledge_graph import KnowledgeGraph

SHOWN = 3  # relations in an example
MIRRORS = {
    "symmetric": (
        "symmetric_relations",
        "fact",
        "relations that hold in both directions",
        "Where training has one direction, the other one is no test.",
        "`lass-hf split` keeps such twins together.",
    ),
    "inverse": (
        "inverse_relations",
        "fact",
        "pairs of relations of which one is the other, read backwards",
        "Where training has one of the two, the other one is no test.",
        "`lass-hf split` keeps such twins together.",
    ),
    "same": (
        "repeated_relations",
        "doubtful",
        "pairs of relations that hold between the same entities",
        "They may be one relation under two names, and one of them gives the other away.",
        "Keep one of them, if they mean the same.",
    ),
}


def find_relation_faults(graph: "KnowledgeGraph", triplets: np.ndarray, mirrors: Sequence[Mirror]) -> Iterator[Finding]:
    """Finds what the relations of a graph are like.

    Args:
        graph: the graph.
        triplets: its different true triplets, int64 of shape (n, 3), sorted.
        mirrors: what `find_mirrors` found in it.

    Yields:
        Findings.
    """
    name_of, sizes = partial(in_words, graph.relations), (graph.num_entities, graph.num_relations)
    heads, tails = (PairCounts.of(triplets, slot, *sizes) for slot in (0, 2))
    yield from _find_mirror_faults(graph, mirrors)
    facts = (
        (
            "transitive_relations",
            find_transitive(triplets, *sizes),
            "chains",
            "relations that hold over two steps where they hold over each",
            "The long way around gives such triplets away.",
            "Test on triplets that no chain gives, or leave out those that follow from others.",
        ),
        (
            "functional_relations",
            find_functional(heads),
            "heads",
            "relations with one tail for a head",
            "A second tail is probably wrong.",
            "Look at the heads with several tails, if there are any.",
        ),
        (
            "inverse_functional_relations",
            find_functional(tails),
            "tails",
            "relations with one head for a tail",
            "A second head is probably wrong.",
            "Look at the tails with several heads, if there are any.",
        ),
    )
    for kind, found, cases, *words in facts:
        examples = [
            f"{name_of(one.relation)} ({one.share:.1%} of {'a sample of ' * one.is_sample}{one.cases:,} {cases})"
            for one in found
        ]
        yield from _finding(kind, "fact", examples, *words)
    examples = [
        f"{name_of(one.relation)} ({in_words(graph.entities, entity)} is the {side} of {one.share:.1%})"
        for pairs, side in ((tails, "tail"), (heads, "head"))
        for one, entity in find_constant(pairs)
    ]
    yield from _finding(
        "constant_relations",
        "doubtful",
        examples,
        "relations with nearly the same answer for all",
        "A model learns to give this answer without reading the question, and metrics look better than they are.",
        "Leave the relation out if it says nothing.",
    )
    yield from _find_rare(graph, triplets)


def _find_rare(graph: "KnowledgeGraph", triplets: np.ndarray) -> Iterator[Finding]:
    rare = np.flatnonzero(np.bincount(triplets[:, 1], minlength=graph.num_relations) == 1)
    examples = [triplet_in_words(graph, triplets[(triplets[:, 1] == number).argmax()]) for number in rare[:1].tolist()]
    yield from _finding(
        "relations_with_one_triplet",
        "fact",
        [*examples, *[""] * (len(rare) - 1)],
        "relations with one triplet",
        "A model has one example of them at most.",
        "Name them as you would in a sentence, or leave them out.",
    )


def _find_mirror_faults(graph: "KnowledgeGraph", mirrors: Sequence[Mirror]) -> Iterator[Finding]:
    for mirror_kind, (kind, severity, *words) in MIRRORS.items():
        examples = []
        for one in mirrors:
            if one.kind == mirror_kind:
                names = dict.fromkeys((one.relation, one.other))
                relations = " and ".join(in_words(graph.relations, number) for number in names)
                examples.append(f"{relations} ({one.share:.1%}, {one.support:,} triplets)")
        yield from _finding(kind, severity, examples, *words)


def _finding(kind: str, severity: str, examples: list[str], what: str, meaning: str, remedy: str) -> Iterator[Finding]:
    """Yields the finding of some relations, with the first few as its example; nothing without relations."""
    if examples:
        shown = "; ".join(filter(None, examples[:SHOWN]))
        yield Finding(kind, severity, what, len(examples), None, shown, meaning, remedy)
