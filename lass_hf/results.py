"""One JSON per run, with what it depended on: versions, machine, commit. It measures and renders nothing."""

import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from .errors import LassError, first_line
from .processes import processes
from .whole_files import write_whole

FORMAT = 2
STARTED = time.perf_counter()  # near enough to the start of the program
LIBRARIES = ("lass-hf", "torch", "transformers", "accelerate", "datasets")


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
        "git_commit": COMMIT,
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


def versions() -> dict[str, str]:
    """Of Python, this package and the libraries that its numbers depend on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The hardware that a figure was measured on."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "cpu": capabilities.get("cpu_name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_bfloat16": bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def git_commit() -> str | None:
    """The commit that this package runs from, "+" behind it when its files, or the examples', differ or are new.

    None outside of git.
    """
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # else it is installed inside of another repository
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", ".", "../examples") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


COMMIT = git_commit()  # of the code that is loaded; the checkout may move on while it runs
