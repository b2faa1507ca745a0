"""Files that other processes may read or change meanwhile: written whole or not at all, changed by one at a time."""

import contextlib
import ctypes
import glob
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

STALE_SECONDS = 3600  # A half-written file that is older was left by a process that was killed.


def write_whole(file: str | Path, content: str | bytes) -> None:
    """Writes a file whole or not at all, as `open_whole` does.

    Args:
        file: the file to write, or to replace.
        content: bytes, or text, which is written in UTF-8 with its line ends unchanged.

    Raises:
        OSError: the file cannot be written; one that was there is unchanged.
    """
    with open_whole(file) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def open_whole(file: str | Path) -> Iterator[BinaryIO]:
    """Opens a file to be written whole or not at all: a temporary file beside it, which then takes its place.

    Several processes may write one file; the last one's content is there, and whole. A killed process leaves
    `NAME.*.tmp`, which the next write of that file removes once it is an hour old. A file keeps its permissions. Of a
    symbolic link, the file that it points to is replaced; a hard link to the earlier content keeps it. A device, a pipe
    and what standard output goes to are written to, and stay what they are.

    Args:
        file: the file to write, or to replace.

    Yields:
        What takes the content. An error inside the `with` leaves the file as it was.

    Raises:
        OSError: the file cannot be written; one that was there is unchanged.
    """
    file = Path(file)
    if is_stream(file):
        try:
            with _open_stream(file) as handle:
                yield handle
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from error  # a write alone does not name the file
        return
    file = Path(os.path.realpath(file))  # of links that go around in a circle, the first is replaced
    remove_leftovers(file.parent, glob.escape(file.name))
    temporary = temporary_file(file)
    try:
        with temporary.open("xb") as handle:
            with contextlib.suppress(OSError):  # there is no file yet
                os.chmod(temporary, stat.S_IMODE(file.stat().st_mode))
            yield handle
            handle.flush()
            os.fsync(handle.fileno())  # the name must not be on disk before the content is
        temporary.replace(file)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, os.fspath(temporary), temporary):
            raise OSError(error.errno, error.strerror, str(file)) from error  # not the name that is gone, or none
        raise


def swap_folders(one: Path, other: Path) -> bool:
    """Gives each of two folders the other's name in one step, so that a kill leaves no moment without either.

    Returns:
        Whether it was done: not where one is missing, or where the system, other than Linux, or the disk cannot.
    """
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def temporary_file(file: Path) -> Path:
    """Returns a new name beside a file, by which `remove_leftovers` knows what a killed process left."""
    return file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")


def remove_leftovers(folder: Path, names: str) -> None:
    """Removes the half-written files of processes that were killed; young ones may be those of a running process.

    Args:
        folder: the folder.
        names: a pattern of the names of the files that were written.
    """
    for leftover in folder.glob(f"{names}.*.tmp"):
        if not re.search(r"\.[0-9a-f]{32}\.tmp$", leftover.name):
            continue
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                leftover.unlink()


def is_stream(file: Path) -> bool:
    """Returns whether a file is to be written to and not replaced: a device, a pipe, what standard output goes to."""
    if not os.path.exists(file) or file.is_dir():  # Path.exists raises OSError for a name that is too long
        return False
    return not file.is_file() or _standard_stream(file) is not None


def _open_stream(file: Path) -> BinaryIO:
    """Opens a device or a pipe; for standard output or error that stream itself, which then goes on behind it."""
    descriptor = _standard_stream(file)
    if descriptor is None:
        return file.open("wb")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _standard_stream(file: Path) -> int | None:
    """Returns the descriptor of standard output or error, if a file is what it goes to."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # a stream that is closed
            if os.path.samestat(file.stat(), os.fstat(descriptor)):
                return descriptor
    return None


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Locks a folder while a file in it is read, changed and written; others that lock it wait.

    The lock leaves no file, and ends with the process. Nobody waits where the system or the disk has no such locks. A
    process that holds the lock must not take it again.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def lock_file(file: str | Path) -> Iterator[bool]:
    """Locks a file for as long as some work takes; another process that asks for it gets False at once.

    The file is empty, made for the lock and removed after it. The lock ends with the process; a kill leaves the file,
    which locks nothing. Everybody gets True where the system or the disk has no such locks.

    Args:
        file: the file, in a folder that exists.

    Yields:
        Whether the lock is this caller's.
    """
    handle, alone = os.open(file, os.O_RDWR | os.O_CREAT), True
    try:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had the lock may have removed the file after it was opened here: that lock would be nobody's.
                alone = os.path.samestat(os.fstat(handle), os.stat(file))
            except (BlockingIOError, FileNotFoundError):
                alone = False
        yield alone
    finally:
        if alone:
            with contextlib.suppress(OSError):
                os.unlink(file)  # before the lock ends, so that nobody else's file goes
        os.close(handle)
