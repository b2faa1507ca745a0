"""Output folders: one run writes into a folder at a time, and a list that is there is of one piece of work."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from ..utils.atomic_files import lock_file
from ..utils.checked_files import check_types
from ..utils.distributed import processes
from ..utils.result_files import DECISIONS_FILE, LISTS, RESULTS, TRAINING_FILE, read_results
from .chunk_progress import differences

LOCK_FILE = ".lass-hf.lock"
PROGRESS_FOLDER = ".progress"
OF_MODELS = ("config.json", TRAINING_FILE)  # what tells the folder of a saved model

_held: ContextVar[tuple[Path, ...]] = ContextVar("held", default=())  # the folders that this thread writes into


@contextmanager
def only_writer(folder: str | Path, option: str = "--output") -> Iterator[None]:
    """Keeps other runs out of an output folder, which is made if there is none, and removed if nothing comes into it.

    The first process of a run locks the folder for all of them; it may do so again meanwhile.

    Args:
        folder: The folder.
        option: The option that names it.

    Raises:
        LassError: Another run is writing into the folder, or it cannot be written.
    """
    folder = Path(folder)
    if not processes().is_main_process or folder.absolute() in _held.get():
        yield
        return
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    with ExitStack() as stack:
        stack.callback(_remove_empty, made)  # after the lock and its file are gone
        try:
            folder.mkdir(parents=True, exist_ok=True)
            alone = stack.enter_context(lock_file(folder / LOCK_FILE))
        except OSError as error:
            raise LassError(f"{folder}: cannot be written ({error.strerror}); choose another {option}") from error
        if not alone:
            raise LassError(
                f"{folder}: another run is writing there; wait until it has ended, or choose another {option}"
            )
        stack.callback(_held.reset, _held.set((*_held.get(), folder.absolute())))
        yield


def _remove_empty(folders: list[Path]) -> None:
    """Removes folders, the innermost first, up to the first one that holds anything."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_own(folder: str | Path, work: str, identity: Mapping[str, Any]) -> None:
    """Checks that a folder has nothing of other work.

    No error advises to delete the folder: it may hold what people decided about the list, and a trained model.

    Args:
        folder: The folder.
        work: What the work is called, of `RESULTS`.
        identity: Everything that its list depends on, as JSON values.

    Raises:
        LassError: The folder is that of a saved model, has the results of other work, files of which no results tell
            what they are of, or a list that people have decided about.
    """
    check_foreign(folder, work)
    folder, file = Path(folder), Path(folder, RESULTS[work])
    if file.exists():
        before = read_results(file)
        check_types(file, before, {"identity": dict}, f"the results of the {work}; choose another --output")
        if details := differences(before["identity"], identity):
            raise LassError(f"{folder}: the output of another {work} ({details}); choose another --output")


def check_foreign(folder: str | Path, work: str) -> None:
    """Checks what can be seen before the identity of the work is known, as `check_own` does.

    Args:
        folder: The folder.
        work: What the work is called, of `RESULTS`.

    Raises:
        LassError: The folder is that of a saved model, has the results or a list of another command, a list of which
            no results tell what it is of, or one that people have decided about.
    """
    folder, file = Path(folder), Path(folder, RESULTS[work])
    for name in OF_MODELS:
        if (folder / name).exists():
            raise LassError(
                f"{folder}: has {name} of a trained model, beside which no list is written; choose another --output"
            )
    for other in RESULTS.keys() - {work}:
        for name in (RESULTS[other], *LISTS[other]):
            if (folder / name).exists():
                raise LassError(f"{folder}: has {name}, the output of another command; choose another --output")
    lists = [name for name in LISTS[work] if (folder / name).exists()]
    if (
        lists and not file.exists() and not (folder / PROGRESS_FOLDER).exists()
    ):  # A kill while files were written leaves the progress.
        raise LassError(f"{folder}: has {lists[0]} but no {file.name}; choose another --output")
    # The same work may list other triplets on another machine, and then the decisions would be about none of its list.
    if LISTS[work] and (folder / DECISIONS_FILE).exists():
        advice = ", and give --decisions to leave out what was decided" if work == "completion" else ""
        raise LassError(
            f"{folder}: has {DECISIONS_FILE}, what people decided about the list there, which would be replaced; "
            f"choose another --output{advice}"
        )
