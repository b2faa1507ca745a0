"""`complete_graph`: the missing links of a whole graph, as a folder with a list that people review."""

import json
import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.bound_evidence import BoundEvidence
from ..evidence.choosing import EvidenceChoice
from ..prediction.text_reasons import text_reasons
from ..scoring.chunk_progress import ChunkProgress, differences
from ..scoring.output_folders import PROGRESS_FOLDER
from ..structure.facts import labeled_false
from ..utils.checked_files import check_types
from ..utils.distributed import processes
from ..utils.fingerprints import digest, graph_fingerprint
from ..utils.result_files import RESULTS, read_results
from ..writers.judged_triplets import FileMetadata, columns_of, judged_triplets
from .completer import CompletionResult, GraphCompleter
from .completion_files import only_completion, write_completion
from .measuring import evaluate_completion
from .probabilities import LinkCalibration
from .reasons import write_reasons
from .report import SHOWN, count_by_relation, render_completion
from .settings import CompletionSettings
from .standing import STANDINGS

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

WITH_WORDS = 200  # suggestions, at most, whose texts are read again without some words; long texts allow fewer
# What the list depends on and the answers to the queries do not, which the progress keeps.
OF_THE_LIST = (
    *("per_query", "per_relation", "most", "seed", "relations", "entities", "side", "decisions", "labeled_false"),
)


@dataclass(frozen=True)
class CheckedLink:
    """What a completion says of one link.

    Attributes:
        rows: Judged triplets: one row, with the probability and the reasons that the link has on the list, or none.
        lack: Why there is none, in words: the link was not asked for, or is not among the best answers; or None.
    """

    rows: "pa.Table"
    lack: str | None


def complete_graph(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    output: str | Path,
    *,
    evidence: EvidenceChoice = "auto",
    settings: CompletionSettings | None = None,
    index_folder: str | Path | None = None,
    dtype: str = "auto",
    quiet: bool = False,
    rerank: tuple[LassForKGCompletion, LassProcessor] | None = None,
    model_name: str | None = None,
    graph_name: str | None = None,
) -> CompletionResult:
    """Finds the missing links of a graph, and writes them into a folder.

    The folder has `suggestions.tsv`, the list, and `implied.tsv`, what the facts imply or have reversed: judged
    triplets, with probabilities if the graph has a validation split to fit them on; `completion.json`, what the list
    depends on and what was found; and `report.html`. Several processes may call this, which share the queries. A run
    that was killed goes on where it was, if it is called again, and writes the same list.

    Args:
        graph: The graph. Its training triplets are the facts; what any split has is not on the list.
        model: The text model; None for evidence of the graph alone, which `evidence` must name then.
        processor: The model's processor.
        output: The folder, which is made if there is none.
        evidence: What answers are scored by: "auto" for all evidence that the model's folder has, "text" for the model
            alone, kinds such as "rules,vectors", or a `FusedEvidence`.
        settings: What is asked, and how long the list is.
        index_folder: The folder that keeps the entity vectors of a bi-encoder; None keeps them in memory only.
        dtype: Precision of the text model: "auto", "float32" or "bfloat16".
        quiet: Whether nothing is shown.
        rerank: A cross-encoder and its processor, which reorder the best answers of each query; None for none.
        model_name: The folder or the hub's name of the model, for the files; None for where it was loaded from.
        graph_name: The folder or the name of the graph, for the files.

    Returns:
        What was found.

    Raises:
        GraphError: The graph has no training triplets, or the model is that of another graph.
        LassError: No query makes sense; the settings are those of a reranker, which is not given; the folder has the
            completion of another run, or cannot be written; or the evidence is missing, or that of another model.
        UnknownNameError: The graph lacks a relation or an entity of the settings.
        NonFiniteError: Scores are NaN or infinite.
    """
    _check_reranker(settings, rerank)
    completer = GraphCompleter(graph, model, processor, evidence, settings, index_folder, dtype, quiet, rerank)
    identity = completer.identity
    of_answers = {name: value for name, value in identity.items() if name not in OF_THE_LIST}

    def progress(queries: np.ndarray, slots: np.ndarray) -> ChunkProgress:
        return ChunkProgress(
            Path(output, PROGRESS_FOLDER), {**of_answers, "queries": digest([queries, slots])}, "completion"
        )

    with only_completion(output, identity):
        result, bound = completer.complete(graph, progress)
        if result.no_probability and processes().is_main_process:
            logger.warning("%s", result.no_probability)
        if processes().is_main_process:
            name = model_name or (model.name_or_path if model is not None else None) or ""
            kinds = ",".join(bound.kinds) if bound is not None else "text"
            shown = {"evidence": kinds, "dtype": dtype, **completer.settings.describe()}
            if rerank is None:
                del shown["rerank_top_k"], shown["retriever_weight"]
            found = result.completion
            relations = count_by_relation(
                found.suggestions.triplets[:, 1], found.listed, found.probabilities, graph.relations
            )
            content = {
                "metrics": {name: count for name, count in result.counts.items() if isinstance(count, int)},
                "task": "completion",
                "model": name,
                "graph": graph_name,
                "identity": identity,
                "settings": shown,
                "counts": result.counts,
                "relations": relations,
                "calibration": None if result.calibration is None else result.calibration.to_dict(),
                "no_probability": result.no_probability,
            }
            listed = judge(graph, result, found.listed, explain(graph, result, completer, bound))
            implied = judge(graph, result, result.implied)
            metadata = FileMetadata(
                model=name,
                graph=graph_name,
                model_revision=None if model is None else getattr(model.config, "_commit_hash", None),
                graph_digest=graph_fingerprint(graph),
                settings=shown,
            )
            page = render_completion(content, listed.slice(0, SHOWN).to_pylist())
            write_completion(output, listed, implied, page, metadata, content)
        processes().wait_for_everyone()
    return result


def _check_reranker(
    settings: CompletionSettings | None, rerank: tuple[LassForKGCompletion, LassProcessor] | None
) -> None:
    """Raises LassError for settings of a reranker that is not given."""
    usual, chosen = CompletionSettings(), settings or CompletionSettings()
    names = "rerank_top_k", "retriever_weight"
    if rerank is None and any(getattr(chosen, name) != getattr(usual, name) for name in names):
        raise LassError(f"{' and '.join(names)} need rerank, which is not given")


def check_link(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    output: str | Path,
    triplet: np.ndarray,
    *,
    evidence: EvidenceChoice = "auto",
    index_folder: str | Path | None = None,
    dtype: str = "auto",
    quiet: bool = False,
    rerank: tuple[LassForKGCompletion, LassProcessor] | None = None,
) -> CheckedLink:
    """Judges one link by the completion of a folder, with the probability and the reasons that it has on the list.

    What people decided about it does not matter: the folder knows how many decisions it left out, but not which.

    Args:
        graph: The graph that was completed.
        model: As in `complete_graph`.
        processor: As in `complete_graph`.
        output: The folder that `complete_graph` wrote.
        triplet: The link, int64 of shape (3,).
        evidence: As in `complete_graph`.
        index_folder: As in `complete_graph`.
        dtype: As in `complete_graph`.
        quiet: As in `complete_graph`.
        rerank: As in `complete_graph`.

    Returns:
        The judged link, or why the completion does not suggest it.

    Raises:
        LassError: The folder has no completion, or one of another graph, model or evidence; or the graph holds the
            triplet, or labels it false in training.
    """
    file = Path(output, RESULTS["completion"])
    content = read_results(file)
    check_types(file, content, {"identity": dict, "calibration": (dict, type(None))}, "the results of a completion")
    before = content["identity"]
    chosen = {one.name: before.get(one.name) for one in fields(CompletionSettings)}
    names = {name: tuple(chosen[name]) for name in ("relations", "entities") if chosen[name]}
    settings = CompletionSettings(**{**chosen, **names, "decisions": None})
    completer = GraphCompleter(graph, model, processor, evidence, settings, index_folder, dtype, quiet, rerank)
    now = {**json.loads(json.dumps(completer.identity)), "decisions": before.get("decisions")}
    if details := differences(before, now):
        raise LassError(f"{output}: the output of another completion ({details}); give what it was made with")
    if graph.known.contains(triplet[None])[0]:
        raise LassError("the graph holds this triplet; expected a link that it lacks (lass-hf audit judges facts)")
    if labeled_false(graph, "train").contains(triplet[None])[0]:
        raise LassError("the graph labels this triplet false in training; expected a link that it leaves open")
    calibration = content["calibration"] and LinkCalibration.from_dict(
        content["calibration"], graph.relations.ids, file
    )
    result, bound = completer.check(graph, triplet, calibration)
    rows = judge(graph, result, result.completion.listed, explain(graph, result, completer, bound))
    return CheckedLink(rows, completer.find_lack(triplet, result))


def explain(
    graph: KnowledgeGraph, result: CompletionResult, completer: GraphCompleter, bound: BoundEvidence | None
) -> list[list[str]]:
    """Returns the reasons for the suggestions on the list, by the evidence and, for the first ones, by words of texts.

    Args:
        graph: The graph.
        result: What was found.
        completer: What completed the graph.
        bound: The evidence that scored it; None for a text model alone.
    """
    triplets = result.completion.suggestions.triplets[result.completion.listed]
    reasons = [[] for _ in triplets] if bound is None else write_reasons(triplets, bound, result.answers)
    if completer.scorer is not None and completer.processor is not None and (bound is None or "text" in bound.kinds):
        words = text_reasons(completer.scorer, completer.processor, graph, triplets[:WITH_WORDS])
        for own, more in zip(reasons, words, strict=False):
            own.extend(more)
    return reasons


def judge(
    graph: KnowledgeGraph,
    result: CompletionResult,
    positions: np.ndarray,
    reasons: list[list[str]] | None = None,
) -> "pa.Table":
    """Returns suggestions as judged triplets, with reasons, of which the first is that of the standing.

    Args:
        graph: The graph.
        result: What was found.
        positions: The positions of the suggestions, int of shape (n,), in the order of the table.
        reasons: More reasons for each of them, beside what states the same; None for that of the standing alone.
    """
    some, standings = result.completion.suggestions.select(positions), result.completion.standings[positions]
    why = result.standings.because(some.triplets, standings, graph.entities, graph.relations)
    own = [[sentence] if sentence else [] for sentence in why]
    if reasons is not None:
        same = result.standings.restate(some.triplets, graph.entities, graph.relations)
        own = [[*first, *filter(None, [also]), *more] for first, also, more in zip(own, same, reasons, strict=True)]
    chances = result.completion.probabilities
    return judged_triplets(
        **columns_of(graph, some.triplets),
        score=np.fmax(*some.log_probabilities.T),
        probability=[None] * len(positions) if chances is None else chances[positions],
        rank=np.arange(1, len(positions) + 1),
        known=np.zeros(len(positions), dtype=bool),
        kind=[STANDINGS[standing] for standing in standings.tolist()],
        reasons=own,
    )


def measure_completion(
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    *,
    evidence: EvidenceChoice = "auto",
    settings: CompletionSettings | None = None,
    index_folder: str | Path | None = None,
    dtype: str = "auto",
    quiet: bool = False,
    rerank: tuple[LassForKGCompletion, LassProcessor] | None = None,
) -> dict[str, Any]:
    """Completes a graph without links that are hidden, and measures how many of them the list has.

    Args:
        graph: The graph, with a test or a validation split of links that the model was not trained on.
        model: As in `complete_graph`.
        processor: As in `complete_graph`.
        evidence: As in `complete_graph`. It must not be fitted on the test split.
        settings: As in `complete_graph`.
        index_folder: As in `complete_graph`.
        dtype: As in `complete_graph`.
        quiet: As in `complete_graph`.
        rerank: As in `complete_graph`.

    Returns:
        The results of `evaluate_completion`, as plain values.

    Raises:
        GraphError: The graph has neither split, or as `complete_graph`.
        LassError: As in `complete_graph`.
    """
    _check_reranker(settings, rerank)
    completer = GraphCompleter(graph, model, processor, evidence, settings, index_folder, dtype, quiet, rerank)
    return evaluate_completion(
        graph, lambda rest: completer.complete(rest)[0].completion, STANDINGS, completer.settings.seed
    )
