"""Decides who may ask `lass-hf serve`: by the name that a request has for the server, by its origin, and by a token."""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..core.errors import LassError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKEN = r"[\w.~-]{16,}"  # of characters that are the same in headers, cookies and addresses
HOST = r"[\w-]+(\.[\w-]+)*"

Message = dict[str, Any]


class Refusal(Exception):  # noqa: N818
    """Raised for a request that is not passed on.

    Args:
        status: The HTTP status.
        sentence: The reason, which the client gets.
        **headers: Headers of the response, with underscores for hyphens.
    """

    def __init__(self, status: int, sentence: str, **headers: str):
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: Names, in small letters, that requests may use for the server, besides the address that they reach it at.
            This keeps web pages of others from reaching the server under a name of their own (DNS rebinding).
        token: What requests for anything but the empty page have to bring along; None if they need nothing. It comes
            in the header `Authorization: Bearer TOKEN`, or in a cookie, which `/?token=TOKEN` sets.
    """

    hosts: frozenset[str] = frozenset(LOOPBACK)
    token: str | None = None

    def check(self, scope: Message, headers: dict[bytes, str]) -> None:
        """Lets a request pass, or sends it on to the page with a cookie.

        Args:
            scope: The ASGI scope of the request.
            headers: Its headers.

        Raises:
            Refusal: The request must not pass.
        """
        host = _host(headers.get(b"host", ""))
        server, port = scope["server"]
        if host not in self.hosts and host != server.removeprefix("::ffff:"):
            raise Refusal(
                400,
                f"{host!r} is not a name of this server: use the address that it printed when it started, or start it "
                "with --allow_host and the name",
            )
        if scope["path"] == "/":  # The page has nothing of the graph; what it asks for is checked.
            self._log_in(scope, f"lass-hf-{port}")
            return
        if headers.get(b"sec-fetch-site") in ("cross-site", "same-site"):
            raise Refusal(403, "a page of another server cannot ask; open the page of this server")
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get(b"cookie", "").split(";"))
        if not self._is_token(given.strip() if scheme.lower() == "bearer" else cookies.get(f"lass-hf-{port}", "")):
            raise _unauthorized()

    def _log_in(self, scope: Message, cookie: str) -> None:
        """Turns a token in the address of the page into a cookie, so that it stays in no bookmark and no history."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        if not tokens or self.token is None:
            return
        if not self._is_token(tokens[-1]):
            raise _unauthorized()
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        raise Refusal(
            303,
            "the page is at the address without the token",
            location=f"/?{rest}" if rest else "/",
            set_cookie=f"{cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict",
        )

    def _is_token(self, given: str) -> bool:
        return self.token is None or hmac.compare_digest(given.encode(), self.token.encode())


def make_access(
    host: str, listener: socket.socket, allow_host: Iterable[str] = (), token: str | None = None, no_token: bool = False
) -> Access:
    """Makes the access that the options of `lass-hf serve` describe.

    Args:
        host: The name or address of this machine to listen at.
        listener: The socket that listens there.
        allow_host: More names of the server, such as that of a proxy.
        token: The token. None makes one where others than this machine can reach the server.
        no_token: Whether no token is made.

    Raises:
        LassError: A name or the token is not one.
    """
    names = [name.lower() for name in allow_host]
    for name in names:
        if not re.fullmatch(HOST, name, re.ASCII) and not _is_address(name):
            raise LassError(f"--allow_host {name}: expected a name such as kg.example.org, without http:// and port")
    if token is not None and not re.fullmatch(TOKEN, token, re.ASCII):
        raise LassError("--token: expected 16 or more of the letters a to z and A to Z, digits, and - . _ ~")
    if token is None and not no_token and not is_loopback(listener):
        token = secrets.token_urlsafe(24)
    return Access(frozenset((*LOOPBACK, host.lower(), socket.gethostname().lower(), *names)), token)


def is_loopback(listener: socket.socket) -> bool:
    """Returns whether only this machine can reach a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _unauthorized() -> Refusal:
    return Refusal(
        401,
        "this server needs its token: open its page with /?token=TOKEN, or send the header Authorization: Bearer TOKEN",
        www_authenticate="Bearer",
    )


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
