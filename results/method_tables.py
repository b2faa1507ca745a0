"""The table of score functions: each trained and measured alike, on each graph."""

from collections import defaultdict
from statistics import mean, stdev

from measured_runs import TITLES, Run, of_graph, spread, table

from lass_hf.core.errors import LassError

METHODS = """Each [score function](concepts/methods.md#score-functions) of LASS's bi-encoder, with the settings that
`lass-hf train` chooses for one thread, the time included, and the text alone: no evidence, and no weight of neighbors
or frequencies, which not all of them can have. UMLS: heads and tails of the test split, filtered, with all entities as
candidates. WN11: accuracy in percent, with one threshold, and with one per relation. ± is the standard deviation over
seeds."""
MAIN = {  # name, metric and factor of the figures that are judged
    "umls": (("MRR", "mrr", 1),),
    "wn11": (("accuracy", "accuracy", 100), ("accuracy by a threshold per relation", "per_relation_accuracy", 100)),
}
SHOWN = {
    "umls": (("mrr", 1, 3), ("hits@1", 1, 3), ("hits@10", 1, 3)),
    "wn11": (("accuracy", 100, 1), ("per_relation_accuracy", 100, 1)),
}
TASKS = {"umls": "link_prediction", "wn11": "triplet_classification"}
PLAIN = "translation"


def score_function_table(runs: list[Run]) -> list[str]:
    """Formats a row per score function, and says for each graph whether the best one beats translation.

    Args:
        runs: Evaluations of models that differ in the score function and the seed alone.

    Raises:
        LassError: Two runs differ in more, or in nothing.
    """
    found = by_function(runs)
    rows = []
    for name, by_graph in sorted(found.items(), key=lambda one: (one[0] != PLAIN, one[0])):
        cells = []
        for graph, columns in SHOWN.items():
            own = by_graph.get(graph, [])
            cells.append(", ".join(str(run["training"]["seed"]) for run in own))
            for metric, factor, decimals in columns:
                cells.append(spread([factor * run["metrics"][metric] for run in own], decimals) if own else "")
        rows.append([name, *cells])
    header = ["", "UMLS: seeds", "MRR", "Hits@1", "Hits@10", "WN11: seeds", "accuracy", "with a threshold per relation"]
    verdicts = [verdict(of_graph(runs, graph), graph, *main) for graph in SHOWN for main in MAIN[graph]]
    return [METHODS, table(header, rows), *filter(None, verdicts)] if runs else ["No results file yet."]


def by_function(runs: list[Run]) -> dict[str, dict[str, list[Run]]]:
    """Groups runs by score function and graph; refuses what the table would mix up."""
    found: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    first: dict[str, Run] = {}
    for run in runs:
        graph, training, weights = run["graph"], run["training"], (run.get("ranking_weights") or {}).values()
        if run["task"] != TASKS.get(graph) or run.get("evidence") or run.get("limit"):
            raise LassError(f"{run['file']}: expected all of UMLS ranked, or WN11 classified, by the text alone")
        if training.get("minutes") is not None:
            raise LassError(f"{run['file']}: trained with --minutes {training['minutes']}, not by default")
        if graph == "umls" and any(weights):
            raise LassError(f"{run['file']}: ranked with a weight of neighbors or frequencies; evaluate without")
        other = first.setdefault(graph, run)
        if alike(run) != alike(other):
            raise LassError(f"{run['file']} and {other['file']} differ in more than score function and seed: keep one")
        own = found[function_of(run)][graph]
        if training["seed"] in [one["training"]["seed"] for one in own]:
            raise LassError(f"{run['file']}: the second run with seed {training['seed']}: keep one")
        own.append(run)
    return found


def function_of(run: Run) -> str:
    return str(run["training"]["choices"]["score_function"])


def alike(run: Run) -> tuple[object, ...]:
    """Returns what the runs of a graph have in common; chosen settings leave out weights that a function cannot use."""
    training = run["training"]
    own = ("score_function", "neighbor_weight")
    kept = [{key: value for key, value in training[name].items() if key not in own} for name in ("choices", "changed")]
    return (*kept, training["bf16"], training["graph_fingerprint"], run["metrics"]["num_triplets"])


def verdict(runs: list[Run], graph: str, name: str, metric: str, factor: int) -> str:
    """Says whether the best score function beats translation by more than its seeds differ, in one metric."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        values[function_of(run)].append(factor * run["metrics"][metric])
    plain = values.pop(PLAIN, None)
    if not values or plain is None:
        return ""
    most = max(len(own) for own in values.values())  # A mean of one seed would win by luck.
    best = max((key for key, own in values.items() if len(own) == most), key=lambda key: mean(values[key]))
    gain, decimals = mean(values[best]) - mean(plain), 3 if factor == 1 else 2
    start = f"{TITLES[graph]}: the best other score function on the test split is {best}, {gain:+.{decimals}f} {name}"
    if most == 1 or len(plain) == 1:
        return f"{start} against {PLAIN}, with {most} and {len(plain)} seeds: too few to tell."
    deviation = max(stdev(values[best]), stdev(plain))
    is_better = "more" if gain > deviation else "no more"
    spread_of = f"the spread of {most} seeds, a standard deviation of {deviation:.{decimals}f}"
    return f"{start} against {PLAIN}: {is_better} than {spread_of}."
