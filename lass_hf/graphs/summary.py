"""What is in a graph and what is odd about it, from its arrays and texts: the numbers behind `lass-hf info`.

It only counts; it changes and repairs nothing.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from .named_triplets import to_arrow_strings

if TYPE_CHECKING:
    from ..core.knowledge_graph import GraphSplit, KnowledgeGraph


def summarize(graph: "KnowledgeGraph") -> dict[str, Any]:
    """Counts of a graph, as a nested dict of ints.

    `reversed_in_train` counts triplets (h, r, t) whose pair occurs in train as (t, any, h); `other_relation_in_train`
    those whose pair occurs there as (h, another relation, t); both make a test easier than it looks.
    """
    occurring = graph.candidates[0]
    texts = to_arrow_strings("entities", graph.entities.texts).take(occurring).value_counts()
    counts = texts.field("counts").to_numpy()
    shared = counts[counts > 1]
    most = texts.field("values")[int(counts.argmax())].as_py() if len(shared) else None
    return {
        "entities": graph.num_entities,
        "relations": graph.num_relations,
        "entities_in_no_triplet": graph.num_entities - len(occurring),
        "entities_sharing_a_text": int(shared.sum()),
        "texts_shared": len(shared),
        "most_shared_text": most and most[:80],
        "splits": {name: _summarize_split(graph, split) for name, split in graph.splits.items()},
    }


def _distinct(graph: "KnowledgeGraph", triplets: np.ndarray) -> int:
    return len(KnownTriplets(triplets, graph.num_entities, graph.num_relations))


def _summarize_split(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, int]:
    triplets, positives = split.triplets, split.positives
    distinct_positives = _distinct(graph, positives)
    counts = {
        "triplets": len(triplets),
        "positives": len(positives),
        "duplicates": len(positives) - distinct_positives,
        "self_loops": int((triplets[:, 0] == triplets[:, 2]).sum()),
    }
    if split.labels is not None:
        negatives = triplets[split.labels == 0]
        distinct_negatives = _distinct(graph, negatives)
        counts["duplicates"] += len(negatives) - distinct_negatives
        counts["contradictory_labels"] = distinct_positives + distinct_negatives - _distinct(graph, triplets)
        counts["negatives_true_elsewhere"] = int(graph.known.contains(negatives).sum())
    if split.name == "train" or "train" not in graph:
        return counts
    known_entities, known_relations = graph.occurs_in_train()
    entities, relations = graph.occurring(split.name)
    seen = known_entities[triplets[:, 0]] & known_entities[triplets[:, 2]]
    counts["entities_unseen_in_train"] = int((entities & ~known_entities).sum())
    counts["relations_unseen_in_train"] = int((relations & ~known_relations).sum())
    counts["triplets_with_unseen_entity"] = int((~seen).sum())
    in_train = graph.known_in_train.contains(positives)
    counts["positives_in_train"] = int(in_train.sum())
    same_pair, reversed_pair = (graph.known_in_train.count(1, pairs) > 0 for pairs in (positives, positives[:, ::-1]))
    counts["other_relation_in_train"] = int((same_pair & ~in_train).sum())
    counts["reversed_in_train"] = int(reversed_pair.sum())
    if split.name == "test" and "validation" in graph:
        counts["positives_in_validation"] = int(graph.index_of("validation").contains(positives).sum())
    return counts
