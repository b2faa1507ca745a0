"""The figures of an analysis, by matplotlib (extra `plots`). Numbers in, `Figure`s out; it computes and saves nothing.

Colours are those of Okabe and Ito, which color-blind readers can tell apart.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import LassError
from ..evaluation.platt_scaling import NUM_BINS, ReliabilityCurve
from .attention import SEGMENTS, TripletAttention

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B8A600")
MARKERS = "osD^vPX*"
MOST_BARS = 20
READABLE_TOKENS = 80  # on the axes of a heat map


def check_plots() -> None:
    """Raises LassError when the libraries of the extra `plots` are not installed."""
    if missing := [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]:
        raise LassError(f"{missing[0]} is not installed: pip install lass-hf[plots]")


def png(figure: "Figure") -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script that matplotlib's font lacks is drawn as boxes
        figure.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()


def errors_by_relation_plot(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Errors in percent of each relation's triplets (Table 5), from the rows of `analysis.errors_by_relation`."""
    errors, triplets = (sum(row[name] for row in rows) for name in ("errors", "triplets"))
    bars = list(rows)
    if len(bars) > MOST_BARS:
        rest = bars[MOST_BARS - 1 :]
        sums = {name: sum(row[name] for row in rest) for name in ("called_true", "called_false", "triplets")}
        bars = [*bars[: MOST_BARS - 1], {"text": f"{len(rest)} other relations", **sums}]
    figure, (axes,) = _figure(7.5, 1.8 + 0.32 * max(1, len(bars)))
    axes.set_title(f"Error rate by relation ({errors:,} errors in {triplets:,} triplets)")
    if not errors:
        axes.text(0.5, 0.5, "no errors", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    start = np.zeros(len(bars))
    labels = {"called_true": "false triplets called true", "called_false": "true triplets called false"}
    for (name, label), color in zip(labels.items(), COLOURS, strict=False):
        widths = np.array([100 * row[name] / row["triplets"] for row in bars])
        axes.barh(range(len(bars)), widths, left=start, color=color, label=label, height=0.72)
        start += widths
    for place, (row, width) in enumerate(zip(bars, start, strict=True)):
        text = f"{width:.1f} % of {row['triplets']:,}"
        axes.annotate(text, (width, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [_plain(row["text"], 40) for row in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.27 * start.max())
    axes.set_xlabel("errors in percent of the relation's triplets")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def reliability_plot(curves: Mapping[str, ReliabilityCurve]) -> "Figure":
    """Share of true triplets against claimed probability, a line per named curve, above how many triplets claim it."""
    figure, (top, bottom) = _figure(6, 6.4, (3, 1))
    top.plot([0, 1], [0, 1], color="#999999", linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated")
    edges = np.linspace(0, 1, NUM_BINS + 1)
    width = 1 / NUM_BINS / (len(curves) + 0.5)
    for number, (name, curve) in enumerate(curves.items()):
        filled = curve.counts > 0
        style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 6, "linewidth": 1.8}
        top.plot(curve.claimed[filled], curve.observed[filled], label=f"{_plain(name)} (ECE {curve.ece:.3f})", **style)
        places = edges[:-1] + 0.5 / NUM_BINS + (number - (len(curves) - 1) / 2) * width
        bottom.bar(places, curve.counts / curve.counts.sum() * 100, width, color=COLOURS[number])
    top.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of triplets that are true", title="Reliability")
    top.legend(loc="upper left", frameon=False)
    bottom.set(xlabel="claimed probability of being true", ylabel="% of triplets", xticks=edges)
    for each in (top, bottom):
        each.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    return figure


def attention_plot(attention: TripletAttention) -> "Figure":
    """Heat map of attention weights, averaged over heads: who attends (rows) to whom (columns), segments framed."""
    from matplotlib.colors import PowerNorm

    weights, segments, length = attention.weights.mean(axis=0), attention.segments, len(attention.tokens)
    side = min(max(3.0, 0.26 * length), 13.0)
    figure, (axes,) = _figure(side + 2.4, side + 1.9)
    scale = PowerNorm(0.5, 0, weights.max())  # [CLS] and [SEP] draw so much that the rest would look alike
    image = axes.imshow(weights, cmap="cividis", norm=scale, interpolation="nearest")
    axes.set_title(
        f"Attention, layer {attention.layer} of {attention.num_layers}, mean of {len(attention.weights)} heads", pad=12
    )
    borders = [0, *(np.flatnonzero(np.diff(segments)) + 1).tolist(), length]
    for border in borders[1:-1]:
        axes.axhline(border - 0.5, color="white", linewidth=1.2)
        axes.axvline(border - 0.5, color="white", linewidth=1.2)
    readable = length <= READABLE_TOKENS
    names = [_plain(token, 18) for token in attention.tokens] if readable else []
    size = 9 if length <= 50 else 7
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    spans = [span for span in pairwise(borders) if SEGMENTS[segments[span[0]]] != "special"]
    middles, segment_names = [(a + b - 1) / 2 for a, b in spans], [SEGMENTS[segments[a]] for a, _ in spans]
    top, right = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    top.set_xticks(middles, segment_names)
    right.set_yticks(middles, segment_names, rotation=270, va="center")
    for each in (top, right):
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
    axes.set(xlabel="attended to", ylabel="attends")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(
        image, ax=axes, fraction=0.04, aspect=30, pad=0.03, label="attention weight (square-root scale)"
    ).outline.set_visible(False)
    return figure


def low_resource_plot(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str = "Triplet classification, low resource"
) -> "Figure":
    """Accuracy against the percentage of training triplets, one line per named series (Figure 2).

    `series`: name -> (fractions of the training triplets, accuracies), both as shares of 1. A fraction of 1 becomes a
    dashed line across, which the others can be compared with. Raises LassError for fractions outside (0, 1] and for
    lists of different lengths.
    """
    figure, (axes,) = _figure(7, 4.6)
    for number, (name, (fractions, accuracies)) in enumerate(series.items()):
        x, y = np.asarray(fractions, dtype=np.float64), 100 * np.asarray(accuracies, dtype=np.float64)
        if x.shape != y.shape or not ((x > 0) & (x <= 1)).all():
            raise LassError(
                f"series {name!r}: fractions {list(fractions)}, {len(accuracies)} accuracies; expected an "
                "accuracy for each fraction, and fractions in (0, 1]"
            )
        order, color = np.argsort(x), COLOURS[number % len(COLOURS)]
        part = order[x[order] < 1]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(100 * x[part], y[part], color=color, marker=marker, linewidth=1.8, label=_plain(name))
        for full in y[x == 1]:
            axes.axhline(full, color=color, linestyle=(0, (4, 3)), linewidth=1.3, label=f"{_plain(name)}, all of them")
    axes.set(title=_plain(title), xlabel="percent of the training triplets", ylabel="test accuracy in percent")
    ticks = sorted({round(100 * x, 6) for fractions, _ in series.values() for x in fractions if x < 1})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.legend(frameon=False)
    return figure


def _figure(width: float, height: float, heights: Sequence[float] = (1,)) -> "tuple[Figure, list[Axes]]":
    """A figure in inches with tidy axes below each other; no pyplot, so nothing is global and no display is needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0].tolist()
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure, rows


def _plain(text: str, width: int = 60) -> str:
    """A text as it is drawn: one line, not too long, and its dollar signs no formula."""
    line = " ".join(text.split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")
