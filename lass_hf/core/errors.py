"""The exceptions that mean "the input is wrong", one line each: what was given, where, what to do.

The command line turns them into exit code 2. They do not cover mistakes in this package. Importing this module imports
no library, because `lass-hf --help` needs it.
"""


def loading_errors() -> tuple[type[Exception], ...]:
    """Returns the exceptions of the libraries that load models, for an `except` clause.

    They mean that something is missing, damaged, of another model, or out of reach.
    """
    from huggingface_hub.errors import HTTPError, StrictDataclassError
    from safetensors import SafetensorError

    return (
        *(OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError),
        *(SafetensorError, StrictDataclassError, HTTPError),
    )


class LassError(ValueError):
    """Base of every error that the user can correct."""

    def __str__(self) -> str:
        message = super().__str__()  # which can repeat a value of a damaged file, of any length
        return message if len(message) <= 900 else f"{message[:600]} ... {message[-250:]}"


class GraphError(LassError):
    """A graph's files or triplets are not as expected."""


class UnknownNameError(LassError):
    """A name matches no entity or relation of the graph, or several."""


class ModelError(LassError):
    """A folder or hub repository does not hold the model, encoder or tokenizer that was requested."""


class HubError(LassError):
    """The hub did not accept an upload; nothing on this machine has changed."""


class IndexFolderError(LassError):
    """A folder for entity vectors holds those of another model or graph, or cannot be written."""


class NonFiniteError(LassError):
    """A score or a loss is NaN or infinite."""


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's error, to stand inside one of ours.

    Args:
        error: an error of a library; for an answer of the hub the line explains that answer.
    """
    hub = None if isinstance(error, LassError) else _explain_hub_error(error)
    return hub or (str(error).strip().splitlines() or [type(error).__name__])[0]


def _explain_hub_error(error: BaseException | None) -> str | None:
    """Explains the hub's answer that an error is, or was caused by; returns None where the hub is not the cause."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    while error is not None and not isinstance(error, HTTPError):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if error is None or isinstance(error, EntryNotFoundError):
        return None  # the error of transformers names the file
    if isinstance(error, RevisionNotFoundError):
        return "the hub has no such revision of it: check the branch, tag or commit"
    if isinstance(error, GatedRepoError):
        return "the hub shows this repository to those who asked for access on its page: log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no repository of that name, or not for you: check the name, or log in with `hf auth login`"
    if not isinstance(error, HfHubHTTPError):
        return f"the connection to the hub broke off ({type(error).__name__}): try again"
    status = error.response.status_code
    meaning = {
        401: "the hub does not accept the token: log in with `hf auth login`, or pass another token",
        403: "the token does not allow this: it needs the right to write to that repository",
        404: "the hub has no repository of that name, or not for you: check the name, or log in with `hf auth login`",
    }
    if status == 429 or status >= 500:
        meaning[status] = "the hub could not do it: try again later"
    reason = (error.server_message or "it gives no reason").strip().splitlines()[0]
    return f"{meaning.get(status, f'the hub refuses it: {reason}')} (HTTP {status})"
