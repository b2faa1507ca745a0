"""What is in a graph and what is odd about it, from its arrays and texts: the numbers behind `lass-hf info`.

It only counts; it changes and repairs nothing.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .knowledge_graph import GraphSplit, KnowledgeGraph


def summarize(graph: "KnowledgeGraph") -> dict[str, Any]:
    """Counts of a graph, as a nested dict of ints.

    `reversed_in_train` counts triplets (h, r, t) whose pair occurs in train as (t, any, h); `other_relation_in_train`
    those whose pair occurs there as (h, another relation, t); both make a test easier than it looks.
    """
    occurring = graph.candidates[0]
    texts = Counter(graph.entities.texts[number] for number in occurring.tolist())
    shared = {text: count for text, count in texts.items() if count > 1}
    return {
        "entities": graph.num_entities,
        "relations": graph.num_relations,
        "entities_in_no_triplet": graph.num_entities - len(occurring),
        "entities_sharing_a_text": sum(shared.values()),
        "texts_shared": len(shared),
        "most_shared_text": max(shared, key=lambda text: shared[text])[:80] if shared else None,
        "splits": {name: _summarize_split(graph, split) for name, split in graph.splits.items()},
    }


def _pairs(triplets: np.ndarray, size: int) -> np.ndarray:
    return triplets[:, 0] * size + triplets[:, 2]


def _summarize_split(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, int]:
    triplets, positives = split.triplets, split.positives
    distinct_positives = np.unique(positives, axis=0)
    counts = {
        "triplets": len(triplets),
        "positives": len(positives),
        "duplicates": len(positives) - len(distinct_positives),
        "self_loops": int((triplets[:, 0] == triplets[:, 2]).sum()),
    }
    if split.labels is not None:
        negatives = triplets[split.labels == 0]
        distinct_negatives = np.unique(negatives, axis=0)
        distinct = np.unique(triplets, axis=0)
        counts["duplicates"] += len(negatives) - len(distinct_negatives)
        counts["contradictory_labels"] = len(distinct_positives) + len(distinct_negatives) - len(distinct)
        counts["negatives_true_elsewhere"] = int(graph.known.contains(negatives).sum())
    if split.name == "train" or "train" not in graph:
        return counts
    known_entities, known_relations = graph.occurs_in_train()
    seen = known_entities[triplets[:, 0]] & known_entities[triplets[:, 2]]
    entities = np.unique(triplets[:, [0, 2]])
    counts["entities_unseen_in_train"] = int((~known_entities[entities]).sum())
    counts["relations_unseen_in_train"] = int((~known_relations[np.unique(triplets[:, 1])]).sum())
    counts["triplets_with_unseen_entity"] = int((~seen).sum())
    in_train = graph.known_in_train.contains(positives)
    counts["positives_in_train"] = int(in_train.sum())
    train = graph["train"].positives
    pairs = np.unique(_pairs(train, graph.num_entities))
    same = np.isin(_pairs(positives, graph.num_entities), pairs) & ~in_train
    counts["other_relation_in_train"] = int(same.sum())
    counts["reversed_in_train"] = int(np.isin(_pairs(positives[:, ::-1], graph.num_entities), pairs).sum())
    if split.name == "test" and "validation" in graph:
        counts["positives_in_validation"] = int(graph.index_of("validation").contains(positives).sum())
    return counts
