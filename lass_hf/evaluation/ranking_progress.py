"""A ranking in chunks of work, which processes share, and its progress on disk, so that a killed one continues.

Each process appends to a file of its own, `process-N.jsonl` in one folder: a line that identifies the evaluation, then
a line for each finished chunk. A line begins with a digest of itself and of the evaluation, so that a damaged line, or
one of another evaluation, is never taken for a finished chunk.
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
from ..utils.fingerprints import digest

Chunk = tuple[int, int]  # slot, number of the chunk among those of the slot
DIGEST_SIZE = len(digest([])) + 1  # of a line: 32 letters and a space


class RankingProgress:
    """Finished chunks of one evaluation, kept in a folder.

    A line that a kill cut off, or that was damaged, is dropped, with the lines behind it, whose chunks are then ranked
    again. Nothing is written before the first chunk is finished.

    Args:
        folder: the folder, which all processes must see.
        identity: everything that ranks depend on (model, texts, graph, split, ...), as JSON values.

    Attributes:
        folder: the folder.
        finished: for each chunk an int64 array of shape (3, triplets of the chunk): optimistic ranks, pessimistic
            ranks, numbers of candidates.

    Raises:
        LassError: the folder holds finished chunks of an evaluation with another identity, or what is no file.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any]):
        self.folder = Path(folder)
        self._identity = json.loads(json.dumps(identity))
        self._evaluation = _to_line(self._identity)
        self.finished: dict[Chunk, np.ndarray] = {}
        self._state = processes()
        self._path = self.folder / f"process-{self._state.process_index}.jsonl"
        whole = {file: self._read(file) for file in sorted(self.folder.glob("process-*.jsonl"))}
        self._whole = whole.get(self._path, 0)
        self._size = self._size_on_disk()
        self._file: BufferedWriter | None = None
        self._state.wait_for_everyone()  # every process has read the same files; from here on they grow

    def _read(self, file: Path) -> int:
        """Takes over the chunks of a file and returns the size of its whole lines in bytes, 0 without chunks."""
        if not file.is_file():
            raise LassError(f"{file}: no regular file; expected finished chunks: delete {self.folder} to start anew")
        size, evaluation, chunks = 0, b"", []
        with file.open("rb") as lines:
            for line in lines:
                content = line[DIGEST_SIZE:]
                if line != _with_digest(content, evaluation):
                    break
                if evaluation:
                    chunks.append(json.loads(content))
                else:
                    evaluation = content
                size += len(line)
        if not chunks:
            return 0
        self._check(file, json.loads(evaluation))
        self.finished |= {(one["slot"], one["chunk"]): np.array(one["ranks"], dtype=np.int64) for one in chunks}
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

    def record(self, chunk: Chunk, ranks: np.ndarray) -> None:
        """Writes a finished chunk.

        Args:
            chunk: slot and number of the chunk.
            ranks: optimistic ranks, pessimistic ranks, numbers of candidates, int, shape (3, triplets of the chunk).

        Raises:
            LassError: another evaluation writes into the same file.
        """
        if self._file is None:
            if self._size_on_disk() != self._size:
                raise LassError(
                    f"{self._path}: another evaluation is writing there; keep this one's progress elsewhere"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._file.truncate(self._whole)
            if not self._whole:
                self._write(self._evaluation)
        self._write(_to_line({"slot": chunk[0], "chunk": chunk[1], "ranks": ranks.tolist()}), self._evaluation)

    def _size_on_disk(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _write(self, content: bytes, evaluation: bytes = b"") -> None:
        assert self._file is not None
        self._file.write(_with_digest(content, evaluation))
        self._file.flush()

    def of_slot(self, slot: int, rows_of_chunk: list[np.ndarray]) -> dict[int, np.ndarray]:
        """Returns the finished chunks of a slot by number, each with the ranks of its rows.

        Args:
            slot: the slot.
            rows_of_chunk: the rows of each chunk of the evaluation.

        Raises:
            LassError: a chunk is none of the evaluation, or its ranks are impossible.
        """
        done = {chunk: ranks for (of, chunk), ranks in self.finished.items() if of == slot}
        for chunk, ranks in done.items():
            possible = 0 <= chunk < len(rows_of_chunk) and ranks.shape == (3, len(rows_of_chunk[chunk]))
            if not possible or (np.diff(ranks, axis=0, prepend=1) < 0).any():
                raise LassError(
                    f"{self.folder}: impossible ranks of chunk {chunk} of slot {slot}; delete the folder to start anew"
                )
        return done


def _to_line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _with_digest(content: bytes, evaluation: bytes) -> bytes:
    """Returns a line of a file: a digest of the content and of the evaluation's own line, and the content."""
    return digest([evaluation, content]).encode() + b" " + content


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
    """Ranks all chunks of a slot; several processes share them, and chunks that `progress` holds are left out.

    Args:
        rank_chunk: called with the number of a chunk and the progress bar, which it advances by the chunk's size;
            returns int64 of shape (3, rows of the chunk).
        rows_of_chunk: the rows of each chunk.
        sizes: size of each chunk, int, in the unit of the progress bar.
        slot: the slot that is asked for.
        title: title of the progress bar.
        counted: unit of the progress bar.
        quiet: show no progress bar.
        progress: finished chunks, and a place for new ones.

    Returns:
        Optimistic ranks, pessimistic ranks and numbers of candidates, int64, shape (3, rows).

    Raises:
        LassError: a finished chunk has impossible ranks.
    """
    state = processes()
    done = {} if progress is None else progress.of_slot(slot, rows_of_chunk)
    every = np.zeros((3, sum(map(len, rows_of_chunk))), dtype=np.int64)
    if state.is_main_process:  # the sum over processes below must count them once
        for chunk, ranks in done.items():
            every[:, rows_of_chunk[chunk]] = ranks
    waiting = [chunk for chunk in range(len(rows_of_chunk)) if chunk not in done]
    local = waiting[state.process_index :: state.num_processes]
    before = int(sizes[list(done)].sum())
    with tqdm(
        total=before + int(sizes[local].sum()),
        initial=before,
        desc=title,
        unit=f" {counted}",
        unit_scale=True,
        disable=quiet or not state.is_main_process,
        mininterval=0.5,
    ) as bar:
        for chunk in local:
            ranks = rank_chunk(chunk, bar)
            every[:, rows_of_chunk[chunk]] = ranks
            if progress is not None:
                progress.record((slot, chunk), ranks)
    return sum_over_processes(every)


def remove_progress(folder: str | Path) -> None:
    """Removes the progress of evaluations from a folder; other files stay, and so does a folder that has any."""
    for file in Path(folder).glob("process-*.jsonl"):
        file.unlink()
    if Path(folder).is_dir() and not any(Path(folder).iterdir()):
        Path(folder).rmdir()
