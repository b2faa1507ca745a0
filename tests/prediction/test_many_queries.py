"""LassPredictor asked many questions at once: the answers are those to each alone, however they are scored together."""

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, make_model, make_processor

from lass_hf import LassPredictor
from lass_hf.scoring.candidate_scores import CHUNK_SIZE

SLOTS = ("head", "relation", "tail")
NEW = "cheese house, a building that purrs"
QUESTIONS = [
    {"relation": "is_a", "tail": "animal"},
    {"head": "cat", "tail": "food"},
    {"head": "cat", "relation": "eats"},
]


@pytest.fixture
def predictor(model, processor):
    return LassPredictor(model, processor, dtype="float32")


def slot_of(question):
    return next(slot for slot in SLOTS if slot not in question)


@pytest.mark.parametrize("unit", [1, 25, 4096])
@pytest.mark.parametrize("exclude_known", [False, True])
def test_many_questions_are_answered_as_each_alone(exclude_known, unit, predictor, monkeypatch):
    monkeypatch.setitem(
        CHUNK_SIZE, "cross-encoder", unit
    )  # candidates in memory together: the queries of a unit differ
    questions = [*QUESTIONS, {"head": {"text": NEW}, "relation": "eats"}, *QUESTIONS[::-1]]
    names = ["cat", "eats", "food", {"text": "garden milk"}]
    for slots, candidates in ((("head", "relation", "tail"), None), (("head", "tail"), [names[0], *names[2:]])):
        asked = [question for question in questions if slot_of(question) in slots]
        found = predictor.complete(asked, 4, exclude_known, candidates)
        for question, answers in zip(asked, found, strict=True):
            expected = predictor.predict(**question, top_k=4, exclude_known=exclude_known, candidates=candidates)
            assert [answer["id"] for answer in answers] == [answer.id for answer in expected]
            assert [answer["known"] for answer in answers] == [answer.known for answer in expected]
            np.testing.assert_allclose([a["score"] for a in answers], [a.score for a in expected], rtol=1e-5, atol=1e-5)


def test_many_questions_are_reranked_as_each_alone(model, processor):
    separate = make_processor(processor.graph, architecture="bi-encoder")
    joint = LassPredictor(model, processor, "float32")
    predictor = LassPredictor(
        make_model(architecture="bi-encoder"), separate, "float32", rerank=joint, rerank_top_k=5, retriever_weight=0.5
    )
    for question, answers in zip(QUESTIONS, predictor.complete(QUESTIONS, top_k=3), strict=True):
        expected = [answer._asdict() for answer in predictor.predict(**question, top_k=3)]
        assert answers == [{**row, "score": pytest.approx(row["score"], abs=1e-5)} for row in expected]


def test_no_questions_have_no_answers(predictor):
    assert predictor.complete([]) == []
    assert predictor.classify([]) == []


def test_a_judged_triplet_with_a_new_entity_is_not_known(predictor):
    rows = predictor.classify([("cat", "eats", "mouse"), ("cat", "eats", {"text": ENTITY_TEXT["mouse"]})])
    assert [row["known"] for row in rows] == [True, False]
    assert rows[0]["score"] == rows[1]["score"]
