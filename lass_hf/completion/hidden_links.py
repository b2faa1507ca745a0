"""Hides links of a graph, by which its completion is measured.

With a test split its links are hidden, and weights and chances are fitted on validation. With a validation split only,
each half of it (of its pairs of entities) is hidden once, while the other half does the fitting.
"""

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets


def hide_links(graph: KnowledgeGraph, seed: int = 42) -> list[tuple[KnowledgeGraph, np.ndarray]]:
    """Makes the graphs that are completed, without the links that the lists are measured by.

    Args:
        graph: The graph.
        seed: Seed of the halves of a validation split.

    Returns:
        Graphs without a test split, each with the links hidden from it, int64 of shape (h, 3), distinct: one if there
        is a test split, or else one for each half of the validation split.

    Raises:
        GraphError: There is neither split, or nothing in it to hide.
    """
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items() if name != "test"}
    if "test" in graph:
        parts = [(splits, graph["test"].positives)]
    elif "validation" in graph:
        validation = graph["validation"]
        pairs = np.sort(validation.triplets[:, [0, 2]], axis=1)
        distinct, groups = np.unique(pairs, axis=0, return_inverse=True)
        half = (np.random.default_rng(seed).permutation(len(distinct)) % 2)[groups.reshape(-1)]
        parts = []
        for number in (0, 1):
            own, other = (validation.select(np.flatnonzero((half == number) == is_own)) for is_own in (True, False))
            parts.append((splits | {"validation": (other.triplets, other.labels)}, own.positives))
    else:
        raise GraphError(
            "the graph has no validation and no test split, so no links were held out of training to measure by: "
            "hold some out (lass-hf split), and train on the rest"
        )
    made = []
    for own_splits, positives in parts:
        rest = KnowledgeGraph(graph.entities, graph.relations, own_splits)
        hidden = KnownTriplets(positives, graph.num_entities, graph.num_relations).triplets()
        made.append((rest, hidden[~rest.known.contains(hidden)]))
    if not all(len(hidden) for _, hidden in made):
        where = "test" if "test" in graph else "validation"
        raise GraphError(
            f"the {where} split has too few links that train lacks: expected some to measure with"
            f"{'' if where == 'test' else ', between two pairs of entities or more'} (lass-hf split holds links out)"
        )
    return made
