"""Changes to the configuration of a saved model, for values that are fitted or chosen after its training."""

import json
import os
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

from .atomic_files import locked, write_whole
from .checked_files import read_json


def keep_in_config(folder: str | Path, **values: Any) -> None:
    """Writes values into the configuration of a saved model; does nothing where the folder cannot be written.

    Args:
        folder: folder of the model.
        values: configuration fields and their new values, as JSON holds them.
    """
    if not os.access(folder, os.W_OK):
        return
    file = Path(folder, CONFIG_NAME)
    with locked(folder):
        changed = read_json(file, "a model's configuration") | values
        write_whole(file, json.dumps(changed, indent=2, sort_keys=True) + "\n")
