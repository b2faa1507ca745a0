"""Reads results files, groups runs that differ only in their seed, and formats their names and figures."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from lass_hf.core.errors import LassError
from lass_hf.utils.result_files import read_results

TITLES = {"umls": "UMLS", "wn18rr": "WN18RR", "fb15k-237": "FB15k-237", "wn11": "WN11", "fb13": "FB13"}
RANKING = ("mr", "mrr", "hits@1", "hits@3", "hits@10")
NEEDED = ("task", "graph", "training", "command")
OF_TRAINING = ("graph_fingerprint", "recipe", "changed", "seed", "bf16", "choices")
Run = dict[str, Any]


def load(results: Path, part: str, sizes: dict[str, dict[str, int]], shown: dict[str, list[str]]) -> list[Run]:
    """Reads the runs of a folder of results.

    Args:
        results: the folder of all results.
        part: the name of a folder in it, or "." for the results themselves.
        sizes: numbers of test triplets, by "labeled" or "true" and by graph.
        shown: the graphs that the page shows, by task.

    Returns:
        The content of each file, with its name as `file`.

    Raises:
        LassError: if a file lacks something that the page needs, or is about another task, split or graph.
    """
    runs = []
    for file in sorted((results / part).glob("*.json")):
        run = read_results(file)
        missing = [name for name in NEEDED if not run.get(name)]
        missing = missing or [name for name in OF_TRAINING if name not in run["training"]]
        if missing:
            raise LassError(f"{file}: no {missing[0]} in it; expected the results file of an example script")
        for name, value, allowed in (
            ("task", run["task"], shown),
            ("graph", run["graph"], shown.get(run["task"], [])),
            ("split", run.get("split", "test"), ["test"]),
        ):
            if value not in allowed:
                raise LassError(f"{file}: {name} {value!r}; the page shows {', '.join(allowed)}")
        for metrics in run["metrics"].values() if run["task"] == "low_resource" else [run["metrics"]]:
            kind = "labeled" if run["task"] in ("triplet_classification", "low_resource") else "true"
            count, expected = metrics.get("num_triplets"), run.get("limit") or sizes[kind][run["graph"]]
            if count != expected:
                raise LassError(f"{file}: {count} test triplets; expected {expected}: another graph of that name?")
        runs.append({**with_ranking_weights(run), "file": file.relative_to(results).as_posix()})
    return runs


def with_ranking_weights(run: Run) -> Run:
    """Returns a run whose training names the weights that it was ranked by, which may be younger than the training."""
    training = run["training"]
    later = {
        name: weight
        for name, weight in (run.get("ranking_weights") or {}).items()
        if weight != training["choices"].get(name, 0)
    }
    kept = {name: {**training[name], **later} for name in ("choices", "changed")}
    return {**run, "training": {**training, **kept}}


def of_graph(runs: Iterable[Run], graph: str) -> list[Run]:
    return [run for run in runs if run["graph"] == graph]


def groups(runs: Iterable[Run]) -> list[list[Run]]:
    """Groups runs that differ only in their seed.

    Raises:
        LassError: if two runs of a group have the same seed, or two groups would have the same label.
    """
    found: dict[str, dict[int, Run]] = defaultdict(dict)
    for run in runs:
        training, seed = run["training"], run["training"]["seed"]
        same = {name: run.get(name) for name in ("task", "graph", "limit", "dtype")} | {"beside": beside_text(run)}
        same |= {name: training.get(name) for name in (*OF_TRAINING, "graph_texts_fingerprint") if name != "seed"}
        other = found[json.dumps(same, sort_keys=True)].setdefault(seed, run)
        if other is not run:
            raise LassError(f"{other['file']} and {run['file']} are the same run with seed {seed}: keep one")
    made = [list(group.values()) for group in found.values()]
    named: dict[str, Run] = {}
    for group in made:
        first = named.setdefault(f"{group[0]['graph']} {label(group)}", group[0])
        if first is not group[0]:
            raise LassError(f"{first['file']} and {group[0]['file']} differ in what their rows do not show: keep one")
    return made


def spread(values: Sequence[float], decimals: int) -> str:
    text = f"{mean(values):.{decimals}f}"
    return f"{text} ± {stdev(values):.{decimals}f}" if len(values) > 1 else text


def label(group: Sequence[Run]) -> str:
    first, training = group[0], group[0]["training"]
    parts = [Path(training["choices"]["encoder"]).name]
    parts += [f"`{training['recipe']}`"] if training["recipe"] else ["no recipe"]
    parts += [f"{name} {value}" for name, value in training["changed"].items()]
    parts += ["trained in bfloat16"] if training["bf16"] else []
    parts += [f"with {beside_text(first)}"] if beside_text(first) else []
    parts += [f"scored in {first['dtype']}"] if first.get("dtype", "auto") != "auto" else []
    parts += [f"{first['limit']} test triplets"] if first.get("limit") else []
    return ", ".join([*parts, "seed " + ", ".join(str(run["training"]["seed"]) for run in group)])


def load_folder(results: Path, name: str, needed: tuple[str, ...], by: str) -> list[Run]:
    """Reads the evaluations of a folder of `results`, which a command wrote."""
    runs = []
    for file in sorted((results / name).glob("*.json")):
        run = read_results(file)
        if missing := [key for key in needed if not run.get(key)]:
            raise LassError(f"{file}: no {missing[0]} in it; expected what lass-hf {by} wrote")
        if (split := run.get("split", "test")) != "test":
            raise LassError(f"{file}: split {split!r}; the page shows the test split")
        runs.append({**run, "file": f"{name}/{file.name}"})
    return runs


def ranking(group: Sequence[Run]) -> list[str]:
    """Formats the metrics of a group. A single run on a choice of triplets gets a 95 % bootstrap interval."""
    if len(group) > 1 or not group[0].get("limit"):
        return [spread([run["metrics"][name] for run in group], 3) for name in RANKING]
    ranks = np.array(group[0]["ranks"]).reshape(-1, group[0]["limit"])  # one row per slot
    drawn = np.random.default_rng(0).integers(ranks.shape[1], size=(2000, ranks.shape[1]))  # percentile bootstrap
    cells = []
    for values in (ranks, 1 / ranks, ranks <= 1, ranks <= 3, ranks <= 10):
        of_triplet = values.mean(axis=0)
        low, high = np.percentile(of_triplet[drawn].mean(axis=1), [2.5, 97.5])
        cells.append(f"{of_triplet.mean():.3f} ({low:.3f} to {high:.3f})")
    return cells


def beside_text(run: Run) -> str:
    """Returns the kinds of evidence that a classification counts beside the text; "" for none, and for rankings."""
    is_classified = run["task"] == "triplet_classification"
    return ", ".join((run.get("evidence") or {}).get("kinds", [])) if is_classified else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Formats a table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
