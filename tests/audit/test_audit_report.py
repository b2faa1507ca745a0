"""The page of an audit, and the chances of what fits better instead: measured, and not what a method claims."""

import re

import numpy as np
import pytest
from helpers.pages import EVIL, Loads

from lass_hf.audit.findings import measured_chances
from lass_hf.audit.report import SHOWN, render_audit

SIGNAL = {"words": "head and tail share few neighbors", "value": 0.125, "share": 0.031}
UNKNOWN = {"words": "no rule leads to it", "value": None, "share": None}
SIGNALS = [
    {"kind": "neighbors", "share": 0.031, "signals": [SIGNAL]},
    {"kind": "rules", "share": None, "signals": [UNKNOWN]},
]
CONTENT = {
    "settings": {"graph": "my.ttl", "minutes": None, "assumed_share_of_errors": 0.05},
    "metrics": {"triplets": 5000, "findings": 120, "suspicion_of_0.50_or_more": 31, "duplicates": 1, "misfits": 0},
    "by_heart": None,
    "model_counts": None,
    "held_out": 60,
    "injected": {"random": 90, "similar": 80, "adversarial": 70},
    "duplicates": [{"ids": ["a", "b"], "texts": ["A", ""], "cosine_of_texts": 0.98, "share_of_common_neighbors": 0.5}],
    "misfits": [],
}


def make_rows(count, **changes):
    row = {"head": "fr", "relation": "r1", "tail": "es", "head_text": "France", "relation_text": "borders"}
    row |= {"tail_text": "", "score": 0.125, "kind": "neighbors", "signals": SIGNALS}
    return [{**row, "against": ["Few neighbors."], "better": ["a better tail: Spain"], **changes} for _ in range(count)]


def words(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


def test_the_page_says_what_was_judged_and_what_a_suspicion_is():
    text = words(render_audit(CONTENT, make_rows(120)))
    assert "All 5,000 true triplets of the graph were judged" in text
    assert text.endswith("fits none of their triplets None. Settings graph my.ttl assumed_share_of_errors 0.05")
    assert "0.50 or more 31" in text
    assert "from 90 random, 80 similar and 70 adversarial errors, which were made for it" in text
    assert "as 5 % of the triplets are wrong" in text
    assert "lass-hf audit --evaluate with the same graph measures how many errors such a list finds" in text
    assert "A b 0.980 50 %" in text
    metrics = {name: count for name, count in CONTENT["metrics"].items() if name != "duplicates"}
    text = words(render_audit({**CONTENT, "metrics": metrics, "duplicates": []}, make_rows(1)))
    assert "one thing twice They were not searched for" in text
    assert "prefers a triplet" not in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"model_counts": "none"},
            "The text model counts for no triplet: 60 of the 5,000 triplets are outside of train, and 200 are needed "
            "to tell what it knows from what it learned by heart. Train one with more held out (lass-hf train "
            "--validation 200, or lass-hf split before, of a graph whose triplets are all in train), or leave "
            "--model out. The first 1",
        ),
        (
            {"model_counts": "none", "held_out": 8, "metrics": {**CONTENT["metrics"], "triplets": 152}},
            "8 of the 152 triplets are outside of train, and 200 are needed to tell what it knows from what it learned "
            "by heart. Too few would be left of this graph if so many were held out; leave --model out. The first 1",
        ),
        (
            {"model_counts": "outside of train", "by_heart": 0.82, "held_out": 1400},
            "The text model counts for the 1,400 triplets outside of train alone. It prefers a triplet that it was "
            "trained on to another true one in 82 % of the cases. The more often, the more it knows triplets by heart",
        ),
        (
            {"model_counts": "all", "by_heart": 0.64, "held_out": 1400},
            "The text model counts for all triplets. It prefers a triplet that it was trained on to another true one "
            "in 64 % of the cases. The more often",
        ),
    ],
)
def test_the_page_says_for_which_triplets_the_model_counts_and_why(given, said):
    assert said in words(render_audit({**CONTENT, **given}, make_rows(1)))


def test_the_page_calls_nothing_suspicious_but_for_the_rest_of_the_graph():
    page = render_audit(CONTENT, make_rows(1))
    assert "<title>Audit: the 120 most suspicious of 5,000 triplets</title>" in page
    assert "The 120 most suspicious of 5,000 triplets" in words(page)
    assert "120 suspicious triplets" not in page


def test_the_page_shows_the_first_hundred_findings_with_their_signals():
    page = render_audit(CONTENT, make_rows(SHOWN + 20))
    text = words(page)
    assert page.count('<li><div class="link">') == SHOWN
    assert "The first 100" in text
    assert "1 France borders es 0.875 Few neighbors. a better tail: Spain neighbors 3.1 % all signals" in text
    assert "neighbors head and tail share few neighbors 0.125 3.1 %" in text
    assert "rules no rule leads to it \N{EN DASH} \N{EN DASH}" in text


def test_the_page_loads_nothing_and_runs_nothing():
    names = ("head", "head_text", "relation_text", "tail_text", "kind")
    rows = make_rows(2, **dict.fromkeys(names, EVIL), against=[EVIL], better=[EVIL])
    odd = {"ids": [EVIL] * 2, "texts": [EVIL] * 2, "cosine_of_texts": 1.0, "share_of_common_neighbors": 1.0}
    misfit = {"id": EVIL, "text": EVIL, "share_that_fits_worse": 0.01}
    settings = {EVIL: EVIL, "assumed_share_of_errors": 0.05}
    loads = Loads(render_audit({**CONTENT, "settings": settings, "duplicates": [odd], "misfits": [misfit]}, rows))
    assert not loads.addresses
    assert not loads.handlers
    assert not {"script", "img", "link", "iframe"} & set(loads.tags)


def test_chances_are_how_often_own_values_come_first_whatever_is_claimed():
    rng = np.random.default_rng(0)
    claim = rng.choice([0.9, 0.999], 20_000)  # of the first value, which is the triplet's own in 30 % and in 60 %
    is_own = rng.random(len(claim)) < np.where(claim == 0.9, 0.3, 0.6)
    first, second = np.log(claim), np.log(0.99 - claim.clip(max=0.98))
    own, other = np.where(is_own, first, second), np.where(is_own, second, first)
    chances = measured_chances(own, other)
    assert np.isnan(chances[is_own]).all()
    for level, share in ((0.9, 0.3), (0.999, 0.6)):
        assert chances[~is_own & (claim == level)].mean() == pytest.approx(share, abs=0.03)
    assert np.isnan(measured_chances(own[:50], other[:50])).all()
    own[:], other[:] = np.nan, np.nan
    assert np.isnan(measured_chances(own, other)).all()
