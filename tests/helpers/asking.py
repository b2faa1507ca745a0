"""Questions to a page of the tests."""

from helpers.tiny import TEST, TRAIN, VALIDATION, make_model, make_processor
from lass_hf import LassPredictor

KNOWN = [*TRAIN, *VALIDATION, *TEST]


def make_predictor(graph, **choices) -> LassPredictor:
    return LassPredictor(make_model(**choices), make_processor(graph, **choices), dtype="float32")


def ask(client, **question):
    response = client.post("/api/complete", json=question)
    assert response.status_code == 200, response.text
    return response.json()
