"""Finds what is odd about a graph: what would make results wrong, what may be wrong, and what is good to know.

The wing only looks. It changes and repairs nothing, and needs neither torch nor transformers.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..graphs.summary import find_odd_triplets, find_unseen
from ..names.name_forms import COLUMN_NAMES, SHORT_COLUMN_NAMES, names_columns
from ..names.named_triplets import to_arrow_strings
from ..structure.relation_patterns import Mirror, find_mirrors
from .findings import Finding, sort_findings
from .name_faults import find_name_faults, in_words, triplet_in_words
from .relation_faults import find_relation_faults

if TYPE_CHECKING:
    from ..core.knowledge_graph import KnowledgeGraph

# What is found in any split: severity, what was counted, meaning, remedy.
IN_SPLITS = {
    "contradictory_labels": (
        "wrong",
        "triplets that a split has as true and as false",
        "One of the labels is wrong.",
        "Keep the right one.",
    ),
    "negatives_true_elsewhere": (
        "wrong",
        "triplets labeled false that another split has as true",
        "One of the labels is wrong.",
        "Keep the right one.",
    ),
    "duplicates": (
        "doubtful",
        "triplets that repeat an earlier one of their split",
        "They weigh twice in training and in metrics.",
        "Keep one of each.",
    ),
    "self_loops": (
        "doubtful",
        "triplets whose head is their tail",
        "They often come from a mistake, and a text model finds them without understanding.",
        "Leave them out where the relation cannot hold between a thing and itself.",
    ),
}
# What is found in validation and test beside the others; {0} is the split.
ACROSS_SPLITS = {
    "positives_in_train": (
        "wrong",
        "{0} triplets that train has too",
        "The model is trained on what it is tested on.",
        "Remove them from train or from {0}.",
    ),
    "positives_in_validation": (
        "doubtful",
        "{0} triplets that validation has too",
        "Settings are chosen on what is tested.",
        "Remove them from one of the two.",
    ),
    "twins_in_train": (
        "doubtful",
        "{0} triplets whose twin is in train, by a symmetric, inverse or repeated relation",
        "They can be read off train, without understanding.",
        "`lass-hf split` makes splits that keep twins together.",
    ),
    "pairs_in_train": (
        "doubtful",
        "other {0} triplets whose entities are linked in train, in the other direction or by another relation",
        "They are easier than they look.",
        "Mind it when you compare metrics with those of another graph.",
    ),
    "entities_unseen_in_train": (
        "fact",
        "entities of {0} that train does not have",
        "The model knows them by their texts only.",
        "Look at how good these texts are.",
    ),
    "relations_unseen_in_train": (
        "doubtful",
        "relations of {0} that train does not have",
        "The model has not learned what they mean.",
        "Move some of their triplets to train, or leave them out.",
    ),
}
HEADER = (
    "wrong",
    "triplets that are the header of a table",
    "They were read as facts.",
    "Remove these lines from the files.",
)


def find_faults(graph: "KnowledgeGraph") -> list[Finding]:
    """Finds what is odd about a graph, or good to know of it.

    Args:
        graph: the graph.

    Returns:
        The findings: first those that make results wrong, then those that may, then facts.

    Raises:
        GraphError: there are too many entities and relations to number their triplets.
    """
    triplets = graph.known.triplets()
    mirrors = find_mirrors(triplets, graph.num_entities, graph.num_relations)
    findings = [
        *_find_headers(graph),
        *_find_in_splits(graph),
        *_find_across_splits(graph, mirrors),
        *find_name_faults(graph),
        *find_relation_faults(graph, triplets, mirrors),
        *_find_unconnected(graph, triplets),
    ]
    return sort_findings(findings)


def _finding(
    graph: "KnowledgeGraph", kind: str, found: np.ndarray, total: int, words: Sequence[str], split: str = ""
) -> Iterator[Finding]:
    """Yields the finding of some triplets, unless there are none."""
    if len(found):
        severity, what, meaning, remedy = (word.format(split) for word in words)
        example = triplet_in_words(graph, found[0])
        yield Finding(kind, severity, what, len(found), len(found) / total, example, meaning, remedy)


def _find_headers(graph: "KnowledgeGraph") -> Iterator[Finding]:
    """Finds triplets like (head, relation, tail), whose names are those of columns and occur in no other triplet."""
    if not graph.splits:
        return
    triplets = np.concatenate([split.triplets for split in graph.splits.values()])
    entity, relation = (_name_columns(names.kind, names.ids) for names in (graph.entities, graph.relations))
    rows = np.flatnonzero(entity[triplets[:, 0]] & relation[triplets[:, 1]] & entity[triplets[:, 2]])
    found = triplets[rows]
    if not len(found):
        return
    occurs_elsewhere = np.zeros(graph.num_entities, dtype=bool)
    occurs_elsewhere[np.delete(triplets[:, [0, 2]], rows, axis=0)] = True
    found = found[~occurs_elsewhere[found[:, [0, 2]]].any(axis=1)]
    ids = (graph.entities.ids, graph.relations.ids, graph.entities.ids)
    names = [[ids[slot][number] for slot, number in enumerate(triplet)] for triplet in found.tolist()]
    found = found[[names_columns(triplet) for triplet in names]]
    yield from _finding(graph, "headers", found, len(triplets), HEADER)


def _name_columns(kind: str, ids: Sequence[str]) -> np.ndarray:
    """Returns which ids are names of columns: bool of shape (n,)."""
    import pyarrow.compute as pc

    patterns = [pattern.pattern for pattern in COLUMN_NAMES] + [name for names in SHORT_COLUMN_NAMES for name in names]
    return np.asarray(pc.match_substring_regex(to_arrow_strings(kind, ids), f"(?i)^(?:{'|'.join(patterns)})$"))


def _find_in_splits(graph: "KnowledgeGraph") -> Iterator[Finding]:
    parts: dict[str, list[np.ndarray]] = {kind: [] for kind in IN_SPLITS}
    for split in graph.splits.values():
        odd = find_odd_triplets(graph, split)
        if split.labels is not None:  # Those that are true in the split itself are contradictory.
            negatives = odd["negatives_true_elsewhere"]
            is_here = graph.index_splits(split.name).contains(negatives)
            odd["negatives_true_elsewhere"] = negatives[~is_here]
        for kind in IN_SPLITS.keys() & odd.keys():
            parts[kind].append(odd[kind])
    total = sum(map(len, graph.splits.values()))
    for kind, words in IN_SPLITS.items():
        if parts[kind]:
            yield from _finding(graph, kind, np.concatenate(parts[kind]), total, words)


def _find_across_splits(graph: "KnowledgeGraph", mirrors: Sequence[Mirror]) -> Iterator[Finding]:
    for split in graph.splits.values():
        if split.name == "train" or "train" not in graph or not len(split):
            continue
        positives = split.positives
        in_train = graph.known_in_train.contains(positives)
        found = {"positives_in_train": positives[in_train]}
        if split.name == "test":
            found["positives_in_validation"] = positives[graph.index_splits("validation").contains(positives)]
            rest = positives[~in_train]
            has_twin = _has_twin(rest, mirrors, graph.known_in_train)
            found["twins_in_train"], rest = rest[has_twin], rest[~has_twin]
            is_linked = [graph.known_in_train.count(1, pairs) > 0 for pairs in (rest, rest[:, ::-1])]
            found["pairs_in_train"] = rest[is_linked[0] | is_linked[1]]
        for kind, triplets in found.items():
            yield from _finding(graph, kind, triplets, len(positives), ACROSS_SPLITS[kind], split.name)
        vocabularies = zip((graph.entities, graph.relations), graph.occurring(split.name), strict=True)
        for (kind, numbers), (names, occurs) in zip(find_unseen(graph, split).items(), vocabularies, strict=True):
            if len(numbers):
                severity, what, meaning, remedy = (word.format(split.name) for word in ACROSS_SPLITS[kind])
                example = in_words(names, int(numbers[0]))
                share = len(numbers) / int(occurs.sum())
                yield Finding(kind, severity, what, len(numbers), share, example, meaning, remedy)


def _has_twin(triplets: np.ndarray, mirrors: Sequence[Mirror], known: KnownTriplets) -> np.ndarray:
    """Returns which triplets have their mirror image among the known ones: bool of shape (n,)."""
    found = np.zeros(len(triplets), dtype=bool)
    for mirror in mirrors:
        for relation, other in {(mirror.relation, mirror.other), (mirror.other, mirror.relation)}:
            rows = np.flatnonzero(triplets[:, 1] == relation)
            twins = triplets[rows] if mirror.kind == "same" else triplets[rows, ::-1]
            found[rows] |= known.contains(np.stack([twins[:, 0], np.full(len(rows), other), twins[:, 2]], axis=1))
    return found


def _find_unconnected(graph: "KnowledgeGraph", triplets: np.ndarray) -> Iterator[Finding]:
    """Finds entities in no triplet, and those that no path connects with most others."""
    occurs, _ = graph.occurring(*graph.splits)
    isolated = np.flatnonzero(~occurs)
    if len(isolated):
        yield Finding(
            "entities_in_no_triplet",
            "fact",
            "entities in no triplet",
            len(isolated),
            len(isolated) / graph.num_entities,
            in_words(graph.entities, int(isolated[0])),
            "They have a text only, and are no candidates in rankings.",
        )
    linked = np.zeros(graph.num_entities, dtype=bool)
    linked[triplets[:, [0, 2]]] = True
    islands = _islands(triplets, graph.num_entities)
    sizes = np.bincount(islands[linked], minlength=1)
    apart = np.flatnonzero(linked & (islands != sizes.argmax()))
    if len(apart):
        yield Finding(
            "entities_on_islands",
            "fact",
            "entities that no path of triplets connects with the largest part of the graph",
            len(apart),
            len(apart) / int(linked.sum()),
            in_words(graph.entities, int(apart[0])),
            f"The graph is in {int((sizes > 0).sum()):,} parts, and a model learns of each from texts only.",
        )


def _islands(triplets: np.ndarray, num_entities: int) -> np.ndarray:
    """Returns the smallest entity that each entity is connected with: int64 of shape (num_entities,)."""
    smallest = np.arange(num_entities)
    links: Any = triplets[:, [0, 2]]
    while len(links):
        low, high = links.min(axis=1), links.max(axis=1)
        np.minimum.at(smallest, high, low)
        while (further := smallest[smallest] != smallest).any():
            smallest = np.where(further, smallest[smallest], smallest)
        links = smallest[links]
        links = links[links[:, 0] != links[:, 1]]
    return smallest
