"""Writes the analysis of a model on a split of a graph: pages, plots and numbers in a folder (paper, 3.5 and 3.6).

`analyze` combines the evaluations, the error analysis and the attention, and writes their results.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import shown, triplet_rows
from ..evaluation.link_prediction import evaluate_link_prediction
from ..evaluation.platt_scaling import reliability_curve, sigmoid
from ..evaluation.triplet_classification import evaluate_triplet_classification
from ..evidence.choosing import choose_evidence, make_ranking_scorer
from ..evidence.evidence_files import evidence_fingerprint
from ..evidence.fused_evidence import FusedEvidence
from ..scoring.chunk_progress import remove_progress
from ..scoring.triplet_scorer import TripletScorer
from ..utils.atomic_files import write_whole
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, graph_texts_fingerprint, model_fingerprint
from ..utils.result_files import read_results, write_results
from .attention import TripletAttention, compute_attention
from .error_analysis import count_errors_by_relation, describe_triplet, find_confident_predictions, find_worst_queries
from .html_pages import render_attention, render_report
from .plots import check_plots, plot_attention, plot_errors_by_relation, plot_reliability, to_png

RANKING_KEYS = ("metrics", "by_relation", "by_category", "unseen", "ranks")
PROGRESS_FOLDER = "ranking.progress"
RESULTS_FILE = "analysis.json"
# The other files that an analysis may write.
PAGES = ("index.html", "attention.html", "attention.png", "errors_by_relation.png", "reliability.png")


def analyze(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    output: str | Path,
    *,
    split: str = "test",
    triplet: Sequence[str] | None = None,
    layer: int | None = None,
    ranks_file: str | Path | None = None,
    limit: int | None = None,
    top_k: int = 10,
    dtype: str = "auto",
    quiet: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Analyzes a model on a split, and writes pages, plots and numbers into a folder.

    A split with labels of both kinds is classified; any other split is ranked. A ranking that was interrupted goes on
    where it stopped. A cross-encoder's attention for one triplet is shown too. The files are `index.html`,
    `attention.html` (both work offline), `attention.png`, `analysis.json`, and for a classification
    `errors_by_relation.png` and `reliability.png`. If there are several processes, the main one writes them.

    Args:
        model: the model.
        processor: its processor.
        graph: the graph with the split.
        output: the folder to write into; it is made if it does not exist.
        split: the name of the split.
        triplet: head, relation and tail by id or text: the triplet whose attention is shown. None: the true triplet
            that was classified rightly with most confidence, or else the first true triplet of the split.
        layer: the layer whose attention is shown; 1 is the first, None the last.
        ranks_file: the JSON file of an earlier `lass-hf evaluate` of the same model on this split; its ranks are used
            instead of a new ranking.
        limit: rank a random choice of this many triplets, as in `evaluate_link_prediction`.
        top_k: the length of each list of examples.
        dtype: the precision of scoring: "auto", "float32" or "bfloat16".
        quiet: show no progress bars.
        metadata: names and values (model, graph, ...) to show on the page and to write into `analysis.json`.

    Returns:
        The content of `analysis.json` without the metadata: `task`, `split`, `metrics`, `attention` (or None), and

        - for a classification `threshold`, `errors_by_relation`, `confident` (predictions), `platt`, `reliability`;
        - for a ranking `ranks`, `by_relation`, `by_category`, `unseen`, `worst_queries`.

    Raises:
        LassError: the extra `plots` is not installed, the output is not a writable folder or has pages of something
            else, the ranks are those of another model, split or graph, or an argument does not fit the split or the
            model.
    """
    check_plots()
    _check_foreign(output)
    selected, metadata, is_main = graph[split], dict(metadata or {}), processes().is_main_process
    is_classification = selected.labels is not None and len(np.unique(selected.labels)) == 2
    if top_k < 1:
        raise LassError(f"top_k={top_k}; expected 1 or more")
    if is_classification and (ranks_file is not None or limit is not None):
        raise LassError(f"the {split} split has labels and is classified: ranks and limit are for link prediction")
    if ranks_file is not None and limit is not None:
        raise LassError("ranks and limit exclude each other: ranks that were computed already are all used")
    evidence = None if is_classification else choose_evidence("auto", graph, model, processor, dtype, quiet=quiet)
    ranks = None if ranks_file is None else _read_ranks(ranks_file, model, selected, evidence)
    first = selected.positives[0] if len(selected.positives) else selected.triplets[0]
    shown = describe_triplet(graph, first if triplet is None else _find_triplet(graph, triplet))
    is_cross_encoder = not model.architecture.encodes_entities
    if not is_cross_encoder and (triplet is not None or layer is not None):
        raise LassError("a bi-encoder has no attention between head, relation and tail to show")
    # This is computed before the long work, so that a wrong layer is an error at once.
    attention = _compute_attention(model, processor, shown, layer) if is_cross_encoder else None
    folder = _make_folder(output)
    images: dict[str, bytes] = {}
    if is_classification:
        task = "triplet_classification"
        results, images = _classify(model, processor, graph, split, top_k, dtype, quiet)
        confident = results["confident"]["right"]
        if is_cross_encoder and triplet is None and confident and confident[0]["label"] == 1:
            shown = confident[0]
            attention = _compute_attention(model, processor, shown, layer)
    else:
        task = "link_prediction"
        if ranks is None:
            ranks = _rank(model, processor, graph, folder, split, limit, dtype, quiet, evidence)
        triplets, scorer = ranks.pop("triplets"), TripletScorer(model, processor.token_store(graph), dtype)
        with tqdm(desc="scoring the worst", unit=" triplets", unit_scale=True, disable=quiet or not is_main) as bar:
            worst = find_worst_queries(
                make_ranking_scorer(evidence, scorer, graph[split]),
                graph,
                triplets,
                np.array(ranks["ranks"]),
                top_k,
                bar,
            )
        results = {**ranks, "worst_queries": worst}
    analysis = {"task": task, "split": split, **results, "attention": None}
    if attention is not None:
        images["attention.png"] = to_png(plot_attention(attention))
        analysis["attention"] = {
            **{name: shown[name] for name in ("head", "relation", "tail", "ids")},
            "layer": attention.layer,
            "num_layers": attention.num_layers,
            "tokens": attention.tokens,
            "between_segments": attention.between_segments().tolist(),
        }
    if is_main:
        # The first file, as it tells the folder of an analysis: a run after a kill may then replace the others.
        write_results(folder / RESULTS_FILE, **(metadata | analysis))
        for name, image in images.items():
            write_whole(folder / name, image)
        if attention is not None:
            write_whole(folder / "attention.html", render_attention(attention, shown))
        write_whole(folder / "index.html", render_report(analysis, metadata, images))
        remove_progress(folder / PROGRESS_FOLDER)
    return analysis


def _check_foreign(output: str | Path) -> None:
    """Raises LassError if a folder has pages that no analysis wrote, such as the start page of a site."""
    pages = [name for name in PAGES if os.path.lexists(Path(output, name))]
    if pages and not os.path.lexists(Path(output, RESULTS_FILE)):
        raise LassError(
            f"{output}: has {pages[0]} but no {RESULTS_FILE}, so no analysis wrote it; choose another output"
        )


def _make_folder(output: str | Path) -> Path:
    """Makes the folder to write into if it does not exist; raises LassError if it cannot be written."""
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LassError(f"{output}: no folder can be made there ({error.strerror}); choose another output") from error
    if not os.access(output, os.W_OK):
        raise LassError(f"{output}: cannot be written; choose another output")
    return Path(output)


def _find_triplet(graph: KnowledgeGraph, triplet: Sequence[str]) -> np.ndarray:
    """Returns the integers of a triplet of names, of shape (3,)."""
    ((head, relation, tail),) = triplet_rows([triplet])
    if not all(isinstance(name, str) for name in (head, relation, tail)):
        raise LassError(f"triplet={shown(triplet)}; expected (head, relation, tail)")
    return np.array([graph.entities.find(head), graph.relations.find(relation), graph.entities.find(tail)])


def _compute_attention(
    model: LassForKGCompletion, processor: LassProcessor, shown: dict[str, Any], layer: int | None
) -> TripletAttention:
    return compute_attention(model, processor, (shown["head"], shown["relation"], shown["tail"]), layer)


def _classify(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str,
    top_k: int,
    dtype: str,
    quiet: bool,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns the results of a classification, and its plots: file name -> content."""
    result = evaluate_triplet_classification(model, processor, graph, split, dtype, quiet, "text")
    platt = result.calibration.platt
    probabilities = platt(result.scores)
    curves = {
        "sigmoid": reliability_curve(sigmoid(result.scores), result.labels),
        "platt": reliability_curve(probabilities, result.labels),
    }
    rows = count_errors_by_relation(graph[split].triplets[:, 1], result.labels, result.predictions, graph.relations)
    results = {
        "metrics": result.metrics | {f"ece_{name}": curve.ece for name, curve in curves.items()},
        "threshold": result.threshold,
        "errors_by_relation": rows,
        "confident": find_confident_predictions(graph[split], result, probabilities, top_k),
        "platt": asdict(platt),
        "reliability": {name: curve.to_dict() for name, curve in curves.items()},
    }
    titles = {"sigmoid": "sigmoid of the score", "platt": "Platt scaling"}
    plots = {
        "errors_by_relation.png": plot_errors_by_relation(rows),
        "reliability.png": plot_reliability({titles[name]: curve for name, curve in curves.items()}),
    }
    return results, {name: to_png(figure) for name, figure in plots.items()}


def _rank(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    folder: Path,
    split: str,
    limit: int | None,
    dtype: str,
    quiet: bool,
    evidence: FusedEvidence | None,
) -> dict[str, Any]:
    """Returns the results of a ranking under RANKING_KEYS, and the ranked `triplets`; `folder` keeps the progress."""
    choices: dict[str, Any] = {"resume_dir": folder / PROGRESS_FOLDER, "evidence": evidence or "text"}
    result = evaluate_link_prediction(model, processor, graph, split, limit, dtype, quiet=quiet, **choices)
    results = {name: getattr(result, name) for name in RANKING_KEYS}
    return {**results, "ranks": result.ranks.tolist(), "triplets": result.triplets}


def _read_ranks(
    file: str | Path, model: LassForKGCompletion, split: GraphSplit, evidence: FusedEvidence | None
) -> dict[str, Any]:
    """Returns the same as `_rank`, from the file of an earlier evaluation; raises LassError if they do not fit."""
    content, graph, triplets = read_results(file), split.graph, split.positives
    of_graph = {"graph_fingerprint": graph_fingerprint, "graph_texts_fingerprint": graph_texts_fingerprint}
    if missing := [name for name in (*RANKING_KEYS, "fingerprint", *of_graph) if name not in content]:
        raise LassError(f"{file}: no {missing[0]} in it; expected what `lass-hf evaluate --json` writes: run it again")
    try:
        ranks = np.array(content["ranks"], dtype=np.float64)
    except (TypeError, ValueError):
        ranks = np.empty(0)
    if content.get("split") != split.name or ranks.shape != (2 * len(triplets),):
        raise LassError(
            f"{file}: {ranks.size} ranks of the {content.get('split')} split; expected {2 * len(triplets)}, those of "
            f"the heads and tails of all true triplets of the {split.name} split (evaluated without --limit)"
        )
    # The fingerprint is that of the model as loaded, so it does not depend on the precision of scoring.
    if content["fingerprint"] != model_fingerprint(model):
        other = content.get("model") or f"fingerprint {content['fingerprint']}"
        raise LassError(f"{file}: ranks of another model ({other}); evaluate this one with --json first")
    ranked_by = content.get("evidence")
    expected = None if evidence is None else evidence_fingerprint(evidence)
    if (ranked_by.get("fingerprint") if isinstance(ranked_by, dict) else None) != expected:
        raise LassError(
            f"{file}: ranks by other evidence than the model's folder has; evaluate with --json, "
            "and without --evidence, first"
        )
    if any(content[name] != fingerprint(graph) for name, fingerprint in of_graph.items()):
        raise LassError(
            f"{file}: ranks of another graph ({content.get('graph')}), or of this one before its triplets or texts "
            "changed; evaluate on it with --json first"
        )
    worst = [len(graph.candidates[slot]) - graph.known.count(slot, triplets) + 1 for slot in (0, 2)]
    if not ((ranks >= 1) & (ranks <= np.concatenate(worst))).all():
        raise LassError(f"{file}: ranks that are impossible in this graph; give those of this graph, not another graph")
    return {**{name: content[name] for name in RANKING_KEYS}, "triplets": triplets}
