"""`lass-hf serve` where a ranking's answers are scored once more: judged, or reranked."""

import itertools

import numpy as np
import pytest
from helpers.asking import KNOWN, ask, make_predictor

from lass_hf import LassPredictor
from lass_hf.evaluation.calibration import Calibration
from lass_hf.evaluation.platt_scaling import PlattScaling

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from lass_hf.web.access import Access
from lass_hf.web.question_application import QuestionApplication


@pytest.fixture(scope="module")
def predictor(graph):
    return make_predictor(graph)


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_serve_judges_where_a_calibration_was_fitted(graph, architecture):
    judging = make_predictor(graph, architecture=architecture)
    scores = judging.score(KNOWN)
    calibration = {"threshold": float(np.median(scores)), "slope": 1.5, "intercept": -0.5}
    judging.scorer.model.config.calibration = calibration
    judging = LassPredictor(judging.scorer.model, judging.processor, "float32")
    with TestClient(QuestionApplication(judging, "judging", Access())) as client:
        answers = ask(client, head="cat", relation="eats", exclude_known=False)["answers"]
        assert {answer["label"] for answer in answers} == {"true", "false"}
        for answer in answers:
            checked = client.post("/api/check", json={"head": "cat", "relation": "eats", "tail": answer["id"]}).json()
            score = float(judging.score([("cat", "eats", answer["id"])])[0])
            assert checked["label"] == answer["label"] == ("true" if score > calibration["threshold"] else "false")
            probability = 1 / (1 + np.exp(0.5 - 1.5 * score))
            assert checked["probability"] == pytest.approx(probability, abs=1e-5)
            assert answer["probability"] == pytest.approx(probability, abs=1e-5)


@pytest.mark.parametrize("top_k", [2, 100])
@pytest.mark.parametrize("rerank_top_k", [3, 100])
def test_serve_reranks(graph, predictor, rerank_top_k, top_k):
    retriever = make_predictor(graph, architecture="bi-encoder")
    both = LassPredictor(
        retriever.scorer.model, retriever.processor, "float32", rerank=predictor, rerank_top_k=rerank_top_k
    )
    with TestClient(QuestionApplication(both, "both", Access())) as client:
        for head, exclude in itertools.product(("cat", "dog", "mouse", "milk"), (True, False)):
            question = {"head": head, "relation": "eats", "exclude_known": exclude}
            ask(client, **question, top_k=1)  # a ranking of its own
            expected = both.predict(**question, top_k=top_k)
            answers = ask(client, **question, top_k=top_k)["answers"]
            assert [answer["id"] for answer in answers] == [answer.id for answer in expected]
            np.testing.assert_allclose(
                [answer["score"] for answer in answers], [answer.score for answer in expected], rtol=1e-5
            )


def test_serve_judges_only_the_answers_that_it_shows(graph, monkeypatch):
    predictor = make_predictor(graph, architecture="bi-encoder")
    predictor.calibration = Calibration(0.0, PlattScaling(1.0, 0.0))
    judged, score = [], predictor.scorer.score

    def count(triplets, *args, progress=None, **kwargs):
        judged.append(len(triplets))
        progress.update(0)  # it can be stopped
        return score(triplets, *args, progress=progress, **kwargs)

    monkeypatch.setattr(predictor.scorer, "score", count)
    with TestClient(QuestionApplication(predictor, "judging", Access())) as client:
        assert ask(client, relation="is_a", tail="animal", top_k=1)["num_known"] > 1
    assert judged == [1]
