"""Renders docs/results.md, and the figure in it, from the results files in this folder and published.yaml.

    make results            # the same as: python results/render.py

The scripts for the paper's experiments write results files. To add one, put it into this folder and run this again. No
number of the page is typed by hand.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from list_tables import audit_table, completion_table
from measured_runs import (
    RANKING,
    TITLES,
    Run,
    groups,
    label,
    load,
    load_folder,
    of_graph,
    ranking,
    spread,
    table,
)
from method_tables import PLAIN, function_of, negative_queue_table, score_function_table, score_head_table

from lass_hf.analysis.plots import plot_low_resource, to_png
from lass_hf.core.errors import LassError
from lass_hf.utils.console import run_program

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "results.md"
FIGURE = PAGE.with_name("low_resource.png")
LARGE = ("fb15k-237", "wn18rr")


def main() -> None:
    published = yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8"))
    sizes = published["test_triplets"]
    shown = {task: published[TABLES[task]]["columns"] for task in PROTOCOLS}
    runs, variants = (load(FOLDER, name, sizes, shown) for name in (".", "variants"))
    by_task: dict[str, list[Run]] = defaultdict(list)
    repeated = [run for group in groups(variants) if len(group) > 1 for run in group]  # so a result, too
    for run in (*runs, *repeated):
        by_task[run["task"]].append(run)
    parts = [INTRODUCTION, "## Triplet classification (Table 2 of the paper)", PROTOCOLS["triplet_classification"]]
    parts += classification_tables(by_task["triplet_classification"], published["triplet_classification"])
    parts += ["## Low-resource triplet classification (Figure 2 of the paper)", PROTOCOLS["low_resource"]]
    parts += low_resource(by_task["low_resource"])
    parts += ["## Link prediction (Table 4 of the paper)", PROTOCOLS["link_prediction"]]
    parts += link_prediction_tables(by_task["link_prediction"], published["link_prediction"])
    parts += ["## Relation prediction", PROTOCOLS["relation_prediction"]]
    measured = [ranking_table(of_graph(by_task["relation_prediction"], graph), graph) for graph in TITLES]
    parts += measured if any(measured) else ["No results file yet."]
    parts += ["## The two variants of the method", *variants_table(variants)]
    functions = load_folder(FOLDER, "score_functions", ("training", "command"), "evaluate and classify")
    parts += ["## Score functions", *score_function_table(functions)]
    heads = load_folder(FOLDER, "score_heads", ("training", "command"), "evaluate")
    of_lass = [run for run in of_graph(functions, "umls") if function_of(run) == PLAIN]
    parts += ["## Score heads", *score_head_table([*of_lass, *heads])]
    queues = load_folder(FOLDER, "negative_queue", ("training", "command"), "evaluate")
    parts += ["## Negative queue", *negative_queue_table(queues)]
    reranked = load_folder(FOLDER, "reranking", ("training", "reranker_training", "command"), "evaluate --rerank")
    parts += ["## Reranking", *reranking_table(reranked)]
    ablated = load_folder(FOLDER, "evidence", ("ablation", "evidence", "command"), "evaluate --ablate")
    parts += ["## Evidence beside the text", *evidence_tables(ablated)]
    completed = load_folder(FOLDER, "completion", ("training", "evidence", "command"), "complete --evaluate")
    parts += ["## Missing links of a whole graph", *completion_table(completed)]
    audited = load_folder(FOLDER, "audit", ("seconds_of", "command"), "audit --evaluate")
    parts += ["## Wrong facts of a whole graph", *audit_table(audited)]
    shown_runs = [*runs, *variants, *functions, *heads, *queues, *reranked, *ablated, *completed, *audited]
    parts += ["## Where the figures come from", provenance(shown_runs)]
    PAGE.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(f"{len(shown_runs)} results files -> {PAGE}")


INTRODUCTION = """# Results

`make results` renders this page from the files in [results](../results). There are two kinds of rows:

- **Measured** rows are runs of this package. They show the mean over seeds, ± the standard deviation if there are
  several. [The end of the page](#where-the-figures-come-from) lists their commands, machines, versions and commits. A
  commit with + had changed files.
- Rows of **the paper** (Shen et al., COLING 2022), and of the work that it **cites**, show the figures that the paper
  prints. They were not measured here.

[The protocol](concepts/protocol.md) explains how figures are measured, and [Terms](concepts/terms.md) the words."""

EVIDENCE = """Heads and tails of the test split, filtered, with all entities as candidates and realistic ranks, by each
kind of [evidence](concepts/evidence.md) alone, by all kinds without it, and by all. The weights of every row were
fitted on validation triplets. `text` is the language model alone; `structure` reads no word; `both` reads both."""

PROTOCOLS = {
    "triplet_classification": "The figures are accuracies on the test split, in percent. One threshold for all\n"
    "relations was fitted on the validation split. In the paper, the models of FB13 read Wikipedia descriptions,\n"
    "which were not published.",
    "link_prediction": "The test split is ranked for heads and tails, filtered by all three splits, with all entities\n"
    "as candidates and realistic ranks. The published code breaks ties in favor of the right answer.",
    "relation_prediction": "The test split is ranked for relations, filtered, with all relations as candidates and\n"
    "realistic ranks.",
    "low_resource": "The figures are accuracies on the test split after training on parts of the training split, with\n"
    "the same recipe. The parts are nested, and drawn with a seed.",
}
RERANKING = (
    "The test split is ranked for heads and tails, filtered, with all entities as candidates. A retriever (a\n"
    "bi-encoder) ranks all entities, and a cross-encoder reranks its best answers. Tokens and seconds are those of\n"
    "the queries; the entities were encoded before. The retriever weight was fitted on validation triplets."
)
TABLES = {  # The table of the paper that lists the graphs of each task.
    "triplet_classification": "triplet_classification",
    "low_resource": "triplet_classification",
    "link_prediction": "link_prediction",
    "relation_prediction": "link_prediction",
}


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
        why = ": ranking all its entities with a cross-encoder takes a GPU" if graph in LARGE else " yet"
        none = [] if of_graph(runs, graph) else [f"No results file{why}."]
        parts += [f"### {TITLES[graph]}", *none, table(["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)]
    return parts


def ranking_table(runs: list[Run], graph: str) -> str:
    if not runs:
        return ""
    rows = [[f"**measured**: {label(group)}", *ranking(group)] for group in groups(runs)]
    return f"### {TITLES[graph]}: relations\n\n" + table(["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)


def low_resource(runs: list[Run]) -> list[str]:
    if not runs:
        return ["No results file yet."]
    fractions = sorted({float(fraction) for run in runs for fraction in run["metrics"]})
    rows, series = [], {}
    for group in groups(runs):
        found: dict[float, list[float]] = defaultdict(list)
        for run in group:
            if run["metrics"].keys() != group[0]["metrics"].keys():
                raise LassError(
                    f"{run['file']}: other fractions than {group[0]['file']}, the same run with another seed"
                )
            for fraction, values in run["metrics"].items():
                found[float(fraction)].append(values["accuracy"])
        name = f"{TITLES[group[0]['graph']]}: {label(group)}"
        shown = sorted(found)
        series[name] = (shown, [mean(found[fraction]) for fraction in shown])
        cells = [
            spread([100 * value for value in found[fraction]], 1) if fraction in found else "" for fraction in fractions
        ]
        rows.append([f"**measured**: {name}", *cells])
    FIGURE.write_bytes(to_png(plot_low_resource(series)))
    header = ["accuracy in percent with this share of train", *(f"{fraction:.0%}" for fraction in fractions)]
    return [table(header, rows), f"![Accuracy against the share of the training triplets]({FIGURE.name})"]


def variants_table(runs: list[Run]) -> list[str]:
    """Formats a row per variant: what differs from the first run, which is the published code's, and the metrics."""
    if not runs:
        return ["No results file yet."]
    first = next((run for run in runs if Path(run["file"]).stem.startswith("published_code")), runs[0])
    rows, all_of = [], chosen(first)
    for group in sorted(groups(runs), key=lambda group: first not in group):
        choices = chosen(group[0])
        changed = [
            f"{name} {choices.get(name, 'as in the recipe')}"
            for name in {**all_of, **choices}
            if choices.get(name) != all_of.get(name)
        ]
        name = ", ".join(changed) if changed else "`published_code`, as it is"
        rows.append([name, ", ".join(str(run["training"]["seed"]) for run in group), *ranking(group)])
    graph, shared = TITLES[first["graph"]], label([first]).rpartition(", seed")[0]
    text = (
        f"Link prediction on the test split of {graph}: {shared}. Each row names what differs from the first. "
        "[The paper and its code](paper_vs_code.md) discusses the differences."
    )
    return [text, table(["changed", "seeds", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10"], rows)]


def reranking_table(runs: list[Run]) -> list[str]:
    """Formats two rows per evaluation: the retriever alone, and its best answers reranked."""
    rows = []
    for run in runs:
        graph, tokens, seconds = TITLES[run["graph"]], run["tokens"], run["stage_seconds"]
        of_model = (run.get("ranking_weights") or {}).items()  # None beside evidence, which has fitted weights
        weights = ", by all evidence" if run.get("evidence") else "".join(f", {name} {w}" for name, w in of_model if w)
        chosen_ones = f"a seeded choice of {run['limit']}" if run["limit"] else "all"
        for stage, shown, metrics in (
            ("retrieval", f"retriever alone{weights}", run["retrieval"]),
            (
                "reranking",
                f"its {run['top_k']} best reranked, retriever weight {run['retriever_weight']:.3g}",
                run["metrics"],
            ),
        ):
            spent = [f"{tokens[stage]:,}", f"{seconds[stage]:.1f}"]
            values = [f"{metrics[name]:.3f}" for name in RANKING]
            rows.append([f"**measured**: {graph}, {chosen_ones} test triplets: {shown}", *values, *spent])
    header = ["", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10", "tokens", "seconds"]
    return [RERANKING, table(header, rows)] if rows else ["No results file yet."]


def evidence_tables(runs: list[Run]) -> list[str]:
    """Formats a table per evaluation: each kind of evidence alone, all without it, and all."""
    parts = [EVIDENCE] if runs else ["No results file yet."]
    for run in runs:
        kinds, seconds = run["evidence"]["kinds"], run["evidence"]["seconds"]
        rows = []
        for row in run["ablation"]:
            left_out = [kind for kind in kinds if kind not in row["kinds"]]
            is_alone = left_out and len(row["kinds"]) == 1
            name = f"{row['kinds'][0]} alone" if is_alone else " but ".join(["all", *left_out])
            values = [f"{row[metric]:.3f}" for metric in RANKING]
            rows.append([f"**measured**: {name}", row["source"], *values, f"{row['seconds']:.0f}"])
        spent = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
        model = "no text model" if run["training"] is None else label([run])
        num_rules = f"{run['evidence']['num_rules'] or 0:,} rules"
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in run["evidence"]["shares"].items())
        told = f"{model}; {num_rules}; to find, train and fit: {spent}. Shares of the whole score: {shares}."
        header = ["", "made of", "MR", "MRR", "Hits@1", "Hits@3", "Hits@10", "seconds to rank"]
        parts += [f"### {TITLES[run['graph']]}: evidence", told, table(header, rows)]
    return parts


def chosen(run: Run) -> dict[str, Any]:
    """Returns everything in which two runs may differ, except the seed."""
    training = run["training"]
    return {
        "score_function": "translation",  # Results files of earlier versions have no such choice.
        **training["choices"],
        **training["changed"],
        **{name: run.get(name) for name in ("limit", "dtype")},
        "bf16": training["bf16"],
    }


def provenance(runs: list[Run]) -> str:
    """Formats a row per training, and one per evaluation that was a command of its own."""
    rows = []
    for run in runs:
        trainings = run.get("trainings", {"": run["training"]} if run.get("training") else {})
        if "reranker_training" in run:
            trainings = {"retriever": run["training"], "reranker": run["reranker_training"]}
        for of_training, training in trainings.items():
            minutes = f"{training['metrics']['train_runtime'] / 60:.0f} min"
            part = f"{float(of_training):.0%}" if of_training[:1].isdigit() else of_training
            share = f", {part}" if part else ""
            rows.append(origin(run, share, training, f"{minutes} after a resume" if training["resumed"] else minutes))
        if all(run["command"] != training["command"] for training in trainings.values()):
            rows.append(origin(run, ", evaluation", run, ""))
    return table(["file", "command", "training", "machine", "versions", "commit"], rows)


def origin(run: Run, what: str, made: Run, minutes: str) -> list[str]:
    machine, versions = made["machine"], made["versions"]
    cores = f"{machine['cores']} cores, {'' if machine['cpu_bfloat16'] else 'no '}native bfloat16"
    return [
        f"[{run['file']}](../results/{run['file']}){what}",
        f"`{made['command']}`",
        minutes,
        machine["accelerator"] or f"{machine['cpu']}, {cores}",
        f"torch {versions['torch']}, transformers {versions['transformers']}",
        str(made["git_commit"]),
    ]


if __name__ == "__main__":
    sys.exit(run_program("make results", main))
