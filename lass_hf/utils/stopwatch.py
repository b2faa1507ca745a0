"""Seconds of pieces of work, by name."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds of several pieces of work, each of which may be done more than once.

    Attributes:
        seconds: The seconds by the name of the work.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds the seconds of what is done inside.

        Args:
            name: The name of the work.
        """
        started = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)
