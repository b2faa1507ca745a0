"""Limits the connections of `lass-hf serve`: how many there are, and how long each may wait for its client.

Requests are the business of `guard.py`.
"""

import asyncio
from collections.abc import Iterable

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
MAX_PER_CLIENT = 128  # connections from one address
BACKLOG = 64  # accepted at once; fewer than the limits, so that the event loop reads what a new client sent first
SECONDS = 10  # for a client to send a whole request, or to go on reading a response


class LimitedConnection(H11Protocol):
    """A connection that is closed when its client is late, or when it is one too many.

    uvicorn by itself gives a client all the time in the world, except between two requests. A connection that is one
    too many takes the place of the one that waits for its client the longest.

    Attributes:
        since: The time of the event loop since which the client has neither completed a request nor read anything.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since, self._unread = self.loop.time(), 0
        self.address = self.client and self.client[0]
        same_address = [connection for connection in self.connections if connection.address == self.address]  # type: ignore[union-attr]
        if len(same_address) > MAX_PER_CLIENT:
            close_oldest(same_address)  # type: ignore[arg-type]
        if len(self.connections) > MAX_CONNECTIONS:
            close_oldest(self.connections)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client that has to send a request, or the rest of one, or to read."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused

    def close_if_late(self) -> None:
        """Closes the connection if its client is late; meant to be called now and then."""
        unread = self.transport.get_write_buffer_size()
        if unread < self._unread:
            self.since = self.loop.time()
        self._unread = unread
        if self.waits_for_client and self.loop.time() - self.since > SECONDS:
            self.abort()

    def abort(self) -> None:
        """Closes the connection, whatever the client has still to read."""
        self.connections.discard(self)
        self.transport.abort()


def close_oldest(connections: Iterable[LimitedConnection]) -> None:
    """Closes the one of some connections that waits for its client the longest, if any does."""
    waiting = [connection for connection in connections if connection.waits_for_client]
    if waiting:
        min(waiting, key=lambda connection: connection.since).abort()
