"""Work in steps, and the arrays that each finished one gave, kept on disk so that a killed run continues."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..utils.atomic_files import open_whole
from .chunk_progress import differences

IDENTITY = "identity"  # the array of a file that has the identity of the work, in bytes of JSON
Arrays = dict[str, np.ndarray]


class StepProgress:
    """Finished steps of some work, a file for each in one folder: `NAME.npz`.

    A file that a kill cut off, or that was damaged, is no finished step: zip files have checksums.

    Args:
        folder: The folder, which is made when the first step is finished. None keeps nothing.
        identity: Everything that the steps depend on, as JSON values.
        work: What the work is called in errors.
    """

    def __init__(self, folder: str | Path | None = None, identity: Mapping[str, Any] | None = None, work: str = "work"):
        self._folder, self._work = None if folder is None else Path(folder), work
        self._identity = json.loads(json.dumps(identity))

    def run(self, name: str, step: Callable[[], Mapping[str, np.ndarray]]) -> Arrays:
        """Returns the arrays of a step: those that an earlier run kept, or those that it gives now.

        Args:
            name: The name of the step, of letters that a file's name may have.
            step: Does the work.

        Raises:
            LassError: The folder has this step of work with another identity.
            OSError: The arrays cannot be written.
        """
        if self._folder is None:
            return dict(step())
        file = self._folder / f"{name}.npz"
        arrays = self._read(file)
        if arrays is None:
            arrays = dict(step())
            self._folder.mkdir(parents=True, exist_ok=True)
            identity = np.frombuffer(json.dumps(self._identity).encode(), np.uint8)
            with open_whole(file) as handle:
                np.savez(handle, **{**arrays, IDENTITY: identity})  # type: ignore[arg-type]
        return arrays

    def _read(self, file: Path) -> Arrays | None:
        """Returns the arrays of a file; None if it is missing or damaged."""
        try:
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            identity = json.loads(arrays.pop(IDENTITY).tobytes())
        except Exception:  # Damage makes zipfile and numpy raise errors of any kind.
            return None
        if identity != self._identity:
            details = differences(identity, self._identity) if isinstance(identity, dict) else "of another kind"
            raise LassError(
                f"{file}: the progress of another {self._work} ({details}); delete {file.parent} to start anew, or "
                f"choose another --output"
            )
        return arrays

    def remove(self) -> None:
        """Removes the finished steps, and what kills left of unfinished ones; a folder that has other files stays."""
        if self._folder is None or not self._folder.is_dir():
            return
        for file in self._folder.glob("*.npz*"):
            file.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()
