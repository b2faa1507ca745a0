"""Out of memory, on a device or in the main memory: what libraries raise then."""

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
