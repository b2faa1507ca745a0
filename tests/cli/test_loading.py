"""The graph of a command beside that of its model: what was held out while the model was trained is no fact."""

import numpy as np
from helpers.tiny import integer_graph

from lass_hf.cli.loading import _divide

NAMES = [("0", "0", "1"), ("1", "0", "2"), ("2", "1", "0"), ("3", "1", "0"), ("3", "0", "4")]


def sets(graph):
    """Returns the triplets of each split by ids, with their labels."""
    ids, relations = graph.entities.ids, graph.relations.ids
    return {
        name: {
            (ids[h], relations[r], ids[t], 1 if split.labels is None else int(label))
            for (h, r, t), label in zip(
                split.triplets, np.ones(len(split)) if split.labels is None else split.labels, strict=True
            )
        }
        for name, split in graph.splits.items()
    }


def test_an_undivided_graph_is_divided_as_that_of_the_model_though_it_has_grown():
    own = integer_graph(NAMES[:3], 5, 2, validation=NAMES[3:4], test=NAMES[4:])
    grown = integer_graph([*NAMES[::-1], ("6", "2", "5")], 7, 3)
    found = sets(_divide(grown, own))
    assert found == {
        "train": {(*one, 1) for one in [*NAMES[:3], ("6", "2", "5")]},
        "validation": {(*NAMES[3], 1)},
        "test": {(*NAMES[4], 1)},
    }


def test_a_graph_that_lacks_a_held_out_triplet_or_has_splits_stays_as_it_is():
    own = integer_graph(NAMES[:3], 5, 2, validation=NAMES[3:])
    for graph in (integer_graph(NAMES[:4], 5, 2), integer_graph(NAMES[:2], 5, 2, test=NAMES[2:])):
        assert _divide(graph, own) is graph
    assert _divide(own, integer_graph(NAMES, 5, 2)) is own
