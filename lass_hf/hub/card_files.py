"""The model card in a model's folder: README.md, and `model_card.json` with the facts that it is made of.

It measures nothing, and writes no text; a README.md that somebody else wrote, or changed, is left alone.
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
from ..core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import INCLUDE_GRAPH, LassProcessor
from ..utils.atomic_files import locked, write_whole
from ..utils.fingerprints import digest
from ..utils.saved_config import keep_in_config
from .card_text import model_card

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
FACTS_FILE = "model_card.json"
MARKER = "<!-- Written by lass-hf ({}). Once anything here is changed, it is yours, and not written again. -->\n"


def model_facts(model: LassForKGCompletion, processor: LassProcessor) -> dict[str, Any]:
    """What a card says of a model, and of the graph that its processor has; plain values, for JSON."""
    encoder, graph = model.encoder.config, processor.graph
    facts: dict[str, Any] = {
        **{name: getattr(model.config, name) for name in choice_names(ModelChoices)},
        **{name: getattr(processor, name) for name in choice_names(SequenceChoices)},
        "encoder": encoder_name(encoder._name_or_path),
        "base_model": hub_name(encoder._name_or_path),
        "encoder_type": encoder.model_type,
        "hidden_size": encoder.get_text_config().hidden_size,
        "parameters": model.num_parameters(),
        "graph": None,
    }
    if graph is not None:
        counts = {name: {"triplets": len(split), "true": len(split.positives)} for name, split in graph.splits.items()}
        facts["graph"] = {"entities": graph.num_entities, "relations": graph.num_relations, "splits": counts}
    return facts


def with_evaluation(evaluations: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Evaluations with another, which takes the place of one of the same task, graph and split, unless it saw less.

    Rankings by other weights are apart.
    """
    what = ("task", "graph", "split", "ranking_weights")
    same = [old for old in evaluations if all(old.get(name) == new.get(name) for name in what)]
    if any(old["triplets"] > new["triplets"] for old in same):
        return list(evaluations)
    return [old for old in evaluations if old not in same] + [new]


def write_card(
    folder: str | Path,
    facts: Mapping[str, Any],
    graph: KnowledgeGraph | None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes card and facts into the folder of a saved model.

    `facts`: those of `model_facts`, `training` (None: nothing is known of it) and `evaluations`. `graph`: the one that
    the model was saved with, for an example. `metadata`: for the hub (license, language, ...); it is kept with the
    facts, and stays until it is given again.
    """
    with locked(folder):
        _write_card(Path(folder), facts, graph, metadata)


def _write_card(
    folder: Path, facts: Mapping[str, Any], graph: KnowledgeGraph | None, metadata: Mapping[str, Any] | None = None
) -> None:
    before = _read(folder / FACTS_FILE).get("metadata", {})
    given = {name: value for name, value in (metadata or {}).items() if value is not None}
    inside = not folder.is_absolute() and folder.parts and ".." not in folder.parts
    name = folder.as_posix() if inside else folder.resolve().name  # what loads it from here; no path of this machine
    facts = {**facts, "folder": name, "metadata": {**before, **given}, "weights": _weights(folder)}
    write_whole(folder / FACTS_FILE, json.dumps(facts, indent=1) + "\n")
    if (folder / CARD_FILE).exists() and not _is_ours(folder / CARD_FILE):
        logger.warning("%s was changed, or not written by lass-hf: it stays as it is", folder / CARD_FILE)
        return
    write_whole(folder / CARD_FILE, _card(folder, facts, graph, graph_in(folder)))


def read_facts(folder: str | Path, weights_in: str | Path | None = None) -> dict[str, Any]:
    """The facts in a model's folder; {} where there are none, or those of other weights.

    `weights_in`: the folder with the weights, when these were saved again elsewhere.
    """
    facts = _read(Path(folder, FACTS_FILE))
    return facts if facts.get("weights") == _weights(weights_in or folder) else {}


def add_evaluation(folder: str | Path, evaluation: Mapping[str, Any], graph: KnowledgeGraph | None) -> None:
    """Adds what was measured to the card of a model's folder; `graph`: the one that the model was saved with.

    Nothing happens where there is no card of this model, as on the hub, or where it cannot be written.
    """
    if not os.access(folder, os.W_OK):
        return
    with locked(folder):  # another command may add its own
        if facts := read_facts(folder):
            evaluations = with_evaluation(facts["evaluations"], evaluation)
            _write_card(Path(folder), {**facts, "evaluations": evaluations}, graph)


def keep_ranking_weights(folder: str | Path, weights: Mapping[str, float], graph: KnowledgeGraph | None) -> None:
    """Makes other `neighbor_weight` and `frequency_weight` the own ones of the model in a folder.

    Its card then tells of them, and of rankings that were made with them only. `graph`: as in `add_evaluation`.
    """
    keep_in_config(folder, **weights)
    with locked(folder):
        if facts := read_facts(folder):
            _write_card(Path(folder), facts, graph)


def shared_card(folder: str | Path, repo_id: str, include_graph: str) -> str | None:
    """The card of a model's folder as it is to be on the hub; None where there is none that we wrote.

    It tells of as much of the graph as `include_graph` says and the folder has.
    """
    facts = read_facts(folder)
    if not facts or not _is_ours(Path(folder, CARD_FILE)):
        return None
    graph, included = None, graph_in(folder, include_graph)
    if included != "none":
        triplets = Path(folder, TRIPLETS_FILE) if included == "full" else None
        graph = KnowledgeGraph.from_files(Path(folder, VOCABULARY_FILE), triplets)
    return _card(Path(folder), facts, graph, included, repo_id)


def graph_in(folder: str | Path, include_graph: str = "full") -> str:
    """How much of the graph a model's folder has, as in `LassProcessor.save_pretrained`; `include_graph` at most."""
    names, triplets = (Path(folder, file).is_file() for file in (VOCABULARY_FILE, TRIPLETS_FILE))
    there = "none" if not names else "full" if triplets else "vocabulary"
    return max(there, include_graph, key=INCLUDE_GRAPH.index)


def _card(folder: Path, facts: Mapping[str, Any], *choices: Any) -> str:
    """The card, with the digest of its text behind the metadata, by which a change is seen."""
    weights = choice_names(ModelChoices, affects="ranking")
    config = {"calibration": None, **_read(folder / CONFIG_NAME)}  # Commands change these after the training.
    later = {name: config[name] for name in ("calibration", *weights) if name in config}
    known = {
        **asdict(ModelChoices()),
        **facts,
        **later,
    }  # Facts may be older than a choice, which has its default then.
    own = {name: known[name] for name in weights}
    if known["architecture"] == "bi-encoder":  # a cross-encoder has none; what it reranked tells those of the retriever
        known["evaluations"] = [one for one in facts["evaluations"] if one.get("ranking_weights", own) == own]
    text = model_card(known, *choices)
    end = text.index("\n---\n") + 5
    return f"{text[:end]}\n{MARKER.format(digest([text.encode()]))}{text[end:]}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _weights(folder: str | Path) -> str:
    """Of the weights in a folder, so that no other model's figures are shown for them."""
    return digest(np.memmap(file, np.uint8, "r") for file in sorted(Path(folder).glob("model*.safetensors")))


def _is_ours(card: Path) -> bool:
    """Is there a card that we wrote, and nobody changed?"""
    try:
        text = card.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return False
    found = re.search(r"\n{}(\w+){}".format(*map(re.escape, MARKER.split("{}"))), text)
    return found is not None and found[1] == digest([text.replace(found[0], "", 1).encode()])
