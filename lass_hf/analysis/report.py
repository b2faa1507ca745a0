"""`analyze`: a model and a graph into a folder of pages, plots and numbers (paper, sections 3.5 and 3.6).

It asks the evaluations, the analysis and the attention, and writes what they say; it computes nothing itself.
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
from ..evaluation.link_prediction import evaluate_link_prediction
from ..evaluation.platt_scaling import reliability_curve, sigmoid
from ..evaluation.ranking_progress import remove_progress
from ..evaluation.triplet_classification import evaluate_triplet_classification
from ..scoring.candidate_scores import candidate_scores
from ..scoring.triplet_scorer import TripletScorer
from ..utils.distributed import processes
from ..utils.fingerprints import model_fingerprint
from ..utils.result_files import read_results, write_results
from .attention import TripletAttention, triplet_attention
from .error_analysis import confident_answers, errors_by_relation, named, worst_queries
from .html_pages import attention_page, report_page
from .plots import attention_plot, check_plots, errors_by_relation_plot, png, reliability_plot

FROM_EVALUATION = ("metrics", "by_relation", "by_category", "unseen", "ranks")
PROGRESS_FOLDER = "ranking.progress"


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
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the analysis of a split into the folder `output`, and returns its numbers, those of `analysis.json`.

    A split with labels of both kinds is classified: `errors_by_relation`, `confident` answers, `reliability`. Another
    is ranked: `by_relation`, `by_category`, `worst_queries`; ranking takes `limit` as `evaluate_link_prediction` does,
    goes on where it was killed, and is left out when `ranks_file`, the --json file of `lass-hf evaluate` of this very
    model, has the ranks. `attention` is that of `triplet` (head, relation, tail by id or text; the surest right true
    one, or the first true one of the split, when None) in `layer` (1 is the first; None: the last), for a model with
    the cross-encoder. `about` (model, graph, ...) goes into the page and the JSON. Under several processes the main one
    writes.

    Files: `index.html`, `attention.html` (both work offline), `attention.png`, `analysis.json`, and of a classification
    `errors_by_relation.png`, `reliability.png`. Raises LassError without the extra `plots`, for an output that is no
    folder, for a file of ranks that does not fit, and for all that the functions behind it refuse.
    """
    check_plots()
    chosen, about, main = graph[split], dict(about or {}), processes().is_main_process
    classified = chosen.labels is not None and len(np.unique(chosen.labels)) == 2
    if top_k < 1:
        raise LassError(f"top_k={top_k}; expected 1 or more")
    if classified and (ranks_file is not None or limit is not None):
        raise LassError(f"the {split} split has labels and is classified: ranks and limit are for link prediction")
    if ranks_file is not None and limit is not None:
        raise LassError("ranks and limit exclude each other: ranks that were computed already are all used")
    ranks = None if ranks_file is None else _read_ranks(ranks_file, model, chosen)
    first = chosen.positives[0] if len(chosen.positives) else chosen.triplets[0]
    shown = named(graph, first if triplet is None else _find(graph, triplet))
    joint = model.config.architecture == "cross-encoder"
    if not joint and (triplet is not None or layer is not None):
        raise LassError("a bi-encoder has no attention between head, relation and tail to show")
    # Now, so that a wrong layer is known before the long work.
    attention = _attend(model, processor, shown, layer) if joint else None
    folder, images = _folder(output), {}
    if classified:
        task, found, images = "triplet_classification", *_classify(model, processor, graph, split, top_k, dtype, quiet)
        surest = found["confident"]["right"]
        if joint and triplet is None and surest and surest[0]["label"] == 1:
            shown = surest[0]
            attention = _attend(model, processor, shown, layer)
    else:
        task = "link_prediction"
        if ranks is None:
            ranks = _rank(model, processor, graph, folder, split, limit, dtype, quiet)
        triplets, scorer = ranks.pop("triplets"), TripletScorer(model, processor.token_store(graph), dtype)
        with tqdm(desc="scoring the worst", unit=" triplets", unit_scale=True, disable=quiet or not main) as bar:
            worst = worst_queries(
                candidate_scores(scorer, graph[split]), graph, triplets, np.array(ranks["ranks"]), top_k, bar
            )
        found = {**ranks, "worst_queries": worst}
    analysis = {"task": task, "split": split, **found, "attention": None}
    if attention is not None:
        images["attention.png"] = png(attention_plot(attention))
        analysis["attention"] = {
            **{name: shown[name] for name in ("head", "relation", "tail", "ids")},
            "layer": attention.layer,
            "num_layers": attention.num_layers,
            "tokens": attention.tokens,
            "between_segments": attention.between_segments().tolist(),
        }
    if main:
        for name, image in images.items():
            (folder / name).write_bytes(image)
        if attention is not None:
            (folder / "attention.html").write_text(attention_page(attention, shown), encoding="utf-8")
        (folder / "index.html").write_text(report_page(analysis, about, images), encoding="utf-8")
        write_results(folder / "analysis.json", **(about | analysis))
        remove_progress(folder / PROGRESS_FOLDER)
    return analysis


def _folder(output: str | Path) -> Path:
    """The folder to write into, made where it is missing."""
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LassError(f"{output}: no folder can be made there ({error.strerror}); choose another output") from error
    if not os.access(output, os.W_OK):
        raise LassError(f"{output}: cannot be written; choose another output")
    return Path(output)


def _find(graph: KnowledgeGraph, triplet: Sequence[str]) -> np.ndarray:
    """The numbers of a triplet of names."""
    if isinstance(triplet, str) or len(triplet) != 3:
        raise LassError(f"triplet={triplet!r}; expected (head, relation, tail)")
    head, relation, tail = triplet
    return np.array([graph.entities.find(head), graph.relations.find(relation), graph.entities.find(tail)])


def _attend(
    model: LassForKGCompletion, processor: LassProcessor, shown: dict[str, Any], layer: int | None
) -> TripletAttention:
    return triplet_attention(model, processor, (shown["head"], shown["relation"], shown["tail"]), layer)


def _classify(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    split: str,
    top_k: int,
    dtype: str,
    quiet: bool,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The numbers and the plots of a classification."""
    result = evaluate_triplet_classification(model, processor, graph, split, dtype, quiet)
    platt = result.calibration.platt
    probabilities = platt(result.scores)
    curves = {
        "sigmoid": reliability_curve(sigmoid(result.scores), result.labels),
        "platt": reliability_curve(probabilities, result.labels),
    }
    rows = errors_by_relation(graph[split].triplets[:, 1], result.labels, result.predictions, graph.relations)
    found = {
        "metrics": result.metrics | {f"ece_{name}": curve.ece for name, curve in curves.items()},
        "threshold": result.threshold,
        "errors_by_relation": rows,
        "confident": confident_answers(graph[split], result, probabilities, top_k),
        "platt": asdict(platt),
        "reliability": {name: curve.to_dict() for name, curve in curves.items()},
    }
    titles = {"sigmoid": "sigmoid of the score", "platt": "Platt scaling"}
    plots = {
        "errors_by_relation.png": errors_by_relation_plot(rows),
        "reliability.png": reliability_plot({titles[name]: curve for name, curve in curves.items()}),
    }
    return found, {name: png(figure) for name, figure in plots.items()}


def _rank(
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    folder: Path,
    split: str,
    limit: int | None,
    dtype: str,
    quiet: bool,
) -> dict[str, Any]:
    """Ranks and their metrics, and the ranked `triplets`; `folder` keeps the progress."""
    result = evaluate_link_prediction(
        model, processor, graph, split, limit, dtype, quiet=quiet, resume_dir=folder / PROGRESS_FOLDER
    )
    found = {name: getattr(result, name) for name in FROM_EVALUATION}
    return {**found, "ranks": result.ranks.tolist(), "triplets": result.triplets}


def _read_ranks(file: str | Path, model: LassForKGCompletion, split: GraphSplit) -> dict[str, Any]:
    """The same as `_rank`, from the results of an earlier evaluation; raises LassError when they do not fit."""
    content, triplets = read_results(file), split.positives
    if missing := [name for name in (*FROM_EVALUATION, "fingerprint") if name not in content]:
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
    if content["fingerprint"] != model_fingerprint(model):  # of the model as loaded, whatever dtype it scored in
        other = content.get("model") or f"fingerprint {content['fingerprint']}"
        raise LassError(f"{file}: ranks of another model ({other}); evaluate this one with --json first")
    graph = split.graph
    worst = [len(graph.candidates[slot]) - graph.known.count(slot, triplets) + 1 for slot in (0, 2)]
    if not ((ranks >= 1) & (ranks <= np.concatenate(worst))).all():
        raise LassError(f"{file}: ranks that queries of this graph cannot have; they are those of another graph")
    return {**{name: content[name] for name in FROM_EVALUATION}, "triplets": triplets}
