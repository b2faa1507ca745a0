"""The tables of score functions, score heads and negative queues: each trained and measured alike."""

from collections import defaultdict
from statistics import mean, stdev

from measured_runs import RANKING, TITLES, Run, of_graph, ranking, spread, table

from lass_hf.core.errors import LassError

METHODS = """Each [score function](concepts/methods.md#score-functions) of LASS's bi-encoder, with the settings that
`lass-hf train` chooses for one thread, the time included, and the text alone: no evidence, and no weight of neighbors
or frequencies, which not all of them can have. UMLS: heads and tails of the test split, filtered, with all entities as
candidates. WN11: accuracy in percent, with one threshold, and with one per relation. ± is the standard deviation over
seeds."""
HEADS = """LASS, and the [heads](concepts/methods.md#score-heads) of KG-BERT and StAR, with the settings that
`lass-hf train` chooses for one thread, and the text alone: no evidence, and no weight of neighbors or frequencies. The
epochs are those that it chooses where nothing else runs; the heads were trained beside other work, so their minutes say
little. UMLS: heads and tails of the test split, filtered, with all entities as candidates. ± is the standard deviation
over seeds."""
QUEUES = """The bi-encoder that `lass-hf train --graph wn18rr --num_train_epochs 0.75` makes, with a
[queue of negatives](tutorials/every_entity.md#more-candidates) and without: the same steps, side by side on one thread
each, beside other work. Heads and tails of the test split of WN18RR, filtered, with all entities as candidates, by text
and neighbors."""
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


def score_head_table(runs: list[Run]) -> list[str]:
    """Formats a row per score head and architecture.

    Args:
        runs: Evaluations on UMLS of models with different heads, trained by default.

    Raises:
        LassError: A run is measured otherwise.
    """
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        training, weights = run["training"], (run.get("ranking_weights") or {}).values()
        if (run["graph"], run["task"]) != ("umls", TASKS["umls"]) or run.get("evidence") or run.get("limit"):
            raise LassError(f"{run['file']}: expected all of UMLS ranked by the text alone")
        if training.get("minutes") is not None or training["recipe"] or any(weights):
            raise LassError(f"{run['file']}: not trained by default, or ranked with a weight of neighbors")
        choices = training["choices"]
        found[choices["score_head"], choices.get("architecture", "cross-encoder")].append(run)
    rows = [
        [
            f"**measured**: {'LASS' if head == 'segments' else f'`{head}`'}, {architecture}",
            ", ".join(str(run["training"]["seed"]) for run in group),
            *ranking(group),
            f"{mean(run['training']['metrics']['train_runtime'] for run in group) / 60:.0f}",
        ]
        for (head, architecture), group in sorted(found.items(), key=lambda one: (one[0][1], one[0][0] != "segments"))
    ]
    header = ["", "seeds", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10", "minutes of training"]
    return [HEADS, table(header, rows)] if rows else ["No results file yet."]


def negative_queue_table(runs: list[Run]) -> list[str]:
    """Formats a row per evaluation of a bi-encoder on WN18RR, by the size of its queue.

    Args:
        runs: Evaluations of models that differ in the queue alone.

    Raises:
        LassError: Two runs differ in more.
    """
    rows = []
    for run in sorted(runs, key=lambda run: run["training"]["choices"].get("queue_size", 0)):
        choices, first = run["training"]["choices"], runs[0]["training"]["choices"]
        if {**choices, "queue_size": 0} != {**first, "queue_size": 0} or run["graph"] != "wn18rr":
            raise LassError(f"{run['file']} and {runs[0]['file']} differ in more than queue_size: keep one")
        size, minutes = choices.get("queue_size", 0), run["training"]["metrics"]["train_runtime"] / 60
        values = [f"{run['metrics'][name]:.3f}" for name in RANKING]
        rows.append([f"**measured**: {f'queue of {size:,}' if size else 'no queue'}", *values, f"{minutes:.0f}"])
    header = ["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10", "minutes of training"]
    return [QUEUES, table(header, rows)] if rows else ["No results file yet."]


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
