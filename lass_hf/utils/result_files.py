"""One JSON per run, with what it depended on: versions, machine, commit. It measures and renders nothing."""

import json
import time
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from .atomic_files import write_whole
from .distributed import processes
from .environment import git_commit, machine, versions

FORMAT = 2
STARTED = time.perf_counter()  # near enough to the start of the program


def write_results(file: str | Path, metrics: dict[str, Any], **more: Any) -> None:
    """Writes metrics and `more` (task, recipe, seed, ...) as one JSON file: whole, or not at all.

    `seconds` is the time since the program started, unless `more` has that of the work itself.
    """
    content = {
        "format": FORMAT,
        "metrics": metrics,
        "num_processes": processes().num_processes,
        "versions": versions(),
        "machine": machine(),
        "git_commit": git_commit(),
        "seconds": round(time.perf_counter() - STARTED, 1),
        **more,
    }
    write_whole(file, json.dumps(content, indent=1) + "\n")


def read_results(file: str | Path) -> dict[str, Any]:
    """Reads what `write_results` wrote; raises LassError for any other file, one of another format too."""
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
