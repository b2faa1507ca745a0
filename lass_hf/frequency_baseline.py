"""The baseline to beat: an entity scores by how often it stands in that slot of that relation in training. No text."""

import numpy as np

from .candidate_scores import ScoreFunction
from .knowledge_graph import KnowledgeGraph


def frequency_scores(graph: KnowledgeGraph) -> ScoreFunction:
    """A score function, for heads and tails: the number of training triplets with that entity in the asked slot."""
    train = graph["train"].positives
    counts = {slot: np.zeros((graph.num_relations, graph.num_entities), dtype=np.float32) for slot in (0, 2)}
    for slot, count in counts.items():
        np.add.at(count, (train[:, 1], train[:, slot]), 1)

    def score(triplets: np.ndarray, slot: int, progress=None) -> np.ndarray:
        return counts[slot][triplets[:, 1], triplets[:, slot]]

    return score
