"""Scripts of the repository, run in this process."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lass_hf.utils.console import run_program

ROOT = Path(__file__).parents[2]


def run_file(file: Path, *argv, program=None) -> int:
    """Calls `main` of a script with these arguments; gives its exit code."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patches:
        patches.syspath_prepend(file.parent)
        patches.setattr(sys, "argv", [str(file), *map(str, argv)])
        patches.setitem(sys.modules, module.__name__, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
        return run_program(program or file.name, module.main)


def run_example(name: str, *argv) -> int:
    """Runs examples/run_NAME.py."""
    return run_file(ROOT / "examples" / f"run_{name}.py", *argv)


def train_example(name: str, graph, *argv, encoder, output_dir, recipe=()) -> int:
    """The same, with a training of two steps."""
    short = ["--max_steps", 2, "--per_device_train_batch_size", 4, "--save_strategy", "no", "--report_to", "none"]
    given = ["--graph", graph, "--encoder", encoder, "--output_dir", output_dir]
    return run_example(name, *recipe, *given, *short, "--quiet", *argv)
