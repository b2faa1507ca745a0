"""Evidence as a folder, `evidence/` in a model's folder or alone: rules, structural vectors, weights of their fusion.

The folder is written whole or not at all. `fusion.json` names the digests of the other files and carries its own, so
that no damaged file is used. Only rules are for people to edit: an edited `rules.tsv` is read, with a warning, where
otherwise `rules.safetensors` is, which has the same rules as numbers and takes no time to parse.
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from transformers.utils import cached_file

from ..core.errors import LassError, library_errors
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.saved_files import digests_of
from ..core.vocabulary import Vocabulary
from ..graphs.dataset_folder import replacing_folder
from ..structure.rule_files import read_rules, write_rules
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..utils.checked_files import read_json
from ..utils.distributed import processes
from ..utils.fingerprints import digest, scores_fingerprint
from ..version import __version__
from .fused_evidence import FusedEvidence
from .fusion import Fusion

logger = logging.getLogger(__name__)

EVIDENCE_FOLDER = "evidence"  # The name of the folder inside a model's folder.
RULES_FILE, RULE_NUMBERS_FILE, VECTORS_FILE = "rules.tsv", "rules.safetensors", "vectors.safetensors"
FUSION_FILE = "fusion.json"
EVIDENCE_FILES = (RULES_FILE, RULE_NUMBERS_FILE, VECTORS_FILE, FUSION_FILE)
FORMAT = 4
NAMES = {"entities": "entity", "relations": "relation"}
AGAIN = "add evidence again (lass-hf add-evidence)"


def find_evidence(model: str | Path, revision: str | None = None) -> Path | None:
    """Returns the folder with the evidence of a saved model.

    Args:
        model: The model's folder, or its name on the hub, from which the evidence is then loaded.
        revision: The commit on the hub; None for the newest.

    Returns:
        The folder; None for a model without evidence, and for one that was not saved, whose name is "".

    Raises:
        LassError: The hub cannot be asked.
    """
    if not str(model) or Path(model).is_dir():
        folder = Path(model, EVIDENCE_FOLDER)
        return folder if str(model) and (folder / FUSION_FILE).is_file() else None
    choices: dict[str, Any] = {"subfolder": EVIDENCE_FOLDER, "revision": revision}
    with library_errors(f"{model}: its evidence could not be loaded"):
        found = cached_file(str(model), FUSION_FILE, **choices, _raise_exceptions_for_missing_entries=False)
        if found is None:
            return None
        for file in EVIDENCE_FILES[:-1]:
            cached_file(str(model), file, **choices, _raise_exceptions_for_missing_entries=False)
    return Path(found).parent


def save_evidence(evidence: FusedEvidence, folder: str | Path, graph: KnowledgeGraph) -> None:
    """Writes evidence into a folder, in place of all that the folder held.

    Args:
        evidence: The evidence.
        folder: The folder, such as `evidence` in a model's folder.
        graph: The graph that it was made of, whose texts make the words of rules.

    Raises:
        GraphError: The folder cannot be written, and is as it was; or the evidence is that of another graph.
    """
    evidence = evidence.renumber(graph)
    with replacing_folder(Path(folder).absolute()) as new:
        if evidence.rules is not None and "rules" in evidence.kinds:
            write_rules(new / RULES_FILE, evidence.rules, graph.entities, graph.relations)
            numbers = {one.name: np.ascontiguousarray(getattr(evidence.rules, one.name)) for one in fields(RuleSet)}
            save_file(numbers, new / RULE_NUMBERS_FILE)
        if evidence.vectors is not None and "vectors" in evidence.kinds:
            evidence.vectors.save(new / VECTORS_FILE)
        names = [file.name for file in new.iterdir()]
        content = {"format": FORMAT, "version": __version__, **_to_plain(evidence), "files": digests_of(new, names)}
        (new / FUSION_FILE).write_text(json.dumps(content | {"digest": _digest(content)}) + "\n", encoding="utf-8")


def load_evidence(folder: str | Path, model: LassForKGCompletion | None = None) -> FusedEvidence:
    """Reads evidence from a folder.

    Args:
        folder: The folder that `save_evidence` wrote.
        model: The text model, as it was loaded, that must be the one of the evidence; None compares none.

    Returns:
        The evidence, with the numbers with which it was saved; `FusedEvidence.bind` gives it those of a graph.

    Raises:
        LassError: The folder has no evidence, or that of another model; a file is damaged; or a line of an edited
            `rules.tsv` is wrong.
    """
    folder = Path(folder)
    content, is_edited = _read_fusion(folder / FUSION_FILE), False
    for file, digest_when_saved in content.pop("files").items():
        if not (folder / file).is_file():
            raise LassError(f"{folder / file}: the file is missing; {AGAIN}")
        if digests_of(folder, [file])[file] == digest_when_saved:
            continue
        if file != RULES_FILE:
            raise LassError(f"{folder / file}: damaged, or that of other evidence; {AGAIN}")
        is_edited = True
        if processes().is_main_process:
            logger.warning("%s was edited: its rules count as they are now, with the weights as fitted", folder / file)
    names = [Vocabulary(kind, *[content[f"{one}_ids"]] * 2) for kind, one in NAMES.items()]
    fusion = content.pop("fusion")
    weights = np.array(fusion.pop("weights_of_groups"), dtype=np.float32)
    evidence = FusedEvidence(
        **content | {"kinds": tuple(content["kinds"])},
        fusion=Fusion(tuple(fusion.pop("features")), tuple(fusion.pop("kinds")), weights, **fusion),
        rules=_read_rules(folder, names, is_edited) if "rules" in content["kinds"] else None,
        vectors=StructuralVectors.load(folder / VECTORS_FILE) if "vectors" in content["kinds"] else None,
    )
    if model is not None:
        check_evidence_is_of(evidence, model, str(folder))
    return evidence


def check_evidence_is_of(evidence: FusedEvidence, model: LassForKGCompletion, name: str) -> None:
    """Checks that evidence of texts is that of a model.

    Args:
        evidence: The evidence.
        model: The model, as it was loaded.
        name: Names the evidence in an error.

    Raises:
        LassError: It is that of another model.
    """
    if _is_of_other_model(evidence.kinds, evidence.model_fingerprint, model):
        raise LassError(
            f"{name}: evidence of another model than this one, which was trained or changed since; {AGAIN}, or rank "
            'by texts alone (evidence "text")'
        )


def remove_stale_evidence(folder: Path, model: LassForKGCompletion) -> None:
    """Removes what is left of earlier evidence, after a model was saved beside it.

    Args:
        folder: The folder of evidence, which need not exist. Files that its `fusion.json` does not name are removed,
            and all, with a warning, if it is of another model. Evidence that cannot be read stays as it is.
        model: The model that was saved.
    """
    try:
        content = _read_fusion(folder / FUSION_FILE)
    except LassError:
        return
    own = {FUSION_FILE, *content["files"]}
    if _is_of_other_model(content["kinds"], content["model_fingerprint"], model):
        logger.warning("%s: removed, because it was evidence of another model than the one that was saved", folder)
        own = set()
    for file in EVIDENCE_FILES:
        if file not in own:
            (folder / file).unlink(missing_ok=True)


def _is_of_other_model(kinds: Collection[str], fingerprint: str | None, model: LassForKGCompletion) -> bool:
    """Returns whether evidence of some kinds has weights for the texts of another model than this one."""
    return not {"text", "neighbors"}.isdisjoint(kinds) and fingerprint != scores_fingerprint(model)


def _read_rules(folder: Path, names: list[Vocabulary], is_edited: bool) -> RuleSet:
    if is_edited:
        return read_rules(folder / RULES_FILE, *names)
    numbers = load_file(folder / RULE_NUMBERS_FILE)
    return RuleSet(*(numbers[one.name] for one in fields(RuleSet)))


def _read_fusion(file: Path) -> dict[str, Any]:
    """Returns the content of `fusion.json`; raises LassError if it is not as it was written."""
    if not file.is_file():
        raise LassError(f"{file.parent}: no evidence there (no {file.name}); {AGAIN}")
    content = read_json(file, "the fusion of evidence, as lass-hf add-evidence writes it")
    if content.pop("format", None) != FORMAT:
        raise LassError(f"{file}: not evidence of format {FORMAT}; {AGAIN}")
    if content.pop("digest", None) != _digest({"format": FORMAT, **content}):
        raise LassError(f"{file}: damaged or edited, which only {RULES_FILE} may be; {AGAIN}")
    del content["version"]
    return content


def evidence_fingerprint(evidence: FusedEvidence) -> str:
    """Returns the fingerprint of everything that scores depend on: names, weights, rules and vectors."""
    plain = _to_plain(evidence)
    names = {name: plain[name] for name in ("kinds", "entity_ids", "relation_ids")}
    weights = {name: plain["fusion"][name] for name in ("features", "weights_of_groups")}
    found = {"rules": evidence.rules, "vectors": evidence.vectors}
    parts = [part for kind, part in found.items() if kind in evidence.kinds and part is not None]
    values = [getattr(part, one.name) for part in parts for one in fields(part)]
    contents = (value if isinstance(value, np.ndarray) else str(value).encode() for value in values)
    return digest([_digest(names | weights).encode(), *contents])


def summarize_evidence(folder: str | Path) -> dict[str, Any]:
    """Returns what a model card has of evidence, without reading rules and vectors.

    Args:
        folder: The folder that `save_evidence` wrote.

    Returns:
        `kinds`, `shares` of the kinds, `fitted_on` with the number of queries, and `files`, the fingerprint of the
        files as they are now.

    Raises:
        LassError: The folder has no evidence, or its `fusion.json` is damaged.
    """
    content = _read_fusion(Path(folder, FUSION_FILE))
    fusion, files = content["fusion"], [file for file in EVIDENCE_FILES if Path(folder, file).is_file()]
    return {
        "kinds": content["kinds"],
        "shares": fusion["shares"],
        "fitted_on": {**content["fitted_on"], "num_queries": fusion["num_fitted"]},
        "files": _digest(digests_of(folder, files)),
    }


def _to_plain(evidence: FusedEvidence) -> dict[str, Any]:
    """Returns the part of evidence that is no rule and no vector, as values that JSON can hold."""
    plain = {one.name: getattr(evidence, one.name) for one in fields(evidence) if one.name not in ("rules", "vectors")}
    fusion = {one.name: getattr(evidence.fusion, one.name) for one in fields(evidence.fusion)}
    return {**plain, "fusion": {**fusion, "weights_of_groups": evidence.fusion.weights_of_groups.tolist()}}


def _digest(content: Mapping[str, Any]) -> str:
    return digest([json.dumps(content, sort_keys=True).encode()])
