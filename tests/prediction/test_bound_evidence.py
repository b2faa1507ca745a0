"""Predictions by fitted evidence: a plain loop over features, and entities that are new to the graph."""

import numpy as np
import pytest
from helpers.bi_encoder import bi_encoder_model
from helpers.tiny import ENTITY_TEXT, make_model, make_processor

from lass_hf import LassPredictor
from lass_hf.evidence.building import build_evidence
from lass_hf.structure.rules import RuleSet

NEW = "cheese house, a building that purrs"
KINDS = {"cross-encoder": ("text", "frequency"), "bi-encoder": ("text", "neighbors", "frequency")}


@pytest.fixture(scope="module", params=KINDS)
def predictor(request, graph):
    architecture = request.param
    model = bi_encoder_model() if architecture == "bi-encoder" else make_model()
    processor = make_processor(graph, architecture=architecture)
    evidence = build_evidence(graph, model, processor, KINDS[architecture], quiet=True, dtype="float32")
    return LassPredictor(model, processor, "float32", evidence=evidence)


def by_id(predictions):
    return {one.id: one for one in predictions}


def test_scores_and_shares_are_weighted_sums_of_features(predictor):
    graph, bound = predictor.graph, predictor.bound_evidence
    found = by_id(predictor.predict(head="cat", relation="eats", top_k=100, exclude_known=False))
    query = np.array([[graph.entities.index["cat"], graph.relations.index["eats"], 0]])
    every = np.arange(graph.num_entities)
    features = bound._set(query, 2, every, np.ones((1, len(every)), dtype=bool))[:, 0]
    weighted = bound._weights(query, 2) * features
    np.testing.assert_allclose(
        [found[name].score for name in graph.entities.ids], weighted.sum(0), rtol=1e-4, atol=1e-4
    )
    for kind in bound.kinds:
        rows = weighted[[one == kind for one in bound._set.kinds]].sum(0)
        shares = [found[name].shares[kind] for name in graph.entities.ids]
        np.testing.assert_allclose(shares, rows - rows.mean(), rtol=1e-4, atol=1e-4)


def test_shares_do_not_depend_on_the_other_queries(predictor):
    names = predictor.graph.entities.ids
    queries = [{"head": name, "relation": "eats"} for name in names]
    together = predictor.complete(queries, top_k=2)
    for query, expected in zip(queries, together, strict=True):
        (alone,) = predictor.complete([query], top_k=2)
        for one, other in zip(alone, expected, strict=True):
            assert one["shares"] == pytest.approx(other["shares"], abs=1e-4)


def test_a_new_entity_with_the_text_of_one_without_facts_is_ranked_like_it(predictor):
    """Milk occurs in no training triplet, so its words are all that is known of it."""
    old = predictor.predict(head="milk", relation="is_a", top_k=100, exclude_known=False)
    new = predictor.predict(head={"text": ENTITY_TEXT["milk"]}, relation="is_a", top_k=100)
    assert [one.id for one in new] == [one.id for one in old]
    np.testing.assert_allclose([one.score for one in new], [one.score for one in old], rtol=1e-4, atol=1e-4)
    for one, other in zip(new, old, strict=True):
        assert one.shares == pytest.approx(other.shares, abs=1e-4)


def test_a_new_candidate_has_only_its_words(predictor):
    candidates = ["milk", "food", {"text": ENTITY_TEXT["milk"]}, {"text": NEW}]
    found = predictor.predict(head="cat", relation="eats", candidates=candidates, exclude_known=False)
    assert sorted(one.id for one in found) == sorted(["milk", "food", ENTITY_TEXT["milk"], NEW])
    found = by_id(found)
    text = LassPredictor(predictor.scorer.model, predictor.processor, "float32")
    assert found[ENTITY_TEXT["milk"]].score == found["milk"].score
    assert found[NEW].shares["frequency"] == found["milk"].shares["frequency"] < found["food"].shares["frequency"]
    # What differs between two entities without facts is what their words say.
    if "neighbors" not in found[NEW].shares:
        scores = text.score([("cat", "eats", {"text": NEW}), ("cat", "eats", "milk")])
        weight = (found[NEW].score - found["milk"].score) / (scores[0] - scores[1])
        bound = predictor.bound_evidence
        expected = bound._weights(np.array([[0, 1, 0]]), 2)[bound._set.features.index("text"), 0]
        assert weight == pytest.approx(float(expected), rel=1e-3)


def test_a_call_with_new_entities_leaves_the_evidence_as_it_was(predictor):
    before = predictor.predict(head="dog", relation="eats")
    predictor.predict(head={"text": NEW}, relation="eats", candidates=["milk", {"text": "a"}])
    after = predictor.predict(head="dog", relation="eats")
    assert after == before
    assert [one.shares for one in after] == [one.shares for one in before]


def test_a_cross_encoder_can_be_stopped_while_it_scores(predictor, monkeypatch):
    monkeypatch.setattr(predictor.scorer, "token_budget", 1)  # many batches
    counts = []
    predictor.rank(np.array([[0, 1, 0]]), 2, exclude_known=False, on_progress=counts.append)
    assert sum(counts) == predictor.graph.num_entities
    assert (len(counts) > 1) != predictor.scorer.is_bi_encoder


def make_rules(graph):
    """eats(X, food) if is_a(X, animal), and redundantly if X is anything; eats(X, Y) if is_a(X, Z) and eats(Z, Y)."""
    entity, relation = graph.entities.index, graph.relations.index
    eats, is_a = relation["eats"], relation["is_a"]
    columns = [
        (eats, (is_a, -1, -1), entity["food"], entity["animal"], 0.75, 0),
        (eats, (is_a, -1, -1), entity["food"], -1, 0.5, 0),
        (eats, (is_a, eats, -1), -1, -1, 0.25, 1),
    ]
    heads, bodies, ends, constants, confidences, groups = (np.array(column) for column in zip(*columns, strict=True))
    counts = np.array([3, 3, 3])
    integers = (one.astype(np.int32) for one in (heads, bodies, ends, constants))
    return RuleSet(*integers, counts, 2 * counts, confidences, groups.astype(np.int32))


def test_reasons_are_rules_in_words_with_the_entities_that_fulfil_them(graph):
    evidence = build_evidence(
        graph, make_model(), make_processor(graph), ("text", "rules"), rules=make_rules(graph), quiet=True
    )
    predictor = LassPredictor(make_model(), make_processor(graph), "float32", evidence=evidence)
    found = by_id(predictor.predict(head="dog", relation="eats", exclude_known=False, top_k=100))
    assert found["food"].reasons == ["dog is a animal (confidence 0.75)"]
    mouse = by_id(predictor.predict(head="mouse", relation="eats", exclude_known=False, top_k=100))
    assert mouse["food"].reasons == [
        "mouse is a rodent (confidence 0.5)",
        "mouse is a rodent and rodent eats food (confidence 0.25)",
    ]
    assert mouse["garden"].reasons == []
    assert mouse["food"].shares["rules"] > mouse["garden"].shares["rules"]
