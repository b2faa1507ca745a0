"""Ranks from the scores of single triplets, which are compared one by one."""

import numpy as np

from lass_hf.scoring.triplet_scorer import TripletScorer


def ranks_of_single_scores(model, processor, graph, triplets):
    """Returns the filtered ranks of all heads, then of all tails, if no two scores are equal."""
    scorer, ranks = TripletScorer(model, processor.token_store(), "float32"), []
    for slot in (0, 2):
        for triplet in triplets:
            rivals = np.repeat(triplet[None], graph.num_entities, axis=0)
            rivals[:, slot] = np.arange(graph.num_entities)
            rivals = rivals[~graph.known.contains(rivals) & np.isin(rivals[:, slot], graph.candidates[slot])]
            ranks.append(1 + (scorer.score(rivals, slot) > scorer.score(triplet[None], slot)).sum())
    return ranks
