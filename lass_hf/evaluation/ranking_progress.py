"""A ranking in chunks of work, which processes share, and its progress on disk: a killed evaluation goes on.

Each process appends to a file of its own, `process-N.jsonl` in one folder: a line that says which evaluation this is,
then a line per finished unit. It knows no scores and no models.
"""

import json
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..utils.distributed import processes, sum_over_processes

Unit = tuple[int, int]  # slot, number of the unit among the slot's


class RankingProgress:
    """Finished chunks of one evaluation, kept in `folder`, which all processes must see.

    `identity` names everything that ranks depend on (model, texts, graph, split, ...). Raises LassError when the folder
    holds finished chunks of an evaluation with another identity. A line that a kill cut off is dropped, with what is
    behind it. Nothing is written before the first unit is finished.

    `finished`: for each unit an int64 array of shape (3, triplets of the unit): optimistic ranks, pessimistic ranks,
    numbers of candidates.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]):
        self.folder = Path(folder)
        self._identity = json.loads(json.dumps(identity))
        self.finished: dict[Unit, np.ndarray] = {}
        self._state = processes()
        self._path = self.folder / f"process-{self._state.process_index}.jsonl"
        whole = {file: self._read(file) for file in sorted(self.folder.glob("process-*.jsonl"))}
        self._whole = whole.get(self._path, 0)
        self._size = self._size_on_disk()
        self._file: BufferedWriter | None = None
        self._state.wait_for_everyone()  # all have read the same; from here on files grow

    def _read(self, file: Path) -> int:
        """Takes over the chunks of a file; returns how many of its bytes are whole lines, 0 for one without chunks."""
        size, identity, chunks = 0, None, {}
        with file.open("rb") as lines:
            for line in lines:
                try:
                    content = json.loads(line) if line.endswith(b"\n") else {}
                    if identity is None:
                        identity = dict(content["evaluation"])
                    else:
                        chunks[content["slot"], content["unit"]] = np.array(content["ranks"], dtype=np.int64)
                except (ValueError, KeyError, TypeError):
                    break
                size += len(line)
        if not chunks:
            return 0
        self._check(file, identity or {})
        self.finished |= chunks
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

    def record(self, unit: Unit, ranks: np.ndarray) -> None:
        """Keeps a finished unit: int array of shape (3, triplets)."""
        if self._file is None:
            if self._size_on_disk() != self._size:
                raise LassError(
                    f"{self._path}: another evaluation is writing there; keep this one's progress elsewhere"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._file.truncate(self._whole)
            if not self._whole:
                self._write({"evaluation": self._identity})
        self._write({"slot": unit[0], "unit": unit[1], "ranks": ranks.tolist()})

    def _size_on_disk(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _write(self, content: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()


def rank_chunks(
    rank_chunk: Callable[[int, tqdm], np.ndarray],
    rows_of_chunk: list[np.ndarray],
    sizes: np.ndarray,
    slot: int,
    title: str,
    counted: str,
    quiet: bool = True,
    progress: RankingProgress | None = None,
) -> np.ndarray:
    """Ranks of all chunks, int64 (3, rows): optimistic, pessimistic, candidates. Several processes share the chunks.

    `rank_chunk(unit, bar)` gives those of one unit, int64 (3, its rows), and moves the bar by the unit's size, in
    what is `counted`; chunks that `progress` has are not ranked again.
    """
    state = processes()
    done = {} if progress is None else {unit: ranks for (of, unit), ranks in progress.finished.items() if of == slot}
    found = np.zeros((3, sum(map(len, rows_of_chunk))), dtype=np.int64)
    if state.is_main_process:  # summed over processes below
        for unit, ranks in done.items():
            found[:, rows_of_chunk[unit]] = ranks
    waiting = [unit for unit in range(len(rows_of_chunk)) if unit not in done]
    mine = waiting[state.process_index :: state.num_processes]
    before = int(sizes[list(done)].sum())
    with tqdm(
        total=before + int(sizes[mine].sum()),
        initial=before,
        desc=title,
        unit=f" {counted}",
        unit_scale=True,
        disable=quiet or not state.is_main_process,
        mininterval=0.5,
    ) as bar:
        for unit in mine:
            ranks = rank_chunk(unit, bar)
            found[:, rows_of_chunk[unit]] = ranks
            if progress is not None:
                progress.record((slot, unit), ranks)
    return sum_over_processes(found)


def remove_progress(folder: str | Path) -> None:
    """Removes what evaluations have kept in a folder; other files stay."""
    for file in Path(folder).glob("process-*.jsonl"):
        file.unlink()
    if Path(folder).is_dir() and not any(Path(folder).iterdir()):
        Path(folder).rmdir()
