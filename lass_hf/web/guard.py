"""Guards the application: limits that every HTTP request passes first, and headers that browsers obey.

This is ASGI middleware with the standard library alone; routes are the business of `server.py`.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable

from .access import Access, Message, Refusal

MAX_BODY = 64 * 1024  # bytes
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests that are too large or that may not ask; cancels those of clients that left.

    Args:
        app: The ASGI application.
        access: Decides who may ask.
        policy: The Content-Security-Policy of every response.
    """

    def __init__(self, app: Callable, access: Access, policy: str):
        self.app, self.access = app, access
        self.headers = HEADERS | {"content-security-policy": policy}

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

        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            self.access.check(scope, headers)
            length = headers.get(b"content-length", "0")
            if not length.isdigit() or int(length) > MAX_BODY:
                raise _too_large()
            body = await _body(receive)
            if body is not None:
                await _run(self.app, scope, body, receive, send_guarded)
        except Refusal as refusal:
            content = json.dumps({"error": str(refusal)}).encode()
            about = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
            pairs = [(name.encode(), value.encode()) for name, value in (about | refusal.headers).items()]
            await send_guarded({"type": "http.response.start", "status": refusal.status, "headers": pairs})
            await send_guarded({"type": "http.response.body", "body": content})


def _too_large() -> Refusal:
    return Refusal(413, f"the body is larger than {MAX_BODY} bytes; send less")


async def _body(receive: Callable) -> bytes | None:
    """Returns the whole body; None when the client hung up."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


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
