"""Work in chunks, which processes share, and its progress on disk, so that a killed run continues.

Each process appends to a file of its own, `process-N.jsonl` in one folder: a line that identifies the work, then a line
for each finished chunk. A line begins with a digest of itself and of the first line, so that a damaged line, or one of
other work, is never taken for a finished chunk.
"""

import json
import re
from collections.abc import Callable, Mapping
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..utils.distributed import processes, sum_over_processes
from ..utils.fingerprints import digest

Chunk = tuple[int, int]  # slot, number of the chunk among those of the slot
IsPossible = Callable[[np.ndarray], bool]
MOST_LETTERS = 100  # of a value in an error
OPTIONS = {"most": "--max", "num_folds": "--folds"}  # that are called otherwise than what they set
# What is said of digests, of which people learn nothing.
CHANGED = {
    "graph": "the graph has changed",
    "graph_texts": "the texts of the graph have changed",
    "candidates": "other entities occur in triplets, true or false",
    "texts": "the texts have changed",
    "model": "the model is another one",
    "retriever": "the retriever is another one",
    "encoder_weights": "the weights of the encoder are others",
    "reranker": "the reranker is another one, or there is none",
    "evidence": "the evidence is another one, or there is none",
    "decisions": "the decisions are other ones, or there are none",
    "labeled_false": "other triplets are labeled false",
}
DIGEST_SIZE = len(digest([])) + 1  # of a line: 32 letters and a space


class ChunkProgress:
    """Finished chunks of some work, kept in a folder.

    A line that a kill cut off, or that was damaged, is dropped, with the lines behind it, whose chunks are then done
    again. Nothing is written before the first chunk is finished.

    Args:
        folder: the folder, which all processes must see.
        identity: everything that results depend on (model, texts, graph, split, ...), as JSON values.
        work: what the work is called in errors.

    Attributes:
        folder: the folder.
        finished: for each chunk an int64 array of shape (v, rows of the chunk): v values of each row.

    Raises:
        LassError: the folder holds finished chunks of work with another identity, or what is no file.
    """

    def __init__(self, folder: str | Path, identity: dict[str, Any], work: str = "evaluation"):
        self.folder, self._work = Path(folder), work
        self._identity = json.loads(json.dumps(identity))
        self._first_line = _to_line(self._identity)
        self.finished: dict[Chunk, np.ndarray] = {}
        self._state = processes()
        self._path = self.folder / f"process-{self._state.process_index}.jsonl"
        whole = {file: self._read(file) for file in sorted(self.folder.glob("process-*.jsonl"))}
        self._whole = whole.get(self._path, 0)
        self._size = self._size_on_disk()
        self._file: BufferedWriter | None = None
        self._state.wait_for_everyone()  # every process has read the same files; from here on they grow

    @property
    def _files(self) -> str:
        """What is deleted to start anew: the folder may have files of others."""
        return str(self.folder / "process-*.jsonl")

    def _read(self, file: Path) -> int:
        """Takes over the chunks of a file and returns the size of its whole lines in bytes, 0 without chunks."""
        if not file.is_file():
            raise LassError(f"{file}: no regular file; expected finished chunks: delete it to start anew")
        size, first, chunks = 0, b"", {}
        with file.open("rb") as lines:
            for line in lines:
                content = line[DIGEST_SIZE:]
                if line != _with_digest(content, first):
                    break
                if first:
                    chunk = json.loads(content)
                    if "values" not in chunk:  # of an earlier version
                        break
                    chunks[chunk["slot"], chunk["chunk"]] = np.array(chunk["values"], dtype=np.int64)
                else:
                    first = content
                size += len(line)
        if not chunks:
            return 0
        self._check(file, json.loads(first))
        self.finished |= chunks
        return size

    def _check(self, file: Path, identity: dict[str, Any]) -> None:
        if details := differences(identity, self._identity):
            raise LassError(
                f"{file}: the progress of another {self._work} ({details}); delete {self._files} to start "
                f"anew, or keep this {self._work}'s progress elsewhere"
            )

    def record(self, chunk: Chunk, values: np.ndarray) -> None:
        """Writes a finished chunk.

        Args:
            chunk: slot and number of the chunk.
            values: int of shape (v, rows of the chunk).

        Raises:
            LassError: another run writes into the same file.
        """
        if self._file is None:
            if self._size_on_disk() != self._size:
                raise LassError(
                    f"{self._path}: another {self._work} is writing there; keep this one's progress elsewhere"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            self._file.truncate(self._whole)
            if not self._whole:
                self._write(self._first_line)
        self._write(_to_line({"slot": chunk[0], "chunk": chunk[1], "values": values.tolist()}), self._first_line)

    def _size_on_disk(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _write(self, content: bytes, first: bytes = b"") -> None:
        assert self._file is not None
        self._file.write(_with_digest(content, first))
        self._file.flush()

    def of_slot(
        self, slot: int, rows_of_chunk: list[np.ndarray], num_values: int, is_possible: IsPossible
    ) -> dict[int, np.ndarray]:
        """Returns the finished chunks of a slot by number, each with the values of its rows.

        Args:
            slot: the slot.
            rows_of_chunk: the rows of each chunk of the work.
            num_values: the number v of values of a row.
            is_possible: returns whether values, int64 of shape (v, rows of the chunk), can be right.

        Raises:
            LassError: a chunk is none of the work, or its values are impossible.
        """
        done = {chunk: values for (of, chunk), values in self.finished.items() if of == slot}
        for chunk, values in done.items():
            has_shape = 0 <= chunk < len(rows_of_chunk) and values.shape == (num_values, len(rows_of_chunk[chunk]))
            if not has_shape or not is_possible(values):
                raise LassError(
                    f"{self.folder}: impossible values of chunk {chunk} of slot {slot}; delete {self._files} to start "
                    "anew"
                )
        return done


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns what differs between the identities of two pieces of work, in words, long values cut; "" for the same.

    What an option of another name sets is called by that option. Of digests it is said that they differ. Texts as a
    model reads them may have names of neighbors, so those of another graph are not said to differ.

    Args:
        before: the identity of the earlier one, JSON values.
        now: that of the later one.
    """
    names = dict.fromkeys([*now, *before])
    different = [name for name in names if now.get(name) != before.get(name)]
    if {"graph", "graph_texts"} & set(different):
        different = [name for name in different if name != "texts"]
    return ", ".join(_in_words(name, before.get(name), now.get(name)) for name in different)


def _in_words(name: str, before: Any, now: Any) -> str:
    find = re.search if name in CHANGED else re.fullmatch  # of a model there are several, with settings
    if any(find("[0-9a-f]{32}", str(value)) for value in (before, now)):
        return CHANGED.get(name, f"{name} has changed")
    return f"{OPTIONS.get(name, name)} was {_cut(before)}, now {_cut(now)}"


def _cut(value: Any) -> str:
    """Returns a value as text of at most `MOST_LETTERS`."""
    text = str(value)
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _to_line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _with_digest(content: bytes, first: bytes) -> bytes:
    """Returns a line of a file: a digest of the content and of the first line's, and the content."""
    return digest([first, content]).encode() + b" " + content


def share_chunks(
    work_on_chunk: Callable[[int, tqdm], np.ndarray],
    rows_of_chunk: list[np.ndarray],
    sizes: np.ndarray,
    slot: int,
    title: str,
    counted: str,
    num_values: int,
    is_possible: IsPossible,
    quiet: bool = True,
    progress: ChunkProgress | None = None,
) -> np.ndarray:
    """Works on all chunks of a slot; several processes share them, and chunks that `progress` holds are left out.

    Args:
        work_on_chunk: called with the number of a chunk and the progress bar, which it advances by the chunk's size;
            returns int64 of shape (v, rows of the chunk).
        rows_of_chunk: the rows of each chunk.
        sizes: size of each chunk, int, in the unit of the progress bar.
        slot: the slot that is asked for.
        title: title of the progress bar.
        counted: unit of the progress bar.
        num_values: the number v of values of a row.
        is_possible: returns whether the values of a finished chunk can be right.
        quiet: show no progress bar.
        progress: finished chunks, and a place for new ones.

    Returns:
        The values of all rows, int64 of shape (v, rows).

    Raises:
        LassError: a finished chunk has impossible values.
    """
    state = processes()
    done = {} if progress is None else progress.of_slot(slot, rows_of_chunk, num_values, is_possible)
    every = np.zeros((num_values, sum(map(len, rows_of_chunk))), dtype=np.int64)
    if state.is_main_process:  # the sum over processes below must count them once
        for chunk, values in done.items():
            every[:, rows_of_chunk[chunk]] = values
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
            values = work_on_chunk(chunk, bar)
            every[:, rows_of_chunk[chunk]] = values
            if progress is not None:
                progress.record((slot, chunk), values)
    return sum_over_processes(every)


def remove_progress(folder: str | Path) -> None:
    """Removes the progress of work from a folder; other files stay, and so does a folder that has any."""
    for file in Path(folder).glob("process-*.jsonl"):
        file.unlink()
    if Path(folder).is_dir() and not any(Path(folder).iterdir()):
        Path(folder).rmdir()
