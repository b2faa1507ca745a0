"""One evaluation from the model to its records: figures, results file, model card; the same for every caller.

`lass-hf evaluate`, `lass-hf classify` and the example scripts call it, so their results files have the same keys.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.building import check_fitting_split
from ..evidence.choosing import EvidenceChoice, choose_evidence
from ..evidence.evidence_files import evidence_fingerprint
from ..evidence.fused_evidence import FusedEvidence
from ..evidence.report import describe_evidence, report_evidence
from ..hub.card_files import add_evaluation, update_card
from ..scoring.chunk_progress import remove_progress
from ..scoring.index_building import find_index_folder_for_graph
from ..scoring.triplet_scorer import check_pair
from ..utils.atomic_files import is_stream
from ..utils.console import check_writable, print_metrics, report
from ..utils.distributed import processes
from ..utils.environment import command_line, environment
from ..utils.fingerprints import graph_fingerprint, graph_texts_fingerprint, model_fingerprint
from ..utils.result_files import read_training
from ..utils.stopwatch import Stopwatch
from .ablation import AblationRow, ablate, print_ablation
from .calibration import keep_calibration, labeled_split
from .card_data import card_data, evidence_card_data, reranking_card_data, scoring_card_data
from .link_prediction import choose_triplets, evaluate_link_prediction, evaluate_relation_prediction
from .ranking_result import RankingResult
from .reranking import RerankingResult, check_reranking, evaluate_reranking
from .triplet_classification import ClassificationResult, evaluate_triplet_classification

# The choices that each task has a use for, beside those that all have.
TASKS = {
    "link_prediction": ("limit", "evidence", "reranker", "with_ablation"),
    "relation_prediction": ("limit",),
    "triplet_classification": ("evidence",),
}
OF_RANKING = ("shares", "fitted_on", "mrr", "text_mrr")  # what evidence says of its weights, which rank
Result = RankingResult | RerankingResult | ClassificationResult


@dataclass(frozen=True)
class Reranker:
    """A cross-encoder that reranks the best candidates of the evaluated model.

    Args:
        folder: folder or hub name that model and processor were loaded from.
        model: the cross-encoder.
        processor: its processor.
        top_k: number of candidates to rerank; None: 100, or all of fewer.
        retriever_weight: weight of the evaluated model's score; None: fitted on validation triplets.
    """

    folder: str
    model: LassForKGCompletion
    processor: LassProcessor
    top_k: int | None = None
    retriever_weight: float | None = None


def evaluate_and_record(
    task: str,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    graph: KnowledgeGraph,
    *,
    folder: str | None,
    graph_name: str,
    file: str | Path | None = None,
    split: str = "test",
    limit: int | None = None,
    seed: int = 42,
    dtype: str = "auto",
    quiet: bool = False,
    reranker: Reranker | None = None,
    on_card: bool = True,
    evidence: EvidenceChoice = "auto",
    with_ablation: bool = False,
) -> Result:
    """Evaluates a model, prints the metrics, writes a results file and adds the result to the model's card.

    The evaluation itself is `evaluate_link_prediction`, `evaluate_relation_prediction`, `evaluate_reranking` or
    `evaluate_triplet_classification`. A ranking keeps its progress on disk until it ends, so one that was killed
    continues. Several processes share the work and must all call this; the main process writes.

    Args:
        task: "link_prediction", "relation_prediction" or "triplet_classification".
        model: the model to evaluate; None for link prediction by evidence of the graph alone.
        processor: the processor that was saved with the model, or None.
        graph: the graph whose split is evaluated.
        folder: folder or hub name that the model was loaded from, or None; a folder gets the result on its card.
        graph_name: folder or name of the graph; its last part is recorded.
        file: results file to write; None writes none.
        split: name of the split.
        limit: rank a seeded choice of this many triplets; None ranks all. Classification takes all.
        seed: seed of that choice.
        dtype: precision of scoring, as in `evaluate_link_prediction`.
        quiet: show no progress bars.
        reranker: a cross-encoder for link prediction in two stages.
        on_card: add the result to the model's card, if it is one of text alone or of all evidence in the folder.
        evidence: what link prediction ranks by, as in `evaluate_link_prediction`, or triplets are classified by, as in
            `evaluate_triplet_classification`.
        with_ablation: also rank heads and tails by each kind of evidence alone, and by all kinds without it.

    Returns:
        The result of the evaluation; a `RerankingResult` with a reranker.

    Raises:
        LassError: an unknown task, a choice that it has no use for, a model without its processor, a file that cannot
            be written, a training.json that cannot be read, or arguments that the evaluation refuses.
    """
    _check_task(task, limit=limit, evidence=evidence, reranker=reranker, with_ablation=with_ablation)
    _check_model(task, model, processor, reranker)
    _check_records(graph_name, file)
    graph[split]
    # As they are before the work, and a file that cannot be read ends it here, not after hours.
    environment()
    training = None if folder is None else read_training(folder)
    reranker_training = None if reranker is None else read_training(reranker.folder)
    started = time.perf_counter()
    progress = None if task == "triplet_classification" else _progress_folder(folder, file, task, split)
    choices: dict[str, Any] = {"split": split, "dtype": dtype, "quiet": quiet}
    ranking = {**choices, "limit": limit, "seed": seed, "resume_dir": progress}
    ranked_by = _RankedBy()
    result: Result
    if task == "link_prediction":
        kept = None if processor is None else find_index_folder_for_graph(folder or "", processor, graph)
        ranking["index_folder"] = kept
        result = _predict_links(model, processor, graph, reranker, ranking, evidence, with_ablation, ranked_by)
    else:
        assert model is not None
        assert processor is not None
        result = _evaluate_model(task, model, processor, graph, choices, ranking, evidence)
        if isinstance(result, ClassificationResult):
            ranked_by.evidence, ranked_by.ranks = result.evidence, False
    ranked = result.reranked if isinstance(result, RerankingResult) else result
    report(
        file,
        ranked.metrics,
        task=task,
        protocol=_protocol(task, graph),
        graph=Path(graph_name).resolve().name,
        graph_fingerprint=graph_fingerprint(graph),
        graph_texts_fingerprint=graph_texts_fingerprint(graph),
        split=split,
        limit=limit if limit is not None and limit < len(graph[split].positives) else None,
        seed=seed,
        dtype=dtype,
        seconds=round(time.perf_counter() - started, 3),
        command=command_line(),
        model=folder,
        fingerprint=None if model is None else model_fingerprint(model),
        ranking_weights=None if model is None or ranked_by.evidence else model.config.ranking_weights,
        training=training,
        **ranked_by.details(),
        **_details(result, reranker, reranker_training),
    )
    if processes().is_main_process:
        if not isinstance(ranked, ClassificationResult):
            if ranked.unseen["num_queries"]:
                print_metrics({"queries with an entity unseen in training": ranked.unseen})
            ranked_by.print(model)
        if folder is not None and model is not None and processor is not None:
            if isinstance(result, ClassificationResult) and has_graph(processor, graph):
                # A threshold from another graph would mislead, and predictions are those of the text.
                keep_calibration(folder, (result.text or result).calibration)
                update_card(folder, processor.graph)  # it shows the calibration, with an evaluation or without
            if on_card and (ranked_by.evidence is None or evidence == "auto"):
                of_evidence = {} if ranked_by.evidence is None else evidence_card_data(model)
                scoring = scoring_card_data(graph_name, dtype, model) | of_evidence
                _add_to_cards(result, folder, processor, graph[split], scoring, reranker)
        if progress is not None:
            remove_progress(progress)
        if file:
            print(f"results in {file}")
    return result


def _evaluate_model(
    task: str,
    model: LassForKGCompletion,
    processor: LassProcessor,
    graph: KnowledgeGraph,
    choices: dict[str, Any],
    ranking: dict[str, Any],
    evidence: EvidenceChoice,
) -> RankingResult | ClassificationResult:
    if task == "relation_prediction":
        return evaluate_relation_prediction(model, processor, graph, **ranking)
    return evaluate_triplet_classification(model, processor, graph, **choices, evidence=evidence, seed=ranking["seed"])


def _check_task(task: str, **choices: Any) -> None:
    if task not in TASKS:
        raise LassError(f"task={task!r}; expected one of {', '.join(TASKS)}")
    for name, value in choices.items():
        if name not in TASKS[task] and value not in (None, "auto", "text") and value is not False:
            raise LassError(f"{name} changes nothing for task={task!r}; leave it out")


def _check_model(
    task: str, model: LassForKGCompletion | None, processor: LassProcessor | None, reranker: Reranker | None
) -> None:
    if model is None and (task != "link_prediction" or reranker is not None):
        what = f"task={task!r}" if reranker is None else "reranker"
        raise LassError(f"{what} needs a model; without one there is link_prediction by evidence")
    check_pair(model, processor)


def _check_records(graph_name: str, file: str | Path | None) -> None:
    if not isinstance(graph_name, (str, Path)):
        raise LassError(f"graph_name={graph_name!r}; expected the folder or the name of the graph")
    if file:
        check_writable(file)


@dataclass
class _RankedBy:
    """The evidence that ranks or classifies, what it took, and what its kinds are worth.

    Attributes:
        evidence: the evidence; None for text alone.
        watch: the seconds of choosing (finding, loading or fitting) "evidence", and of "ranking".
        rows: the ablation, if it was asked for.
        ranks: whether queries are ranked, not triplets classified.
    """

    evidence: FusedEvidence | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)
    rows: list[AblationRow] = field(default_factory=list)
    ranks: bool = True

    def details(self) -> dict[str, Any]:
        """Returns what a results file holds of it."""
        if self.evidence is None:
            return {"evidence": None}
        found = {**report_evidence(self.evidence), "fingerprint": evidence_fingerprint(self.evidence)}
        if not self.ranks:  # Triplets are classified by trees of their own, not by the weights that rank.
            return {"evidence": {name: value for name, value in found.items() if name not in OF_RANKING}}
        ablation = {"ablation": [row.to_dict() for row in self.rows]} if self.rows else {}
        return {"evidence": found, "evidence_seconds": self.watch.seconds, **ablation}

    def print(self, model: LassForKGCompletion | None) -> None:
        """Prints the share of each kind and the seconds; without a model also what was found, and how long it took."""
        if self.evidence is None:
            return
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in self.evidence.fusion.shares.items())
        lines = describe_evidence(self.evidence) if model is None else [f"share of each kind: {shares}"]
        print(*lines, f"ranking: {self.watch.seconds['ranking']:.1f} s", sep="\n")
        if self.rows:
            print_ablation(self.rows)


def _add_to_cards(
    result: Result,
    folder: str,
    processor: LassProcessor,
    split: GraphSplit,
    scoring: dict[str, Any],
    reranker: Reranker | None,
) -> None:
    add_evaluation(folder, card_data(result, split, scoring), processor.graph)
    if isinstance(result, RerankingResult) and reranker is not None:
        both = reranking_card_data(result, folder, reranker.folder, split, scoring)
        add_evaluation(folder, both, processor.graph)
        add_evaluation(reranker.folder, both, reranker.processor.graph)


def has_graph(processor: LassProcessor, graph: KnowledgeGraph) -> bool:
    """Returns whether a processor was saved with a graph of the same entities and texts."""
    own = processor.graph
    return own is not None and (own.entities.ids, own.entities.texts) == (graph.entities.ids, graph.entities.texts)


def check_evaluation(task: str, graph: KnowledgeGraph, split: str, file: str | Path, limit: int | None = None) -> None:
    """Makes sure before a training that its model can be evaluated, and the results be written.

    Args:
        task: as in `evaluate_and_record`.
        graph: the graph.
        split: the split to evaluate on.
        file: the results file.
        limit: as in `evaluate_and_record`.

    Raises:
        LassError: the file cannot be written, or the task is unknown or has no use for a limit.
        GraphError: the graph has no such split, or the splits that classification needs have no labels.
    """
    _check_task(task, limit=limit)
    check_writable(file)
    graph[split]
    if task == "triplet_classification":
        labeled_split(graph, "validation")
        labeled_split(graph, split)


def _protocol(task: str, graph: KnowledgeGraph) -> str:
    if task == "triplet_classification":
        return "one threshold, the best on validation"
    candidates = "all relations" if task == "relation_prediction" else "both sides, all candidates"
    return f"filtered ({' + '.join(graph.splits)}), realistic ranks, {candidates}"


def _progress_folder(folder: str | None, file: str | Path | None, task: str, split: str) -> Path | None:
    """Returns where a ranking keeps its progress until it ends; None for a model that cannot be written beside."""
    if file and not is_stream(Path(file)):  # nothing can be kept beside standard output or a pipe
        return Path(f"{file}.progress")
    if folder is None or not os.access(folder, os.W_OK):
        return None
    return Path(folder, f"{task}-{Path(split).name}.progress")


def _predict_links(
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    graph: KnowledgeGraph,
    reranker: Reranker | None,
    ranking: dict[str, Any],
    choice: EvidenceChoice,
    with_ablation: bool,
    ranked_by: _RankedBy,
) -> RankingResult | RerankingResult:
    """Ranks heads and tails by one model, by two, or by evidence alone, and fills in `ranked_by`."""
    sought = {name: value for name, value in ranking.items() if name in ("dtype", "seed", "quiet", "index_folder")}
    # What cannot be ranked is refused before evidence is found or fitted.
    choose_triplets(graph[ranking["split"]], ranking["limit"], ranking["seed"])
    if with_ablation:
        check_fitting_split(graph)
    if reranker is not None and model is not None:
        check_reranking(model, reranker.model, graph, ranking["split"], reranker.top_k, reranker.retriever_weight)
    with ranked_by.watch.time("evidence"):
        ranked_by.evidence = choose_evidence(choice, graph, model, processor, **sought)
    if with_ablation and ranked_by.evidence is None:
        raise LassError("there is no evidence beside the text whose kinds could be compared; add some (add-evidence)")
    choices = {**ranking, "evidence": ranked_by.evidence or "text"}
    result: RankingResult | RerankingResult
    with ranked_by.watch.time("ranking"):
        if reranker is None or model is None or processor is None:
            result = evaluate_link_prediction(model, processor, graph, **choices)
        else:
            models = (model, processor, reranker.model, reranker.processor)
            choices |= {"top_k": reranker.top_k, "retriever_weight": reranker.retriever_weight}
            result = evaluate_reranking(*models, graph, **choices)
    if with_ablation and ranked_by.evidence is not None:
        choices = {name: value for name, value in ranking.items() if name != "resume_dir"}
        ranked_by.rows = ablate(ranked_by.evidence, graph, model=model, processor=processor, **choices)
    return result


def _details(
    result: Result, reranker: Reranker | None = None, reranker_training: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what a results file holds of one kind of result, beside the metrics."""
    if isinstance(result, ClassificationResult):
        return {
            "threshold": result.threshold,
            "calibration": result.calibration.to_dict(),
            "relation_thresholds": result.relation_thresholds,
            "scores": result.scores.tolist(),
        }
    if isinstance(result, RankingResult):
        return {
            **{name: getattr(result, name) for name in ("by_relation", "by_category", "unseen")},
            "ranks": result.ranks.tolist(),
        }
    assert reranker is not None
    return {
        **_details(result.reranked),
        "rerank": reranker.folder,
        "reranker_training": reranker_training,
        **{name: getattr(result, name) for name in ("top_k", "recall", "num_reranked", "retriever_weight", "tokens")},
        "retrieval": result.retrieval.metrics,
        "retrieval_ranks": result.retrieval.ranks.tolist(),
        "stage_seconds": result.seconds,
    }
