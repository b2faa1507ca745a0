"""`lass-hf serve` as a process, over loopback sockets; and its page in a browser, where there is one."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPConnection

import pytest
from helpers.asking import get, serving
from helpers.browser import BROWSER, Browser
from helpers.fake_evidence import FakeBound, FakeEvidence
from helpers.tiny import make_model, make_processor

from lass_hf import KnowledgeGraph, LassPredictor
from lass_hf.cli import loading
from lass_hf.cli.commands import main

pytest.importorskip("fastapi")

from lass_hf.web import server as web_server
from lass_hf.web.server import bind

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def predictor():
    """A predictor over a graph whose texts are HTML."""
    graph = KnowledgeGraph.from_triplets(
        [("a", "r", "b"), ("b", "r", "c"), ("c", "s", "a")], entity_text={"a": EVIL, "b": "the b", "c": "the c & co"}
    )
    return LassPredictor(make_model(), make_processor(graph), dtype="float32")


@pytest.fixture(scope="module")
def port(predictor):
    with serving(predictor) as (_, port):
        yield port


# Over a socket


def test_serve_answers_over_a_socket(port, predictor):
    status, info = get(port, "/api/info")
    assert status == 200
    assert json.loads(info)["model"] == "my model"
    assert get(port, "/api/info", Host="evil.example")[0] == 400
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(2):  # on one connection
        body = json.dumps({"head": "b", "relation": "r", "exclude_known": False})
        connection.request("POST", "/api/complete", body, {"content-type": "application/json"})
        answers = json.loads(connection.getresponse().read())["answers"]
    expected = predictor.predict(head="b", relation="r", exclude_known=False)
    assert [answer["id"] for answer in answers] == [answer.id for answer in expected]
    assert [answer["text"] for answer in answers] == [answer.text for answer in expected]


def test_serve_outlives_clients_that_hang_up(port):
    body = json.dumps({"head": {"text": "a b c " * 100}, "relation": "r"}).encode()
    head = b"POST /api/complete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for sent in (
        b"",
        b"GET /api",
        head + b"Content-Length: 900\r\n\r\n{",
        head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
    ):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(sent)
    for nonsense in (b"\x00\xff\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(nonsense)
            assert b" 400 " in client.recv(1000)
    assert get(port, "/api/info")[0] == 200


def test_serve_is_a_process_that_ends_without_a_traceback(model_folder):
    """Also: elsewhere than on loopback it makes a token, and prints it once."""
    command = [sys.executable, "-m", "lass_hf.cli", "serve", "--model", model_folder, "--quiet", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--host", "0.0.0.0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        port, token = re.search(r"http://0\.0\.0\.0:(\d+)/\?token=([\w-]{32}) ", line).groups()
        port, allowed = int(port), {"Authorization": f"Bearer {token}"}
        with socket.create_connection(("127.0.0.1", port)):  # a client that keeps its connection
            assert get(port, "/api/info", **allowed)[0] == 200
            assert get(port, "/api/info")[0] == 401
            assert get(port, "/api/info", Host=f"0.0.0.0:{port}", **allowed)[0] == 200
            assert get(port, "/api/info", Host="any.name", **allowed)[0] == 400
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        out, errors = process.communicate()
    assert process.returncode in (0, 130)
    assert not out
    assert not errors


def test_serve_ends_while_a_question_is_being_scored(predictor, monkeypatch):
    started = threading.Event()

    def rank(*queries, on_progress, **choices):
        started.set()
        while True:
            on_progress(1)

    monkeypatch.setattr(predictor, "rank", rank)
    with serving(predictor) as (server, port):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(
            "POST", "/api/complete", '{"head": "a", "relation": "r"}', {"content-type": "application/json"}
        )
        assert started.wait(60)
        server.should_exit = True
        response = connection.getresponse()
        assert response.status == 503
        assert "shutting down" in json.loads(response.read())["error"]


def test_serve_stops_scoring_for_a_client_that_hung_up(predictor, port, monkeypatch):
    started, ended = threading.Event(), threading.Event()

    def rank(*queries, on_progress, **choices):
        started.set()
        try:
            while True:
                on_progress(1)
        finally:
            ended.set()

    monkeypatch.setattr(predictor, "rank", rank)
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/api/complete", '{"head": "c", "relation": "r"}', {"content-type": "application/json"})
    assert started.wait(60)
    connection.close()
    assert ended.wait(60)
    monkeypatch.undo()
    assert get(port, "/api/info")[0] == 200


# The command line


@pytest.fixture
def refused(capsys):
    def run(*argv):
        try:
            code = main(["serve", *map(str, argv)])
        except SystemExit as error:
            code = error.code
        assert code == 2
        captured = capsys.readouterr()
        assert not captured.out
        assert "Traceback" not in captured.err
        return captured.err.strip().splitlines()[-1]

    return run


def test_serve_at_a_port_in_use(refused, monkeypatch):
    monkeypatch.setattr(loading, "load_predictor", lambda arguments: pytest.fail("the model was loaded for nothing"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1: " in (line := refused("--model", "x", "--port", port))
        assert "--port" in line


def test_serve_has_its_port_before_the_model(refused, monkeypatch):
    monkeypatch.setattr(loading, "load_predictor", lambda arguments: pytest.fail("the model was loaded for nothing"))
    with bind("127.0.0.1", 0) as other:  # of a process that loads its own still
        port = other.getsockname()[1]
        assert f"port {port} of 127.0.0.1: " in refused("--model", "x", "--port", port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "is not a port"),
        (["--port", "http"], "'http'"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--host", "192.0.2.1", "--port", "0"], "192.0.2.1"),
        (["--host", ".."], "not a host name"),
        (["--host", "a" * 64], "not a host name"),
        (["--port", "0"], "nowhere"),
        (
            ["--port", "0", "--allow_host", "https://kg.example.org"],
            "https://kg.example.org: expected a name",
        ),
        (["--port", "0", "--allow_host", "kg.example.org:443"], "without http:// and port"),
        (["--port", "0", "--allow_host", "*"], "--allow_host *"),
        (["--port", "0", "--token", "secret"], "--token: expected 16 or more"),
        (["--port", "0", "--token", ""], "--token is empty"),
        (["--port", "0", "--token", "a" * 16 + " "], "--token: expected 16 or more"),
        (["--port", "0", "--token", "a" * 16, "--no_token"], "not allowed with"),
    ],
)
def test_serve_with_bad_arguments(refused, arguments, words):
    assert words in refused("--model", "nowhere", *arguments)


@pytest.mark.parametrize(
    ("options", "query", "warnings"),
    [
        ([], "", 0),
        (["--token", "a-token-of-a-person"], r"\?token=\.\.\.", 0),
        (["--host", "0.0.0.0"], r"\?token=[\w-]{32}", 0),
        (["--host", "0.0.0.0", "--token", "a-token-of-a-person"], r"\?token=\.\.\.", 0),
        (["--host", "0.0.0.0", "--no_token"], "", 1),
    ],
)
def test_serve_prints_a_token_only_if_it_made_it(options, query, warnings, predictor, capsys, monkeypatch):
    monkeypatch.setattr(loading, "load_predictor", lambda arguments: predictor)
    monkeypatch.setattr(web_server._Server, "run", lambda self, sockets: None)
    assert not main(["serve", "--model", "m", "--port", "0", *options])
    captured = capsys.readouterr()
    assert re.fullmatch(rf"m at http://[\d.]+:\d+/{query} \(Ctrl-C ends it\)\n", captured.out)
    assert captured.err.count("anyone who reaches this machine can ask") == len(captured.err.splitlines()) == warnings


def test_serve_without_its_extra(refused, monkeypatch):
    for name in ("page_application", "question_application"):
        monkeypatch.delitem(sys.modules, f"lass_hf.web.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert 'pip install "lass-hf[serve]"' in refused("--model", "x")


def test_serve_has_help(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("--model", "--host", "--port", "--allow_host", "--token", "--no_token"))


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no Chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser, port):
    """Opens the page with a query string; waits for its answer, if there is one to come."""

    def open_page(query="", **choices):
        browser.open(f"http://127.0.0.1:{port}/{query}", **choices)
        browser.until("document.getElementById('model').textContent === 'my model'")
        if query:
            browser.until("document.querySelector('#result ol, #result .big, #result .error')")
        return browser

    return open_page


def text_of(browser, selector):
    return browser.value(f"document.querySelector({selector!r}).innerText")


def test_serve_page_shows_ranked_answers(page, predictor):
    browser = page("?relation=r&tail=b")
    rows = browser.value("[...document.querySelectorAll('#result li')].map(row => row.innerText.split('\\n'))")
    expected = predictor.predict(relation="r", tail="b", exclude_known=False)
    assert [row[1] for row in rows] == [answer.text for answer in expected]
    assert ["known" in row for row in rows] == [answer.known for answer in expected]
    assert [float(row[-1].replace("\u2212", "-")) for row in rows] == [round(answer.score, 2) for answer in expected]
    assert text_of(browser, "#go") == "Rank heads"


def test_serve_page_runs_nothing_of_what_it_shows(page):
    browser = page("?head=a&relation=r")
    assert EVIL in text_of(browser, "#result h2")
    assert browser.value("document.querySelectorAll('main img, main script').length") == 0
    assert browser.value("document.title") == "my model · lass-hf"


def test_serve_page_by_keyboard(page):
    """Field by field with completion; the list says what it does to those who do not see it."""
    browser = page()
    browser.press("Tab")
    assert browser.value("document.activeElement.id") == "head"
    browser.type("the")
    browser.until("document.querySelectorAll('#head-list li').length === 3")  # two entities, and the text itself
    field = "document.getElementById('head')"
    assert browser.value(f"{field}.getAttribute('aria-expanded')") == "true"
    chosen = f"document.getElementById({field}.getAttribute('aria-activedescendant')).innerText"
    first = browser.value(chosen)
    browser.press("ArrowDown")
    second = browser.value(chosen)
    assert {first, second} == {"the b\nb", "the c & co\nc"}
    browser.press("ArrowUp", "ArrowDown", "Enter")
    assert browser.value(f"{field}.value") == second.split("\n")[0]
    assert browser.value(f"{field}.getAttribute('aria-expanded')") == "false"
    browser.press("Tab", "Tab")  # past the button that clears the field
    assert browser.value("document.activeElement.id") == "relation"
    browser.type("s")
    browser.until("document.querySelectorAll('#relation-list li').length === 1")
    browser.press("Enter", "Enter")  # chooses, then asks
    browser.until("document.querySelectorAll('#result li').length === 3")
    assert "relation=s" in browser.value("location.search")
    assert (
        json.loads(re.search(r"-d '(.*)'", browser.value("document.getElementById('curl').textContent")).group(1))[
            "relation"
        ]
        == "s"
    )


def test_serve_page_takes_a_new_entity(page):
    browser = page()
    browser.press("Tab")
    browser.type("<b>new</b>")
    browser.until("document.querySelectorAll('#head-list li').length === 1")
    browser.press("ArrowDown", "Enter")
    browser.press("Tab", "Tab")
    browser.type("r")
    browser.until("document.querySelectorAll('#relation-list li').length === 1")
    browser.press("Enter", "Enter")
    browser.until("document.querySelectorAll('#result li').length === 3")
    assert "<b>new</b>" in text_of(browser, "#result h2")
    assert "head_text=" in browser.value("location.search")


def test_serve_page_checks_a_triplet(page):
    browser = page("?head=a&relation=r&tail=b")
    assert "known to the graph" in text_of(browser, "#result")
    assert text_of(browser, "#go") == "Check this triplet"


def test_serve_page_leaves_known_facts_out(page):
    browser = page("?head=a&relation=r&known=0")
    assert "known ones left out" in text_of(browser, "#result")
    assert len(browser.value("[...document.querySelectorAll('#result li')].map(row => row.innerText)")) == 2


def test_serve_page_tells_what_is_wrong(page):
    browser = page("?head=nobody&relation=r")
    assert text_of(browser, "#result [role=alert]") == "head=nobody: the graph has no such id"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_serve_page_fits_a_telephone(page, scheme):
    browser = page("?head=a&relation=r", width=320, height=700, scheme=scheme)
    assert browser.value("document.documentElement.scrollWidth") <= 320
    dark = browser.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 128)")
    assert dark == (scheme == "dark")
    places = browser.value(
        "[...document.querySelectorAll('#result li')].map(row => [...row.querySelectorAll('.rank, .clip, .score')]"
        ".map(part => part.getBoundingClientRect()).map(box => [box.left, box.right, box.top]))"
    )
    assert len(places) == 3  # one of them is known, and has a tag
    for rank, text, score in places:
        assert rank[1] <= text[0]
        assert text[1] <= score[0]
        assert abs(score[2] - rank[2]) < 5  # on one line


def test_serve_page_with_a_token(predictor, browser):
    with serving(predictor, token="a-token-of-a-person") as (_, port):
        address = f"http://127.0.0.1:{port}/"
        browser.open(address)
        browser.until("document.querySelector('#result .error')")
        assert text_of(browser, "#result .error").startswith(
            "this server needs its token: open its page with /?token=TOKEN"
        )
        browser.call("Page.navigate", url=f"{address}?head=a&token=a-token-of-a-person&relation=r")
        browser.until("document.querySelector('#result li')")
        assert browser.value("location.search") == "?head=a&relation=r"
        assert browser.value("document.cookie") == ""  # no script can read it
        assert "-H 'authorization: Bearer TOKEN'" in browser.value("document.getElementById('curl').textContent")
        browser.open(address)  # the browser has the cookie now
        browser.until("document.getElementById('model').textContent === 'my model'")


@pytest.mark.usefixtures("fake_reasons")
def test_shares_and_reasons_are_on_the_page_as_text(browser, predictor, monkeypatch):
    monkeypatch.setattr(FakeBound, "reasons", lambda *_: [EVIL, "the second", "the third"])
    fused = LassPredictor(predictor.scorer.model, predictor.processor, "float32", evidence=FakeEvidence())
    first = fused.predict(head="b", relation="r", exclude_known=False)[0]
    with serving(fused) as (_, port):
        browser.open(f"http://127.0.0.1:{port}/?head=b&relation=r")
        browser.until("document.querySelector('#result ol')")
        shares = browser.value(
            "[...document.querySelectorAll('#result li:first-child .share')].map(one => one.innerText)"
        )
        assert shares == [f"{kind} {share:+.2f}".replace("-", "\u2212") for kind, share in first.shares.items()]
        details = "document.querySelector('#result li details')"
        browser.value(f"{details}.open = true")
        assert browser.value(f"{details}.innerText").split("\n") == [EVIL, "the second", "the third"]
        assert browser.value("document.title") != "owned"
