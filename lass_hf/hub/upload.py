"""Uploads models to the Hugging Face hub: by name: processor, code and card go along, all else stays here.

`from_pretrained` loads what it sent; `hub_trainer.py` is the Trainer's way to it, `hub_graphs.py` has the graphs.
"""

import json
import logging
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete
from transformers.dynamic_module_utils import get_relative_import_files

from ..core.configuration_lass import LassConfig
from ..core.errors import HubError
from ..core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import INCLUDE_GRAPH, LassProcessor
from ..utils.hub_client import api, create_repository, hub_errors
from .card_files import CARD_FILE, FACTS_FILE, model_facts, read_facts, shared_card, write_card

logger = logging.getLogger(__name__)

GRAPH_FILES = {"full": (), "vocabulary": (TRIPLETS_FILE,), "none": (VOCABULARY_FILE, TRIPLETS_FILE)}  # what stays here
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
CONFIGS = ("config.json", "processor_config.json")
TOKENIZER = (  # the files that tokenizers of transformers are made of
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt", "bpe.codes", "dict.txt"),
    *("tokenizer.model", "spiece.model", "spm.model", "sentencepiece.bpe.model"),
)
SHARED = (CARD_FILE, *CONFIGS, *WEIGHTS, *TOKENIZER, VOCABULARY_FILE, TRIPLETS_FILE)  # and the code


def push_to_hub(
    source: str | Path | tuple[LassForKGCompletion, LassProcessor],
    repo_id: str,
    *,
    include_graph: str = "vocabulary",
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload a LASS model",
) -> CommitInfo:
    """Uploads a model with its processor, code and card, in one call; makes the repository if there is none.

    `source`: the folder of a saved model, or (model, processor). `include_graph`: "vocabulary" for the graph's names
    and texts, "full" for its triplets too, "none" for neither; what an earlier push sent and this one leaves out is
    removed from the repository's newest state (its history keeps it). The folder stays as it is. `token`: by default
    that of `hf auth login`, or of HF_TOKEN. Raises HubError when the hub refuses or the connection breaks off; to push
    again completes it.
    """
    if isinstance(source, tuple):
        model, processor = source
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            processor.save_pretrained(folder)
            # What is known of the model that it was loaded from, if these are still its weights.
            known = read_facts(model.name_or_path or folder, weights_in=folder)
            facts = known or {**model_facts(model, processor), "training": None, "evaluations": []}
            write_card(folder, facts, processor.graph, known.get("metadata"))
            choices: Any = {"private": private, "token": token, "commit_message": commit_message}
            return push_to_hub(folder, repo_id, include_graph=include_graph, **choices)
    shared_files(source, include_graph)  # before a repository is made
    repo_id = create_repository(repo_id, private=private, token=token)
    return upload(source, repo_id, include_graph, token=token, commit_message=commit_message)


def upload(folder: str | Path, repo_id: str, include_graph: str, token=None, **kwargs: Any) -> CommitInfo:
    """Uploads what is to be shared of a model's folder as one commit; `kwargs` are those of `HfApi.create_commit`.

    A card that says nothing of training and evaluation takes no other's place, unless that may quote what goes.
    """
    files, card = shared_files(folder, include_graph), shared_card(folder, repo_id, include_graph)
    if include_graph == "vocabulary" and LassConfig.from_pretrained(folder).ranks_by_triplets:
        logger.warning(
            "%s ranks entities by their neighbors or frequencies too, which the graph's triplets tell: without "
            "include_graph='full' it will rank them by their texts alone",
            repo_id,
        )
    facts, sent = read_facts(folder), {path.name for path in files}
    with hub_errors(f"{repo_id}: not pushed", "; what is here is as it was, and another push sends it"):
        there = api().list_repo_files(repo_id, revision=kwargs.get("revision"), token=token)
        stale = [name for name in there if name not in sent and _replaced(name, include_graph)]  # of an earlier push
        quoted = any(Path(name).name in GRAPH_FILES["none"] for name in stale)
        operations: list[Any] = [CommitOperationAdd(path.name, path) for path in files if path.name != CARD_FILE]
        operations += map(CommitOperationDelete, stale)
        if card is None:
            operations += [CommitOperationAdd(path.name, path) for path in files if path.name == CARD_FILE]
        elif facts["training"] or facts["evaluations"] or quoted or CARD_FILE not in there:
            operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
        return api().create_commit(repo_id, operations, token=token, **kwargs)


def _replaced(name: str, include_graph: str) -> bool:
    """Does a file that this push does not send go: old weights, and what it leaves out of the graph, anywhere?"""
    if name in GRAPH_FILES["none"] or any(fnmatchcase(name, one) for one in WEIGHTS):
        return True
    return Path(name).name in GRAPH_FILES[include_graph]


def upload_checkpoint(folder: str | Path, repo_id: str, include_graph: str, **kwargs: Any) -> CommitInfo:
    """Uploads a checkpoint, to resume from, without its card; `kwargs` are those of `HfApi.upload_folder`.

    Optimizer and random states are files that torch reads without running code. To resume elsewhere needs the triplets.
    """
    left_out = [CARD_FILE, FACTS_FILE, *GRAPH_FILES[include_graph]]  # the card may quote the graph
    choices: Any = {"ignore_patterns": ["training_args.bin", *left_out], "delete_patterns": left_out}
    with hub_errors(f"{repo_id}: not pushed"):
        return api().upload_folder(repo_id=repo_id, folder_path=folder, **choices, **kwargs)


def shared_files(folder: str | Path, include_graph: str) -> list[Path]:
    """The files of a model's folder that are uploaded, sorted.

    Raises HubError for a folder without model and processor, and for an unknown `include_graph`.
    """
    if include_graph not in INCLUDE_GRAPH:
        raise HubError(f"include_graph={include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
    if not all(Path(folder, name).is_file() for name in ("config.json", "processor_config.json")):
        raise HubError(f"{folder}: no saved model with its processor; expected config.json and processor_config.json")
    names = (*SHARED, *_code(Path(folder)))
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.is_file() and any(map(path.match, names)) and path.name not in GRAPH_FILES[include_graph]
    )


def _code(folder: Path) -> set[str]:
    """The modules that a save wrote: those that `auto_map` names, and what they import of each other."""
    classes: list[str] = []
    for name in (*CONFIGS, "tokenizer_config.json"):
        if (folder / name).is_file():
            try:
                mapped = json.loads((folder / name).read_bytes()).get("auto_map", {}).values()
            except (ValueError, AttributeError):
                raise HubError(f"{folder / name}: no JSON object; save the model again") from None
            classes += [one for value in mapped for one in ([value] if isinstance(value, str) else value) if one]
    modules = [folder / f"{name.partition('.')[0]}.py" for name in classes if "--" not in name]  # not another's code
    modules = [module for module in modules if module.is_file()]
    files = [str(file) for module in modules for file in (module, *get_relative_import_files(module))]
    return {Path(file).name for file in files}
