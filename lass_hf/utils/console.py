"""The console of the command line and of the example scripts: errors in one line, quiet, metrics printed once.

It imports no library at import, so that `lass-hf --help` answers at once.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from .atomic_files import is_stream, temporary_file
from .environment import process_rank
from .memory import is_out_of_memory
from .result_files import write_results
from .terminal import one_line, safe_output


def run_program(program: str, work: Callable[[], int | None], debug: bool = False) -> int:
    """Runs a program, and turns an error into one line on standard error.

    A traceback is shown with `debug`, and for an error that no input should cause, a mistake in the program. Of several
    processes only the first that fails prints its error; it ends the others. All output passes through `safe_output`.

    Args:
        program: name to print before an error.
        work: the program; it may return an exit code.
        debug: print the traceback of every error.

    Returns:
        The exit code: 0; 2 after an error that the user can correct; 1 after any other; 130 after an interrupt.
    """
    with safe_output() as out:
        try:
            code = work() or 0
            out.flush()
            if out.failure is not None:
                raise LassError(f"standard output: {out.failure.strerror}; what was to be printed is lost")
            return code
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            message = _message_for_user(error)
            if first_to_fail():
                if debug or message is None:
                    _print_traceback(error)
                what = message or f"{first_line(error)}: a mistake in {program} or in a library; please report it"
                print(f"{program}: error: {one_line(what)}", file=sys.stderr)
            return 1 if message is None else 2


def _message_for_user(error: Exception) -> str | None:
    """Returns the one line for an error that the user can correct; None for a mistake in the program."""
    if isinstance(error, LassError):
        return str(error)
    if is_out_of_memory(error):
        return f"out of memory ({first_line(error)}): use a smaller encoder, or a machine with more memory"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else first_line(error)
    if isinstance(error, RuntimeError) and lost_another(error):
        return f"another process of this run ended, by itself or killed ({first_line(error)})"
    return None


def _print_traceback(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)


def quieten(libraries: bool = True) -> None:
    """Switches warnings of this package off for the whole process.

    Args:
        libraries: also switch progress bars and warnings of transformers off, which imports it.
    """
    logging.getLogger("lass_hf").setLevel(logging.ERROR)
    if libraries:
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()


def check_writable(file: str | Path) -> None:
    """Makes sure before the work that a file can be written after it, and makes its folder.

    Raises:
        LassError: the file, or its folder, cannot be written.
    """
    if str(file) == "-":
        raise LassError("-: no file; /dev/stdout is standard output")
    file = Path(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir() or file.is_socket() or (file.exists() and not os.access(file, os.W_OK)):
            raise PermissionError(errno.EACCES, "a folder, a socket or protected")
        if not is_stream(file):
            trial = temporary_file(Path(os.path.realpath(file)))
            trial.open("xb").close()
            trial.unlink()
    except OSError as error:
        raise LassError(f"{file}: cannot be written ({error.strerror}); choose another file") from error


def report(file: str | Path | None, metrics: dict[str, Any], **more: Any) -> None:
    """Writes metrics with `more` to a results file, and prints them, on the main process only.

    Args:
        file: the results file; None to print only.
        metrics: the figures; nested ones are printed with a heading.
        more: further keys of the results file.
    """
    if process_rank()[0] == 0:
        if file:
            write_results(file, metrics, **more)
        print_metrics(metrics)


def print_metrics(metrics: dict[str, Any], indent: str = "") -> None:
    """Prints one line for each metric, and nested ones with a heading; None is left out."""
    width = max((len(name) for name, value in metrics.items() if not isinstance(value, dict)), default=0)
    for name, value in metrics.items():
        if isinstance(value, dict):
            print(f"{indent}{one_line(name)}:")
            print_metrics(value, indent + "  ")
        elif value is not None:
            shown = f"{value:.4f}" if isinstance(value, float) else one_line(value)
            print(f"{indent}{one_line(name):<{width}}  {shown}")


def print_predictions(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Prints predictions of `LassPredictor.complete`, a line each: rank, score, label and probability, id, text.

    Where evidence counts, the share of each kind follows the score, below a heading, and the best reason has a line.
    """
    ids = [one_line(row["id"]) for row in predictions]
    width = max(map(len, ids), default=0)
    if kinds := list(predictions[0].get("shares", ())) if predictions else []:
        print(f"{'score':>13}" + "".join(f"  {kind:>9}" for kind in kinds))
    for rank, (name, row) in enumerate(zip(ids, predictions, strict=True), start=1):
        shares = "".join(f"{row['shares'][kind]:+9.2f}  " for kind in kinds)
        calibrated = f"{row['label']:>5} {row['probability']:.4f}  " if "label" in row else ""
        known = "  (known)" if row["known"] else ""
        print(f"{rank:>3}  {row['score']:8.3f}  {shares}{calibrated}{name:<{width}}  {_cut(row['text'], 80)}{known}")
        for reason in row.get("reasons", ())[:1]:
            print(f"{'':15}{one_line(reason)}")


def _cut(text: str, width: int) -> str:
    return one_line(text if len(text) <= width else text[: width - 1] + "…")


def first_to_fail() -> bool:
    """Returns whether this process is the first of its run to fail, so that only one prints its error."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    import torch.distributed as dist

    try:  # the launcher's store exists before the processes have found each other, and after they lost touch
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return store.add(f"lass_hf/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT')}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


def lost_another(error: RuntimeError) -> bool:
    """Returns whether an error is that of a collective operation that another process left by ending."""
    if "torch" not in sys.modules:
        return False
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (dist.is_initialized() and "/gloo/" in str(error))
