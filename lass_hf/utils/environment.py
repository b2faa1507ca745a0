"""The environment of a run: its command line, library versions, hardware, commit, and number of processes.

A measured figure depends on these besides the code's arguments. Nothing is probed at import; a run probes once, with
`environment()`. No figure of a run imports torch: a program that has not imported it measures nothing that depends on
it.
"""

import os
import platform
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

LIBRARIES = ("lass-hf", "torch", "transformers", "accelerate", "datasets")
TOKEN = "--hub[_-]token"


@cache
def environment() -> dict[str, Any]:
    """Returns `versions`, `machine` and `git_commit` as they are at the first call, which belongs at a run's start."""
    return {"versions": versions(), "machine": machine(), "git_commit": git_commit()}


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this package and of the installed libraries that its numbers depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Returns the hardware that a figure is measured on; without torch only the processor and its cores."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"cpu": platform.processor(), "cores": os.cpu_count()}
    return {
        "cpu": torch.cpu.get_capabilities().get("cpu_name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_bfloat16": multiplies_bfloat16("cpu"),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def multiplies_bfloat16(device_type: str) -> bool:
    """Returns whether devices of a type multiply bfloat16 natively; emulated bfloat16 is slow."""
    import torch

    if device_type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return device_type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def git_commit() -> str | None:
    """Returns the commit that this package runs from; None outside of git.

    A "+" behind the commit means that files of the package or of the examples are new or changed.
    """
    folder = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        # This fails where the package is installed inside of another project's repository.
        git("ls-files", "--error-unmatch", str(Path(__file__).relative_to(folder)))
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if git("status", "--porcelain", ".", "../examples") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def command_line() -> str:
    """Returns the running command line as a shell reads it, to be shown beside its results; a token is left out."""
    program = sys.argv[0]
    rest = [
        "..." if re.fullmatch(TOKEN, before) else re.sub(f"^({TOKEN}=).*", r"\1...", word, flags=re.DOTALL)
        for before, word in pairwise(sys.argv)
    ]
    count = int(os.environ.get("WORLD_SIZE", "1"))
    launcher, ends = (f"torchrun --nproc_per_node {count}", ["--"]) if count > 1 else ("python", [])
    if Path(program).suffix == ".py":  # torchrun takes options such as --max for its own, unless its end is marked.
        words = ["-m", "lass_hf.cli", *ends] if Path(program).name == "__main__.py" else [os.path.relpath(program)]
        return f"{launcher} {shlex.join([*words, *rest])}"
    return shlex.join([Path(program).name, *rest])


def process_rank() -> tuple[int, int]:
    """Returns the rank of this process and the number of processes that share the work.

    Without torch no work is shared: each process of a launcher does all of it, and the first one reports.
    """
    if "torch" not in sys.modules:
        return int(os.environ.get("RANK", "0")), 1
    from .distributed import place

    return place()
