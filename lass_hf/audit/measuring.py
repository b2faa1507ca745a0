"""`--evaluate`: injects errors into a graph, audits it, and measures how many of them are found first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from ..core.encoders import OFFLINE_ENCODER
from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..formats.text_files import read_lines
from ..structure.vector_training import VectorChoices, train_structural_vectors
from .auditing import SHARE, Audit, audit_graph, check_audit, choose_vectors, encode_with_bar, percent_bar, true_facts
from .injecting import KINDS, InjectedErrors, inject_errors
from .signals import ABSOLUTE, SIGNALS

SHARES = (1, 2, 5)  # percent of the triplets, the most suspicious first


def measure_suspicion(suspicion: np.ndarray, kinds: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Measures how many errors are among the most suspicious triplets.

    Args:
        suspicion: Float of shape (n,).
        kinds: Int of shape (n,): -1 for true triplets, else the position of the error's kind in `injecting.KINDS`.
        seed: Seed of the order of triplets that are equally suspicious.

    Returns:
        `num_errors`, `precision_at_5`, `recall_at_5` and the like for percents of all triplets, `auc` and
        `average_precision`; and of each kind that there is `random_num_errors`, `random_recall_at_5`, `random_auc`,
        `random_average_precision` and the like, against the true triplets alone but for the recall.
    """
    is_error = kinds >= 0
    order = np.lexsort([np.random.default_rng(seed).random(len(suspicion)), -suspicion])
    metrics: dict[str, float] = {}
    names = {"": is_error, **{f"{name}_": kinds == number for number, name in enumerate(KINDS)}}
    for name, wanted in names.items():
        if not wanted.any() or is_error.all():
            continue
        metrics[f"{name}num_errors"] = int(wanted.sum())
        for share in SHARES:
            count = max(1, round(share / 100 * len(order)))
            found = int(wanted[order[:count]].sum())
            if not name:
                metrics[f"precision_at_{share}"] = found / count
            metrics[f"{name}recall_at_{share}"] = found / int(wanted.sum())
        rows = wanted | ~is_error
        metrics[f"{name}auc"] = float(roc_auc_score(wanted[rows], suspicion[rows]))
        metrics[f"{name}average_precision"] = float(average_precision_score(wanted[rows], suspicion[rows]))
    return metrics


def measure_audit(audit: Audit, errors: np.ndarray, error_kinds: np.ndarray) -> tuple[dict[str, float], dict[str, Any]]:
    """Measures an audit of a graph whose errors are known.

    Args:
        audit: The audit.
        errors: Int64 of shape (m, 3): the wrong triplets.
        error_kinds: Int of shape (m,): their kinds, positions in `injecting.KINDS`.

    Returns:
        The metrics of the suspicion, see `measure_suspicion`; and those of each signal alone, by its name, compared
        within the relation as findings are.
    """
    sizes = audit.triplets[:, [0, 2]].max(initial=0) + 1, audit.triplets[:, 1].max(initial=0) + 1
    keys = [(one[:, 0] * sizes[1] + one[:, 1]) * sizes[0] + one[:, 2] for one in (audit.triplets, errors)]
    kinds = np.full(len(keys[0]), -1)
    order = np.argsort(keys[1], kind="stable")
    places = np.minimum(np.searchsorted(keys[1][order], keys[0]), max(len(order) - 1, 0))
    if len(order):
        found = keys[1][order[places]] == keys[0]
        kinds[found] = error_kinds[order[places[found]]]
    shares = audit.signals.within_relations()
    signals = {}
    for name, value, share in zip(audit.signals.names, audit.signals.values, shares, strict=True):
        if SIGNALS[name][0] != "context":
            level = value if SIGNALS[name][0] in ABSOLUTE else np.nan_to_num(share, nan=0.5)
            signals[name] = measure_suspicion(-level, kinds)
    return measure_suspicion(audit.suspicion, kinds), signals


def evaluate_audit(
    graph: KnowledgeGraph,
    *,
    encoder: str = OFFLINE_ENCODER,
    vector_choices: VectorChoices | None = None,
    num_folds: int = 4,
    minutes: float | None = None,
    seed: int = 42,
    quiet: bool = False,
    dtype: str = "auto",
    errors: InjectedErrors | None = None,
    **more: Any,
) -> tuple[Audit, dict[str, float], Mapping[str, Any]]:
    """Injects 5 % errors into the training triplets of a graph, audits all splits, and measures what is found.

    Args:
        graph: The graph.
        encoder: As in `audit_graph`, like all other arguments.
        vector_choices: How the structural vectors are trained, of the audit and of adversarial errors.
        num_folds: As in `audit_graph`.
        minutes: As in `audit_graph`; with the vectors of adversarial errors.
        seed: Seed of the audit; the errors have the next one.
        quiet: Whether no progress bars are shown.
        dtype: Precision of text models.
        errors: The errors instead, such as others injected into the graph. Those that the graph has not yet join its
            training triplets, and those that other splits have leave these.
        **more: Other arguments of `audit_graph`. A model that was trained on the graph has seen its triplets and none
            of the errors, which counts it too high.

    Returns:
        The audit, its metrics, and those of each signal alone.

    Raises:
        GraphError: As in `audit_graph`.
        LassError: As in `audit_graph`.
    """
    check_audit(graph, more.get("model"), more.get("processor"), num_folds, seed)
    facts = true_facts(graph)
    texts = encode_with_bar(graph, encoder, quiet, dtype)
    if errors is None:
        limit = None if minutes is None else minutes / (num_folds + 3)
        minutes = None if minutes is None else minutes * (num_folds + 2) / (num_folds + 3)
        choices = choose_vectors(vector_choices, limit)
        with percent_bar("injected errors", quiet) as show:
            vectors = train_structural_vectors(facts, choices, seed=seed + 1, on_progress=show)
        errors = inject_errors(facts, round(SHARE * len(facts.triplets)), texts, vectors, seed + 1)
    audit = audit_graph(
        with_errors(graph, errors.triplets),
        texts=texts,
        vector_choices=vector_choices,
        num_folds=num_folds,
        minutes=minutes,
        seed=seed,
        quiet=quiet,
        dtype=dtype,
        **more,
    )
    return audit, *measure_audit(audit, errors.triplets, errors.kinds)


def with_errors(graph: KnowledgeGraph, errors: np.ndarray) -> KnowledgeGraph:
    """Returns a graph of the true triplets of another one, with errors among its training triplets.

    Args:
        graph: The other graph.
        errors: Int64 of shape (m, 3). None of them stays in another split.
    """
    wrong = KnownTriplets(errors, graph.num_entities, graph.num_relations)
    positives = {name: split.positives for name, split in graph.splits.items()}
    kept = {name: triplets[~wrong.contains(triplets)] for name, triplets in positives.items()}
    train = np.concatenate([kept.pop("train", np.empty((0, 3), np.int64)), wrong.triplets()])
    return KnowledgeGraph(
        graph.entities, graph.relations, {"train": (train, None), **{name: (rows, None) for name, rows in kept.items()}}
    )


def read_errors(file: str | Path, graph: KnowledgeGraph) -> InjectedErrors:
    """Reads the errors of a graph that others injected.

    Args:
        file: Lines of head, relation and tail, by ids, and the kind of the error, tab-separated. Cells behind these are
            not read.
        graph: The graph, which holds them or not.

    Raises:
        LassError: The file cannot be read, or is empty; or a line has no kind, or an id that the graph lacks.
    """
    expected = f"lines of head, relation, tail and kind ({', '.join(KINDS)}), tab-separated"
    lines = read_lines(file).to_pylist()
    kinds = {kind: number for number, kind in enumerate(KINDS)}
    columns = {"head": graph.entities.index, "relation": graph.relations.index, "tail": graph.entities.index}
    rows = []
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\r").split("\t")
        if len(cells) < 4:
            raise LassError(f"{file}, line {number}: {len(cells)} cells; expected {expected}")
        for (name, index), cell in zip([*columns.items(), ("kind", kinds)], cells, strict=False):
            if cell not in index:
                where = "" if name == "kind" else ", by ids of the graph"
                raise LassError(f"{file}, line {number}: unknown {name} {cell!r:.80}; expected {expected}{where}")
        rows.append([*(index[cell] for index, cell in zip(columns.values(), cells, strict=False)), kinds[cells[3]]])
    found = np.array(rows, np.int64)
    return InjectedErrors(found[:, :3], found[:, 3].astype(np.int8), np.full(len(found), -1))
