"""What a terminal is sent: no character that it obeys or cannot show, and nothing once it reads no more."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO

# Control characters of ASCII and Latin-1, separators of lines and paragraphs, and characters that turn the direction.
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_IN_A_LINE = re.compile(f"[{_CONTROL}]")
_IN_OUTPUT = re.compile(rf"(?![\n\r\t])[{_CONTROL}]")  # lines end, and progress bars begin their line again
_BETWEEN_BARS = re.compile(r"(\n|\x1b\[A)+")  # what tqdm writes to reach the line of another bar


def one_line(text: object) -> str:
    r"""Returns a text as a terminal can show it in a line.

    Args:
        text: a name, a message, or anything that is written as a string.

    Returns:
        The text with each control character as an escape (`\x1b`, `\n`, `\u202e`); others are as they were.
    """
    return _IN_A_LINE.sub(_escape, str(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


@contextmanager
def safe_output() -> Iterator["SafeStream"]:
    """Lets all that this process prints pass through `SafeStream`, what libraries print too; gives standard output."""
    os.environ.setdefault("NO_COLOR", "1")  # colors are escape sequences
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
            pass  # one of the standard streams is closed: no file of ours may get its number, which libraries write to
        os.close(descriptor)
    with redirect_stdout(SafeStream(sys.stdout)) as out, redirect_stderr(SafeStream(sys.stderr)) as err:
        try:
            yield out
        finally:
            out.flush()
            err.flush()


class SafeStream:
    """Standard output or error: control characters and those that its encoding lacks are written as escapes.

    When it cannot be written any more, what follows is dropped, and the work goes on.

    Args:
        stream: the stream; None if it was closed before the program began.

    Attributes:
        failure: why it cannot be written, such as a full disk; None where a reader, such as `head`, wanted no more.
    """

    def __init__(self, stream: TextIO | None):
        self.failure: OSError | None = None
        self._stream: Any = stream
        if stream is None:
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Writes a text."""
        safe = text if _BETWEEN_BARS.fullmatch(text) else _IN_OUTPUT.sub(_escape, text)
        self._try(lambda: self._stream.write(safe))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what is held back."""
        self._try(self._stream.flush)

    def _try(self, work: Any) -> None:
        try:
            work()
        except (OSError, ValueError) as error:  # ValueError: the stream is closed.
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                self.failure = self.failure or error
            with suppress(OSError, ValueError):  # a stream of a test has no descriptor
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())  # else Python fails at its end, when it writes what is held back
                os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
