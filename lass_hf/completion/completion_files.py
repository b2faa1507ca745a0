"""The output folder of a completion: that of one run alone, with its progress, and in the end the list."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..scoring.chunk_progress import remove_progress
from ..scoring.output_folders import PROGRESS_FOLDER, check_own, only_writer
from ..utils.atomic_files import write_whole
from ..utils.distributed import processes
from ..utils.result_files import LISTS, REPORT_FILE, RESULTS, write_results
from ..writers.judged_triplets import FileMetadata
from ..writers.writing import write_judged_triplets

if TYPE_CHECKING:
    import pyarrow as pa

SUGGESTIONS, IMPLIED = LISTS["completion"]


@contextmanager
def only_completion(folder: str | Path, identity: Mapping[str, Any]) -> Iterator[None]:
    """Keeps other completions out of an output folder, which is made if there is none.

    The first process of a run locks the folder for all of them.

    Args:
        folder: The folder.
        identity: Everything that the list depends on, as JSON values.

    Raises:
        LassError: Another run is writing into the folder or has written into it, or it cannot be written.
    """
    with only_writer(folder):
        if processes().is_main_process:
            check_own(folder, "completion", json.loads(json.dumps(identity)))
        yield


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
    write_whole(folder / REPORT_FILE, report)
    write_results(folder / RESULTS["completion"], **content)
    remove_progress(folder / PROGRESS_FOLDER)
