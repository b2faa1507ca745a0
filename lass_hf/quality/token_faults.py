"""Finds what an encoder makes of a graph's texts: unknown words, cut texts, different texts that are one to it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.vocabulary import escaped
from .findings import Finding
from .name_faults import in_words, triplet_in_words

if TYPE_CHECKING:
    from ..core.knowledge_graph import KnowledgeGraph
    from ..core.token_store import TokenStore


def find_token_faults(
    graph: "KnowledgeGraph", store: "TokenStore", max_length: int, unknown: int | None
) -> Iterator[Finding]:
    """Finds texts that an encoder reads in part only, or cannot tell from others.

    Args:
        graph: the graph.
        store: its texts as token ids, whole.
        max_length: the most tokens of a sequence that the encoder reads.
        unknown: the token id of what the tokenizer does not know; None if it knows everything.

    Yields:
        Findings.
    """
    lengths = np.diff(store.offsets)
    is_unknown = np.zeros(len(store.tokens), bool) if unknown is None else store.tokens == unknown
    unknowns = np.diff(np.concatenate([[0], np.cumsum(is_unknown)])[store.offsets])
    nothing = unknowns == lengths
    # kind -> the texts, what they are, meaning, remedy
    kinds = {
        "without_a_known_word": (
            nothing,
            "of whose text the encoder knows no word",
            "It reads unknown tokens only.",
            "Choose an encoder for their language.",
        ),
        "with_unknown_words": (
            (unknowns > 0) & ~nothing,
            "of whose text the encoder does not know every word",
            "It reads an unknown token in their place.",
            "If these words matter, choose an encoder that knows them.",
        ),
        "cut": (
            lengths > max_length,
            f"whose text has more than the {max_length:,} tokens that the encoder reads",
            "The rest is cut off.",
            "Begin texts with what matters.",
        ),
    }
    cut = truncated(store, max_length)
    for names, start in ((graph.relations, 0), (graph.entities, store.num_relations)):
        for kind, (texts, *words) in kinds.items():
            found = texts[start : start + len(names)]
            if found.any():
                severity = "doubtful" if kind == "without_a_known_word" else "fact"
                example, what = in_words(names, int(found.argmax())), f"{names.kind} {words[0]}"
                count = int(found.sum())
                yield Finding(
                    f"{names.kind}_{kind}", severity, what, count, count / len(names), example, words[1], words[2]
                )
        count, pair = find_indistinct(cut, names.kind, names.texts)
        if pair:
            yield Finding(
                f"{names.kind}_with_same_tokens",
                "doubtful",
                f"{names.kind} with different texts that are one to the encoder",
                count,
                count / len(names),
                " and ".join(escaped(names.ids[number]) for number in pair),
                "It cannot tell them apart: it does not know their script, or their texts differ behind the cut.",
                "Choose an encoder for their language, or begin texts with what makes them different.",
            )
    split = graph[next(iter(graph.splits), "train")]
    is_long = np.flatnonzero(store.lengths(split.triplets) > max_length)
    if len(is_long):
        yield Finding(
            "sequences_cut",
            "fact",
            f"{split.name} triplets with more than {max_length:,} tokens together",
            len(is_long),
            len(is_long) / len(split),
            triplet_in_words(graph, split.triplets[is_long[0]]),
            "A cross-encoder reads them cut.",
            "Set a longer --max_length if the encoder allows it, or shorten texts.",
        )


def truncated(store: "TokenStore", length: int) -> "TokenStore":
    """Returns a store of texts that are cut, and followed by no neighbors.

    Args:
        store: The store of the texts.
        length: The most tokens of a text.
    """
    lengths = np.diff(store.offsets)
    tokens = store.tokens[store.offsets[0] :]
    within = np.arange(len(tokens)) - np.repeat(store.offsets[:-1] - store.offsets[0], lengths)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, length))])
    return replace(store, tokens=tokens[within < length], offsets=offsets, neighbors=None)


def find_indistinct(store: "TokenStore", kind: str, texts: Sequence[str]) -> tuple[int, tuple[int, int] | None]:
    """Finds entities or relations that a text model cannot tell apart, although their texts differ.

    Their texts are one to the tokenizer: in a script that it does not know, or equal as far as they are not cut.

    Args:
        store: The store of the texts.
        kind: "entities" or "relations".
        texts: The text of each of them.

    Returns:
        The number of those that read the same as another one, and two that do; None if there are none.
    """
    first = store.first_with_same_text[kind == "relations"][: len(texts)]
    repeated = np.flatnonzero(first != np.arange(len(first))).tolist()
    others = [number for number in repeated if texts[number] != texts[first[number]]]
    if not others:
        return 0, None
    return int(np.isin(first, first[others]).sum()), (int(first[others[0]]), others[0])
