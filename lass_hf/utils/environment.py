"""What a measured figure depends on besides the code's arguments: library versions, hardware, commit."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("lass-hf", "torch", "transformers", "accelerate", "datasets")


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


@cache
def git_commit() -> str | None:
    """The commit that this package runs from, "+" behind it when its files, or the examples', differ or are new.

    None outside of git.
    """
    folder = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", str(Path(__file__).relative_to(folder))
        )  # else it is installed inside of another repository
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", ".", "../examples") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
