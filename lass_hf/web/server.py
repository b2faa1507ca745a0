"""The server behind `lass-hf serve` and `lass-hf review` (`pip install "lass-hf[serve]"`): its socket and its process.

`connections.py` limits connections, `guard.py` and `access.py` requests. `page_application.py` is what all applications
have, `question_application.py` answers the questions to a model, and `review_application.py` keeps decisions.
"""

import asyncio
import errno
import socket
import sys
from typing import Any

import uvicorn

from ..core.errors import LassError
from .access import is_loopback
from .connections import BACKLOG, SECONDS, LimitedConnection, close_oldest
from .page_application import PageApplication

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at an address.

    It is meant to be called before a model is loaded, so that no other process takes the port meanwhile. Requests that
    come before `serve` wait.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 for any free one.

    Raises:
        LassError: The host is unknown, or the port is in use.
    """
    flags = socket.AI_PASSIVE
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError is raised for strings that cannot be host names.
        what = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise LassError(f"--host {host}: {what}; give a name or an address of this machine") from None
    listener = socket.socket(family, kind, protocol)  # asyncio sends small answers at once if it knows that it is TCP
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LassError(f"port {port} of {host}: {error.strerror}; choose another one with --port or --host") from None
    return listener


def serve(application: PageApplication, name: str, listener: socket.socket, show_token: bool) -> None:
    """Answers requests at a socket until the process is interrupted.

    Args:
        application: Answers the requests.
        name: What is printed before the address.
        listener: A socket of `bind`.
        show_token: Whether the address that is printed has the token.

    Raises:
        KeyboardInterrupt: The process was interrupted.
    """
    server, access = make_server(application), application.access
    host, port = listener.getsockname()[:2]
    if access.token is None and not is_loopback(listener):
        print(
            f"lass-hf: warning: listening on {host}: anyone who reaches this machine can ask, there is no token",
            file=sys.stderr,
        )
    query = "" if access.token is None else f"?token={access.token if show_token else '...'}"
    print(f"{name} at http://{f'[{host}]' if ':' in host else host}:{port}/{query} (Ctrl-C ends it)", flush=True)
    server.run(sockets=[listener])


def make_server(application: PageApplication) -> uvicorn.Server:
    """Returns a server of an application that answers by `run(sockets=[listener])`."""
    config = uvicorn.Config(
        application,
        http=LimitedConnection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="error",  # Clients can cause as many warnings as they like.
        access_log=False,
        proxy_headers=False,
        use_colors=False,  # escape sequences reach no terminal
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SECONDS,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Closes connections whose clients are late, and cancels all jobs before it waits for their connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.has_warned = False
        asyncio.get_running_loop().set_exception_handler(self._handle)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        for connection in list(self.server_state.connections):
            connection.close_if_late()  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            self.config.app.close()  # type: ignore[union-attr]
        finally:
            await super().shutdown(sockets)
        self.config.app.close()  # type: ignore[union-attr]  # for what the last connections brought

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Makes room when no connection can be accepted. asyncio by itself prints a traceback for each, and waits."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
            return
        close_oldest(self.server_state.connections)  # type: ignore[arg-type]
        if not self.has_warned:
            self.has_warned = True
            print(
                f"lass-hf: warning: {error.strerror}: connections that wait for their clients are closed; "
                "allow more with ulimit -n",
                file=sys.stderr,
            )
