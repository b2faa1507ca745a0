"""Texts as reasons: which words of an entity's description carry a triplet, by leaving one part of it out at a time."""

import re

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..scoring.triplet_scorer import TripletScorer
from ..structure.rule_words import in_one_line, name_in_words

MOST_PARTS = 6  # of a text that are left out; those behind them always stay
MOST_TOKENS = 60_000  # that are read for all triplets, about: 20 to 30 s of all-MiniLM-L6-v2 on a busy core
LETTERS = 4  # of a token, about
LEAST_COST = 1.0  # of a score, the log of odds, from which a part is named
MOST_TIMES = 1000  # less likely, which is told
SENTENCES = re.compile(r"(?<=[.;!?])\s+")
CLAUSES = re.compile(r"(?<=[,:])\s+|\s+(?=[(\[])")


def text_reasons(
    scorer: TripletScorer, processor: LassProcessor, graph: KnowledgeGraph, triplets: np.ndarray
) -> list[list[str]]:
    """Returns the part of the texts of head and tail without which the text model's score falls most.

    A part is a sentence, or a clause of a text of one sentence. The name, which ends at the first ", ", always stays.
    The scores are those of the text model alone, of texts without names of neighbors.

    Args:
        scorer: The scorer of the text model over the texts of the graph.
        processor: Its processor.
        graph: The graph.
        triplets: Int of shape (n, 3). Those behind the one with which more than `MOST_TOKENS` would be read get no
            sentence. With a max_length of 128, 36 are looked at or more: a triplet has 13 texts at most.

    Returns:
        For each triplet a list with a sentence that names the part; an empty one if no part costs `LEAST_COST`.
    """
    texts, rows, owners, parts = _leave_out(graph, np.asarray(triplets, dtype=np.int64), processor.max_length)
    reasons: list[list[str]] = [[] for _ in triplets]
    if not len(rows):
        return reasons
    store = scorer.store.with_entities(processor.tokenize(texts, texts))
    rows[:, [0, 2]] += scorer.store.num_entities
    scores = scorer.with_store(store).score(rows).astype(np.float64)
    first = np.flatnonzero(np.diff(owners, prepend=-1))  # whose texts are whole
    costs = np.repeat(scores[first], np.diff(first, append=len(rows))) - scores
    order = np.lexsort([np.arange(len(rows)), -costs, owners])
    for one in order[np.diff(owners[order], prepend=-1) != 0].tolist():
        part = parts[one]
        if part is not None and costs[one] >= LEAST_COST:
            entity, words = part
            name, words = name_in_words(graph.entities, entity), in_one_line(words.strip(' ",;:'))
            times = f"{np.exp(costs[one]):.0f}" if costs[one] < np.log(MOST_TIMES) else f"over {MOST_TIMES:,}"
            reasons[owners[one]].append(
                f'Of the text of {name}, "{words}" counts most: without it, the text model takes this for {times} '
                "times less likely."
            )
    return reasons


def split_text(text: str) -> tuple[str, list[str]]:
    """Splits a text into its name and the parts of its description: sentences, or the clauses of the only one.

    Args:
        text: The text.

    Returns:
        The name with the ", " behind it, and the parts, which together are the text but for blanks.
    """
    name, comma, description = text.partition(", ")
    parts = SENTENCES.split(description)
    if len(parts) == 1:
        parts = CLAUSES.split(description)
    return name + comma, [part for part in parts if part.strip()]


def _leave_out(
    graph: KnowledgeGraph, triplets: np.ndarray, max_length: int
) -> tuple[list[str], np.ndarray, np.ndarray, list[tuple[int, str] | None]]:
    """Makes texts without some part, and the triplets of them.

    Returns:
        Distinct texts; rows of numbers of them, but for relations, int64 of shape (m, 3), for each triplet that of its
        whole texts first; the position of the triplet of each; and which part of which entity it lacks, or None.
    """
    numbers: dict[str, int] = {}
    rows, owners, missing, tokens = [], [], list[tuple[int, str] | None](), 0
    for owner, (head, relation, tail) in enumerate(triplets.tolist()):
        whole = [numbers.setdefault(graph.entities.texts[one].strip(), len(numbers)) for one in (head, tail)]
        own, lacks = [[whole[0], relation, whole[1]]], list[tuple[int, str] | None]([None])
        for place, entity in ((0, head), (2, tail)):
            name, parts = split_text(graph.entities.texts[entity])
            for number, part in enumerate(parts[:MOST_PARTS]):
                rest = name + " ".join(parts[:number] + parts[number + 1 :])
                if not any(letter.isalnum() for letter in rest):  # of which a tokenizer may make no token
                    continue
                row = [whole[0], relation, whole[1]]
                row[place] = numbers.setdefault(rest.strip(", "), len(numbers))
                own.append(row)
                lacks.append((entity, part))
        if len(own) == 1:
            continue
        length = sum(len(graph.entities.texts[one]) for one in (head, tail)) // LETTERS + 4
        tokens += len(own) * min(length, max_length)
        if tokens > MOST_TOKENS:
            break
        rows += own
        owners += [owner] * len(own)
        missing += lacks
    texts = list(numbers)
    return texts, np.array(rows, dtype=np.int64).reshape(-1, 3), np.array(owners, dtype=np.int64), missing
