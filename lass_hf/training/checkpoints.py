"""Which folder a training goes on from. It reads no weights."""

import json
from pathlib import Path

from transformers.trainer import OPTIMIZER_NAME, TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..core.errors import LassError


def find_checkpoint(name: str, output_dir: str | Path) -> str | None:
    """The folder of the checkpoint `name`; "last" is the newest whole one in `output_dir`, None when there is none.

    A checkpoint is whole when its last file is: a kill in mid-write leaves one that is not. Raises LassError for a
    folder that holds no whole checkpoint.
    """
    if name == "last":
        steps = [folder.name.rpartition("-")[2] for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")]
        newest_first = sorted(map(int, filter(str.isdecimal, steps)), reverse=True)
        folders = [Path(output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}") for step in newest_first]
        return next((str(folder) for folder in folders if not _lacks(folder)), None)
    if missing := _lacks(Path(name)):
        raise LassError(f"{name}: no checkpoint of a training to resume from (no whole {missing} in it)")
    return name


def _lacks(checkpoint: Path) -> str | None:
    """The file without which a checkpoint is not whole; the Trainer writes its state last."""
    for name in (CONFIG_NAME, SAFE_WEIGHTS_NAME, OPTIMIZER_NAME):
        if not (checkpoint / name).is_file():
            return name
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return TRAINER_STATE_NAME
    return None if isinstance(state, dict) and "global_step" in state else TRAINER_STATE_NAME
