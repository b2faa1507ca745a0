"""Guards the application: limits that every HTTP request passes first, and headers that browsers obey.

This is ASGI middleware with the standard library alone; routes are the business of `server.py`.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

MAX_BODY = 64 * 1024  # bytes
MAX_REQUESTS = 64  # that are computed or wait at the same time
BODY_SECONDS = 10  # for a client to send its body in
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

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
        self.status, self.headers = status, headers


class Guard:
    """Refuses requests that are too large, too slow, too many, or for another host; cancels those of clients that left.

    Args:
        app: The ASGI application.
        hosts: Names that requests may use for this server; None for any name. This keeps web pages of others from
            reaching a server on loopback under a name of their own (DNS rebinding).
        policy: The Content-Security-Policy of every response.
    """

    def __init__(self, app: Callable, hosts: frozenset[str] | None, policy: str):
        self.app, self.hosts = app, hosts
        self.headers = HEADERS | {"content-security-policy": policy}
        self.requests = 0

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in self.headers.items()]
                message["headers"] = [*message["headers"], *(item for item in more if item[0] not in given)]
            await send(message)

        self.requests += 1
        try:
            self._check(scope)
            body = await _body(receive)
            if body is not None:
                await _run(self.app, scope, body, receive, send_guarded)
        except Refusal as refusal:
            content = json.dumps({"error": str(refusal)}).encode()
            headers = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
            headers |= {name.replace("_", "-"): value for name, value in refusal.headers.items()}
            pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send_guarded({"type": "http.response.start", "status": refusal.status, "headers": pairs})
            await send_guarded({"type": "http.response.body", "body": content})
        finally:
            self.requests -= 1

    def _check(self, scope: Message) -> None:
        if self.requests > MAX_REQUESTS:
            raise Refusal(503, f"{MAX_REQUESTS} requests are being answered already; try again soon", retry_after="1")
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self.hosts is not None and _host(headers.get(b"host", "")) not in self.hosts:
            raise Refusal(
                400, "this server answers under its own name only; use the address that it printed when it started"
            )
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise _too_large()


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _too_large() -> Refusal:
    return Refusal(413, f"the body is larger than {MAX_BODY} bytes; send less")


async def _body(receive: Callable) -> bytes | None:
    """Returns the whole body; None when the client hung up."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {BODY_SECONDS} seconds") from None


async def _run(app: Callable, scope: Message, body: bytes, receive: Callable, send: Callable) -> None:
    """Runs the application, and cancels it when the client hangs up."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.ensure_future(receive())

    async def replay() -> Message:
        return waiting.pop() if waiting else await asyncio.shield(gone)

    work = asyncio.ensure_future(app(scope, replay, send))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.cancelled():
            raise Refusal(503, "the server is shutting down", retry_after="10")
        if work.done():
            work.result()
    finally:
        for task in (work, gone):
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
