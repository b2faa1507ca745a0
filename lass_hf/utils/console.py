"""What the command line and the example scripts share: errors in one line, quiet, metrics printed and written once."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist
from transformers.utils import logging as transformers_logging

from ..core.errors import LassError, first_line
from .distributed import processes
from .result_files import write_results


def run_program(program: str, work: Callable[[], None]) -> int:
    """Runs a program; its exit code: 0, or 2 after one line on standard error for what the user can mend.

    Of several processes the first that fails says so; it ends the others.
    """
    try:
        work()
        return 0
    except LassError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else first_line(error)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:
        if not lost_another(error):
            raise
        message = f"another process of this run ended, by itself or killed ({first_line(error)})"
    if first_to_fail():
        print(f"{program}: error: {message}", file=sys.stderr)
    return 2


def quieten() -> None:
    """No progress bars of libraries, errors only; for the whole process."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("lass_hf").setLevel(logging.ERROR)


def check_writable(file: str | Path) -> None:
    """Fails before the work, not after it, when `file` cannot be written."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise LassError(f"{file}: cannot be written; choose another file")


def report(file: str | None, metrics: dict[str, Any], **more: Any) -> None:
    """Prints metrics (nested ones with a heading) and writes them to `file` when given, on the main process only."""
    if processes().is_main_process:
        print_metrics(metrics)
        if file:
            write_results(file, metrics, **more)


def print_metrics(metrics: dict[str, Any], indent: str = "") -> None:
    """One line per metric, nested ones with a heading."""
    width = max((len(name) for name, value in metrics.items() if not isinstance(value, dict)), default=0)
    for name, value in metrics.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            print_metrics(value, indent + "  ")
        elif value is not None:
            print(f"{indent}{name:<{width}}  {f'{value:.4f}' if isinstance(value, float) else value}")


def print_predictions(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Prints predictions of `LassPredictor.complete`, a line each: rank, score, label and probability, id, text."""
    width = max((len(row["id"]) for row in predictions), default=0)
    for rank, row in enumerate(predictions, start=1):
        text = row["text"] if len(row["text"]) <= 80 else row["text"][:79] + "…"
        calibrated = f"{row['label']:>5} {row['probability']:.4f}  " if "label" in row else ""
        known = "  (known)" if row["known"] else ""
        print(f"{rank:>3}  {row['score']:8.3f}  {calibrated}{row['id']:<{width}}  {text}{known}")


def first_to_fail() -> bool:
    """Whether no other process has asked before: then this one says what went wrong, and the others need not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    try:  # the launcher's store, which is there before the processes have found each other, and after they lost touch
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return store.add(f"lass_hf/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT')}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


def lost_another(error: RuntimeError) -> bool:
    """Whether an error is that of a collective that another process has left by ending."""
    return isinstance(error, dist.DistError) or (dist.is_initialized() and "/gloo/" in str(error))
