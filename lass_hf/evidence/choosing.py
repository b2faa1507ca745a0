"""Chooses the evidence that ranks: what a model's folder has, text alone, some kinds, or evidence that is given."""

import logging
from collections.abc import Collection
from pathlib import Path

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..scoring.candidate_scores import CandidateScorer, make_split_scorer
from ..scoring.triplet_scorer import TripletScorer, check_pair
from ..utils.distributed import processes
from .building import TEXT_KINDS, build_evidence, check_kinds, refit_evidence
from .evidence_files import AGAIN, check_evidence_is_of, find_evidence, load_evidence
from .fused_evidence import FusedEvidence

logger = logging.getLogger(__name__)

# "auto", "text", kinds with commas between them or as a collection, or evidence.
EvidenceChoice = str | Collection[str] | FusedEvidence


def find_own_evidence(model: LassForKGCompletion) -> Path | None:
    """Returns the folder with the evidence of a model, in the folder or on the hub where it was loaded from."""
    return find_evidence(model.name_or_path or "", getattr(model.config, "_commit_hash", None))


def choose_evidence(
    choice: EvidenceChoice,
    graph: KnowledgeGraph,
    model: LassForKGCompletion | None,
    processor: LassProcessor | None,
    dtype: str = "auto",
    seed: int = 42,
    quiet: bool = True,
    index_folder: str | Path | None = None,
) -> FusedEvidence | None:
    """Returns the evidence that ranks heads and tails.

    Args:
        choice: "auto" for the evidence in the model's folder, if it has any that is of this graph; "text" for the text
            model alone; kinds such as "rules,vectors" or ("rules", "vectors"); or evidence. Kinds of a model are some
            of those that its folder has, with weights that are fitted anew. Without a model they are found in the
            graph.
        graph: The graph.
        model: The text model, or None.
        processor: Its processor, or None.
        dtype: Precision of the text model.
        seed: Seed of all that is found and fitted.
        quiet: Whether no progress bars are shown.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.

    Returns:
        The evidence; None for the text model alone.

    Raises:
        LassError: There is neither model nor kinds; the folder lacks the evidence; the evidence is that of another
            model; a kind is unknown; the choice is none of all that; or a model is given without its processor.
        GraphError: The graph has no training triplets, or no validation split to fit weights on.
    """
    check_pair(model, processor)
    if isinstance(choice, FusedEvidence):
        if model is not None:
            check_evidence_is_of(choice, model, "the given evidence")
        return choice
    kinds = split_kinds(choice)
    if model is None or processor is None:
        if kinds in (("auto",), ("text",)):
            raise LassError(f"evidence {kinds[0]!r} without a model; give a model, or kinds such as rules,vectors")
        return build_evidence(graph, kinds=kinds, seed=seed, quiet=quiet, dtype=dtype)
    if kinds == ("text",):
        return None
    folder = find_own_evidence(model)
    if kinds == ("auto",):
        return None if folder is None else _fitting_evidence(load_evidence(folder, model), graph)
    kinds = check_kinds(kinds)
    if folder is None:
        raise LassError(
            f"{model.name_or_path or 'the model'}: no evidence in its folder, of which {','.join(kinds)} were asked "
            'for; add evidence first (lass-hf add-evidence), or use evidence "text"'
        )
    evidence = load_evidence(folder, model)
    if missing := [kind for kind in kinds if kind not in evidence.kinds]:
        raise LassError(
            f"{folder}: no {missing[0]} in this evidence, which has {', '.join(evidence.kinds)}; ask for some of "
            "these, or add evidence again (lass-hf add-evidence)"
        )
    if kinds == evidence.kinds:
        return evidence
    scorer = TripletScorer(model, processor.token_store(graph), dtype) if set(TEXT_KINDS) & set(kinds) else None
    (subset,) = refit_evidence(evidence, graph, [kinds], scorer, seed, quiet, index_folder)
    return subset


def split_kinds(choice: str | Collection[str]) -> tuple[str, ...]:
    """Returns the names in a choice of evidence, with commas between them or as a collection.

    Args:
        choice: The choice, which is no evidence itself.

    Raises:
        LassError: It has no names.
    """
    names = choice.split(",") if isinstance(choice, str) else choice
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise LassError(
            f'evidence={choice!r}; expected "auto", "text", kinds such as "rules,vectors", or a FusedEvidence'
        )
    return tuple(name.strip() for name in names)


def warn_of_other_facts(evidence: FusedEvidence | None, graph: KnowledgeGraph) -> None:
    """Warns if evidence was made of other training triplets than a graph has.

    Args:
        evidence: The evidence that is to be used, or None.
        graph: The graph.
    """
    if evidence is None or not processes().is_main_process:
        return
    if _has_facts(graph) and evidence.was_made_of_other_facts(graph):
        logger.warning("the evidence was made of other training triplets than those of this graph; %s", AGAIN)


def _has_facts(graph: KnowledgeGraph) -> bool:
    """Returns whether a graph has true training triplets."""
    return "train" in graph and len(graph["train"].positives) > 0


def _fitting_evidence(evidence: FusedEvidence, graph: KnowledgeGraph) -> FusedEvidence | None:
    """Returns evidence in the numbers of a graph; None, with a warning, if it says nothing about the graph."""
    try:
        if not _has_facts(graph):
            raise GraphError("the graph has no training triplets")
        return evidence.renumber(graph)
    except GraphError as error:
        if processes().is_main_process:
            logger.warning("%s; entities are ranked by their texts alone", error)
        return None


def make_ranking_scorer(
    evidence: FusedEvidence | None,
    scorer: TripletScorer | None,
    split: GraphSplit,
    index_folder: str | Path | None = None,
    quiet: bool = True,
    slots: Collection[int] = (0, 2),
) -> CandidateScorer:
    """Makes the candidate scorer that ranks a split: that of the evidence, or of the text model alone.

    Args:
        evidence: The evidence; None for the text model alone.
        scorer: The scorer of the text model over the graph's texts; None without one.
        split: The split.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.
        quiet: Whether no progress bar is shown while entities are encoded.
        slots: The slots that are asked for.

    Raises:
        LassError: Evidence is to rank relations, or it is that of another graph; see also `make_split_scorer`.
    """
    if evidence is None:
        assert scorer is not None
        return make_split_scorer(scorer, split, index_folder, quiet, slots)
    if 1 in slots:
        raise LassError('evidence ranks heads and tails, and relations were asked for; rank them with evidence "text"')
    warn_of_other_facts(evidence, split.graph)
    if processes().is_main_process:
        if split.name == "train":
            logger.warning("the ranks of training triplets are too good: the evidence was found in these very triplets")
        if split.name == evidence.fitted_on.get("split"):
            logger.warning("the weights of the evidence were fitted on the %s split: its ranks flatter", split.name)
    return evidence.bind(split.graph, scorer, index_folder).score_candidates
