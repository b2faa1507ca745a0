"""Suggestions over a random graph, whose chances to be held-out links are known because they are drawn by them."""

import numpy as np

from lass_hf import KnowledgeGraph
from lass_hf.completion.suggestions import Suggestions
from lass_hf.core.vocabulary import Vocabulary

STANDINGS = ("new", "implied", "sibling")
NUM_ENTITIES, NUM_RELATIONS = 200, 4


def draw_suggestions(count, seed=1):
    """Returns distinct suggestions, some answered from one side only, and the standing of each."""
    rng = np.random.default_rng(seed)
    triplets = np.stack([rng.integers(size, size=2 * count) for size in (NUM_ENTITIES, NUM_RELATIONS, NUM_ENTITIES)], 1)
    triplets = rng.permutation(np.unique(triplets, axis=0))[:count]
    logs = np.minimum(rng.normal(-4, 2, (count, 2)), -0.01).astype(np.float32)
    ranks = rng.integers(1, 11, (count, 2)).astype(np.int32)
    margins = rng.exponential(size=(count, 2)).astype(np.float32)
    is_missing = np.zeros((count, 2), dtype=bool)
    is_missing[np.arange(count), rng.integers(2, size=count)] = rng.random(count) < 0.3
    logs[is_missing], margins[is_missing], ranks[is_missing] = np.nan, np.nan, 0
    return Suggestions(triplets, logs, ranks, margins), rng.integers(len(STANDINGS), size=count)


def true_chances(suggestions, standings, shift=0.0):
    """Returns the chances that links are drawn by: of the better log probability, the relation and the standing."""
    best = np.nanmax(suggestions.log_probabilities.astype(np.float64), axis=1)
    of_relation = np.array([0.0, 1.0, -1.0, 0.5])[suggestions.triplets[:, 1]]
    return 1 / (1 + np.exp(-(best + 0.5 + of_relation + 1.5 * (standings == 1) + shift)))


def make_graph(train, **splits):
    """Returns a graph of the random entities and relations, each split as an int array of shape (n, 3)."""
    entities, relations = (
        [f"{letter}{n}" for n in range(size)] for letter, size in (("e", NUM_ENTITIES), ("r", NUM_RELATIONS))
    )
    arrays = {"train": train, **splits}
    return KnowledgeGraph(
        Vocabulary("entities", entities, entities),
        Vocabulary("relations", relations, relations),
        {name: (np.asarray(triplets, dtype=np.int64), None) for name, triplets in arrays.items()},
    )


def draw_facts(count, suggestions, seed=2):
    """Returns training triplets that are no suggestions."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.integers(size, size=count) for size in (NUM_ENTITIES, NUM_RELATIONS, NUM_ENTITIES)], 1)
    is_suggested = (drawn[:, None] == suggestions.triplets[None]).all(axis=2).any(axis=1)
    return drawn[~is_suggested]
