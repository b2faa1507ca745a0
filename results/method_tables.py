"""The table of score functions and score heads: each trained with the same settings, and measured on each graph."""

from collections import defaultdict
from statistics import mean, stdev

from measured_runs import TITLES, Run, of_graph, spread, table

METHODS = """Each [score function](concepts/methods.md#score-functions) of LASS, and each other
[score head](concepts/methods.md#score-heads), with the settings that `lass-hf train` chooses by default, 12 minutes of
training on one thread, and the text alone (`--evidence text`). UMLS: heads and tails of the test split, filtered, with
all entities as candidates. WN11: accuracy in percent, with one threshold, and with one per relation. ± is the standard
deviation over seeds."""
MAIN = {"umls": ("MRR", "mrr", 1), "wn11": ("accuracy", "accuracy", 100)}  # name, metric and factor of its figures
SHOWN = {
    "umls": (("mrr", 1, 3), ("hits@1", 1, 3), ("hits@10", 1, 3)),
    "wn11": (("accuracy", 100, 1), ("per_relation_accuracy", 100, 1)),
}


def method(run: Run) -> str:
    """Returns the name of the score function of a run, or of its head if that compares no segments."""
    choices = run["training"]["choices"]
    head = choices["score_head"]
    return choices["score_function"] if head == "segments" else f"head {head}"


def score_function_table(runs: list[Run]) -> list[str]:
    """Formats a row per method, and says for each graph whether the best one beats translation.

    Args:
        runs: Evaluations of models that differ in the method and the seed alone.
    """
    found: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        found[method(run)][run["graph"]].append(run)
    rows = []
    for name, by_graph in found.items():
        cells = []
        for graph, columns in SHOWN.items():
            own = by_graph.get(graph, [])
            cells.append(", ".join(str(run["training"]["seed"]) for run in own))
            for metric, factor, decimals in columns:
                cells.append(spread([factor * run["metrics"][metric] for run in own], decimals) if own else "")
        rows.append([name, *cells])
    header = ["", "UMLS: seeds", "MRR", "Hits@1", "Hits@10", "WN11: seeds", "accuracy", "with a threshold per relation"]
    verdicts = [verdict(of_graph(runs, graph), graph) for graph in SHOWN]
    return [METHODS, table(header, rows), *filter(None, verdicts)] if runs else ["No results file yet."]


def verdict(runs: list[Run], graph: str) -> str:
    """Says whether the best method of a graph beats translation by more than the seeds differ."""
    name, metric, factor = MAIN[graph]
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        values[method(run)].append(factor * run["metrics"][metric])
    others = {key: own for key, own in values.items() if key != "translation" and not key.startswith("head")}
    if not others or "translation" not in values:
        return ""
    best = max(others, key=lambda key: mean(others[key]))
    gain = mean(others[best]) - mean(values["translation"])
    seeds = min(len(others[best]), len(values["translation"]))
    decimals = 3 if factor == 1 else 1
    if seeds == 1:
        return f"{TITLES[graph]}: the best other score function is {best}, {gain:+.{decimals}f} {name} with one seed."
    most = max(stdev(others[best]), stdev(values["translation"]))
    is_better = "beats" if gain > most else "does not beat"
    return (
        f"{TITLES[graph]}: the best other score function, {best}, {is_better} translation by more than the spread of "
        f"{seeds} seeds: {gain:+.{decimals}f} {name}, where the larger standard deviation is {most:.{decimals}f}."
    )
