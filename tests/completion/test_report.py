"""The page of a completion: what it says, that it loads nothing and runs nothing, and what it counts."""

import re

import numpy as np
import pytest
from helpers.pages import EVIL, Loads

from lass_hf.completion.report import count_by_relation, render_completion
from lass_hf.core.vocabulary import Vocabulary

CURVE = {
    "ece": 0.0213,
    "counts": [900, 0, 0, 80, *[0] * 5, 20],
    "claimed": [0.02, None, None, 0.34, *[None] * 5, 0.93],
    "observed": [0.01, None, None, 0.4, *[None] * 5, 0.9],
}
ROW = {"relation": "r1", "num_suggestions": 700, "num_found": 41, "claimed": 0.051, "observed": 0.058, "ece": 0.0171}
CALIBRATION = {
    "report": {"num_links": 70, "num_found": 60, "num_suggestions": 1000, "reliability": CURVE, "by_relation": [ROW]}
}


def make_content(**changes):
    counts = {
        "queries": 5000,
        "suggestions": 1000,
        "listed": 120,
        "by_standing": {"new": 800, "known": 0, "implied": 200},
    }
    relations = [
        {"relation": "r1", "text": "borders", "suggestions": 700, "listed": 100, "mean_probability": 0.25},
        {"relation": "r2", "text": "capital of", "suggestions": 300, "listed": 0, "mean_probability": None},
    ]
    content = {"graph": "my.ttl", "model": "", "settings": {"seed": 42}, "counts": counts, "relations": relations}
    return {**content, "calibration": CALIBRATION, "no_probability": None, **changes}


def make_rows(count, **changes):
    row = {"head": "fr", "relation": "r1", "tail": "es", "head_text": "France", "relation_text": "borders"}
    row |= {
        "tail_text": "Spain",
        "score": -1.5,
        "probability": 0.875,
        "kind": "new",
        "reasons": ["They share a border."],
    }
    return [{**row, "head": f"fr{number}", **changes} for number in range(count)]


def words(page):
    """Returns the text of a page as a reader sees it, in one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


def test_the_page_says_what_was_found_and_what_a_probability_is():
    text = words(render_completion(make_content(), make_rows(120)))
    assert "5,000 queries gave 1,000 links that are no training triplets. 120 of them are on the list. standing" in text
    assert "graph my.ttl seed 42" in text
    assert "new 800 implied 200" in text
    meaning = (
        "the chance that it is one of the links that were held out of training, or states the same fact as one of them."
    )
    assert f"{meaning} It is a lower bound" in text
    assert "fitted on 60 of 70 held-out facts" in text
    assert "is 0.021, measured by cross-validation" in text
    assert "0.3 to 0.4 80 0.340 0.400" in text
    assert "borders 700 100 0.250 41 0.051 0.058 0.017" in text
    assert "capital of 300 0" + 5 * " \N{EN DASH}" in text


def test_the_page_says_what_became_of_every_suggestion():
    left_out = {"in the graph": 30, "more answers to a query (--per_query)": 650}
    counts = make_content()["counts"] | {"implied": 200, "left_out": left_out}
    text = words(render_completion(make_content(counts=counts), []))
    assert "in implied.tsv. The others were left out: why links in the graph 30 more answers to a query" in text
    assert "(--per_query) 650 All 1,000 stand against the graph like this: standing against the graph links" in text


def test_what_is_implied_is_counted_apart():
    counts = make_content()["counts"] | {"implied": 200}
    assert "are on the list, and 200, which the facts imply" in words(
        render_completion(make_content(counts=counts), [])
    )


def test_the_page_shows_the_first_hundred_suggestions():
    page = render_completion(make_content(), make_rows(120))
    text = words(page)
    assert page.count('<li><div class="link">') == 100
    assert "The first 100 1 France borders Spain new 0.875 They share a border. 2 France" in text
    whole = words(render_completion(make_content(counts=make_content()["counts"] | {"listed": 3}), make_rows(3)))
    assert "The list 1 France" in whole


def test_the_diagram_has_a_point_for_each_bin_with_suggestions():
    page = render_completion(make_content(), [])
    points = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', page)]
    filled = [(x, y) for x, y in zip(CURVE["claimed"], CURVE["observed"], strict=True) if x is not None]
    np.testing.assert_allclose(points, [(50 + 335 * x, 285 - 270 * y) for x, y in filled], atol=0.06)
    assert page.rstrip().endswith("</html>")
    assert "<p>None.</p>" in page


def test_without_probabilities_the_page_says_why_and_shows_scores():
    content = make_content(calibration=None, no_probability="suggestions get no probability: no links were held out")
    rows = make_rows(1, probability=None) + make_rows(1, probability=None, score=-0.00034)
    text = words(render_completion(content, rows))
    assert "Suggestions get no probability: no links were held out." in text
    assert "France borders Spain new score -1.5 They" in text
    assert "France borders Spain new score -0.00034 They" in text
    assert "lower bound" not in text


def test_the_page_loads_nothing_and_runs_nothing():
    rows = make_rows(
        3, **dict.fromkeys(("head", "head_text", "relation_text", "tail_text", "kind"), EVIL), reasons=[EVIL]
    )
    content = make_content(settings={EVIL: EVIL}, no_probability=EVIL)
    content["relations"][0] |= {"text": EVIL, "relation": EVIL}
    loads = Loads(render_completion(content, rows))
    assert not loads.addresses
    assert not loads.handlers
    assert not {"script", "img", "link", "iframe"} & set(loads.tags)


def test_suggestions_are_counted_by_relation():
    vocabulary = Vocabulary("relations", ["a", "b", "c", "d"], ["A", "B", "C", "D"])
    relations, listed = np.array([0, 2, 2, 1, 2, 1]), np.array([4, 3, 5])
    rows = count_by_relation(relations, listed, np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), vocabulary)
    assert [list(row.values()) for row in rows] == [
        ["b", "B", 2, 2, pytest.approx(0.5)],
        ["c", "C", 3, 1, 0.5],
        ["a", "A", 1, 0, None],
    ]
    assert count_by_relation(relations, listed, None, vocabulary)[0]["mean_probability"] is None
