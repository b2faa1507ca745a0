"""The name search of `lass-hf serve` finds what a plain loop finds."""

import numpy as np
import pytest

from lass_hf.core.vocabulary import Vocabulary
from lass_hf.web.job_queue import Canceled
from lass_hf.web.name_search import NameSearch


def ignore(count):
    """Takes note of no progress."""


def test_serve_name_search_against_a_plain_loop(monkeypatch):
    monkeypatch.setattr("lass_hf.web.name_search.NAMES_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    ids = [f"n{number}" for number in range(60)]
    texts = ["".join(rng.choice(list("ab é\n"), 5)).strip() + "x" for _ in ids]
    counts = rng.integers(0, 4, 60)
    search = NameSearch(Vocabulary("entities", ids, texts), counts)
    plain = [" ".join(text.replace("é", "e").split()) for text in texts]
    for query in ("a", "b a", "E", "n1", "x", "n12", "ab", "q", " a  b "):
        wanted = " ".join(query.lower().split())

        def place(number, wanted=wanted):
            names = (plain[number], ids[number])
            kinds = [
                wanted in names,
                any(name.startswith(wanted) for name in names),
                any(f" {wanted}" in name for name in names),
                any(wanted in name for name in names),
            ]
            return kinds.index(True) if any(kinds) else None

        matching = [number for number in range(60) if place(number) is not None]
        expected = sorted(matching, key=lambda number: (place(number), -counts[number], number))
        for limit in (1, 5, 60):
            assert search.find(query, limit, ignore) == expected[:limit]


def test_serve_name_search_finds_the_longest_known_beginning():
    names = ["mouse", "mountain", "Motor boat", "mo"]
    search = NameSearch(Vocabulary("entities", [f"n{number}" for number in range(4)], names), np.array([1, 2, 3, 4]))
    expected = {
        "mouse": [0],
        "mousse": [0],
        " Mountian ": [1],
        "moub": [1, 0],  # the frequent first
        "mot\u00f3r-boat": [2],
        "xouse": [],
        "mouxxxx": [],  # less than half of it
        "m": [],
        "": [],
        " ": [],
    }
    for name, found in expected.items():
        assert search.find_beginning(name, 5, ignore) == found, name
    assert search.find_beginning("mou", 1, ignore) == [1]
    assert search.find_beginning("mountain" + "n" * 10_000, 5, ignore) == []


def test_serve_name_search_in_a_graph_without_names():
    assert NameSearch(Vocabulary("relations", [], []), np.empty(0, dtype=np.int64)).find("a", 5, ignore) == []


def test_serve_name_search_ends_between_two_blocks_when_nobody_waits(monkeypatch):
    monkeypatch.setattr("lass_hf.web.name_search.NAMES_AT_ONCE", 4)
    search = NameSearch(Vocabulary("entities", names := [f"n{number}" for number in range(10)], names), np.arange(10))
    counts = []

    def on_progress(count):
        counts.append(count)
        if len(counts) == 5:
            raise Canceled

    with pytest.raises(Canceled):
        search.find("absent", 3, on_progress)
    assert counts == [4, 4, 2, 4, 4]
