"""Seconds that add up by name."""

from lass_hf.utils.stopwatch import Stopwatch


def test_a_stopwatch_adds_up(monkeypatch):
    times = iter([0.0, 1.5, 10.0, 12.0])
    monkeypatch.setattr("lass_hf.utils.stopwatch.time.perf_counter", lambda: next(times))
    watch = Stopwatch()
    for _ in range(2):
        with watch.time("rules"):
            pass
    assert watch.seconds == {"rules": 3.5}
