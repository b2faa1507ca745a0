"""Files that others may read or change meanwhile: written whole or not at all, changed by one at a time.

It knows only bytes and folders; what is in a file is its caller's business.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


def write_whole(file: str | Path, content: str | bytes) -> None:
    """Writes text (UTF-8, lines end as they are) or bytes beside the file's place, and moves them there.

    Several may write one file: the last one's is there, and whole. A kill leaves `NAME.*.tmp`. Raises OSError.
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
    """For reading a file of a folder, changing it and writing it: others that ask for the same folder wait.

    No file is left, and a killed process holds no lock. Nobody waits where the system or the disk has no such locks.
    Not to be asked for again inside.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
