"""The baseline to beat: an entity scores by how often it stands in that slot of that relation in training. No text."""

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.candidate_scores import ScoreFunction
from ..scoring.entity_frequencies import AnswerFrequencies


def frequency_scores(graph: KnowledgeGraph) -> ScoreFunction:
    """A score function, for heads and tails: the number of training triplets with that entity in the asked slot."""
    frequencies = AnswerFrequencies(graph["train"].positives, graph.num_entities)

    def score(triplets: np.ndarray, slot: int, progress=None) -> np.ndarray:
        scores = np.empty(len(triplets), dtype=np.float32)
        for relation in np.unique(triplets[:, 1]).tolist():
            rows = triplets[:, 1] == relation
            scores[rows] = frequencies.of(slot, relation)[triplets[rows, slot]]
        return scores

    return score
