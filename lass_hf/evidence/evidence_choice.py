"""Chooses the evidence that a saved model is used with: what its folder has, some kinds of it, or the words alone."""

import logging

from ..core.errors import GraphError, LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..utils.distributed import processes
from .building import check_kinds
from .evidence_files import find_evidence, load_evidence
from .fused_evidence import FusedEvidence

logger = logging.getLogger(__name__)


def choose_evidence(
    choice: str | FusedEvidence,
    model: LassForKGCompletion,
    graph: KnowledgeGraph | None,
    name_or_path: str,
    revision: str | None = None,
) -> FusedEvidence | None:
    """Returns the evidence that a model is to be used with.

    Args:
        choice: "auto" for what the model was saved with; "text" for the words alone; some kinds of what it was saved
            with, such as "text,rules", whose weights stay those that were fitted with all of it; or evidence.
        model: The model.
        graph: The graph that it is used for.
        name_or_path: The folder of the model, or its name on the hub.
        revision: The commit on the hub.

    Returns:
        The evidence. None for the words alone, and for "auto" where nothing was saved with the model, or what was
        saved says nothing about the graph (a warning says why).

    Raises:
        LassError: A kind is unknown, or was not saved with the model; or what was saved is damaged or another model's.
    """
    if isinstance(choice, FusedEvidence) or choice == "text":
        return None if choice == "text" else choice  # type: ignore[return-value]
    kinds = None if choice == "auto" else check_kinds([name.strip() for name in choice.split(",")])
    folder = find_evidence(name_or_path, revision)
    if folder is None:
        if kinds is not None:
            raise LassError(f"evidence {choice!r}: {name_or_path} has none; add it (lass-hf add-evidence)")
        return None
    evidence = load_evidence(folder, model)
    if kinds is not None:
        return evidence.with_kinds(kinds)
    try:
        if graph is None or "train" not in graph or not len(graph["train"].positives):
            raise GraphError("the graph has no training triplets")
        return evidence.renumber(graph)
    except GraphError as error:
        if processes().is_main_process:
            logger.warning("%s: entities are ranked by their texts alone", error)
        return None
