"""The table of a comparison."""

from collections.abc import Sequence
from typing import Any

from .methods import title_of

RANKING = {"MRR": "mrr", "Hits@1": "hits@1", "Hits@3": "hits@3", "Hits@10": "hits@10", "MR": "mr"}
CLASSIFICATION = {"accuracy": "accuracy", "per relation": "per_relation_accuracy", "ROC-AUC": "roc_auc"}
SECONDS = {"training s": "training", "ranking s": "ranking"}


def comparison_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the lines of a table, a line for each method.

    Args:
        rows: The result of `compare`.
    """
    figures = CLASSIFICATION if any("accuracy" in row["metrics"] for row in rows) else RANKING
    cells = [["method", *figures, *SECONDS, "parameters"]]
    for row in rows:
        values = [_figure(name, row["metrics"].get(key)) for name, key in figures.items()]
        seconds = [f"{row['seconds_of'][key]:.1f}" if key in row["seconds_of"] else "-" for key in SECONDS.values()]
        parameters = "-" if "error" in row else f"{row['parameters']:,}"
        cells.append([title_of(row["method"]), *values, *seconds, parameters])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:>{width}}" if place else f"{cell:<{width}}" for place, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if name == "MR" else f"{value:.4f}"
