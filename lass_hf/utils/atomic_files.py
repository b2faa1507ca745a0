"""Files that other processes may read or change meanwhile: written whole or not at all, changed by one at a time."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


def write_whole(file: str | Path, content: str | bytes) -> None:
    """Writes a file whole or not at all: to a temporary file beside it, which then takes its place.

    Several processes may write one file; the last one's content is there, and whole. A killed process leaves
    `NAME.*.tmp`.

    Args:
        file: the file to write, or to replace.
        content: bytes, or text, which is written in UTF-8 with its line ends unchanged.

    Raises:
        OSError: the file cannot be written; one that was there is unchanged.
    """
    temporary = Path(f"{file}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as handle:
            handle.write(content.encode() if isinstance(content, str) else content)
            handle.flush()
            os.fsync(handle.fileno())  # the name must not be on disk before the content is
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
