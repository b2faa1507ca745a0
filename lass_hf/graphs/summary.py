"""Counts what a graph holds, and reports on the quality of its data; `lass-hf info` prints the result.

The module only counts. It changes and repairs nothing.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import escaped
from ..formats.name_forms import find_look_alikes
from ..formats.named_triplets import to_arrow_strings

if TYPE_CHECKING:
    from ..core.knowledge_graph import GraphSplit, KnowledgeGraph


def summarize(graph: "KnowledgeGraph") -> dict[str, Any]:
    """Counts the entities, relations and triplets of a graph, and the data-quality problems among them.

    For each split the counts of `splits` are:

    - `triplets`, `positives` (labeled true, or without labels), `duplicates`, `self_loops` (head and tail are equal);
    - with labels, `contradictory_labels` (triplets that the split holds as true and as false) and
      `negatives_true_elsewhere` (labeled false, but true somewhere in the graph);
    - if the graph has a train split, for the others: `entities_unseen_in_train`, `relations_unseen_in_train`,
      `triplets_with_unseen_entity`, and the leaks `positives_in_train`, `reversed_in_train` (for (h, r, t), train holds
      some (t, any relation, h)) and `other_relation_in_train` (train holds some (h, another relation, t)). The last two
      make a test easier than it looks;
    - for test, if there is a validation split, `positives_in_validation`.

    Args:
        graph: the graph.

    Returns:
        A nested dict of integers: `entities`, `relations`, `entities_in_no_triplet`, `entities_sharing_a_text` (of
        those in triplets), `texts_shared` (the number of such texts), `most_shared_text` (its first 80 characters, or
        None), `entities_looking_alike` and `relations_looking_alike` (their ids differ in what is not visible),
        `example_of_looking_alike` (two such ids, or None) and `splits`.
    """
    occurring = graph.candidates[0]
    texts = to_arrow_strings("entities", graph.entities.texts).take(occurring).value_counts()
    counts = texts.field("counts").to_numpy()
    shared = counts[counts > 1]
    most_shared = texts.field("values")[int(counts.argmax())].as_py() if len(shared) else None
    ids = [to_arrow_strings(vocabulary.kind, vocabulary.ids) for vocabulary in (graph.entities, graph.relations)]
    (alike, example), (relations_alike, other_example) = map(find_look_alikes, ids)
    return {
        "entities": graph.num_entities,
        "relations": graph.num_relations,
        "entities_in_no_triplet": graph.num_entities - len(occurring),
        "entities_sharing_a_text": int(shared.sum()),
        "texts_shared": len(shared),
        "most_shared_text": most_shared and most_shared[:80],
        "entities_looking_alike": alike,
        "relations_looking_alike": relations_alike,
        "example_of_looking_alike": " and ".join(map(escaped, example or other_example)) or None,
        "splits": {name: _summarize_split(graph, split) for name, split in graph.splits.items()},
    }


def _count_distinct(graph: "KnowledgeGraph", triplets: np.ndarray) -> int:
    return len(KnownTriplets(triplets, graph.num_entities, graph.num_relations))


def _summarize_split(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, int]:
    triplets, positives = split.triplets, split.positives
    distinct_positives = _count_distinct(graph, positives)
    counts = {
        "triplets": len(triplets),
        "positives": len(positives),
        "duplicates": len(positives) - distinct_positives,
        "self_loops": int((triplets[:, 0] == triplets[:, 2]).sum()),
    }
    if split.labels is not None:
        negatives = triplets[split.labels == 0]
        distinct_negatives = _count_distinct(graph, negatives)
        counts["duplicates"] += len(negatives) - distinct_negatives
        counts["contradictory_labels"] = distinct_positives + distinct_negatives - _count_distinct(graph, triplets)
        counts["negatives_true_elsewhere"] = int(graph.known.contains(negatives).sum())
    if split.name == "train" or "train" not in graph:
        return counts
    entity_in_train, relation_in_train = graph.occurs_in_train()
    entity_in_split, relation_in_split = graph.occurring(split.name)
    both_in_train = entity_in_train[triplets[:, 0]] & entity_in_train[triplets[:, 2]]
    counts["entities_unseen_in_train"] = int((entity_in_split & ~entity_in_train).sum())
    counts["relations_unseen_in_train"] = int((relation_in_split & ~relation_in_train).sum())
    counts["triplets_with_unseen_entity"] = int((~both_in_train).sum())
    in_train = graph.known_in_train.contains(positives)
    counts["positives_in_train"] = int(in_train.sum())
    same_pair, reversed_pair = (graph.known_in_train.count(1, pairs) > 0 for pairs in (positives, positives[:, ::-1]))
    counts["other_relation_in_train"] = int((same_pair & ~in_train).sum())
    counts["reversed_in_train"] = int(reversed_pair.sum())
    if split.name == "test" and "validation" in graph:
        counts["positives_in_validation"] = int(graph.index_splits("validation").contains(positives).sum())
    return counts
