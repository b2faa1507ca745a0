"""Runs long computations behind an event loop: one at a time, shared by equal requests, cached, canceled when unwanted.

Models and HTTP are the business of other modules.
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
OVERHEAD = 512  # bytes that a cached value takes besides its own and its key's
Key = tuple[Hashable, ...]
# A job calls it now and then, with the amount of work done since the last call, which nothing depends on. It raises
# `Canceled` as soon as nobody waits for the job any more.
OnProgress = Callable[[int], None]


class Busy(Exception):  # noqa: N818  (it is not an error of the caller)
    """Too many jobs wait.

    Attributes:
        retry_after: Seconds after which there may be room.
    """

    def __init__(self, retry_after: int):
        super().__init__(retry_after)
        self.retry_after = retry_after


class Canceled(Exception):  # noqa: N818
    """Raised inside a job that nobody waits for any more."""


@dataclass
class _Job:
    task: asyncio.Task
    canceled: threading.Event
    waiting: int = 0


class JobQueue:
    """Runs jobs one after the other on a thread of its own; used from one event loop.

    Args:
        max_jobs: The number of jobs that may wait, including the one that runs.
        max_bytes: The size of the cache. The values that were not asked for the longest are dropped first.
    """

    def __init__(self, max_jobs: int, max_bytes: int):
        self.max_jobs, self.max_bytes = max_jobs, max_bytes
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="lass-hf-job")
        self._jobs: dict[Key, _Job] = {}
        self._cache: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._seconds = 1.0  # that the last job took
        self._closed = False

    async def run(
        self, key: Key, work: Callable[[OnProgress], T], size: Callable[[T], int] = lambda value: 0
    ) -> tuple[T, bool]:
        """Returns the value of a job, which is run unless its value is cached or an equal job is under way.

        The job is canceled when every caller that waits for it is.

        Args:
            key: Identifies the job; jobs with equal keys have equal values.
            work: Computes the value. It is called with an `OnProgress` function, and lets what that raises pass.
            size: Returns the size of a value in bytes.

        Returns:
            The value, and whether it was cached.

        Raises:
            Busy: Too many jobs wait.
            Exception: Whatever `work` raises.
        """
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key][0], True
        job = self._jobs.get(key)
        if job is None:
            if self._closed or len(self._jobs) >= self.max_jobs:
                raise Busy(max(1, math.ceil(self._seconds * len(self._jobs))))
            canceled = threading.Event()
            job = self._jobs[key] = _Job(asyncio.create_task(self._compute(key, work, size, canceled)), canceled)
        job.waiting += 1
        try:
            return await asyncio.shield(job.task), False
        finally:
            job.waiting -= 1
            if not job.waiting and not job.task.done():
                self._cancel(key, job)

    async def _compute(
        self, key: Key, work: Callable[[OnProgress], T], size: Callable[[T], int], canceled: threading.Event
    ) -> T:
        def on_progress(count: int) -> None:
            if canceled.is_set():
                raise Canceled

        def timed() -> tuple[T, float]:
            on_progress(0)
            start = time.perf_counter()
            return work(on_progress), time.perf_counter() - start

        try:
            value, self._seconds = await asyncio.get_running_loop().run_in_executor(self._executor, timed)
            self._keep(key, value, size(value) + sum(map(sys.getsizeof, key)) + OVERHEAD)
            return value
        finally:
            if (job := self._jobs.get(key)) is not None and job.canceled is canceled:
                del self._jobs[key]

    def _keep(self, key: Key, value: Any, size: int) -> None:
        self._cache[key] = value, size
        self._bytes += size
        while self._bytes > self.max_bytes:
            self._bytes -= self._cache.popitem(last=False)[1][1]

    def _cancel(self, key: Key, job: _Job) -> None:
        self._jobs.pop(key, None)
        job.canceled.set()
        job.task.cancel()

    def close(self) -> None:
        """Cancels every job and accepts no more; the one that runs ends at its next call of `OnProgress`."""
        self._closed = True
        for key, job in list(self._jobs.items()):
            self._cancel(key, job)
        self._executor.shutdown(wait=False, cancel_futures=True)
