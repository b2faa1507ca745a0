"""`lass-hf serve`: its JSON against the predictor, its limits, its names and its refusals."""

import base64
import difflib
import hashlib
import json
import re
import threading

import pytest
from helpers.asking import KNOWN, ask, make_predictor

from lass_hf import KnowledgeGraph, LassPredictor

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from lass_hf.web import guard as http_guard
from lass_hf.web.access import Access
from lass_hf.web.page_application import read_page
from lass_hf.web.question_application import QuestionApplication
from lass_hf.web.schemas import MAX_TEXT

EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def predictor(graph):
    return make_predictor(graph)


@pytest.fixture
def application(predictor):
    return QuestionApplication(predictor, "tiny", Access())


@pytest.fixture
def client(application):
    with TestClient(application, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def problem(response, status) -> str:
    """The one sentence of a refusal."""
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    sentence = response.json()["error"]
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


# Answers


@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize(
    "question",
    [
        {"head": "cat", "relation": "eats"},
        {"relation": "is_a", "tail": "animal"},
        {"head": "cat", "tail": "food"},
        {"head": {"text": "a wild cat"}, "relation": "eats"},
    ],
)
def test_serve_answers_what_the_predictor_answers(client, predictor, question, exclude):
    for top_k in (1, 4, 100):
        expected = predictor.predict(**question, top_k=top_k, exclude_known=exclude)
        result = ask(client, **question, top_k=top_k, exclude_known=exclude)
        fields = ("id", "text", "score", "known", "label", "probability")
        assert [tuple(map(answer.get, fields)) for answer in result["answers"]] == [(*a, None, None) for a in expected]
        assert result[result["slot"]] is None
    rows = [row for row in KNOWN if all(row[("head", "relation", "tail").index(k)] == v for k, v in question.items())]
    assert result["num_known"] == len(rows)
    assert result["num_candidates"] == len(result["answers"])


def test_serve_scores_a_question_once_whether_known_answers_are_wanted_or_not(client, application):
    assert not ask(client, head="cat", relation="eats")["cached"]
    tokens = application.service.predictor.scorer.tokens
    for more in ({"top_k": 3}, {"exclude_known": False}, {"head": "cat, a small animal that purrs"}):
        assert ask(client, **{"head": "cat", "relation": "eats"} | more)["cached"]
    assert application.service.predictor.scorer.tokens == tokens
    assert not ask(client, relation="eats", tail="cat")["cached"]


def test_serve_checks_a_triplet(client, predictor):
    for triplet in (KNOWN[0], ("house", "eats", "milk")):
        result = client.post("/api/check", json=dict(zip(("head", "relation", "tail"), triplet, strict=True))).json()
        assert result["score"] == pytest.approx(float(predictor.score([triplet])[0]), abs=1e-6)
        assert result["known"] == (triplet in KNOWN)
        assert [result[slot]["id"] for slot in ("head", "relation", "tail")] == list(triplet)
    new = {"head": {"text": " a wild cat "}, "relation": "eats", "tail": "milk"}
    result = client.post("/api/check", json=new).json()
    assert result["head"] == {"id": "a wild cat", "text": "a wild cat"}
    assert result["score"] == pytest.approx(float(predictor.score([({"text": "a wild cat"}, "eats", "milk")])[0]))


def test_serve_tells_about_the_model_and_its_graph(client):
    info = client.get("/api/info").json()
    assert info["model"] == "tiny"
    assert (info["entities"], info["relations"], info["known_triplets"]) == (10, 3, len(set(KNOWN)))


def test_serve_describes_itself(client):
    description = client.get("/openapi.json").json()
    assert set(description["paths"]) == {
        f"/api/{name}" for name in ("info", "entities", "relations", "complete", "check")
    }
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["description"]
            for code, response in operation["responses"].items():
                reference = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                assert (reference == "Problem") == (code != "200")
                assert reference in description["components"]["schemas"]
    for name in ("Question", "Triplet", "Answers", "Checked", "Entries", "Problem"):
        assert description["components"]["schemas"][name]["examples"]
    assert client.get("/docs").status_code == 404  # it would load scripts from elsewhere


# Names


def test_serve_completes_names(client):
    def found(kind="entities", **query):
        return [entry["id"] for entry in client.get(f"/api/{kind}", params=query).json()["found"]]

    assert found(q="MOUSE") == ["mouse"]
    assert found(q="small") == ["mouse", "cat"]  # a word of both texts; "mouse" is in more triplets
    assert found(q="o", limit=3) == found(q="o", limit=100)[:3]
    assert found(q="zzz") == []
    assert found()[0] == "mouse"
    assert set(found("relations")) == {"is_a", "eats", "lives_in"}
    assert found("relations", q="lives in") == found("relations", q="LIVES_IN") == ["lives_in"]
    assert client.get("/api/entities").json()["total"] == 10


def test_serve_looks_for_unknown_names_beside_the_questions(client, slow, application, monkeypatch):
    monkeypatch.setattr(application.service.queue, "max_jobs", 1)
    monkeypatch.setattr(difflib, "get_close_matches", lambda *args, **kwargs: pytest.fail("long in a large graph"))
    start, _, _ = slow
    start(client, {"head": "dog", "relation": "eats"})
    sentence = problem(client.post("/api/complete", json={"head": "moused", "relation": "eats"}), 404)
    assert sentence == "'moused' is not an id or text of the graph's 10 entities; did you mean 'mouse'?"
    sentence = problem(client.post("/api/check", json={"head": "cat", "relation": "xyz", "tail": "cat"}), 404)
    assert sentence == "'xyz' is not an id or text of the graph's 3 relations; they are 'is_a', 'eats', 'lives_in'"


# What cannot be answered


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ({"head": "cat"}, 400, "exactly two"),
        ({}, 400, "exactly two"),
        ({"head": "cat", "relation": "eats", "tail": "milk"}, 400, "exactly two"),
        ({"head": "catt", "relation": "eats"}, 404, "did you mean 'cat'"),
        ({"head": "cat", "relation": "cat"}, 404, "relations"),
        ({"head": "cat", "relation": "eats", "top_k": 0}, 422, "top_k: "),
        ({"head": "cat", "relation": "eats", "top_k": 10**6}, 422, "less than or equal to 100"),
        ({"head": "cat", "relation": "eats", "top": 3}, 422, "'top' is not expected"),
        ({"head": 5, "relation": "eats"}, 422, "head: expected an id or a text"),
        ({"head": "", "relation": "eats"}, 422, "head: "),
        ({"head": {"text": "  "}, "relation": "eats"}, 422, "head: "),
        ({"head": {"text": "a", "id": "b"}, "relation": "eats"}, 422, "'id' is not expected"),
        ({"head": {"text": "a" * (MAX_TEXT + 1)}, "relation": "eats"}, 422, f"at most {MAX_TEXT}"),
        ({"head": "a" * (MAX_TEXT + 1), "relation": "eats"}, 422, f"at most {MAX_TEXT}"),
        ({"head": {"text": "a"}, "relation": {"text": "b"}}, 422, "relation: "),
        ([], 422, "JSON object"),
        ("cat", 422, "JSON object"),
    ],
)
def test_serve_says_what_is_wrong_with_a_question(client, question, status, words):
    assert words in problem(client.post("/api/complete", json=question), status)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"head": "\\ud800", "relation": "eats"}', b"[" * 9000, b"NaN"])
def test_serve_survives_any_body(client, body):
    response = client.post("/api/complete", content=body, headers={"content-type": "application/json"})
    problem(response, response.status_code)
    assert response.status_code in (400, 422)


def test_serve_takes_json_for_json_only(client):
    """A form of another web page can send text without permission, so text that looks like JSON is refused."""
    body = json.dumps({"head": "cat", "relation": "eats"})
    assert "application/json" in problem(
        client.post("/api/complete", content=body, headers={"content-type": "text/plain"}), 422
    )


def test_serve_refuses_unknown_paths_methods_and_queries(client):
    problem(client.get("/nothing"), 404)
    problem(client.get("/api/complete"), 405)
    problem(client.get("/api/entities", params={"q": "a" * 5000}), 422)
    problem(client.get("/api/entities", params={"limit": 101}), 422)


def test_serve_keeps_its_mistakes_to_itself(client, monkeypatch, predictor):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(predictor, "rank", fail)
    sentence = problem(client.post("/api/complete", json={"head": "milk", "relation": "eats"}), 500)
    assert "secret" not in sentence
    monkeypatch.undo()
    assert not ask(client, head="milk", relation="eats")["cached"]  # a failure is not remembered


def test_serve_refuses_large_bodies(client):
    large = {"head": "a" * http_guard.MAX_BODY, "relation": "eats"}
    problem(client.post("/api/complete", json=large), 413)
    problem(client.post("/api/complete", content=iter([b"a" * 40_000, b"a" * 40_000])), 413)


# Many at once


@pytest.fixture
def slow(predictor, monkeypatch):
    """Functions that ask on threads a predictor whose scoring waits, and that let it go; and the calls of the scoring.

    The threads have ended when the test has, failed or not.
    """
    started, go, calls, threads, real = threading.Semaphore(0), threading.Event(), [], [], LassPredictor.rank

    def rank(*args, on_progress, **kwargs):
        calls.append(kwargs)
        started.release()
        while not go.wait(0.01):
            on_progress(1)
        return real(predictor, *args, **kwargs)

    def start(client, *questions):
        results = [None] * len(questions)

        def run(place):
            results[place] = ask(client, **questions[place])

        threads.extend(threading.Thread(target=run, args=(place,)) for place in range(len(questions)))
        for thread in threads:
            thread.start()
        assert started.acquire(timeout=60)
        return results

    def end():
        go.set()
        for thread in threads:
            thread.join()

    monkeypatch.setattr(predictor, "rank", rank)
    yield start, end, calls
    end()


def test_serve_computes_once_what_several_ask_at_the_same_time(client, slow):
    start, end, calls = slow
    results = start(client, *({"head": "dog", "relation": "eats", "top_k": top_k} for top_k in (1, 2, 3)))
    end()
    assert len(calls) == 1
    assert [len(result["answers"]) for result in results] == [1, 2, 3]


def test_serve_turns_away_what_it_cannot_hold(client, slow, application, monkeypatch):
    start, end, _ = slow
    monkeypatch.setattr(application.service.queue, "max_jobs", 1)
    results = start(client, {"head": "dog", "relation": "eats"})
    refused = client.post("/api/complete", json={"head": "cat", "relation": "is_a"})
    assert "try again" in problem(refused, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/api/info").status_code == 200  # the rest goes on
    end()
    assert results[0]["answers"]
    assert ask(client, head="cat", relation="is_a")["answers"]


def test_serve_searches_names_one_at_a_time_beside_the_questions(client, application, monkeypatch):
    """Searches beyond the limit are turned away, equal ones are shared; known names need no search."""
    started, go, threads, searched = threading.Semaphore(0), threading.Event(), [], []

    def find(typed, *_):
        searched.append(typed)
        started.release()
        assert go.wait(60)
        return []

    names = type("Names", (), {"find": staticmethod(find), "find_beginning": staticmethod(find)})
    monkeypatch.setattr(application.service, "_names", [names] * 3)
    monkeypatch.setattr(application.service.searches, "max_jobs", 1)
    try:
        for _ in range(3):
            threads.append(threading.Thread(target=client.get, args=("/api/entities?q=slow",)))
            threads[-1].start()
        assert started.acquire(timeout=60)
        refused = client.get("/api/entities", params={"q": "another"})
        assert "try again" in problem(refused, 503)
        assert int(refused.headers["retry-after"]) >= 1
        problem(client.post("/api/complete", json={"head": "nobody", "relation": "eats"}), 503)  # needs suggestions
        assert ask(client, head="cat, a small animal that purrs", relation="eats")["answers"]
    finally:
        go.set()
        for thread in threads:
            thread.join()
    assert searched == ["slow"]


def test_serve_forgets_what_was_not_asked_for_the_longest(client, application, monkeypatch):
    queue = application.service.queue
    ask(client, head="cat", relation="eats")
    monkeypatch.setattr(queue, "max_bytes", 2 * queue._bytes)
    for head in ("dog", "cat", "mouse"):
        ask(client, head=head, relation="eats")
    assert queue._bytes <= queue.max_bytes
    assert ask(client, head="cat", relation="eats")["cached"]
    assert not ask(client, head="dog", relation="eats")["cached"]
    monkeypatch.setattr(queue, "max_bytes", 10_000)
    for letter in "abcdefgh":  # what was asked counts, not only what was answered
        ask(client, head={"text": letter * MAX_TEXT}, relation="eats")
    assert len(queue._cache) <= 10_000 // MAX_TEXT


# The page


def test_serve_page_runs_its_own_script_and_nothing_else(client):
    response = client.get("/")
    assert response.text == read_page("serve.html")
    policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", response.text, flags=re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert not re.search(
        r"""\son[a-z]+=["']|\sstyle=|innerHTML|insertAdjacentHTML|document\.write|eval\(""", response.text
    )
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"//.*$", "", response.text, flags=re.MULTILINE))
    for answer in (
        response,
        client.get("/api/info"),
        client.get("/nothing"),
        client.get("/", headers={"host": "evil"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == policy


def test_serve_gives_texts_as_they_are():
    graph = KnowledgeGraph.from_triplets([("a", "r", "b")], entity_text={"a": EVIL, "b": "b"})
    with TestClient(QuestionApplication(make_predictor(graph), "evil", Access())) as client:
        response = client.get("/api/entities")
        assert response.headers["content-type"] == "application/json"
        assert EVIL in [entry["text"] for entry in response.json()["found"]]
        assert ask(client, relation="r", tail="b", exclude_known=False)["answers"]
