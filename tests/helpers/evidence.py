"""Evidence of the tiny graph: rules by hand, random vectors, random weights."""

import numpy as np

from helpers.rule_sets import make_rules
from helpers.structure import random_vectors
from lass_hf.evidence.evidence_set import collect_evidence
from lass_hf.evidence.fused_evidence import FusedEvidence, facts_fingerprint
from lass_hf.evidence.fusion import Fusion, num_groups
from lass_hf.scoring.triplet_scorer import TripletScorer
from lass_hf.structure.facts import Facts
from lass_hf.utils.fingerprints import scores_fingerprint


def rules_by_hand(graph):
    """lives_in(x, y) <- is_a(x, z), lives_in⁻(...): a path rule of each length, in the numbers of the graph."""
    is_a, eats, lives_in = map(graph.relations.find, ("is_a", "eats", "lives_in"))
    return make_rules(
        (is_a, (is_a, is_a, -1), -1, -1, 1, 2, 0.5, 0),
        (eats, (eats, is_a, -1), -1, -1, 2, 4, 0.4, 1),
        (lives_in, (eats, eats + 3, lives_in), -1, -1, 3, 9, 1 / 3, 2),
    )


def some_evidence(
    graph, model=None, processor=None, kinds=("frequency", "rules", "vectors"), rules=None
) -> FusedEvidence:
    """Evidence with random weights, because a fit takes a second."""
    scorer = None if model is None else TripletScorer(model, processor.token_store(graph))
    rules, vectors = rules_by_hand(graph) if rules is None else rules, random_vectors(graph)
    found = collect_evidence(kinds, graph, Facts.from_graph(graph), scorer, rules, vectors)
    weights = np.random.default_rng(3).normal(size=(num_groups(graph.num_relations), len(found.features)))
    return FusedEvidence(
        kinds=kinds,
        fusion=Fusion(found.features, found.kinds, weights.astype(np.float32), 3.0, 6, 0.5, dict.fromkeys(kinds, 0.25)),
        rules=rules,
        vectors=vectors,
        facts_fingerprint=facts_fingerprint(graph),
        model_fingerprint=None if model is None else scores_fingerprint(model),
        entity_ids=graph.entities.ids,
        relation_ids=graph.relations.ids,
        fitted_on={"split": "validation", "seed": 42},
        seconds={"fit": 0.5},
    )


def assert_same_evidence(found, expected):
    for part in ("rules", "vectors"):
        one, other = getattr(found, part), getattr(expected, part)
        for name, value in vars(other).items():
            assert np.array_equal(getattr(one, name), value), name
    for name, value in vars(expected.fusion).items():
        assert np.array_equal(getattr(found.fusion, name), value), name
    for name in vars(expected).keys() - {"rules", "vectors", "fusion"}:
        assert getattr(found, name) == getattr(expected, name), name
