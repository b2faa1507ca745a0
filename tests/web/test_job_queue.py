"""JobQueue: one job at a time, shared, cached, and canceled when nobody waits for it."""

import asyncio
import threading

import pytest

from lass_hf.web.job_queue import Busy, Canceled, JobQueue


class Work:
    """A job that runs until it is released or canceled."""

    def __init__(self, value="value"):
        self.started, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.value, self.error, self.runs = value, None, 0

    def __call__(self, on_progress):
        self.runs += 1
        self.started.set()
        try:
            while not self.go.wait(0.001):
                on_progress(1)
        except Canceled as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return self.value


async def until(event: threading.Event):
    assert await asyncio.to_thread(event.wait, 60)


def in_loop(test, **choices):
    queue = JobQueue(**{"max_jobs": 2, "max_bytes": 10_000, **choices})
    try:
        asyncio.run(test(queue))
    finally:
        queue.close()


def test_a_job_that_nobody_waits_for_is_canceled():
    async def test(queue):
        work = Work()
        caller = asyncio.create_task(queue.run(("key",), work))
        await until(work.started)
        caller.cancel()
        await until(work.ended)
        assert isinstance(work.error, Canceled)
        work.go.set()
        assert await queue.run(("key",), work) == ("value", False)  # it is not cached, and the queue goes on

    in_loop(test)


def test_a_job_that_another_still_waits_for_goes_on():
    async def test(queue):
        work = Work()
        callers = [asyncio.create_task(queue.run(("key",), work)) for _ in range(2)]
        await until(work.started)
        callers[0].cancel()
        await asyncio.wait(callers[:1])
        work.go.set()
        assert await callers[1] == ("value", False)
        assert (work.runs, work.error) == (1, None)
        assert await queue.run(("key",), work) == ("value", True)

    in_loop(test)


def test_a_job_that_is_canceled_before_its_turn_never_runs():
    async def test(queue):
        first, second = Work(), Work()
        running = asyncio.create_task(queue.run((1,), first))
        await until(first.started)
        waiting = asyncio.create_task(queue.run((2,), second))
        await asyncio.sleep(0)
        with pytest.raises(Busy) as busy:
            await queue.run((3,), Work())
        assert busy.value.retry_after >= 1
        waiting.cancel()
        await asyncio.wait([waiting])
        first.go.set()
        await running
        third = Work()
        third.go.set()
        await queue.run((3,), third)
        assert second.runs == 0

    in_loop(test)


def test_closing_cancels_the_running_job():
    async def test(queue):
        work = Work()
        caller = asyncio.create_task(queue.run(("key",), work))
        await until(work.started)
        queue.close()
        await until(work.ended)
        assert isinstance(work.error, Canceled)
        assert (await asyncio.gather(caller, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        with pytest.raises(Busy):
            await queue.run(("key",), work)

    in_loop(test)


def test_values_that_were_not_asked_for_the_longest_are_dropped_first():
    async def test(queue):
        def run(key):
            return queue.run((key,), lambda on_progress: key, lambda value: 3000)

        for key in (1, 2, 1, 3):  # three do not fit
            await run(key)
        assert [await run(key) for key in (1, 3)] == [(1, True), (3, True)]
        assert await run(2) == (2, False)

    in_loop(test)
