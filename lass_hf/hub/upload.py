"""Uploads models to the Hugging Face hub, with their processor, code and card, and no other file of the folder.

`from_pretrained` loads what was uploaded. `graphs/hub.py` uploads graphs.
"""

import json
import logging
import shutil
import tempfile
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import PROCESSOR_NAME

from ..core.configuration_lass import LassConfig
from ..core.errors import HubError, LassError, library_errors
from ..core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import INCLUDE_GRAPH, LassProcessor
from ..core.saved_files import CONFIGS, DIGESTS, check_saved_files, replacing, saved_config
from ..evidence.choosing import find_own_evidence
from ..evidence.evidence_files import EVIDENCE_FILES, EVIDENCE_FOLDER, find_evidence, load_evidence, save_evidence
from ..evidence.fused_evidence import FusedEvidence
from ..utils.hub_client import api, create_repository
from .card_files import CARD_DATA_FILE, CARD_FILE, model_card_data, read_card_data, render_shared_card, write_card

logger = logging.getLogger(__name__)

# The files of the graph that are not uploaded, by `include_graph`.
GRAPH_FILES = {"full": (), "vocabulary": (TRIPLETS_FILE,), "none": (VOCABULARY_FILE, TRIPLETS_FILE)}
WEIGHT_FILES = (
    *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
    *("adapter_config.json", "adapter_model.safetensors"),
)
TOKENIZER = (  # every file that a tokenizer of transformers may save
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"),
    *("vocab.txt", "vocab.json", "merges.txt", "bpe.codes", "dict.txt"),
    *("tokenizer.model", "spiece.model", "spm.model", "sentencepiece.bpe.model"),
)
# Names or patterns of the files that are uploaded, besides the code.
SHARED = (CARD_FILE, *CONFIGS, *WEIGHT_FILES, *TOKENIZER, VOCABULARY_FILE, TRIPLETS_FILE)


def push_to_hub(
    source: str | Path | tuple[LassForKGCompletion, LassProcessor],
    repo_id: str,
    *,
    include_graph: str = "vocabulary",
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload a LASS model",
) -> CommitInfo:
    """Uploads a model with its processor, code and card, in one call.

    The repository is made if it does not exist. The local folder is not changed.

    Args:
        source: the folder of a saved model, or a tuple of model and processor, whose evidence is that in the folder,
            or on the hub, that the model was loaded from.
        repo_id: the model's name on the hub.
        include_graph: how much of the graph to upload: "vocabulary" (names and texts), "full" (the triplets too, and
            evidence beside the model, which tells them) or "none". What an earlier push uploaded and this one leaves
            out is removed from the newest state of the repository; its history keeps it.
        private: whether a new repository is private; None: the default of the account.
        token: the access token; None: that of `hf auth login`, or of HF_TOKEN.
        commit_message: the subject of the commit.

    Returns:
        The commit.

    Raises:
        HubError: `source` is something else, the folder holds no model with its processor, `include_graph` is unknown,
            the hub refuses, or the connection breaks off; another push then completes the upload.
    """
    choices: Any = {"private": private, "token": token, "commit_message": commit_message}
    if not isinstance(source, str | PathLike):
        return push_parts(*_model_and_processor(source), None, repo_id, include_graph=include_graph, **choices)
    list_shared_files(source, include_graph)  # This raises for a bad folder before a repository is made.
    repo_id = create_repository(repo_id, private=private, token=token)
    return upload(source, repo_id, include_graph, token=token, commit_message=commit_message)


def _model_and_processor(source: Any) -> tuple[LassForKGCompletion, LassProcessor]:
    """Returns a tuple as it is; raises HubError for anything else than a model and its processor."""
    kinds = [type(part).__name__ for part in source] if isinstance(source, tuple | list) else []
    if isinstance(source, tuple) and len(source) == 2:
        config = getattr(source[0], "config", None)
        if getattr(config, "model_type", None) == "lass" and hasattr(source[1], "token_store"):
            return source
    given = f"a {type(source).__name__}" + (f" of {', '.join(kinds)}" if kinds else "")
    raise HubError(f"{given} cannot be pushed; expected the folder of a saved model, or (model, processor), a tuple")


def push_parts(
    model: LassForKGCompletion, processor: LassProcessor, evidence: FusedEvidence | None, repo_id: str, **choices: Any
) -> CommitInfo:
    """Uploads a model, its processor and evidence, as `push_to_hub` uploads the folder of a saved model.

    Args:
        model: the model.
        processor: its processor.
        evidence: the evidence; None for that in the folder, or on the hub, that the model was loaded from.
        repo_id: the model's name on the hub.
        **choices: further arguments of `push_to_hub`.

    Returns:
        The commit.

    Raises:
        GraphError: the evidence is that of another graph than the processor's.
        HubError: as in `push_to_hub`.
    """
    with tempfile.TemporaryDirectory() as folder:
        with replacing(folder) as beside:
            model.save_pretrained(beside)
            processor.save_pretrained(beside)
        if evidence is None or processor.graph is None:
            _copy_own_evidence(model, Path(folder, EVIDENCE_FOLDER), repo_id)
        else:
            save_evidence(evidence, Path(folder, EVIDENCE_FOLDER), processor.graph)
        # If the weights are those of the folder that the model was loaded from, its card data hold for this card.
        earlier = read_card_data(model.name_or_path or folder, weights_folder=folder)
        card_data = earlier or {**model_card_data(model, processor), "training": None, "evaluations": []}
        write_card(folder, card_data, processor.graph, earlier.get("metadata"))
        return push_to_hub(folder, repo_id, **choices)


def _copy_own_evidence(model: LassForKGCompletion, folder: Path, repo_id: str) -> None:
    """Copies the evidence of a model into a folder; warns if it is that of another model, or damaged."""
    try:
        if (own := find_own_evidence(model)) is None:
            return
        load_evidence(own, model)
    except LassError as error:
        logger.warning("%s: pushed without evidence: %s", repo_id, error)
        return
    folder.mkdir()
    for file in EVIDENCE_FILES:
        if (own / file).is_file():
            shutil.copyfile(own / file, folder / file)


def upload(folder: str | Path, repo_id: str, include_graph: str, token=None, **kwargs: Any) -> CommitInfo:
    """Uploads the files of a saved model that are shared, as one commit to an existing repository.

    A card without training and evaluation never replaces an existing card, unless the existing one may contain names of
    the graph that this commit removes.

    Args:
        folder: the folder of the saved model.
        repo_id: the model's name on the hub.
        include_graph: as in `push_to_hub`.
        token: as in `push_to_hub`.
        **kwargs: arguments of `HfApi.create_commit` (`revision`, `commit_message`, ...).

    Returns:
        The commit.

    Raises:
        HubError: as in `push_to_hub`.
    """
    files, card = list_shared_files(folder, include_graph), render_shared_card(folder, repo_id, include_graph)
    if include_graph == "vocabulary" and LassConfig.from_pretrained(folder).ranks_by_triplets:
        logger.warning(
            "%s ranks entities by their neighbors or frequencies too, which needs the graph's triplets: without "
            "include_graph='full' it will rank them by their texts alone",
            repo_id,
        )
    if include_graph != "full" and find_evidence(folder):
        logger.warning(
            "%s: its evidence stays here, because rules and vectors tell the graph's triplets, and need them: without "
            "include_graph='full' entities are ranked by their texts alone",
            repo_id,
        )
    paths = {path.relative_to(folder).as_posix(): path for path in files if path.name != CARD_FILE}
    card_data, names = read_card_data(folder), {*paths, *(path.name for path in files)}
    hint = "; the local files are unchanged, and another push uploads them"
    with library_errors(f"{repo_id}: not pushed", hint, HubError):
        existing = api().list_repo_files(repo_id, revision=kwargs.get("revision"), token=token)
        stale = [name for name in existing if name not in names and _is_replaced(name, include_graph)]
        removes_graph = any(Path(name).name in GRAPH_FILES["none"] for name in stale)
        contents: dict[str, Any] = dict(paths)
        contents[PROCESSOR_NAME] = _without_graph_files(folder, include_graph)
        operations: list[Any] = [CommitOperationAdd(*item) for item in contents.items()]
        operations += map(CommitOperationDelete, stale)
        if card is None:
            operations += [CommitOperationAdd(path.name, path) for path in files if path.name == CARD_FILE]
        elif card_data["training"] or card_data["evaluations"] or removes_graph or CARD_FILE not in existing:
            operations.append(CommitOperationAdd(CARD_FILE, card.encode()))
        return api().create_commit(repo_id, operations, token=token, **kwargs)


def _is_replaced(name: str, include_graph: str) -> bool:
    """Checks whether a push removes a file that it does not upload: one of an old model, or of the graph anywhere."""
    if (
        name.startswith(f"{EVIDENCE_FOLDER}/")
        or name in GRAPH_FILES["none"]
        or any(fnmatchcase(name, pattern) for pattern in (*WEIGHT_FILES, *TOKENIZER))
    ):
        return True
    return Path(name).name in GRAPH_FILES[include_graph]


def _without_graph_files(folder: str | Path, include_graph: str) -> bytes:
    """Returns the processor's configuration for the hub, where files of the graph that are not uploaded are absent."""
    config = saved_config(str(folder), PROCESSOR_NAME)
    if config.get(DIGESTS) is not None:
        config[DIGESTS] |= dict.fromkeys(GRAPH_FILES[include_graph])
    return (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()


def upload_checkpoint(
    folder: str | Path, repo_id: str, include_graph: str, path_in_repo: str, revision: str | None = None, **kwargs: Any
) -> CommitInfo:
    """Uploads a checkpoint without its card, so that training can be resumed elsewhere (with the graph's triplets).

    Optimizer and random states are files that torch loads without running code; `training_args.bin`, a pickle, stays.

    Args:
        folder: the folder of the checkpoint.
        repo_id: the model's name on the hub; the repository exists.
        include_graph: as in `push_to_hub`.
        path_in_repo: the folder in the repository.
        revision: the branch; None for the main one.
        **kwargs: arguments of `HfApi.create_commit` (`token`, `commit_message`, ...).

    Returns:
        The commit.

    Raises:
        HubError: the hub refuses, or the connection breaks off.
    """
    left_out = (CARD_FILE, CARD_DATA_FILE, *GRAPH_FILES[include_graph])  # The card may contain names of the graph.
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(Path(folder).rglob("*")) if path.is_file()}
    contents: dict[str, Any] = {**paths, PROCESSOR_NAME: _without_graph_files(folder, include_graph)}
    operations: list[Any] = [
        CommitOperationAdd(f"{path_in_repo}/{name}", content)
        for name, content in contents.items()
        if name not in ("training_args.bin", *left_out)
    ]
    with library_errors(f"{repo_id}: not pushed", kind=HubError):
        existing = api().list_repo_files(repo_id, revision=revision, token=kwargs.get("token"))
        stale = {f"{path_in_repo}/{name}" for name in left_out}.intersection(existing)
        operations += map(CommitOperationDelete, sorted(stale))
        return api().create_commit(repo_id, operations, revision=revision, **kwargs)


def list_shared_files(folder: str | Path, include_graph: str) -> list[Path]:
    """Lists the files of a saved model that `upload` uploads.

    Args:
        folder: the folder of the saved model.
        include_graph: as in `push_to_hub`.

    Returns:
        The paths, sorted.

    Raises:
        HubError: the folder holds no model with its processor, or `include_graph` is unknown.
        ModelError: the files are of different saves.
    """
    if include_graph not in INCLUDE_GRAPH:
        raise HubError(f"include_graph={include_graph!r}; expected one of {', '.join(INCLUDE_GRAPH)}")
    if not all(Path(folder, name).is_file() for name in CONFIGS):
        raise HubError(f"{folder}: no saved model with its processor; expected {' and '.join(CONFIGS)}")
    for name in CONFIGS:
        check_saved_files(str(folder), name, saved_config(str(folder), name).get(DIGESTS))
    patterns = (*SHARED, *_find_code(Path(folder)))
    files = [
        path
        for path in Path(folder).iterdir()
        if path.is_file() and any(map(path.match, patterns)) and path.name not in GRAPH_FILES[include_graph]
    ]
    if include_graph == "full" and Path(folder, TRIPLETS_FILE).is_file():
        files += [path for path in Path(folder, EVIDENCE_FOLDER).glob("*") if path.name in EVIDENCE_FILES]
    return sorted(files)


def _find_code(folder: Path) -> set[str]:
    """Returns the names of the modules in a folder that `auto_map` names, and of those that they import there."""
    classes: list[str] = []
    for name in (*CONFIGS, "tokenizer_config.json"):
        if (folder / name).is_file():
            with library_errors(f"{folder / name}: its auto_map cannot be read", "; save the model again", HubError):
                mapped = json.loads((folder / name).read_bytes()).get("auto_map", {}).values()
                classes += [item for value in mapped for item in ([value] if isinstance(value, str) else value) if item]
    # A name with "--" refers to the code of another repository.
    modules = [folder / f"{name.partition('.')[0]}.py" for name in classes if "--" not in name]
    modules = [module for module in modules if module.is_file()]
    files = [str(file) for module in modules for file in (module, *get_relative_import_files(module))]
    return {Path(file).name for file in files}
