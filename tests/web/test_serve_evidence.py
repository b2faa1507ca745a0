"""`lass-hf serve` where evidence counts: shares and reasons in JSON, and on the page."""

import pytest
from helpers.asking import ask, make_predictor
from helpers.fake_evidence import FakeEvidence

from lass_hf import LassPredictor

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from lass_hf.web.access import Access
from lass_hf.web.question_application import QuestionApplication

pytestmark = pytest.mark.usefixtures("fake_reasons")
QUESTION = {"head": "cat", "relation": "eats"}


@pytest.fixture(scope="module", params=["cross-encoder", "bi-encoder"])
def predictor(request, graph):
    plain = make_predictor(graph, architecture=request.param)
    return LassPredictor(plain.scorer.model, plain.processor, "float32", evidence=FakeEvidence())


@pytest.fixture(scope="module")
def client(predictor):
    with TestClient(QuestionApplication(predictor, "fused", Access())) as client:
        yield client


@pytest.mark.parametrize("exclude", [False, True])
def test_answers_have_the_shares_and_reasons_of_predictions(exclude, predictor, client):
    for question in (QUESTION, {"head": {"text": "a wild cat"}, "relation": "eats"}):
        expected = predictor.predict(**question, top_k=5, exclude_known=exclude)
        answers = ask(client, **question, top_k=5, exclude_known=exclude)["answers"]
        assert [answer["id"] for answer in answers] == [one.id for one in expected]
        assert [answer["shares"] for answer in answers] == [one.shares for one in expected]
        assert [answer["reasons"] for answer in answers] == [one.reasons for one in expected]


def test_relations_have_no_shares(client):
    answers = ask(client, head="cat", tail="food")["answers"]
    assert [(answer["shares"], answer["reasons"]) for answer in answers] == [(None, [])] * len(answers)


def test_what_ranks_is_told_and_described(client, graph):
    assert client.get("/api/info").json()["evidence"] == ["text", "rules"]
    with TestClient(QuestionApplication(make_predictor(graph), "plain", Access())) as plain:
        assert plain.get("/api/info").json()["evidence"] == ["text"]
    answer = client.get("/openapi.json").json()["components"]["schemas"]["RankedAnswer"]["properties"]
    assert answer["shares"]["description"]
    assert answer["reasons"]["description"]
