"""Results files: one JSON file for each run, with the environment that its figures depend on."""

import json
import time
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from .atomic_files import write_whole
from .environment import environment, process_rank

FORMAT = 2
TRAINING_FILE = "training.json"  # the results file of a training, in the model's folder
STARTED = time.perf_counter()  # near enough to the start of the program


def write_results(file: str | Path, metrics: dict[str, Any], **more: Any) -> None:
    """Writes the results of a run as one JSON file, whole or not at all.

    Args:
        file: the file to write, or to replace.
        metrics: the figures that were measured.
        more: further keys, such as `task`, `split` and `command`. `seconds` is the time since the program started,
            unless it is given here.
    """
    content = {
        "format": FORMAT,
        "metrics": metrics,
        "num_processes": process_rank()[1],
        **environment(),
        "seconds": round(time.perf_counter() - STARTED, 1),
        **more,
    }
    write_whole(file, json.dumps(content, indent=1) + "\n")


def read_results(file: str | Path) -> dict[str, Any]:
    """Reads a file that `write_results` wrote.

    Raises:
        LassError: the file is missing, or no results file, or one of another format.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LassError(f"{file}: not a results file ({first_line(error)})") from error
    if not isinstance(content, dict) or "metrics" not in content:
        raise LassError(f"{file}: not a results file; expected what --json of a lass-hf command writes")
    if content.get("format") != FORMAT:
        raise LassError(
            f"{file}: results of format {content.get('format')}, expected {FORMAT}: run the command that made it again"
        )
    return content


def read_training(model: str | Path) -> dict[str, Any] | None:
    """Reads the metadata of the training that made a saved model.

    Args:
        model: folder of the model.

    Returns:
        Graph, fingerprints, recipe, choices, command, metrics and environment of the training; None for a folder
        without a training that ended, and for a model of the hub.
    """
    file = Path(model, TRAINING_FILE)
    if not file.is_file():
        return None
    content = read_results(file)
    left_out = ("format", "task", "log", "seconds")
    return {name: value for name, value in content.items() if name not in left_out} if content["metrics"] else None
