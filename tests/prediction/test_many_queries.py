"""LassPredictor with many queries at once: each gets the predictions that it gets alone."""

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, make_model, make_processor

from lass_hf import LassPredictor
from lass_hf.core.architectures import CrossEncoder

SLOTS = ("head", "relation", "tail")
NEW = "cheese house, a building that purrs"
QUERIES = [
    {"relation": "is_a", "tail": "animal"},
    {"head": "cat", "tail": "food"},
    {"head": "cat", "relation": "eats"},
]


@pytest.fixture
def predictor(model, processor):
    return LassPredictor(model, processor, dtype="float32")


def slot_of(query):
    return next(slot for slot in SLOTS if slot not in query)


@pytest.mark.parametrize("chunk_size", [1, 25, 4096])
@pytest.mark.parametrize("exclude_known", [False, True])
def test_many_queries_are_completed_as_each_alone(exclude_known, chunk_size, predictor, monkeypatch):
    monkeypatch.setattr(CrossEncoder, "candidates_per_chunk", chunk_size)  # so other queries are scored together
    queries = [*QUERIES, {"head": {"text": NEW}, "relation": "eats"}, *QUERIES[::-1]]
    names = ["cat", "eats", "food", {"text": "garden milk"}]
    for slots, candidates in ((("head", "relation", "tail"), None), (("head", "tail"), [names[0], *names[2:]])):
        asked = [query for query in queries if slot_of(query) in slots]
        found = predictor.complete(asked, 4, exclude_known, candidates)
        for query, predictions in zip(asked, found, strict=True):
            expected = predictor.predict(**query, top_k=4, exclude_known=exclude_known, candidates=candidates)
            assert [prediction["id"] for prediction in predictions] == [prediction.id for prediction in expected]
            assert [prediction["known"] for prediction in predictions] == [prediction.known for prediction in expected]
            np.testing.assert_allclose(
                [a["score"] for a in predictions], [a.score for a in expected], rtol=1e-5, atol=1e-5
            )


def test_many_queries_are_reranked_as_each_alone(model, processor):
    predictor = LassPredictor(
        make_model(architecture="bi-encoder"),
        make_processor(processor.graph, architecture="bi-encoder"),
        "float32",
        rerank=LassPredictor(model, processor, "float32"),
        rerank_top_k=5,
        retriever_weight=0.5,
    )
    for query, predictions in zip(QUERIES, predictor.complete(QUERIES, top_k=3), strict=True):
        expected = [prediction._asdict() for prediction in predictor.predict(**query, top_k=3)]
        assert predictions == [{**row, "score": pytest.approx(row["score"], abs=1e-5)} for row in expected]


def test_no_queries_have_no_predictions(predictor):
    assert predictor.complete([]) == []
    assert predictor.classify([]) == []


def test_a_judged_triplet_with_a_new_entity_is_not_known(predictor):
    rows = predictor.classify([("cat", "eats", "mouse"), ("cat", "eats", {"text": ENTITY_TEXT["mouse"]})])
    assert [row["known"] for row in rows] == [True, False]
    assert rows[0]["score"] == rows[1]["score"]
