"""Evidence of the tiny graph: rules by hand, random vectors, fitted weights."""

import numpy as np

from helpers.rule_sets import make_rules
from helpers.structure import random_vectors
from lass_hf.evidence.building import build_evidence


def rules_by_hand(graph):
    """lives_in(x, y) <- is_a(x, z), lives_in⁻(...): a path rule of each length, in the numbers of the graph."""
    is_a, eats, lives_in = map(graph.relations.find, ("is_a", "eats", "lives_in"))
    return make_rules(
        (is_a, (is_a, is_a, -1), -1, -1, 1, 2, 0.5, 0),
        (eats, (eats, is_a, -1), -1, -1, 2, 4, 0.4, 1),
        (lives_in, (eats, eats + 3, lives_in), -1, -1, 3, 9, 1 / 3, 2),
    )


def some_evidence(graph, model=None, processor=None, kinds=("frequency", "rules", "vectors")):
    given = {"rules": rules_by_hand(graph), "vectors": random_vectors(graph)}
    return build_evidence(graph, model, processor, kinds, **given, quiet=True)


def assert_same_evidence(found, expected):
    for part in ("rules", "vectors"):
        one, other = getattr(found, part), getattr(expected, part)
        for name, value in vars(other).items():
            assert np.array_equal(getattr(one, name), value), name
    for name, value in vars(expected.fusion).items():
        assert np.array_equal(getattr(found.fusion, name), value), name
    for name in vars(expected).keys() - {"rules", "vectors", "fusion"}:
        assert getattr(found, name) == getattr(expected, name), name
