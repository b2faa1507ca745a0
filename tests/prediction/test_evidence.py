"""Predictions by evidence beside the words: their order, shares and reasons, and what stays the words' own."""

import pickle

import numpy as np
import pytest
from helpers.fake_evidence import RULES, TEXT, FakeEvidence
from helpers.tiny import make_model, make_processor

from lass_hf import LassPredictor

pytestmark = pytest.mark.usefixtures("fake_reasons")
NEW = "cheese house, a building that purrs"
QUERY = {"head": "cat", "relation": "eats"}


def make_predictor(graph, architecture, evidence="text", **choices):
    model = make_model(architecture=architecture)
    model.config.calibration = {"threshold": 0.5, "slope": 1.5, "intercept": -0.5}
    processor = make_processor(graph, architecture=architecture)
    return LassPredictor(model, processor, "float32", evidence=evidence, **choices)


@pytest.fixture(scope="module", params=["cross-encoder", "bi-encoder"])
def predictors(request, graph):
    """A predictor with evidence, and one of the same model without."""
    return [make_predictor(graph, request.param, evidence) for evidence in (FakeEvidence(), "text")]


def integers_of(predictor, query, ids):
    entities, relations = predictor.graph.entities.index, predictor.graph.relations.index
    triplet = [entities.get(query.get("head"), 0), relations[query["relation"]], entities.get(query.get("tail"), 0)]
    rows = np.repeat([triplet], len(ids), axis=0)
    rows[:, 0 if "tail" in query else 2] = [entities[name] for name in ids]
    return rows


@pytest.mark.parametrize("query", [QUERY, {"relation": "is_a", "tail": "animal"}])
def test_heads_and_tails_are_in_the_order_of_the_fused_score(query, predictors):
    predictor, text = predictors
    found = predictor.predict(**query, top_k=100, exclude_known=False)
    rows = integers_of(predictor, query, [prediction.id for prediction in found])
    slot = 0 if "tail" in query else 2
    expected = TEXT * text.scorer.score(rows, slot) + RULES * (rows[:, 0] % 2 == rows[:, 2] % 2)
    np.testing.assert_allclose([prediction.score for prediction in found], expected, rtol=1e-4, atol=1e-4)
    assert sorted(expected, reverse=True) == list(expected)
    known = {prediction.id for prediction in found if prediction.known}
    assert known == {one.id for one in text.predict(**query, top_k=100, exclude_known=False) if one.known} != set()


def test_shares_add_up_to_the_score_but_a_constant_and_have_mean_zero(predictors):
    found = predictors[0].predict(**QUERY, top_k=100, exclude_known=False)
    assert all(list(prediction.shares) == ["text", "rules"] for prediction in found)
    rest = [prediction.score - sum(prediction.shares.values()) for prediction in found]
    np.testing.assert_allclose(rest, rest[0], atol=1e-4)
    for kind in ("text", "rules"):
        assert np.mean([prediction.shares[kind] for prediction in found]) == pytest.approx(0, abs=1e-5)
    few = predictors[0].predict(**QUERY, top_k=2)
    assert few == [prediction for prediction in found if not prediction.known][:2]


def test_reasons_are_those_of_the_prediction_and_its_query(predictors):
    predictor, _ = predictors
    for prediction in predictor.predict(**QUERY, top_k=3):
        (row,) = integers_of(predictor, QUERY, [prediction.id])
        assert len(prediction.reasons) == 3
        assert prediction.reasons[0] == f"2 of {row.tolist()} may be {row[2]}, reason 0"


def test_a_prediction_stays_a_tuple_of_four_and_can_be_pickled(predictors):
    (prediction,) = predictors[0].predict(**QUERY, top_k=1)
    assert tuple(prediction) == (prediction.id, prediction.text, prediction.score, prediction.known)
    copy = pickle.loads(pickle.dumps(prediction))
    assert (copy, copy.shares, copy.reasons) == (prediction, prediction.shares, prediction.reasons)


def test_relations_and_whole_triplets_are_those_of_the_words(predictors):
    predictor, text = predictors
    assert predictor.predict(head="cat", tail="food") == text.predict(head="cat", tail="food")
    assert all(one.shares == {} and one.reasons == [] for one in predictor.predict(head="cat", tail="food"))
    assert predictor.complete([{"head": "cat", "tail": "food"}]) == text.complete([{"head": "cat", "tail": "food"}])
    assert predictor.classify([("cat", "eats", "food")]) == text.classify([("cat", "eats", "food")])


def test_labels_and_probabilities_stay_those_of_the_triplet(predictors):
    predictor, _ = predictors
    (rows,) = predictor.complete([QUERY], top_k=4)
    assert all(list(row)[-2:] == ["shares", "reasons"] for row in rows)
    judged = predictor.classify([("cat", "eats", row["id"]) for row in rows])
    for row, other in zip(rows, judged, strict=True):
        assert row["label"] == other["label"]
        assert row["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_an_entity_that_is_new_to_the_graph_is_ranked_by_its_words(predictors):
    predictor, text = predictors
    new = {"head": {"text": NEW}, "relation": "eats"}
    found, expected = predictor.predict(**new, top_k=100), text.predict(**new, top_k=100)
    assert [one.id for one in found] == [one.id for one in expected]
    assert {one.shares["rules"] for one in found} == {0.0}
    assert {tuple(one.reasons) for one in found} == {()}
    chosen = [{"text": NEW}, "food", "milk"]
    among = {one.id: one for one in predictor.predict(**QUERY, candidates=chosen, exclude_known=False)}
    (score,) = text.predict(**QUERY, candidates=[{"text": NEW}])
    assert among[NEW].score == pytest.approx(TEXT * score.score, rel=1e-4)
    assert set(among) == {NEW, "food", "milk"}


def test_many_queries_have_the_predictions_of_each_alone(predictors):
    predictor, _ = predictors
    queries = [QUERY, {"relation": "is_a", "tail": "animal"}, {"head": "cat", "tail": "food"}, {**QUERY, "head": "dog"}]
    for query, together in zip(queries, predictor.complete(queries, top_k=3), strict=True):
        (alone,) = predictor.complete([query], top_k=3)
        assert [row["id"] for row in together] == [row["id"] for row in alone]
        for row, other in zip(together, alone, strict=True):
            assert row.get("shares", {}) == pytest.approx(other.get("shares", {}), abs=1e-4)
            assert row.get("reasons") == other.get("reasons")


def test_a_reranked_score_has_the_fused_one_in_it(graph):
    cross = make_predictor(graph, "cross-encoder")
    choices = {"rerank": cross, "rerank_top_k": 4, "retriever_weight": 0.5}
    first = make_predictor(graph, "bi-encoder", FakeEvidence())
    both = make_predictor(graph, "bi-encoder", FakeEvidence(), **choices)
    retrieved = {one.id: one for one in first.predict(**QUERY, top_k=6)}
    found = both.predict(**QUERY, top_k=6)
    assert set(retrieved) == {one.id for one in found}
    for place, one in enumerate(found):
        before = retrieved[one.id]
        expected = before.score
        if place < 4:
            expected = cross.score([("cat", "eats", one.id)])[0] + 0.5 * before.score
        assert one.score == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert one.shares == pytest.approx(before.shares, abs=1e-5)
        assert one.reasons == before.reasons


def test_evidence_is_bound_once_to_the_graph_the_scorer_and_the_index_folder(graph, tmp_path):
    evidence = FakeEvidence()
    predictor = make_predictor(graph, "bi-encoder", evidence, index_folder=tmp_path / "index")
    assert not evidence.bound
    for _ in range(2):
        predictor.predict(**QUERY)
    assert evidence.bound == [(predictor.graph, predictor.scorer, tmp_path / "index", False)]
