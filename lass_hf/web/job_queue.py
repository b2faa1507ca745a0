"""Long computations behind an event loop: one at a time, shared by all who ask the same, remembered, and bounded.

It knows nothing of models and of HTTP.
"""

import asyncio
import math
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
OVERHEAD = 512  # bytes that a remembered value takes besides its own and its key's
Key = tuple[Hashable, ...]


class Busy(Exception):  # noqa: N818  (no mistake of anybody's)
    """Too many jobs wait; `retry_after` is the number of seconds after which there may be room."""

    def __init__(self, retry_after: int):
        super().__init__(retry_after)
        self.retry_after = retry_after


class Stopped(Exception):  # noqa: N818
    """Raised inside a job that nobody waits for any more."""


class Stop:
    """What a job is given, in place of a progress bar: `update` ends the job as soon as nobody waits for it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def update(self, count: int = 1) -> None:
        if self._event.is_set():
            raise Stopped


@dataclass
class _Job:
    task: asyncio.Task
    stop: Stop
    askers: int = 0


class JobQueue:
    """Runs jobs one after the other on a thread of its own; used from one event loop.

    Args:
        max_jobs: how many may wait, with the one that runs.
        max_bytes: of remembered values; those that were not asked for the longest go first.
    """

    def __init__(self, max_jobs: int, max_bytes: int):
        self.max_jobs, self.max_bytes = max_jobs, max_bytes
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="lass-hf-job")
        self._jobs: dict[Key, _Job] = {}
        self._memory: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._seconds = 1.0  # that the last job took
        self._closed = False

    async def ask(
        self, key: Key, work: Callable[[Stop], T], size: Callable[[T], int] = lambda value: 0
    ) -> tuple[T, bool]:
        """The value of `work`, and whether it was remembered from an earlier one with the same key.

        `size`: of a value in bytes. When every asker is cancelled, so is the job. Raises Busy, and what `work` raises.
        """
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key][0], True
        job = self._jobs.get(key)
        if job is None:
            if self._closed or len(self._jobs) >= self.max_jobs:
                raise Busy(max(1, math.ceil(self._seconds * len(self._jobs))))
            stop = Stop()
            job = self._jobs[key] = _Job(asyncio.create_task(self._run(key, work, size, stop)), stop)
        job.askers += 1
        try:
            return await asyncio.shield(job.task), False
        finally:
            job.askers -= 1
            if not job.askers and not job.task.done():
                self._cancel(key, job)

    async def _run(self, key: Key, work: Callable[[Stop], T], size: Callable[[T], int], stop: Stop) -> T:
        def timed() -> tuple[T, float]:
            stop.update()
            start = time.perf_counter()
            return work(stop), time.perf_counter() - start

        try:
            value, self._seconds = await asyncio.get_running_loop().run_in_executor(self._executor, timed)
            self._remember(key, value, size(value) + sum(map(sys.getsizeof, key)) + OVERHEAD)
            return value
        finally:
            if (job := self._jobs.get(key)) is not None and job.stop is stop:
                del self._jobs[key]

    def _remember(self, key: Key, value: Any, size: int) -> None:
        self._memory[key] = value, size
        self._bytes += size
        while self._bytes > self.max_bytes:
            self._bytes -= self._memory.popitem(last=False)[1][1]

    def _cancel(self, key: Key, job: _Job) -> None:
        self._jobs.pop(key, None)
        job.stop.set()
        job.task.cancel()

    def close(self) -> None:
        """Cancels every job, and takes no more; one that runs ends at its next `update`."""
        self._closed = True
        for key, job in list(self._jobs.items()):
            self._cancel(key, job)
        self._executor.shutdown(wait=False, cancel_futures=True)
