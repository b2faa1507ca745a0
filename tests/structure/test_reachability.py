"""Searches along links, against plain breadth-first searches."""

from itertools import pairwise

import numpy as np
from helpers.properties import for_all
from hypothesis import strategies as st
from scipy.sparse import csr_array

from lass_hf.structure import reachability
from lass_hf.structure.reachability import find_way, is_reached, share_others


def random_links(seed, size=9, count=14):
    random = np.random.default_rng(seed)
    pairs = np.unique(random.integers(size, size=(count, 2)), axis=0)
    links = csr_array((np.ones(len(pairs), np.float32), tuple(pairs.T)), shape=(size, size))
    return links, [set(pairs[pairs[:, 0] == one, 1].tolist()) for one in range(size)]


def lengths_from(others, start):
    """The length of the shortest way of one step or more to all that is reached."""
    lengths, ends, length = {}, {start}, 0
    while ends:
        length += 1
        ends = {other for one in ends for other in others[one]} - lengths.keys()
        lengths |= dict.fromkeys(ends, length)
    return lengths


def test_searches_find_what_a_plain_search_finds(request, monkeypatch):
    def check(seed, starts, memory):
        monkeypatch.setattr(reachability, "STARTS", starts)
        monkeypatch.setattr(reachability, "MOST_STEPS_IN_MEMORY", memory)
        links, others = random_links(seed)
        ones, twos = np.divmod(np.random.default_rng(seed).permutation(81), 9)
        expected = [lengths_from(others, one).get(two) for one, two in zip(ones.tolist(), twos.tolist(), strict=True)]
        assert is_reached(links, ones, twos).tolist() == [length is not None for length in expected]
        for one, two, length in zip(ones.tolist(), twos.tolist(), expected, strict=True):
            way = find_way(links, one, two)
            assert len(way) == (0 if length is None else length + 1)
            assert not way or (way[0] == one and way[-1] == two)
            assert all(after in others[before] for before, after in pairwise(way))
        common = [bool(others[one] & others[two]) for one, two in zip(ones.tolist(), twos.tolist(), strict=True)]
        assert share_others(links, links, ones, twos).tolist() == common
        return 1

    for_all(request, 30, seed=st.integers(0, 2**31), starts=st.integers(1, 9), memory=st.integers(1, 60))(check)


def test_a_search_that_follows_too_much_gives_up(monkeypatch):
    links = csr_array((np.ones(5, np.float32), ([0, 1, 2, 2, 2], [1, 2, 3, 4, 5])), shape=(6, 6))
    starts, ends = np.array([0, 0, 1]), np.array([2, 3, 3])
    assert is_reached(links, starts, ends).tolist() == [True, True, True]
    monkeypatch.setattr(reachability, "MOST_REACHED", 4)
    assert is_reached(links, starts, ends).tolist() == [True, False, True]


def test_nothing_is_asked():
    links, _ = random_links(0)
    nothing = np.empty(0, dtype=np.int64)
    assert len(is_reached(links, nothing, nothing)) == len(share_others(links, links, nothing, nothing)) == 0
