"""Decisions as lines of an append-only file, which several processes may share and a kill does not harm.

A decision counts as soon as its line is whole. Whoever appends holds a lock, and first mends what a kill left: the
beginning of a decision at the end of the file was never confirmed to anybody, and is dropped. Nothing else is.
"""

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..core.errors import LassError, first_line
from ..utils.atomic_files import locked
from ..utils.result_files import DECISIONS_FILE

logger = logging.getLogger(__name__)
DECISIONS = ("accept", "reject", "unsure", "undo")
MAX_REVIEWER = 80  # letters of a name
MAX_LINE = 2**20  # bytes
BEGINNING = b'{"head": "'  # of each line that this module writes


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
        settles: Whether the person saw that others contradict each other, so that this decision counts alone; "unsure"
            never does.
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
        self._read, self._inode = 0, -1  # bytes, and of which file
        if self.path.exists():
            if not self.path.is_file():
                raise LassError(f"{self.path}: no regular file; move it away")
            if self._ends_within_a_line():
                self._write(b"")

    def check_writable(self) -> None:
        """Raises LassError where no decision could be kept."""
        place = self.path if self.path.exists() else self.path.parent
        if not os.access(place, os.W_OK):
            raise LassError(f"{place}: protected, so no decision would be kept; copy the folder, or let it be written")

    def append(self, decision: Decision) -> None:
        """Adds a decision, which is on the disk when this returns.

        Raises:
            LassError: Its line would be longer than `MAX_LINE`.
            OSError: It cannot be written, because the disk is full, for example. The file does not have it. Whoever
                read it before the disk refused it counts it until the next start.
        """
        line = (json.dumps(vars(decision)) + "\n").encode()
        if len(line) > MAX_LINE:
            raise LassError(f"a decision of {len(line):,} bytes; expected at most {MAX_LINE:,}: the ids are too long")
        self._write(line)

    def read_new(self) -> list[tuple[int, Decision]]:
        """Returns the decisions, of whatever process, that were not returned before, with the numbers of their lines.

        A last line that is not whole yet is left for the next time.

        Raises:
            LassError: A line is no decision, and the message has its number; or lines that were read are gone.
        """
        try:
            about = os.stat(self.path)
        except FileNotFoundError:
            about = None
        if self._read and (about is None or about.st_size < self._read or about.st_ino != self._inode):
            raise LassError(f"{self.path}: replaced, or cut, since it was read; start the review again")
        if about is None or about.st_size == self._read:
            return []
        found, number, place = [], self.line, self._read
        with self.path.open("rb") as handle:
            handle.seek(self._read)
            while (line := handle.readline(MAX_LINE)).endswith(b"\n") or len(line) == MAX_LINE:
                number, place = number + 1, place + len(line)
                if line.strip():
                    found.append((number, self._parse(line, number)))
        self.line, self._read, self._inode = number, place, about.st_ino
        return found

    def _parse(self, line: bytes, number: int) -> Decision:
        names = {one.name: bool if one.name == "settles" else str for one in fields(Decision)}
        try:
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                raise LassError(f"{MAX_LINE:,} bytes or more")
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
            try:
                os.fsync(handle)  # without the lock, so that the disk can write the lines of several at once
            except OSError:
                self._blank(line, size)
                raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(handle)

    def _blank(self, line: bytes, place: int) -> None:
        """Puts spaces in place of a line, which then is none; others may have read it, and added theirs behind it."""
        with suppress(OSError):
            handle = os.open(self.path, os.O_RDWR)  # what is open to append writes at the end only
            try:
                with locked(self.path.parent):
                    if line and os.pread(handle, len(line), place) == line:
                        os.pwrite(handle, b" " * (len(line) - 1) + b"\n", place)
            finally:
                os.close(handle)

    def _mend(self, handle: int) -> int:
        """Drops a last line that a kill cut off, and ends any other; returns the size of the file."""
        size = os.fstat(handle).st_size
        if not size or os.pread(handle, 1, size - 1) == b"\n":
            return size
        line = os.pread(handle, MAX_LINE, max(0, size - MAX_LINE)).rpartition(b"\n")[2]
        if not _is_cut_off(line):
            os.write(handle, b"\n")
            return size + 1
        os.ftruncate(handle, size - len(line))
        logger.warning("%s: its last line was cut off, and is dropped; that decision was not confirmed", self.path)
        return size - len(line)


def _is_cut_off(line: bytes) -> bool:
    """Returns whether a line is the beginning of a decision, perhaps with zeros in place of what the disk lost."""
    line = line.rstrip(b"\0")
    if not BEGINNING.startswith(line[: len(BEGINNING)]):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False
