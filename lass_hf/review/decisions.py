"""Decisions as lines of an append-only file, which several processes may share and a kill does not harm.

A decision counts as soon as its line is whole. Whoever appends holds a lock, and first mends what a kill left: a last
line that was cut off was never confirmed to anybody, and is dropped.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from ..utils.atomic_files import locked

logger = logging.getLogger(__name__)
DECISIONS_FILE = "decisions.jsonl"
DECISIONS = ("accept", "reject", "unsure", "undo")
MAX_REVIEWER = 80  # letters of a name
READ_BYTES = 2**16  # at once, to find where the last line begins


@dataclass(frozen=True)
class Decision:
    """What a person decided about a triplet.

    Attributes:
        head: The id of the head.
        relation: The id of the relation.
        tail: The id of the tail.
        decision: One of `DECISIONS`; "undo" takes back what the same person decided about the triplet.
        reviewer: The person's name.
        time: When, in ISO 8601.
        settles: Whether the person saw that others contradict each other, so that this decision counts alone.
    """

    head: str
    relation: str
    tail: str
    decision: str
    reviewer: str
    time: str
    settles: bool = False

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise LassError(f"decision {self.decision!r:.60}; expected one of {', '.join(DECISIONS)}")
        if not 0 < len(self.reviewer) <= MAX_REVIEWER or not self.reviewer.isprintable() or self.reviewer.isspace():
            raise LassError(f"reviewer {self.reviewer!r:.60}; expected a name of 1 to {MAX_REVIEWER} letters")

    @property
    def triplet(self) -> tuple[str, str, str]:
        """Head, relation and tail."""
        return self.head, self.relation, self.tail


class DecisionsFile:
    """The decisions of a folder.

    Args:
        folder: The folder, in which the file is or will be.

    Attributes:
        path: The file.
        line: The number of the last line that was read, from 1.
    """

    def __init__(self, folder: str | Path):
        self.path, self.line = Path(folder, DECISIONS_FILE), 0
        self._read = 0  # bytes
        if self.path.exists():
            if not self.path.is_file():
                raise LassError(f"{self.path}: no regular file; move it away")
            if self._ends_within_a_line():
                self._write(b"")

    def append(self, decision: Decision) -> None:
        """Adds a decision, which is on the disk when this returns.

        Raises:
            OSError: It cannot be written, because the disk is full, for example. The file is as it was.
        """
        self._write((json.dumps(asdict(decision)) + "\n").encode())

    def read_new(self) -> list[tuple[int, Decision]]:
        """Returns the decisions, of whatever process, that were not returned before, with the numbers of their lines.

        A last line that is not whole yet is left for the next time.

        Raises:
            LassError: A line is no decision, or the file has become shorter; the message has the line.
        """
        try:
            if os.stat(self.path).st_size == self._read:
                return []
            with self.path.open("rb") as handle:
                handle.seek(self._read)
                content = handle.read()
        except FileNotFoundError:
            content = b""
        if self._read and not content:
            raise LassError(f"{self.path}: lines that were read are gone; put them back, or start the review again")
        *lines, _ = content.split(b"\n")
        found, number = [], self.line
        for line in lines:
            number += 1
            if line.strip():
                found.append((number, self._parse(line, number)))
        self.line = number
        self._read += sum(len(line) + 1 for line in lines)
        return found

    def _parse(self, line: bytes, number: int) -> Decision:
        names = {one.name: bool if one.name == "settles" else str for one in fields(Decision)}
        try:
            content: Any = json.loads(line)
            if not isinstance(content, dict):
                raise LassError("no JSON object")
            for name, kind in names.items():
                if not isinstance(content.get(name, False), kind):
                    raise LassError(f"no {name} of type {kind.__name__}")
            return Decision(**{name: content[name] for name in names if name in content})
        except (ValueError, RecursionError) as error:
            reason = f"{self.path}, line {number}: not a decision ({first_line(error)})"
            raise LassError(f"{reason}; correct the line or remove it") from None

    def _ends_within_a_line(self) -> bool:
        with self.path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            return bool(size) and os.pread(handle.fileno(), 1, size - 1) != b"\n"

    def _write(self, line: bytes) -> None:
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            with locked(self.path.parent):
                size = self._mend(handle)
                try:
                    if os.write(handle, line) < len(line):
                        raise OSError(28, "No space left on device")
                except OSError:
                    os.ftruncate(handle, size)
                    raise
            os.fsync(handle)  # without the lock, so that the disk can write the lines of several at once
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(handle)

    def _mend(self, handle: int) -> int:
        """Ends or drops a last line that a kill cut off; returns the size of the file."""
        size = os.fstat(handle).st_size
        if not size or os.pread(handle, 1, size - 1) == b"\n":
            return size
        tail = b""
        while b"\n" not in tail and len(tail) < size:
            start = max(0, size - len(tail) - READ_BYTES)
            tail = os.pread(handle, size - len(tail) - start, start) + tail
        tail = tail[tail.rfind(b"\n") + 1 :]
        try:
            self._parse(tail, 0)
        except LassError:
            os.ftruncate(handle, size - len(tail))
            logger.warning("%s: its last line was cut off, and is dropped; that decision was not confirmed", self.path)
            return size - len(tail)
        os.write(handle, b"\n")  # only the end of the line is missing
        return size + 1
