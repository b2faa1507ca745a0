"""A split to test what a model makes of entities that it has never seen: known by their texts only."""

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import Vocabulary


def inductive_split(graph: KnowledgeGraph, share: float = 0.2, seed: int = 42) -> tuple[KnowledgeGraph, KnowledgeGraph]:
    """Takes a seeded share of the entities out of a graph: the graph to train on, and the one to test on.

    The first has the other entities only, and those triplets of each split that are among them; its own test split is
    the transductive measure to compare with. The second has all entities. Its train split is the first's; its test
    split holds every true triplet, of any split, between two entities that were taken out; its validation split holds
    the first's and every true triplet with one such entity, which is known, so no wrong answer, but not trained on. So
    test and training share no entity, and queries are ranked among the entities of both. False triplets are left out.
    Raises GraphError for a share that is not between 0 and 1, or that leaves a train or test split empty.
    """
    if not 0 < share < 1:
        raise GraphError(f"share={share}; expected more than 0 and less than 1")
    count = round(share * graph.num_entities)
    unseen = np.zeros(graph.num_entities, dtype=bool)
    unseen[np.random.default_rng(seed).permutation(graph.num_entities)[:count]] = True
    inside, across, both = {}, [], []
    for name, split in graph.splits.items():
        ends = unseen[split.positives[:, [0, 2]]].sum(axis=1)
        inside[name] = split.positives[ends == 0]
        across.append(split.positives[ends == 1])
        both.append(split.positives[ends == 2])
    test = np.unique(np.concatenate(both), axis=0)
    if "train" not in inside or not len(inside["train"]) or not len(test):
        raise GraphError(
            f"share={share}: {len(inside.get('train', []))} triplets to train on and {len(test)} to test are left; "
            "choose another share or seed"
        )
    kept = np.flatnonzero(~unseen)
    number = np.cumsum(~unseen) - 1  # of each entity among those that stay
    ids, texts = ([values[entity] for entity in kept.tolist()] for values in (graph.entities.ids, graph.entities.texts))
    seen = {name: (_renumbered(triplets, number), None) for name, triplets in inside.items() if len(triplets)}
    training = KnowledgeGraph(Vocabulary("entities", ids, texts), graph.relations, seen)
    validation = np.concatenate([*across, *([inside["validation"]] if "validation" in inside else [])])
    splits = {"train": inside["train"], "validation": np.unique(validation, axis=0), "test": test}
    named = {name: (triplets, None) for name, triplets in splits.items() if len(triplets)}
    return training, KnowledgeGraph(graph.entities, graph.relations, named)


def _renumbered(triplets: np.ndarray, number: np.ndarray) -> np.ndarray:
    return np.stack([number[triplets[:, 0]], triplets[:, 1], number[triplets[:, 2]]], axis=1)
