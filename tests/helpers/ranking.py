"""Scores from a table, for the tests of ranking; and whether two results are equal."""

import numpy as np


class Table:
    """A score function that looks scores up in an array, and notes what it is asked for."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)
        self.asked = []

    @classmethod
    def random(cls, graph, seed=0, values=4):
        """Few different values, so that many candidates are tied."""
        shape = (graph.num_entities, graph.num_relations, graph.num_entities)
        return cls(np.random.default_rng(seed).integers(values, size=shape))

    def __call__(self, triplets, slot, progress=None):
        self.asked += [(slot, *triplet) for triplet in triplets.tolist()]
        if progress is not None:
            progress.update(len(triplets))
        return self.scores[tuple(triplets.T)]


def same(result, expected):
    """Are two results equal in all that they say?"""
    fields = [(getattr(result, name), getattr(expected, name)) for name in vars(expected)]
    return all(np.array_equal(*pair) if isinstance(pair[0], np.ndarray) else pair[0] == pair[1] for pair in fields)
