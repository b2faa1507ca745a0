"""A ranking's progress on disk: finished units of work, so that a killed evaluation goes on where it stopped.

Each process appends to a file of its own, `process-N.jsonl` in one folder: a line that says which evaluation this is,
then a line per finished unit. It knows no scores and no models.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState

from .errors import LassError

Unit = tuple[int, int]  # slot, number of the unit among the slot's


class RankingProgress:
    """Finished units of one evaluation, kept in `folder`, which all processes must see.

    `identity` names everything that ranks depend on (model, texts, graph, split, ...). Raises LassError when the folder
    holds the progress of an evaluation with another identity. A line that a kill cut off is dropped, with what is
    behind it.

    `finished`: for each unit an int64 array of shape (3, triplets of the unit).
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._identity = json.loads(json.dumps(identity))
        self.finished: dict[Unit, np.ndarray] = {}
        state = PartialState()
        own = self.folder / f"process-{state.process_index}.jsonl"
        whole = {file: self._read(file) for file in sorted({*self.folder.glob("process-*.jsonl"), own})}
        state.wait_for_everyone()  # all have read the same; from here on files grow
        self._file = own.open("ab", buffering=0)
        self._file.truncate(whole[own])
        if not whole[own]:
            self._write({"evaluation": self._identity})

    def _read(self, file: Path) -> int:
        """Takes over the units of a file; returns how many of its bytes are whole lines."""
        size = 0
        if not file.exists():
            return size
        with file.open("rb") as lines:
            for line in lines:
                try:
                    content = json.loads(line) if line.endswith(b"\n") else {}
                    if not size:
                        self._check(file, content["evaluation"])
                    else:
                        self.finished[content["slot"], content["unit"]] = np.array(content["ranks"], dtype=np.int64)
                except (ValueError, KeyError, TypeError):
                    break
                size += len(line)
        return size

    def _check(self, file: Path, identity: dict[str, Any]) -> None:
        names = dict.fromkeys([*self._identity, *identity])
        different = [name for name in names if self._identity.get(name) != identity.get(name)]
        if different:
            details = ", ".join(
                f"{name} was {identity.get(name)}, now {self._identity.get(name)}" for name in different
            )
            raise LassError(
                f"{file}: the progress of another evaluation ({details}); delete {self.folder} to start anew, or keep "
                "this evaluation's progress elsewhere"
            )

    def _write(self, content: dict[str, Any]) -> None:
        self._file.write(json.dumps(content).encode() + b"\n")  # one write, so that lines are whole or cut at the end

    def record(self, unit: Unit, ranks: np.ndarray) -> None:
        """Keeps a finished unit: int array of shape (3, triplets)."""
        self._write({"slot": unit[0], "unit": unit[1], "ranks": ranks.tolist()})

    def finish(self) -> None:
        """Removes the files; the evaluation has ended."""
        self._file.close()
        state = PartialState()
        state.wait_for_everyone()
        if state.is_main_process:
            for file in self.folder.glob("process-*.jsonl"):
                file.unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()
