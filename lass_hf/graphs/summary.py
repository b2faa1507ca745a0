"""Counts what a graph holds, and reports on the quality of its data; `lass-hf info` prints the result.

The module only counts. It changes and repairs nothing.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..core.vocabulary import escaped
from ..names.name_forms import find_look_alikes
from ..names.named_triplets import to_arrow_strings

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


def _summarize_split(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, int]:
    odd = {kind: len(triplets) for kind, triplets in find_odd_triplets(graph, split).items()}
    counts = {"triplets": len(split), "positives": len(split.positives), **odd}
    if split.name == "train" or "train" not in graph:
        return counts
    unseen = {kind: len(numbers) for kind, numbers in find_unseen(graph, split).items()}
    return counts | unseen


def find_unseen(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, np.ndarray]:
    """Finds the entities and relations of a split that the train split does not have.

    Args:
        graph: the graph, with a train split.
        split: another split of it.

    Returns:
        Their numbers, ascending, as `entities_unseen_in_train` and `relations_unseen_in_train`.
    """
    entity_in_train, relation_in_train = graph.occurs_in_train()
    entity_in_split, relation_in_split = graph.occurring(split.name)
    return {
        "entities_unseen_in_train": np.flatnonzero(entity_in_split & ~entity_in_train),
        "relations_unseen_in_train": np.flatnonzero(relation_in_split & ~relation_in_train),
    }


def find_odd_triplets(graph: "KnowledgeGraph", split: "GraphSplit") -> dict[str, np.ndarray]:
    """Finds the triplets of a split that are odd, by the names that `summarize` counts them under.

    Args:
        graph: the graph.
        split: a split of it.

    Returns:
        The triplets of each kind, int64 of shape (k, 3): a row for each that counts. The kinds depend on what the
        graph has, see `summarize`.
    """
    triplets, positives = split.triplets, split.positives
    found = {"duplicates": _repeated(graph, positives), "self_loops": triplets[triplets[:, 0] == triplets[:, 2]]}
    if split.labels is not None:
        negatives = triplets[split.labels == 0]
        distinct = KnownTriplets(negatives, graph.num_entities, graph.num_relations).triplets()
        found["duplicates"] = np.concatenate([found["duplicates"], _repeated(graph, negatives)])
        found["contradictory_labels"] = distinct[graph.index_splits(split.name).contains(distinct)]
        found["negatives_true_elsewhere"] = negatives[graph.known.contains(negatives)]
    if split.name == "train" or "train" not in graph:
        return found
    entity_in_train, _ = graph.occurs_in_train()
    both_in_train = entity_in_train[triplets[:, 0]] & entity_in_train[triplets[:, 2]]
    in_train = graph.known_in_train.contains(positives)
    same_pair, reversed_pair = (graph.known_in_train.count(1, pairs) > 0 for pairs in (positives, positives[:, ::-1]))
    found |= {
        "triplets_with_unseen_entity": triplets[~both_in_train],
        "positives_in_train": positives[in_train],
        "other_relation_in_train": positives[same_pair & ~in_train],
        "reversed_in_train": positives[reversed_pair],
    }
    if split.name == "test" and "validation" in graph:
        found["positives_in_validation"] = positives[graph.index_splits("validation").contains(positives)]
    return found


def _repeated(graph: "KnowledgeGraph", triplets: np.ndarray) -> np.ndarray:
    """Returns a row for each triplet that stands in the rows before: int64 of shape (k, 3)."""
    num_entities, num_relations = graph.num_entities, graph.num_relations
    if len(KnownTriplets(triplets, num_entities, num_relations)) == len(triplets):
        return triplets[:0]
    keys = np.sort((triplets[:, 0] * num_relations + triplets[:, 1]) * num_entities + triplets[:, 2])
    pairs, tails = np.divmod(keys[1:][np.diff(keys) == 0], num_entities)
    return np.stack([*np.divmod(pairs, num_relations), tails], axis=1)
