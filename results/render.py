"""Renders docs/results.md, and the figure in it, from the results files in this folder and published.yaml.

    make results            # the same as: python results/render.py

A results file is what an example script wrote; put it here and run this again. No number of the page is typed by hand.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from lass_hf.errors import LassError
from lass_hf.plots import low_resource_plot, png
from lass_hf.results import read_results
from lass_hf.terminal import run_program

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "results.md"
FIGURE = PAGE.with_name("low_resource.png")
TITLES = {"umls": "UMLS", "wn18rr": "WN18RR", "fb15k-237": "FB15k-237", "wn11": "WN11", "fb13": "FB13"}
RANKING = {"mr": 3, "mrr": 3, "hits@1": 3, "hits@3": 3, "hits@10": 3}  # decimals
Run = dict[str, Any]


def main() -> None:
    published = yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8"))
    runs, readings = load(FOLDER), load(FOLDER / "readings")
    by_task: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_task[run["task"]].append(run)
    parts = [INTRODUCTION, "## Triplet classification (Table 2 of the paper)", PROTOCOLS["triplet_classification"]]
    parts += classification_tables(by_task["triplet_classification"], published["triplet_classification"])
    parts += ["## Low-resource triplet classification (Figure 2 of the paper)", *low_resource(by_task["low_resource"])]
    parts += ["## Link prediction (Table 4 of the paper)", PROTOCOLS["link_prediction"]]
    parts += link_prediction_tables(by_task["link_prediction"], published["link_prediction"])
    parts += ["## Relation prediction", PROTOCOLS["relation_prediction"]]
    parts += [ranking_table(of_graph(by_task["relation_prediction"], graph), graph) for graph in TITLES]
    parts += ["## The two readings of the method", *readings_table(readings)]
    parts += ["## Where the figures come from", provenance([*runs, *readings])]
    PAGE.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(f"{len(runs) + len(readings)} results files -> {PAGE}")


INTRODUCTION = """# Results

This page is rendered by `make results` from the files in [results](../results). **Measured** rows are runs of this
package: the mean over seeds, ± the standard deviation where there are several. Rows of **the paper** (Shen et al.,
COLING 2022) and those that it **cites** are its printed figures; nobody here measured them. Commands,
machines, versions and commits of the measured ones are [at the end](#where-the-figures-come-from)."""

PROTOCOLS = {
    "triplet_classification": "Accuracy in percent on the test split, by one threshold for all relations that "
    "validation fixed. The paper's FB13 rows read Wikipedia descriptions; the measured ones read names only.",
    "link_prediction": "Test split, filtered by all three splits, heads and tails, all entities as candidates, "
    "realistic ranks. The published code ranks ties in favour of the right answer.",
    "relation_prediction": "Test split, filtered, all relations as candidates, realistic ranks.",
}


def load(folder: Path) -> list[Run]:
    runs = []
    for file in sorted(folder.glob("*.json")):
        run = read_results(file)
        if missing := [name for name in ("task", "graph", "seed", "choices", "command") if name not in about(run)]:
            raise LassError(f"{file}: no {missing[0]} in it; expected the results file of an example script")
        runs.append({**about(run), "file": file.relative_to(FOLDER).as_posix()})
    return runs


def about(run: Run) -> Run:
    """A run with its training's command, machine, ... where it does not name its own."""
    return {**run.get("training", {}), **run}


def of_graph(runs: Iterable[Run], graph: str) -> list[Run]:
    return [run for run in runs if run["graph"] == graph]


def groups(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that differ in their seed only."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[json.dumps([run["recipe"], run["choices"]], sort_keys=True)].append(run)
    return list(found.values())


def spread(values: Sequence[float], decimals: int) -> str:
    text = f"{mean(values):.{decimals}f}"
    return f"{text} ± {stdev(values):.{decimals}f}" if len(values) > 1 else text


def label(group: Sequence[Run]) -> str:
    seeds = ", ".join(str(run["seed"]) for run in group)
    return f"{Path(group[0]['choices']['encoder']).name}, `{group[0]['recipe']}`, seed {seeds}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def classification_tables(runs: list[Run], published: dict[str, Any]) -> list[str]:
    parts = []
    for column, graph in enumerate(published["columns"]):
        rows = []
        for group in groups(of_graph(runs, graph)):
            accuracy = spread([100 * run["metrics"]["accuracy"] for run in group], 1)
            by_relation = spread([100 * run["metrics"]["per_relation_accuracy"] for run in group], 1)
            rows.append([f"**measured**: {label(group)}", f"**{accuracy}**", by_relation])
        for source, name in (("paper", "the paper"), ("cited", "cited")):
            rows += [[f"{name}: {method}", f"{values[column]:.1f}", ""] for method, values in published[source].items()]
        parts += [f"### {TITLES[graph]}", table(["", "accuracy", "with a threshold per relation"], rows)]
    return parts


def link_prediction_tables(runs: list[Run], published: dict[str, Any]) -> list[str]:
    parts = []
    for column, graph in enumerate(published["columns"]):
        rows = [[f"**measured**: {label(group)}", *ranking(group)] for group in groups(of_graph(runs, graph))]
        for source, name in (("paper", "the paper"), ("cited", "cited")):
            for method, values in published[source].items():
                hits, rank = values[column]
                if hits is not None:
                    rows.append([f"{name}: {method}", "" if rank is None else f"{rank:g}", "", "", "", f"{hits:.3f}"])
        none = [] if of_graph(runs, graph) else ["No measured figure: ranking it with a joint model needs a GPU."]
        parts += [f"### {TITLES[graph]}", *none, table(["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)]
    return parts


def ranking(group: Sequence[Run]) -> list[str]:
    return [spread([run["metrics"][name] for run in group], decimals) for name, decimals in RANKING.items()]


def ranking_table(runs: list[Run], graph: str) -> str:
    if not runs:
        return ""
    rows = [[f"**measured**: {label(group)}", *ranking(group)] for group in groups(runs)]
    return f"### {TITLES[graph]}: relations\n\n" + table(["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)


def low_resource(runs: list[Run]) -> list[str]:
    if not runs:
        return ["No measured figure yet."]
    fractions = sorted({float(fraction) for run in runs for fraction in run["metrics"]})
    rows, series = [], {}
    for run in runs:
        found = {float(fraction): values["accuracy"] for fraction, values in run["metrics"].items()}
        name = f"{TITLES.get(run['graph'], run['graph'])}, {Path(run['choices']['encoder']).name}"
        series[name] = (list(found), list(found.values()))
        cells = [f"{100 * found[fraction]:.1f}" if fraction in found else "" for fraction in fractions]
        rows.append([f"**measured**: {name}, `{run['recipe']}`, seed {run['seed']}", *cells])
    FIGURE.write_bytes(png(low_resource_plot(series)))
    header = ["accuracy in percent with this share of train", *(f"{fraction:.0%}" for fraction in fractions)]
    return [table(header, rows), f"![Accuracy against the share of the training triplets]({FIGURE.name})"]


def readings_table(runs: list[Run]) -> list[str]:
    """What differs from the first run, and the metrics; the first is the published code's reading."""
    if not runs:
        return ["No measured figure yet."]
    first = next((run for run in runs if Path(run["file"]).stem.startswith("published_code")), runs[0])
    rows = []
    for group in sorted(groups(runs), key=lambda group: group[0]["choices"] != first["choices"]):
        choices = group[0]["choices"]
        changed = [f"{name} {choices[name]}" for name in choices if choices[name] != first["choices"].get(name)]
        name = ", ".join(changed) if changed else "`published_code`, as it is"
        rows.append([name, ", ".join(str(run["seed"]) for run in group), *ranking(group)])
    graph = TITLES[first["graph"]]
    text = (
        f"{graph}, test split, link prediction. Each row names what differs from the first; what follows from it is in "
        "[paper_vs_code.md](paper_vs_code.md)."
    )
    return [text, table(["changed", "seeds", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)]


def provenance(runs: list[Run]) -> str:
    rows = []
    for run in runs:
        machine, versions, training = run["machine"], run["versions"], run.get("training", run)
        cores = f"{machine['cores']} cores, {'' if machine['cpu_bfloat16'] else 'no '}native bfloat16"
        seconds = training["metrics"].get("train_runtime")
        if seconds is None:
            seconds = sum(values["seconds"] for values in run["metrics"].values())
        rows.append(
            [
                f"[{run['file']}](../results/{run['file']})",
                f"`{training['command']}`",
                f"{seconds / 60:.0f} min",
                machine["accelerator"] or f"{machine['cpu']}, {cores}",
                f"torch {versions['torch']}, transformers {versions['transformers']}",
                str(run["git_commit"]),
            ]
        )
    return table(["file", "command of the training", "training", "machine", "versions", "commit"], rows)


if __name__ == "__main__":
    sys.exit(run_program("make results", main))
