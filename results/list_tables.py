"""The tables of whole graphs: how many hidden links a completion lists, and how many injected errors an audit finds."""

from pathlib import Path

from measured_runs import Run, table

DEPTHS = ("50", "200", "1000")
COMPLETION = """`lass-hf complete --evaluate` hides links of a graph, completes it, and counts the hidden links among
the first ones of the list. A link and its mirror image count once. Beside the list stand all suggestions in the order
of their scores, and the most frequent answers. Rows of the text alone score by the text model and no other evidence:
what sorting by its raw score comes to."""
AUDIT = """`lass-hf audit --evaluate` injects 5 % errors into a graph (a third of any value in any slot, a third of a
similar text, a third that structural vectors find plausible), and counts them among the most suspicious triplets.
Errors that were given are those of a file, injected by others."""


def completion_table(runs: list[Run]) -> list[str]:
    """Formats three rows per completion that was measured: its list, its scores, and the floor of frequency."""
    rows = []
    for run in runs:
        found = run["metrics"]
        minutes = f"{run['training']['metrics']['train_runtime'] / 60:.0f} min of training"
        scored_by = "text alone" if run["evidence"] == "text" else "all evidence"
        lists = f"{found['num_hidden']} hidden" + (f", {found['num_lists']} lists" * (found["num_lists"] > 1))
        ece = found["reliability"]
        for method, name in (("list", "the list"), ("score", "sorted by score"), ("frequency", "by frequency")):
            own = found["methods"][method]
            cells = [f"{own['depths'][depth]['hits']} ({own['depths'][depth]['precision']:.3f})" for depth in DEPTHS]
            is_list = method == "list"
            rows.append(
                [
                    f"**measured**: {Path(run['graph']).name}, {minutes}, {lists}: {name}, {scored_by}",
                    *cells,
                    f"{own['standings']['new']:.0%}" if "standings" in own else "",
                    f"{ece['ece']:.4f}" if is_list and ece else "",
                ]
            )
    header = ["", *(f"hits in the first {depth} (precision)" for depth in DEPTHS), "new", "ECE"]
    return [COMPLETION, table(header, rows)] if rows else ["No results file yet."]


def audit_table(runs: list[Run]) -> list[str]:
    """Formats a row per audit that was measured."""
    kinds, rows = ("random", "similar", "adversarial"), []
    for run in runs:
        found = run["metrics"]
        made = "errors given" if run["errors"] else "errors injected"
        by = "a trained model, too" if run["model"] else "no trained model"
        values = [f"{found[name]:.3f}" for name in (*(f"precision_at_{share}" for share in (1, 2, 5)), "auc")]
        recalls = [f"{found[f'{kind}_recall_at_5']:.3f}" if f"{kind}_auc" in found else "" for kind in kinds]
        minutes = f"{sum(run['seconds_of'].values()) / 60:.0f}"
        name = f"**measured**: {Path(run['graph']).name}, {made}, {by}"
        rows.append([name, *values, f"{found['average_precision']:.3f}", *recalls, minutes])
    header = ["", *(f"precision at {share} %" for share in (1, 2, 5)), "AUC", "average precision"]
    header += [*(f"recall at 5 %, {kind}" for kind in kinds), "minutes"]
    return [AUDIT, table(header, rows)] if rows else ["No results file yet."]
