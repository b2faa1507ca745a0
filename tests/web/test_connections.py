"""Connections of `lass-hf serve` whose clients send nothing, too little or too slowly, or do not read."""

import asyncio
import errno
import socket
import threading

import pytest
from helpers.asking import get, make_predictor, serving

pytest.importorskip("fastapi")

from lass_hf.web import connections
from lass_hf.web.server import bind

HALVES = {
    "nothing": b"",
    "half a line": b"GET /api",
    "half a header": b"GET /api/info HTTP/1.1\r\nHost: loc",
    "half a body": b"POST /api/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    "a request, and half of another": b"GET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api",
}


@pytest.fixture(scope="module")
def predictor(graph):
    return make_predictor(graph)


@pytest.fixture(scope="module")
def port(predictor):
    with serving(predictor) as (_, port):
        yield port


def connect(port, sent=b""):
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(sent)
    return client


def read(client) -> bytes:
    """Reads until the server closes the connection."""
    parts = []
    try:
        while part := client.recv(2**16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("half", HALVES)
def test_a_client_that_sends_half_a_request_is_cut_off(half, port, monkeypatch):
    with connect(port, HALVES[half]) as client:
        monkeypatch.setattr(connections, "SECONDS", 0.2)
        answers = read(client)
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200") == (half == "a request, and half of another")


def test_a_client_that_does_not_read_is_cut_off(predictor, monkeypatch):
    cut = threading.Event()
    real = connections.LimitedConnection.abort
    monkeypatch.setattr(connections.LimitedConnection, "abort", lambda self: (real(self), cut.set()))
    monkeypatch.setattr(connections, "SECONDS", 0.2)
    with serving(predictor) as (server, port), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)  # of more bytes than the kernel keeps
        assert cut.wait(60)
        assert not server.server_state.connections
        assert get(port, "/api/info")[0] == 200


def test_a_client_that_reads_slowly_and_one_that_waits_for_an_answer_are_not_cut_off(monkeypatch):
    """Time passes by a clock of the test."""
    connection = object.__new__(connections.LimitedConnection)
    aborted, now, unread = [], [0.0], [1000]
    monkeypatch.setattr(connection, "abort", lambda: aborted.append(now[0]), raising=False)
    connection.loop = type("Loop", (), {"time": lambda self: now[0]})()
    connection.transport = type("Transport", (), {"get_write_buffer_size": lambda self: unread[0]})()
    connection.flow = type("Flow", (), {"write_paused": False})()
    connection.cycle = type("Cycle", (), {"response_complete": True, "more_body": False})()
    connection.since, connection._unread = 0.0, 1000
    for _ in range(10):
        now[0] += connections.SECONDS
        unread[0] -= 1
        connection.close_if_late()
    assert not aborted
    now[0] += connections.SECONDS + 1
    connection.close_if_late()
    assert aborted == [now[0]]
    connection.cycle.response_complete = False  # a question that takes long to score
    now[0] += 1000
    connection.close_if_late()
    assert len(aborted) == 1


def test_a_flood_of_half_requests_from_one_address_takes_the_place_of_its_own_oldest(port, monkeypatch):
    monkeypatch.setattr(connections, "MAX_PER_CLIENT", 20)
    clients = [connect(port, list(HALVES.values())[number % 4]) for number in range(60)]
    try:
        assert get(port, "/api/info")[0] == 200
        for client in clients[:40]:  # and one more for the client that asked
            assert read(client) == b""
        clients[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            clients[-1].recv(1)
    finally:
        for client in clients:
            client.close()


def test_all_addresses_share_the_limit_of_all_connections(port, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    clients = [connect(port, b"GET") for _ in range(10)]
    try:
        assert get(port, "/api/info")[0] == 200
        for client in clients[:6]:
            assert read(client) == b""
    finally:
        for client in clients:
            client.close()


class FullListener(socket.socket):
    """Cannot accept a number of times."""

    left = 300

    def accept(self):
        FullListener.left -= 1
        if FullListener.left >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_a_server_out_of_file_descriptors_says_so_in_one_line_and_goes_on(predictor, capfd, monkeypatch):
    monkeypatch.setattr(asyncio.constants, "ACCEPT_RETRY_DELAY", 0.01)
    listener = FullListener(fileno=bind("127.0.0.1", 0).detach())
    with serving(predictor, listener=listener) as (_, port):
        assert get(port, "/api/info")[0] == 200
    assert FullListener.left < 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("lass-hf: warning: Too many open files: ")
    assert "ulimit -n" in line


def test_small_answers_do_not_wait_for_more(predictor, monkeypatch):
    """asyncio switches Nagle's algorithm off where the socket says that it is TCP; else an answer takes 40 ms."""
    kept = []
    accept = socket.socket.accept

    def accept_and_keep(self):
        connection, address = accept(self)
        kept.append(connection.dup())  # which stays open when the server closes its own
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", accept_and_keep)
    with serving(predictor) as (_, port):
        assert get(port, "/api/info")[0] == 200
    with kept[0] as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_clients_do_writes_nothing(port, capfd):
    for nonsense in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ):
        with connect(port, nonsense) as client:
            assert b" 400 " in read(client)
    assert capfd.readouterr() == ("", "")
