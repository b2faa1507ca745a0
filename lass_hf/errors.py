"""The exceptions that mean "the input is wrong", one line each: what was given, where, what to do.

The command line turns them into exit code 2. They do not cover mistakes in this package.
"""

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

# What transformers and safetensors raise for files that are missing, damaged, or of another model.
LOADING_ERRORS = (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError, StrictDataclassError)


class LassError(ValueError):
    """Base of every error that the user can mend."""


class GraphError(LassError):
    """A graph's files or triplets are not what they should be."""


class UnknownNameError(LassError):
    """A name that is no entity or relation of the graph, or that names several."""


class ModelError(LassError):
    """A folder or hub name that does not hold the model, encoder or tokenizer that was asked for."""


class NonFiniteError(LassError):
    """A score or a loss is NaN or infinite."""


def first_line(error: BaseException) -> str:
    """The first line of another library's error, for the middle of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
