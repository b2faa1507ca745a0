"""Splits a graph for inductive link prediction: the test queries are about entities that the training never saw."""

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import Vocabulary


def inductive_split(graph: KnowledgeGraph, share: float = 0.2, seed: int = 42) -> tuple[KnowledgeGraph, KnowledgeGraph]:
    """Takes a random share of the entities out of a graph, and returns a graph to train on and a graph to test on.

    The training graph has the other entities only, and the triplets of each split among them. Its own test split gives
    the transductive result to compare with.

    The test graph has all entities. Its train split is that of the training graph. Its test split holds every true
    triplet, of any split, between two of the entities that were taken out. Its validation split holds that of the
    training graph, and every true triplet with one such entity: these count as known answers in the filtered setting,
    but are not trained on. So test and training share no entity, and queries are ranked among the entities of both.
    Triplets labeled false are left out of both graphs.

    Args:
        graph: the graph; it needs a train split.
        share: the share of the entities to take out, between 0 and 1.
        seed: the seed of their choice.

    Returns:
        The training graph and the test graph.

    Raises:
        GraphError: the share is not between 0 and 1, or a train or test split would be empty.
    """
    if not 0 < share < 1:
        raise GraphError(f"share={share}; expected more than 0 and less than 1")
    count = round(share * graph.num_entities)
    is_unseen = np.zeros(graph.num_entities, dtype=bool)
    is_unseen[np.random.default_rng(seed).permutation(graph.num_entities)[:count]] = True
    among_seen, with_one_unseen, among_unseen = {}, [], []
    for name, split in graph.splits.items():
        num_unseen = is_unseen[split.positives[:, [0, 2]]].sum(axis=1)
        among_seen[name] = split.positives[num_unseen == 0]
        with_one_unseen.append(split.positives[num_unseen == 1])
        among_unseen.append(split.positives[num_unseen == 2])
    test = np.unique(np.concatenate(among_unseen), axis=0)
    if "train" not in among_seen or not len(among_seen["train"]) or not len(test):
        raise GraphError(
            f"share={share}: {len(among_seen.get('train', []))} triplets to train on and {len(test)} to test are left; "
            "choose another share or seed"
        )
    kept = np.flatnonzero(~is_unseen)
    new_number = np.cumsum(~is_unseen) - 1  # of each entity in the training graph; meaningless for those taken out
    ids, texts = ([values[entity] for entity in kept.tolist()] for values in (graph.entities.ids, graph.entities.texts))
    training_splits = {
        name: (_renumber(triplets, new_number), None) for name, triplets in among_seen.items() if len(triplets)
    }
    training_graph = KnowledgeGraph(Vocabulary("entities", ids, texts), graph.relations, training_splits)
    seen_validation = [among_seen["validation"]] if "validation" in among_seen else []
    validation = np.unique(np.concatenate([*with_one_unseen, *seen_validation]), axis=0)
    splits = {"train": among_seen["train"], "validation": validation, "test": test}
    test_splits = {name: (triplets, None) for name, triplets in splits.items() if len(triplets)}
    return training_graph, KnowledgeGraph(graph.entities, graph.relations, test_splits)


def _renumber(triplets: np.ndarray, new_number: np.ndarray) -> np.ndarray:
    return np.stack([new_number[triplets[:, 0]], triplets[:, 1], new_number[triplets[:, 2]]], axis=1)
