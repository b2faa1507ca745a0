"""Questions to a page of the tests, and servers on a thread, which need no second process."""

import threading
from contextlib import contextmanager
from http.client import HTTPConnection

from helpers.tiny import TEST, TRAIN, VALIDATION, make_model, make_processor
from lass_hf import LassPredictor

KNOWN = [*TRAIN, *VALIDATION, *TEST]


def make_predictor(graph, **choices) -> LassPredictor:
    return LassPredictor(make_model(**choices), make_processor(graph, **choices), dtype="float32")


def ask(client, **question):
    response = client.post("/api/complete", json=question)
    assert response.status_code == 200, response.text
    return response.json()


@contextmanager
def serving(predictor, name="my model", listener=None, **access):
    """Yields a server of a predictor that answers on a thread, and its port."""
    from lass_hf.web.question_application import QuestionApplication

    with serving_application(lambda who: QuestionApplication(predictor, name, who), listener, **access) as pair:
        yield pair


@contextmanager
def serving_application(make, listener=None, **access):
    """Yields a server of the application that `make` makes of an access, which answers on a thread, and its port."""
    from lass_hf.web.access import make_access
    from lass_hf.web.server import bind, make_server

    with listener or bind("127.0.0.1", 0) as at:
        server = make_server(make(make_access("127.0.0.1", at, **access)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        try:
            yield server, at.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def get(port, path, **headers):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read().decode()
