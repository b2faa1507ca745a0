"""Uploads models to the Hugging Face hub: processor, code and card go along, logs, checkpoints and pickles stay here.

`from_pretrained` loads what it sent; `hub_trainer.py` is the Trainer's way to it, `hub_graphs.py` has the graphs.
"""

import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete

from .card_folder import CARD_FILE, FACTS_FILE, model_facts, read_facts, shared_card, write_card
from .errors import HubError
from .hub_client import api, create_repository, hub_errors
from .knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from .modeling import LassForKGCompletion
from .processing import INCLUDE_GRAPH, LassProcessor

SHARED = (CARD_FILE, "*.json", "*.safetensors", "*.py", "*.txt", "*.model", "*.jinja")
UNSHARED = (FACTS_FILE, "training.json", "trainer_state.json", "*_results.json")  # of use, and of interest, here only
GRAPH_FILES = {"full": (), "vocabulary": (TRIPLETS_FILE,), "none": (VOCABULARY_FILE, TRIPLETS_FILE)}  # what stays here
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")


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
    """Uploads what is to be shared of a model's folder as one commit; `kwargs` are those of `HfApi.create_commit`."""
    files, card = shared_files(folder, include_graph), shared_card(folder, repo_id, include_graph)
    operations: list[Any] = [CommitOperationAdd(path.name, path) for path in files]
    if card is not None:
        operations = [operation for operation in operations if operation.path_in_repo != CARD_FILE]
        operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
    sent, replaced = {path.name for path in files}, (*GRAPH_FILES["none"], *WEIGHTS)
    with hub_errors(repo_id, "; what is here is as it was, and another push sends it"):
        there = api().list_repo_files(repo_id, revision=kwargs.get("revision"), token=token)
        stale = [name for name in there if name not in sent and any(fnmatchcase(name, one) for one in replaced)]
        operations += map(CommitOperationDelete, stale)  # of an earlier push
        return api().create_commit(repo_id, operations, token=token, **kwargs)


def upload_checkpoint(folder: str | Path, repo_id: str, include_graph: str, **kwargs: Any) -> CommitInfo:
    """Uploads a checkpoint, to resume from; `kwargs` are those of `HfApi.upload_folder`.

    Optimizer and random states are files that torch reads without running code. To resume elsewhere needs the triplets.
    """
    left_out = ["training_args.bin", FACTS_FILE, *GRAPH_FILES[include_graph]]
    with hub_errors(repo_id):
        return api().upload_folder(repo_id=repo_id, folder_path=folder, ignore_patterns=left_out, **kwargs)


def shared_files(folder: str | Path, include_graph: str) -> list[Path]:
    """The files of a model's folder that are uploaded, sorted.

    Raises HubError for a folder without model and processor, and for an unknown `include_graph`.
    """
    if include_graph not in INCLUDE_GRAPH:
        raise HubError(f"include_graph={include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
    if not all(Path(folder, name).is_file() for name in ("config.json", "processor_config.json")):
        raise HubError(f"{folder}: no saved model with its processor; expected config.json and processor_config.json")
    left_out = (*UNSHARED, *GRAPH_FILES[include_graph])
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.is_file() and any(map(path.match, SHARED)) and not any(map(path.match, left_out))
    )
