"""The output folder of a completion: that of one run alone, with its progress, and in the end the list."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import LassError
from ..scoring.chunk_progress import differences, remove_progress
from ..utils.atomic_files import lock_file, write_whole
from ..utils.checked_files import check_types
from ..utils.distributed import processes
from ..utils.result_files import read_results, write_results
from ..writers.judged_triplets import FileMetadata
from ..writers.writing import write_judged_triplets

if TYPE_CHECKING:
    import pyarrow as pa

SUGGESTIONS, IMPLIED, RESULTS, REPORT = "suggestions.tsv", "implied.tsv", "completion.json", "report.html"
PROGRESS_FOLDER = ".progress"


@contextmanager
def only_completion(folder: str | Path, identity: Mapping[str, Any]) -> Iterator[None]:
    """Keeps other completions out of an output folder, which is made if there is none.

    The first process of a run locks the folder for all of them.

    Args:
        folder: The folder.
        identity: Everything that the list depends on, as JSON values.

    Raises:
        LassError: Another completion is writing into the folder or has written into it, or it cannot be written.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        if processes().is_main_process:
            stack.enter_context(only_writer(folder, "completion"))
            _check(folder, json.loads(json.dumps(identity)))
        yield


@contextmanager
def only_writer(folder: Path, work: str) -> Iterator[None]:
    """Makes an output folder if there is none, and keeps other runs out of it for as long as this one works.

    Args:
        folder: The folder.
        work: What the work is called.

    Raises:
        LassError: Another run is writing into the folder, or it cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            alone = stack.enter_context(lock_file(folder / f".{work}.lock"))
        except OSError as error:
            raise LassError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
        if not alone:
            raise LassError(
                f"{folder}: another {work} is writing there; wait until it ends, or choose another --output"
            )
        yield


def _check(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raises LassError if a folder has the list of another completion."""
    if (folder / RESULTS).exists():
        before = read_results(folder / RESULTS)
        check_types(folder / RESULTS, before, {"identity": dict}, f"the results of a completion; delete {folder}")
        if details := differences(before["identity"], identity):
            raise LassError(
                f"{folder}: the output of another completion ({details}); choose another --output, or delete that one"
            )
        return
    missing = [name for name in (SUGGESTIONS, IMPLIED) if (folder / name).exists()]
    if missing and not (folder / PROGRESS_FOLDER).exists():  # a kill while files were written leaves the progress
        raise LassError(f"{folder}: has {missing[0]} but no {RESULTS}; choose another --output, or delete that one")


def write_completion(
    folder: str | Path,
    listed: "pa.Table",
    implied: "pa.Table",
    report: str,
    metadata: FileMetadata,
    content: Mapping[str, Any],
) -> None:
    """Writes the files of a completion, each whole or not at all, and removes the progress after the last one.

    Args:
        folder: The output folder.
        listed: The list, as judged triplets.
        implied: What the facts imply or have reversed, as judged triplets.
        report: The page.
        metadata: What the rows depend on.
        content: What `completion.json` has beside the environment.

    Raises:
        OSError: A file cannot be written.
    """
    folder = Path(folder)
    write_judged_triplets(listed, folder / SUGGESTIONS, metadata)
    write_judged_triplets(implied, folder / IMPLIED, metadata)
    write_whole(folder / REPORT, report)
    write_results(folder / RESULTS, **content)
    remove_progress(folder / PROGRESS_FOLDER)
