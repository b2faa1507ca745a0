"""Plots draw the given numbers; pages load nothing from outside, and escape all texts."""

import json
import re
import warnings

import numpy as np
import pytest
from helpers.pages import EVIL, Loads

from lass_hf.analysis import plots
from lass_hf.analysis.attention import TripletAttention
from lass_hf.analysis.html_pages import render_attention
from lass_hf.analysis.plots import (
    MOST_BARS,
    check_plots,
    plot_attention,
    plot_errors_by_relation,
    plot_low_resource,
    plot_reliability,
    to_png,
)
from lass_hf.core.errors import LassError
from lass_hf.evaluation.platt_scaling import reliability_curve


def row(text, false_positives, false_negatives, triplets=100):
    counts = {
        "false_positives": false_positives,
        "false_negatives": false_negatives,
        "errors": false_positives + false_negatives,
    }
    return {"text": text, "triplets": triplets, **counts}


def example_attention(length=7, heads=3, tokens=None):
    weights = np.random.default_rng(0).random((heads, length, length)).astype(np.float32)
    weights /= weights.sum(axis=-1, keepdims=True)
    segments = np.array([3, *[0] * (length - 6), 3, 1, 3, 2, 3])
    return TripletAttention(tokens or [f"token{i}" for i in range(length)], segments, weights, 2, 6)


def is_png(content):
    return content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 2000


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# Errors by relation


def test_bars_are_error_rates_split_by_kind():
    figure = plot_errors_by_relation([row("eats", 0, 4, 8), row("is a", 3, 1, 1000), row("sees", 0, 0)])
    axes = figure.axes[0]
    true, false = ([bar.get_width() for bar in bars] for bars in axes.containers)
    assert true == pytest.approx([0, 0.3, 0])
    assert false == pytest.approx([50, 0.1, 0])
    assert labels_of(axes.yaxis) == ["eats", "is a", "sees"]
    assert [text.get_text() for text in axes.texts] == ["50.0 % of 8", "0.4 % of 1,000", "0.0 % of 100"]
    assert axes.get_title() == "Error rate by relation (8 errors in 1,108 triplets)"
    assert "relation's triplets" in axes.get_xlabel()
    assert is_png(to_png(figure))


def test_many_relations_share_the_last_bar():
    rows = [row(f"relation {number}", 49 - number, 0, 100 + number) for number in range(50)]
    axes = plot_errors_by_relation(rows).axes[0]
    widths = [bar.get_width() for bar in axes.containers[0]]
    assert len(widths) == MOST_BARS
    others = range(MOST_BARS - 1, 50)
    assert widths[0] == pytest.approx(49)
    assert widths[-1] == pytest.approx(100 * sum(49 - n for n in others) / sum(100 + n for n in others))
    assert labels_of(axes.yaxis)[-1] == "31 other relations"


def test_a_perfect_model_has_a_plot_that_says_so():
    figure = plot_errors_by_relation([row("is a", 0, 0)])
    assert [text.get_text() for text in figure.axes[0].texts] == ["no errors"]
    assert is_png(to_png(figure))


# Reliability


def test_the_reliability_diagram_shows_both_curves_and_their_errors():
    probabilities, labels = np.array([0.05, 0.25, 0.25, 0.95]), np.array([0, 0, 1, 1])
    curves = {"before": reliability_curve(probabilities, labels), "after": reliability_curve(labels, labels)}
    figure = plot_reliability(curves)
    top, bottom = figure.axes
    _, before, after = top.get_lines()
    assert before.get_xdata() == pytest.approx([0.05, 0.25, 0.95])
    assert before.get_ydata() == pytest.approx([0, 0.5, 1])
    assert after.get_ydata() == pytest.approx([0, 1])
    assert [text.get_text() for text in top.get_legend().get_texts()][1:] == [
        f"before (ECE {curves['before'].ece:.3f})",
        "after (ECE 0.000)",
    ]
    assert [bar.get_height() for bar in bottom.containers[0]] == [25, 0, 50, 0, 0, 0, 0, 0, 0, 25]
    assert is_png(to_png(figure))


# Attention


def test_the_heat_map_is_the_mean_over_heads_with_borders_between_segments():
    attention = example_attention()
    figure = plot_attention(attention)
    axes = figure.axes[0]
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(attention.weights.mean(axis=0))
    borders = {line.get_ydata()[0] for line in axes.get_lines()}
    assert borders >= {0.5, 1.5, 2.5, 3.5, 4.5, 5.5}
    assert labels_of(axes.yaxis) == attention.tokens
    assert "layer 2 of 6" in axes.get_title()
    assert is_png(to_png(figure))


def test_a_long_sequence_names_segments_instead_of_tokens():
    figure = plot_attention(example_attention(length=120))
    assert labels_of(figure.axes[0].yaxis) == []
    assert max(figure.get_size_inches()) < 20


def test_texts_are_never_drawn_as_formulas_and_raise_no_warning():
    tokens = ["$", "$$x_{", r"\frac", "北京", "%", "<b>", "word" * 20]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_png(to_png(plot_attention(example_attention(tokens=tokens))))
        assert is_png(to_png(plot_errors_by_relation([row("$a_{$ b $", 1, 1), row("r" * 300, 2, 0)])))


# Low resource (Figure 2)


def test_low_resource_lines_are_percentages_in_ascending_order():
    axes = plot_low_resource({"WN11": ([0.3, 0.05, 0.1], [0.9, 0.7, 0.8]), "FB13": ([0.05, 1], [0.6, 0.85])}).axes[0]
    first, second, full = axes.get_lines()
    assert first.get_xdata() == pytest.approx([5, 10, 30])
    assert first.get_ydata() == pytest.approx([70, 80, 90])
    assert second.get_xdata() == pytest.approx([5])
    assert full.get_ydata() == pytest.approx([85, 85])
    assert full.get_color() == second.get_color() != first.get_color()
    assert labels_of(axes.xaxis) == ["5", "10", "30"]


@pytest.mark.parametrize("fractions", [[0.0], [1.1], [-0.1], [5.0], [float("nan")], [0.1, 0.2], []])
def test_invalid_fractions_are_an_error_that_names_the_series(fractions):
    with pytest.raises(LassError, match="'WN11'"):
        plot_low_resource({"WN11": (fractions, [0.5])})


# Without the extra


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra_the_error_says_what_to_install(missing, monkeypatch):
    monkeypatch.setattr(plots, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(LassError, match=rf"{missing} is not installed: pip install lass-hf\[plots\]"):
        check_plots()


# The page of one triplet's attention


@pytest.fixture(scope="module")
def page():
    attention = example_attention(tokens=["[CLS]", "</script>", *"abcde"])
    return render_attention(attention, {"head": EVIL, "relation": "is <a>", "tail": "tail"})


def test_the_attention_page_loads_nothing(page):
    loads = Loads(page)
    assert loads.addresses == []
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_texts_and_tokens_are_escaped(page):
    loads = Loads(page)
    assert loads.tags.count("script") == 1
    assert "img" not in loads.tags
    assert loads.handlers == []
    assert page.count("</script>") == 1
    assert "&lt;img src=x" in page


def test_the_page_holds_the_weights_in_thousandths(page):
    data = json.loads(re.search(r"const data = (\{.*?\});", page)[1])
    attention = example_attention()
    assert np.array(data["weights"]) / 1000 == pytest.approx(attention.weights, abs=0.00051)
    assert data["tokens"] == ["[CLS]", "</script>", *"abcde"]
    assert data["segments"] == attention.segments.tolist()
    assert (data["layer"], data["num_layers"]) == (2, 6)
