"""The baseline to beat: an entity's score is how often it stands in a slot of the relation in training; no text."""

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.candidate_scores import TripletScoreFunction
from ..scoring.entity_frequencies import EntityFrequencies


def make_frequency_scorer(graph: KnowledgeGraph) -> TripletScoreFunction:
    """Returns a score function that counts training triplets; `scorer_from_triplets` makes it rank candidates.

    Args:
        graph: a graph with a training split.

    Returns:
        A function of triplets, int of shape (n, 3), and a slot, 0 or 2: the number of training triplets of the
        relation with that entity in that slot, float32, shape (n,). It raises LassError for another slot.
    """
    frequencies = EntityFrequencies(graph["train"].positives, graph.num_entities)

    def score(triplets: np.ndarray, slot: int, progress=None) -> np.ndarray:
        if slot not in (0, 2):
            raise LassError(f"slot {slot}: frequencies rank heads and tails only; expected slots (0, 2)")
        return frequencies.lookup(slot, triplets)

    return score
