"""`lass-hf review`: its JSON, several people at once, and its page in a browser, where there is one."""

import json
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

import pytest
from helpers.asking import serving_application
from helpers.browser import BROWSER, Browser
from helpers.reviews import COLUMNS, TRIPLETS, write_list

from lass_hf import KnowledgeGraph
from lass_hf.review import decisions
from lass_hf.review.decisions import DecisionsFile
from lass_hf.review.known_facts import KnownFacts
from lass_hf.review.reviewing import Review
from lass_hf.writers.tables import read_judged_triplets

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from lass_hf.web.access import Access
from lass_hf.web.review_application import ReviewApplication

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"

HOLD_ANSWERS = """{
  const asked = fetch, held = new Promise(done => { release = done; });
  fetch = async (path, options) => {
    const answer = await asked(path, options);
    if (options.method === "POST") await held;
    return answer;
  };
}"""  # to what is decided, until release()


@pytest.fixture
def folder(tmp_path):
    return write_list(tmp_path)


@pytest.fixture
def application(folder):
    graph = KnowledgeGraph.from_triplets([("cat", "is_a", "animal"), ("cat", "eats", "mouse")])
    return ReviewApplication(Review(folder), KnownFacts(graph), Access())


@pytest.fixture
def client(application):
    with TestClient(application, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def rows_of(client, **query):
    response = client.get("/api/cards", params=query)
    assert response.status_code == 200, response.text
    return [card["row"] for card in response.json()["cards"]]


def decide(client, row, decision="accept", reviewer="Ada", **more):
    triplet = dict(zip(("head", "relation", "tail"), TRIPLETS[row], strict=True))
    return client.post("/api/decisions", json={**triplet, "decision": decision, "reviewer": reviewer, **more})


def test_a_card_has_what_people_look_at(client):
    found = client.get("/api/cards", params={"reviewer": "Ada", "limit": 1}).json()
    assert found["matching"] == found["progress"]["total"] == 4
    (card,) = found["cards"]
    assert card == {
        **{"row": 0, "score": 3.0, "probability": 0.9, "rank": 1, "kind": "new", "outcome": "open", "votes": {}},
        "head": {"id": "cat", "text": "Cat, a small animal"},
        "relation": {"id": "eats", "text": "eats"},
        "tail": {"id": "mouse", "text": "Mouse"},
        "reasons": ["other small animals eat it"],
        "neighbors": [
            {"facts": [{"relation": "is a", "other": "animal", "is_head": True}], "total": 1},  # not the triplet itself
            {"facts": [], "total": 0},
        ],
    }
    info = client.get("/api/info").json()
    assert info["name"].endswith("/suggestions.tsv")
    assert not info["of_facts"]
    assert info["relations"] == [
        {"id": "eats", "text": "eats", "count": 2},
        {"id": "is_a", "text": "is a", "count": 2},
    ]
    assert info["kinds"] == [
        {"id": "new", "text": "new", "count": 2},
        {"id": "conflict", "text": "conflict", "count": 1},
    ]


def test_cards_are_chosen_by_filters_and_by_what_was_decided(client):
    assert rows_of(client, relation="is_a") == [1, 3]
    assert rows_of(client, kind="new", least=0.7) == [0]
    assert rows_of(client, most=0.7) == [1, 2]
    assert rows_of(client, q="CAFE") == [2]
    assert rows_of(client, after=1, limit=1) == [2]
    for row, decision, reviewer in (
        (0, "accept", "Ada"),
        (0, "reject", "Bob"),
        (1, "unsure", "Ada"),
        (2, "reject", "Ada"),
    ):
        assert decide(client, row, decision, reviewer).status_code == 200
    assert [rows_of(client, state=state) for state in ("open", "decided", "unsure", "contradiction", "rejected")] == [
        *([3], [0, 1, 2], [1], [0], [2])
    ]
    assert rows_of(client, state="new to me", reviewer="Bob") == [1, 2, 3]
    assert rows_of(client, state="all") == [0, 1, 2, 3]
    card = client.get("/api/cards", params={"state": "contradiction"}).json()["cards"][0]
    assert (card["outcome"], card["votes"]) == ("contradiction", {"Ada": "accept", "Bob": "reject"})
    assert decide(client, 0, "reject", "Cy", settles=True).json()["contradiction"] == 0


def test_two_people_get_different_cards_as_long_as_there_are_enough(client):
    assert rows_of(client, reviewer="Ada", limit=2) == [0, 1]
    assert rows_of(client, reviewer="Bob", limit=2) == [2, 3]
    assert rows_of(client, reviewer="Ada", limit=2) == [0, 1]
    assert rows_of(client, reviewer="Cy", limit=2) == [0, 1]


def test_undo_gives_the_card_back(client):
    decide(client, 2)
    undone = client.post("/api/undo", json={"reviewer": "Ada"}).json()
    assert (undone["card"]["row"], undone["card"]["outcome"], undone["progress"]["mine"]) == (2, "open", 0)
    assert client.post("/api/undo", json={"reviewer": "Ada"}).json()["card"] is None


def test_a_decision_of_another_process_is_seen(client, folder):
    Review(folder).decide(0, "accept", "Bob")
    assert rows_of(client) == [1, 2, 3]
    assert decide(client, 1).json()["accepted"] == 2


def test_eight_people_at_once_lose_nothing(application, folder):
    def work(name):
        with TestClient(application, base_url="http://127.0.0.1:8000") as client:
            for row in (0, 1, 2, 3):
                assert decide(client, row, "accept" if row else "reject", name).status_code == 200

    names = [f"person {number}" for number in range(8)]
    people = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in people:
        thread.start()
    for thread in people:
        thread.join()
    review = Review(folder)
    assert all(set(review.outcomes.votes[row]) == set(names) for row in range(4))
    assert review.progress(names[0])["accepted"] == 3


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"head": "nobody"}, 404, "lacks the triplet 'nobody' 'eats' 'mouse'"),
        ({"decision": "maybe"}, 422, "decision:"),
        ({"reviewer": "  "}, 422, "reviewer:"),
        ({"reviewer": "a\u202eb"}, 400, "expected a name"),
        ({"note": "x"}, 422, "'note' is not expected"),
    ],
)
def test_a_bad_decision_is_one_sentence_and_is_not_kept(change, status, words, client, folder):
    body = {"head": "cat", "relation": "eats", "tail": "mouse", "decision": "accept", "reviewer": "Ada"} | change
    response = client.post("/api/decisions", json=body)
    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert words in response.json()["error"]
    assert not (folder / "decisions.jsonl").exists()


def test_a_full_disk_is_one_sentence_and_the_review_goes_on(client, folder, monkeypatch):
    write = os.write
    monkeypatch.setattr(decisions.os, "write", lambda handle, line: write(handle, line[:9]) if b"{" in line else 1)
    response = decide(client, 0)
    assert response.status_code == 507
    assert response.json()["error"] == f"{folder}/decisions.jsonl: No space left on device"
    monkeypatch.undo()
    assert decide(client, 1).json()["accepted"] == 1


def test_a_kill_of_the_server_loses_nothing_that_it_confirmed(tmp_path):
    """Two people decide until the server is killed; a third decides beside it, in this process."""
    rows = range(300)
    columns = {name: [values[0]] * len(rows) for name, values in COLUMNS.items()}
    folder = write_list(tmp_path, **columns | {"tail": [f"t{row}" for row in rows]})
    command = [sys.executable, "-m", "lass_hf.cli", "review", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        confirmed = {"Ada": [], "Bob": []}

        def work(name):
            connection, body = HTTPConnection("127.0.0.1", port, timeout=60), {"head": "cat", "relation": "eats"}
            with suppress(OSError, HTTPException):
                for row in rows:
                    body |= {"tail": f"t{row}", "decision": "accept", "reviewer": name}
                    connection.request("POST", "/api/decisions", json.dumps(body), {"content-type": "application/json"})
                    assert connection.getresponse().read().startswith(b'{"total":300,')
                    confirmed[name].append(row)
                    if len(confirmed["Ada"]) == 20:
                        server.kill()
            connection.close()

        people = [threading.Thread(target=work, args=(name,)) for name in confirmed]
        for thread in people:
            thread.start()
        beside = Review(folder)
        for row in rows[:20]:
            beside.decide(row, "reject", "Cy")
        for thread in people:
            thread.join()
    assert server.returncode == -9
    found = [(one.reviewer, int(one.tail[1:])) for _, one in DecisionsFile(folder).read_new()]
    assert [row for name, row in found if name == "Cy"] == [*rows[:20]]
    for name, done in confirmed.items():
        there = [row for who, row in found if who == name]
        assert there == [*rows[: len(there)]]
        assert len(done) <= len(there) <= len(done) + 1
    assert len(confirmed["Ada"]) == 20
    assert Review(folder).outcomes.rows_of["Cy"].keys() == set(rows[:20])


def test_a_file_that_was_damaged_meanwhile_gets_no_more_decisions(client, folder):
    assert decide(client, 0).status_code == 200
    file = folder / "decisions.jsonl"
    damaged = file.read_bytes() + b"damaged\n"
    file.write_bytes(damaged)
    for _ in range(2):
        response = decide(client, 1)
        assert response.status_code == 400
        assert "decisions.jsonl, line 2: not a decision" in response.json()["error"]
    assert file.read_bytes() == damaged
    file.write_bytes(damaged.replace(b"damaged", b""))  # the line was removed
    assert decide(client, 1).json()["accepted"] == 2


def test_a_table_that_cannot_be_written_at_the_end_costs_no_decision(application, folder):
    application.service.review.decide(0, "accept", "Ada")
    (folder / "decisions.tsv").mkdir()
    with pytest.raises(OSError, match=r"decisions\.tsv"):
        application.close()
    assert Review(folder).progress("Ada")["accepted"] == 1


def test_the_table_of_decisions_is_there_when_the_server_ends(application, folder):
    application.service.review.decide(0, "accept", "Ada")
    with serving_application(lambda access: application):
        assert not (folder / "decisions.tsv").exists()
    assert read_judged_triplets(folder / "decisions.tsv")[0]["reviewer"].to_pylist() == ["Ada"]


def test_the_page_runs_its_own_script_only_and_needs_its_token(folder):
    token = "a-token-of-a-person"
    with TestClient(
        ReviewApplication(Review(folder), None, Access(token=token)), base_url="http://localhost"
    ) as client:
        response = client.get("/")
        assert "unsafe" not in response.headers["content-security-policy"]
        assert not re.search(
            r"""\son[a-z]+=["']|\sstyle=|innerHTML|insertAdjacentHTML|document\.write|eval\(""", response.text
        )
        assert client.get("/api/cards").status_code == decide(client, 0).status_code == 401
        allowed = {"authorization": f"Bearer {token}"}
        card = client.get("/api/cards", headers=allowed).json()["cards"][0]
        assert card["neighbors"] is None


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_person_decides_by_keyboard(tmp_path):
    """One page for all of it, because a browser takes seconds to start."""
    folder = write_list(tmp_path, head_text=[EVIL, "Dog", "Cat", ""])
    shown = "document.querySelector('.side .text')?.innerText"
    relation = "document.getElementById('relation')"
    with serving_application(lambda access: ReviewApplication(Review(folder), None, access)) as (_, port):
        browser = Browser(tmp_path / "profile")
        try:
            browser.open(f"http://127.0.0.1:{port}/", width=390, height=800)
            browser.until("document.activeElement.id === 'name'")
            browser.type(" Ada  L ")
            browser.press("Enter")
            browser.until(f"{shown} === {EVIL!r}")
            assert browser.value("document.title").endswith("suggestions.tsv · lass-hf")
            assert browser.value("document.documentElement.scrollWidth") <= 390
            for key, text in (("a", "Dog"), ("r", "Cat"), (" ", "fish"), ("z", "Dog"), ("u", "fish"), ("s", None)):
                browser.press(key)
                browser.until(f"{shown} === {text!r}" if text else f"!{shown}")
            assert "You skipped 2; they are still open" in browser.value("document.getElementById('card').innerText")
            browser.until("document.getElementById('status').textContent.startsWith('skipped. nothing more')")
            counts = browser.value("document.getElementById('counts').innerText")
            assert counts.replace("\xa0", " ") == "2 of 4 decided · 1 accepted · 0 rejected · 1 unsure · 2 by you"
            browser.open(f"http://127.0.0.1:{port}/?state=decided&q=dog", width=1280)  # the name is remembered
            browser.until(f"{shown} === 'Dog'")
            assert "Ada L: unsure" in browser.value("document.getElementById('card').innerText")
            browser.value("document.getElementById('search').focus()")
            browser.type("a")  # no decision: it is typed into a field
            browser.until(f"!{shown}")
            for reviewer, what in (("Bob", "accept"), ("Cy", "reject")):
                Review(folder).decide(3, what, reviewer)
            browser.open(f"http://127.0.0.1:{port}/?state=contradiction")
            browser.until(f"{shown} === 'fish'")
            browser.press("u")  # settles nothing
            browser.until(f"!{shown}")
            browser.open(f"http://127.0.0.1:{port}/?state=decided")
            browser.until(f"{shown} === {EVIL!r}")
            browser.value(HOLD_ANSWERS)
            browser.press("a")
            browser.value(f"{relation}.value = 'is_a'; {relation}.dispatchEvent(new Event('change'))")  # meanwhile
            browser.until(f"{shown} === 'Dog'")
            browser.value("release()")
            browser.until("document.getElementById('status').textContent.startsWith('accepted. Dog')")
        finally:
            browser.close()
    assert [Review(folder).outcomes.votes[row] for row in (0, 1)] == [{"Ada L": "accept"}, {"Ada L": "unsure"}]
    *_, (_, last), _ = DecisionsFile(folder).read_new()
    assert (last.triplet, last.decision, last.settles) == (TRIPLETS[3], "unsure", False)
