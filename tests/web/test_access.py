"""Who may ask `lass-hf serve`: names of the server, its token, and pages of other servers."""

import pytest
from helpers.asking import make_predictor

pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from lass_hf.web.access import Access, make_access
from lass_hf.web.question_application import QuestionApplication
from lass_hf.web.server import bind

TOKEN = "a-token-of-a-person"
COOKIE = f"lass-hf-8000={TOKEN}"


@pytest.fixture(scope="module")
def predictor(graph):
    return make_predictor(graph)


def open_client(predictor, **choices):
    application = QuestionApplication(predictor, "tiny", Access(**choices))
    return TestClient(application, base_url="http://127.0.0.1:8000", follow_redirects=False)


@pytest.fixture
def client(predictor):
    with open_client(predictor, token=TOKEN) as client:
        yield client


def sentence(response, status):
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    return response.json()["error"]


# Hosts


@pytest.fixture
def named(predictor):
    with open_client(predictor, hosts=frozenset({"localhost", "::1", "kg.example.org"})) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example", "10.0.0.1", "example.org"]
)
def test_a_name_that_is_not_the_servers_is_refused(named, host):
    assert "--allow_host" in sentence(named.get("/api/info", headers={"host": host}), 400)
    assert "--allow_host" in sentence(named.get("/", headers={"host": host}), 400)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "KG.example.org"])
def test_the_servers_names_are_answered(named, host):
    assert named.get("/api/info", headers={"host": host}).json()["has_token"] is False


def test_the_address_that_a_request_came_to_is_a_name_of_the_server(predictor):
    application = QuestionApplication(predictor, "tiny", Access())
    with TestClient(application, base_url="http://192.0.2.7:8000") as client:
        assert client.get("/api/info").status_code == 200
    with TestClient(application, base_url="http://[::ffff:192.0.2.7]:8000") as client:  # IPv4 at an IPv6 socket
        assert client.get("/api/info", headers={"host": "192.0.2.7:8000"}).status_code == 200


# Tokens


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer \xe9"},
        {"cookie": "lass-hf-8000=wrong"},
        {"cookie": f"lass-hf-8001={TOKEN}"},
        {"cookie": f"a={TOKEN}; ; b"},
    ],
)
def test_without_the_token_nothing_is_told(client, headers):
    headers = {name: value.encode("latin-1") for name, value in headers.items()}
    for path in ("/api/info", "/api/entities", "/openapi.json", "/nothing", f"/api/info?token={TOKEN}"):
        response = client.get(path, headers=headers)
        assert "Authorization: Bearer TOKEN" in sentence(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    question = {"head": "cat", "relation": "eats"}
    assert "tiny" not in sentence(client.post("/api/complete", json=question, headers=headers), 401)
    assert "tiny" not in client.get("/", headers=headers).text


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {TOKEN}"}, {"authorization": f"bearer  {TOKEN} "}, {"cookie": f"a=b; {COOKIE};c=d"}],
)
def test_the_token_is_taken_from_a_header_or_a_cookie(client, headers):
    assert client.get("/api/info", headers=headers).json()["has_token"] is True
    question = {"head": "cat", "relation": "eats"}
    assert client.post("/api/complete", json=question, headers=headers).json()["answers"]


def test_the_page_turns_a_token_in_its_address_into_a_cookie(client):
    response = client.get(f"/?head=a+b&token={TOKEN}&relation=%C3%A9")
    assert response.status_code == 303
    assert response.headers["location"] == "/?head=a+b&relation=%C3%A9"
    assert response.headers["set-cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Strict"
    assert TOKEN not in response.text
    assert client.get("/api/info").status_code == 200  # the client keeps cookies
    assert client.get(f"/?token={TOKEN}").headers["location"] == "/"


def test_a_wrong_token_in_the_address_of_the_page_is_refused(client):
    response = client.get("/?token=wrong")
    assert "set-cookie" not in response.headers
    sentence(response, 401)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_servers_cannot_ask_through_a_persons_browser(client, site):
    headers = {"cookie": COOKIE, "sec-fetch-site": site}
    assert "another server" in sentence(client.get("/api/entities", headers=headers), 403)
    assert client.get("/", headers=headers).status_code == 200  # a link to the page
    for own in ("same-origin", "none"):
        assert client.get("/api/entities", headers=headers | {"sec-fetch-site": own}).status_code == 200


def test_options_make_the_access():
    with bind("127.0.0.1", 0) as listener:
        assert make_access("127.0.0.1", listener).token is None
        assert make_access("127.0.0.1", listener, token=TOKEN).token == TOKEN
        hosts = make_access("My.Host", listener, ["kg.Example.org", "::2", "10.0.0.1"]).hosts
        assert hosts >= {"my.host", "kg.example.org", "::2", "10.0.0.1", "localhost"}
    with bind("0.0.0.0", 0) as listener:
        tokens = {make_access("0.0.0.0", listener).token for _ in range(3)}
        assert len(tokens) == 3
        assert all(len(token) == 32 for token in tokens)
        assert make_access("0.0.0.0", listener, no_token=True).token is None
