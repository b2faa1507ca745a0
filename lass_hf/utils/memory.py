"""Out of memory, on a device or in the main memory: what libraries raise then, and what a user is told."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import LassError, first_line

_TEXTS = (
    "out of memory",  # of CUDA, XPU, MPS and HIP
    "can't allocate memory",  # of torch on a CPU
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_NOT_SUPPORTED"),
    "No executable batch size found",  # of accelerate, which halved it until nothing was left
)


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error means that memory is short."""
    if isinstance(error, RuntimeError):
        return any(text in str(error) for text in _TEXTS)
    return isinstance(error, MemoryError)


@contextmanager
def memory_errors(work: str, hint: str) -> Iterator[None]:
    """Turns an error that means that memory is short into an error of one line.

    Args:
        work: what needed the memory.
        hint: what to do.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise LassError(f"out of memory in {work} ({first_line(error)}): {hint}") from error
