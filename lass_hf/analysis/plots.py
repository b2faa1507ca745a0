"""Draws the figures of an analysis with matplotlib (extra `plots`).

Each function takes numbers and returns a `Figure`. The colors are those of Okabe and Ito, which color-blind readers can
tell apart.
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

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#B8A600")
MARKERS = "osD^vPX*"
MOST_BARS = 20  # the last bar is the sum of all further relations
READABLE_TOKENS = 80  # a heat map of more tokens has no token names on its axes


def check_plots() -> None:
    """Checks that the libraries of the extra `plots` are installed.

    Raises:
        LassError: one of them is not installed.
    """
    if missing := [name for name in ("matplotlib", "jinja2") if find_spec(name) is None]:
        raise LassError(f"{missing[0]} is not installed: pip install lass-hf[plots]")


def to_png(figure: "Figure") -> bytes:
    """Returns a figure as the content of a PNG file, with 144 pixels per inch."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # matplotlib warns about characters that its font lacks, and draws boxes for them.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()


def plot_errors_by_relation(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the error rate of each relation as a bar (Table 5).

    Args:
        rows: the rows of `error_analysis.count_errors_by_relation`.
    """
    errors, triplets = (sum(row[name] for row in rows) for name in ("errors", "triplets"))
    bars = list(rows)
    if len(bars) > MOST_BARS:
        rest = bars[MOST_BARS - 1 :]
        sums = {name: sum(row[name] for row in rest) for name in ("false_positives", "false_negatives", "triplets")}
        bars = [*bars[: MOST_BARS - 1], {"text": f"{len(rest)} other relations", **sums}]
    figure, (axes,) = _figure(7.5, 1.8 + 0.32 * max(1, len(bars)))
    axes.set_title(f"Error rate by relation ({errors:,} errors in {triplets:,} triplets)")
    if not errors:
        axes.text(0.5, 0.5, "no errors", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    start = np.zeros(len(bars))
    labels = {"false_positives": "false triplets predicted true", "false_negatives": "true triplets predicted false"}
    for (name, label), color in zip(labels.items(), COLORS, strict=False):
        widths = np.array([100 * row[name] / row["triplets"] for row in bars])
        axes.barh(range(len(bars)), widths, left=start, color=color, label=label, height=0.72)
        start += widths
    for position, (row, width) in enumerate(zip(bars, start, strict=True)):
        text = f"{width:.1f} % of {row['triplets']:,}"
        axes.annotate(text, (width, position), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [_plain(row["text"], 40) for row in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.27 * start.max())
    axes.set_xlabel("errors in percent of the relation's triplets")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_reliability(curves: Mapping[str, ReliabilityCurve]) -> "Figure":
    """Draws a reliability diagram: the share of true triplets against the predicted probability of being true.

    A histogram below shows how many triplets have each probability.

    Args:
        curves: name -> curve; each becomes a line.
    """
    figure, (top, bottom) = _figure(6, 6.4, (3, 1))
    top.plot([0, 1], [0, 1], color="#999999", linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated")
    edges = np.linspace(0, 1, NUM_BINS + 1)
    width = 1 / NUM_BINS / (len(curves) + 0.5)
    for number, (name, curve) in enumerate(curves.items()):
        filled = curve.counts > 0
        style: dict[str, Any] = {"color": COLORS[number], "marker": MARKERS[number], "markersize": 6, "linewidth": 1.8}
        top.plot(curve.claimed[filled], curve.observed[filled], label=f"{_plain(name)} (ECE {curve.ece:.3f})", **style)
        centers = edges[:-1] + 0.5 / NUM_BINS + (number - (len(curves) - 1) / 2) * width
        bottom.bar(centers, curve.counts / curve.counts.sum() * 100, width, color=COLORS[number])
    top.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of triplets that are true", title="Reliability")
    top.legend(loc="upper left", frameon=False)
    bottom.set(xlabel="predicted probability of being true", ylabel="% of triplets", xticks=edges)
    for each in (top, bottom):
        each.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    return figure


def plot_attention(attention: TripletAttention) -> "Figure":
    """Draws a heat map of attention weights, averaged over heads; lines separate the segments.

    Args:
        attention: the attention of one layer. The attending tokens are the rows, the attended ones the columns.
    """
    from matplotlib.colors import PowerNorm

    weights, segments, length = attention.weights.mean(axis=0), attention.segments, len(attention.tokens)
    side = min(max(3.0, 0.26 * length), 13.0)
    figure, (axes,) = _figure(side + 2.4, side + 1.9)
    scale = PowerNorm(0.5, 0, weights.max())  # Otherwise [CLS] and [SEP] outshine the rest.
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


def plot_low_resource(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str = "Triplet classification, low resource"
) -> "Figure":
    """Draws the accuracy against the percentage of training triplets (Figure 2).

    Args:
        series: name -> (fractions of the training triplets, accuracies), both as shares of 1; each becomes a line. The
            accuracy at a fraction of 1 becomes a dashed horizontal line, with which the others can be compared.
        title: the title of the figure.

    Raises:
        LassError: a fraction is not in (0, 1], or the lists of a series have different lengths.
    """
    figure, (axes,) = _figure(7, 4.6)
    for number, (name, (fractions, accuracies)) in enumerate(series.items()):
        x, y = np.asarray(fractions, dtype=np.float64), 100 * np.asarray(accuracies, dtype=np.float64)
        if x.shape != y.shape or not ((x > 0) & (x <= 1)).all():
            raise LassError(
                f"series {name!r}: fractions {list(fractions)}, {len(accuracies)} accuracies; expected an "
                "accuracy for each fraction, and fractions in (0, 1]"
            )
        order, color = np.argsort(x), COLORS[number % len(COLORS)]
        partial = order[x[order] < 1]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(100 * x[partial], y[partial], color=color, marker=marker, linewidth=1.8, label=_plain(name))
        for full in y[x == 1]:
            axes.axhline(full, color=color, linestyle=(0, (4, 3)), linewidth=1.3, label=f"{_plain(name)}, all of them")
    axes.set(title=_plain(title), xlabel="percent of the training triplets", ylabel="test accuracy in percent")
    ticks = sorted({round(100 * x, 6) for fractions, _ in series.values() for x in fractions if x < 1})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.legend(frameon=False)
    return figure


def _figure(width: float, height: float, heights: Sequence[float] = (1,)) -> "tuple[Figure, list[Axes]]":
    """Returns a figure, its size in inches, with axes below each other; without pyplot, it needs no display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0].tolist()
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure, rows


def _plain(text: str, width: int = 60) -> str:
    """Returns a text for drawing: one line, cut to a width in characters, with dollar signs escaped."""
    line = " ".join(text.split())
    return (line if len(line) <= width else line[: width - 1] + "…").replace("$", r"\$")
