"""The model card of a saved model: README.md, and `model_card.json` with the data from which it is made.

`card_text.py` makes the text; this module reads and writes the files. A README.md that was changed, or that lass-hf did
not write, is never overwritten. Card data that were changed or damaged are never shown: both files carry a digest.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import CONFIG_NAME

from ..core.choices import ModelChoices, SequenceChoices, choice_names
from ..core.encoders import encoder_name, hub_name
from ..core.errors import LassError
from ..core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import INCLUDE_GRAPH, LassProcessor
from ..evidence.evidence_files import EVIDENCE_FOLDER, FUSION_FILE, summarize_evidence
from ..utils.atomic_files import locked, write_whole
from ..utils.checked_files import read_json, read_text
from ..utils.fingerprints import digest
from ..utils.saved_config import keep_in_config
from .card_text import render_model_card

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
CARD_DATA_FILE = "model_card.json"
MARKER = "<!-- Written by lass-hf ({}). Once anything here is changed, it is yours, and not written again. -->\n"


def model_card_data(model: LassForKGCompletion, processor: LassProcessor) -> dict[str, Any]:
    """Collects the part of the card data that describes a model, and the graph of its processor.

    Args:
        model: the model.
        processor: its processor, with or without a graph.

    Returns:
        Values that JSON can hold: the choices of the model, its encoder, its number of parameters, and under `graph`
        the counts of the graph's entities, relations and triplets, or None; under `adapter` the type and the base of
        an adapter around the model, or None.
    """
    encoder, graph, adapter = model.encoder.config, processor.graph, getattr(model, "active_peft_config", None)
    card_data: dict[str, Any] = {
        **{name: getattr(model.config, name) for name in choice_names(ModelChoices)},
        **{name: getattr(processor, name) for name in choice_names(SequenceChoices)},
        "encoder": encoder_name(encoder._name_or_path),
        "base_model": hub_name(encoder._name_or_path),
        "encoder_type": encoder.model_type,
        "hidden_size": encoder.get_text_config().hidden_size,
        "parameters": model.num_parameters(),
        "adapter": None,
        "graph": None,
    }
    if adapter is not None:
        base = adapter.base_model_name_or_path
        card_data["adapter"] = {"type": adapter.peft_type.value, "base": encoder_name(base) if base else None}
    if graph is not None:
        counts = {name: {"triplets": len(split), "true": len(split.positives)} for name, split in graph.splits.items()}
        card_data["graph"] = {"entities": graph.num_entities, "relations": graph.num_relations, "splits": counts}
    return card_data


def merge_evaluation(evaluations: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Adds an evaluation to those of a card.

    It replaces an evaluation of the same task, graph, split, ranking weights, evidence, retriever and reranker, unless
    that one was measured on more triplets; then it is dropped.

    Args:
        evaluations: the evaluations of the card.
        new: the evaluation to add.

    Returns:
        A new list.
    """
    key = ("task", "graph", "split", "ranking_weights", "evidence", "retriever", "reranker")
    replaceable = [old for old in evaluations if all(old.get(name) == new.get(name) for name in key)]
    if any(old["triplets"] > new["triplets"] for old in replaceable):
        return list(evaluations)
    return [old for old in evaluations if old not in replaceable] + [new]


def write_card(
    folder: str | Path,
    card_data: Mapping[str, Any],
    graph: KnowledgeGraph | None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes the card and its data into the folder of a saved model.

    Args:
        folder: the folder.
        card_data: the result of `model_card_data`, with `training` (a description of the training; None if unknown) and
            `evaluations` (a list of evaluations with their protocols).
        graph: the graph that the model was saved with; the card takes the names of its example from there.
        metadata: metadata for the hub (license, language, ...). It is kept in `model_card.json`, so that later cards
            have it too.
    """
    with locked(folder):
        _write_card(Path(folder), card_data, graph, metadata)


def _write_card(
    folder: Path, card_data: Mapping[str, Any], graph: KnowledgeGraph | None, metadata: Mapping[str, Any] | None = None
) -> None:
    earlier = _read_card_data(folder).get("metadata", {})
    given = {name: value for name, value in (metadata or {}).items() if value is not None}
    # The card shows how to load the folder from the working directory, and no other path of this machine.
    below_working_directory = not folder.is_absolute() and folder.parts and ".." not in folder.parts
    name = folder.as_posix() if below_working_directory else folder.resolve().name
    card_data = {**card_data, "folder": name, "metadata": {**earlier, **given}, "weights": _hash_weights(folder)}
    write_whole(folder / CARD_DATA_FILE, json.dumps({**card_data, "digest": _digest(card_data)}, indent=1) + "\n")
    if (folder / CARD_FILE).exists() and not _is_unchanged(folder / CARD_FILE):
        logger.warning("%s was changed, or not written by lass-hf: it stays as it is", folder / CARD_FILE)
        return
    write_whole(folder / CARD_FILE, _render_card(folder, card_data, graph, _find_included_graph(folder)))


def read_card_data(folder: str | Path, weights_folder: str | Path | None = None) -> dict[str, Any]:
    """Reads the card data of a saved model.

    Args:
        folder: the folder with `model_card.json`.
        weights_folder: the folder with the weights, if they were saved again elsewhere; None: the same folder.

    Returns:
        The card data; {} if there is none, or if it describes other weights, or, with a warning, if the file is not as
        it was written.
    """
    card_data = _read_card_data(Path(folder))
    return card_data if card_data.get("weights") == _hash_weights(weights_folder or folder) else {}


def add_evaluation(folder: str | Path, evaluation: Mapping[str, Any], graph: KnowledgeGraph | None) -> None:
    """Adds an evaluation to the card of a saved model.

    Nothing is written if the folder has no card data for these weights (as for a model of the hub), or is read-only.

    Args:
        folder: the folder of the model.
        evaluation: an evaluation with its protocol.
        graph: the graph that the model was saved with.
    """
    if not os.access(folder, os.W_OK):
        return
    with locked(folder):  # Another command may add an evaluation at the same time.
        if card_data := read_card_data(folder):
            evaluations = merge_evaluation(card_data["evaluations"], evaluation)
            _write_card(Path(folder), {**card_data, "evaluations": evaluations}, graph)


def keep_ranking_weights(folder: str | Path, weights: Mapping[str, float], graph: KnowledgeGraph | None) -> None:
    """Writes other `neighbor_weight` and `frequency_weight` into the configuration of a saved model.

    Its card then shows the new weights, and only rankings that were made with them.

    Args:
        folder: the folder of the model.
        weights: the new values by name.
        graph: the graph that the model was saved with.
    """
    keep_in_config(folder, **weights)
    update_card(folder, graph)


def update_card(folder: str | Path, graph: KnowledgeGraph | None) -> None:
    """Writes the card of a saved model anew, after its configuration or its evidence changed.

    It then shows only rankings by the ranking weights, and by the evidence, that the folder has now. Nothing is written
    if the folder has no card data for these weights, or is read-only.

    Args:
        folder: the folder of the model.
        graph: the graph that the model was saved with.
    """
    if not os.access(folder, os.W_OK):
        return
    with locked(folder):
        if card_data := read_card_data(folder):
            _write_card(Path(folder), card_data, graph)


def render_shared_card(folder: str | Path, repo_id: str, include_graph: str) -> str | None:
    """Returns the card of a saved model for the hub.

    Args:
        folder: the folder of the model.
        repo_id: the name of the model on the hub.
        include_graph: how much of the graph is uploaded: "full", "vocabulary" or "none"; the card describes at most
            as much as the folder holds.

    Returns:
        The text; None if lass-hf did not write the folder's card, or if it was changed since.
    """
    card_data = read_card_data(folder)
    if not card_data or not _is_unchanged(Path(folder, CARD_FILE)):
        return None
    graph, included = None, _find_included_graph(folder, include_graph)
    if included != "none":
        triplets = Path(folder, TRIPLETS_FILE) if included == "full" else None
        graph = KnowledgeGraph.from_files(Path(folder, VOCABULARY_FILE), triplets)
    return _render_card(Path(folder), card_data, graph, included, repo_id)


def _find_included_graph(folder: str | Path, include_graph: str = "full") -> str:
    """Returns how much of the graph a folder holds ("full", "vocabulary" or "none"), but at most `include_graph`."""
    has_names, has_triplets = (Path(folder, file).is_file() for file in (VOCABULARY_FILE, TRIPLETS_FILE))
    held = "none" if not has_names else "full" if has_triplets else "vocabulary"
    return max(held, include_graph, key=INCLUDE_GRAPH.index)


def _render_card(
    folder: Path,
    card_data: Mapping[str, Any],
    graph: KnowledgeGraph | None,
    include_graph: str,
    repo_id: str | None = None,
) -> str:
    """Returns the text of a card, with a digest after the metadata, by which a change of the text is found."""
    weights = choice_names(ModelChoices, affects="ranking")
    # Commands change the calibration and the ranking weights in the configuration after the training.
    saved = read_json(folder / CONFIG_NAME, "a model's configuration") if (folder / CONFIG_NAME).exists() else {}
    config = {"calibration": None, **saved}
    current = {name: config[name] for name in ("calibration", *weights) if name in config}
    # A choice that is newer than the card data has its default.
    card_data = {**asdict(ModelChoices()), "evidence": None, **card_data, **current}
    if repo_id is None or include_graph == "full":  # A repository without the triplets has no evidence.
        card_data["evidence"] = _summarize_evidence(folder)
    own = {name: card_data[name] for name in weights}

    def is_current(evaluation: Mapping[str, Any]) -> bool:
        # A cross-encoder's rerankings have the weights, and the evidence, of the retriever.
        is_bi_encoder, ranked_by = card_data["architecture"] == "bi-encoder", evaluation.get("evidence")
        if not is_bi_encoder and evaluation["task"] == "reranked link prediction":
            return True
        if ranked_by is not None:
            return ranked_by == card_data["evidence"]
        return not is_bi_encoder or evaluation.get("ranking_weights", own) == own

    # An evaluation of a time without evidence lacks the key.
    card_data["evaluations"] = [{"evidence": None, **one} for one in card_data["evaluations"] if is_current(one)]
    text = render_model_card(card_data, graph, include_graph, repo_id)
    end = text.index("\n---\n") + 5
    return f"{text[:end]}\n{MARKER.format(digest([text.encode()]))}{text[end:]}"


def _summarize_evidence(folder: Path) -> dict[str, Any] | None:
    """Returns the result of `summarize_evidence` for a model's folder; None if it has no evidence that can be read."""
    if not (folder / EVIDENCE_FOLDER / FUSION_FILE).is_file():
        return None
    try:
        return summarize_evidence(folder / EVIDENCE_FOLDER)
    except LassError as error:
        logger.warning("%s: the card has no figures of it", error)
        return None


def _read_card_data(folder: Path) -> dict[str, Any]:
    """Returns what `model_card.json` holds; {} if there is none, or, with a warning, if it is not as it was written.

    It raises nothing, because no training and no evaluation should fail for a card.
    """
    file = folder / CARD_DATA_FILE
    if not os.path.lexists(file):
        return {}
    try:
        card_data = read_json(file, "the data of a model card")
        if card_data.pop("digest", None) != _digest(card_data):
            raise LassError(f"{file}: not what lass-hf wrote")
    except LassError as error:
        logger.warning("%s: no card shows its figures; delete it, or save the model again", error)
        return {}
    return card_data


def _digest(card_data: Mapping[str, Any]) -> str:
    return digest([json.dumps(card_data).encode()])


def _hash_weights(folder: str | Path) -> str:
    """Returns a digest of the weights in a folder, so that a card never shows figures of other weights."""
    return digest(np.memmap(file, np.uint8, "r") for file in sorted(Path(folder).glob("*model*.safetensors")))


def _is_unchanged(card: Path) -> bool:
    """Checks whether lass-hf wrote this card and nobody changed it, by the digest in it."""
    try:
        text = read_text(card)
    except (OSError, UnicodeDecodeError):
        return False
    marker = re.search(r"\n{}(\w+){}".format(*map(re.escape, MARKER.split("{}"))), text)
    return marker is not None and marker[1] == digest([text.replace(marker[0], "", 1).encode()])
