"""The exceptions that mean "the input is wrong", one line each: what was given, where, what to do.

The command line turns them into exit code 2. They do not cover mistakes in this package.
"""

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError

# What transformers, safetensors and the hub raise for what is missing, damaged, of another model, or out of reach.
LOADING_ERRORS = (
    *(OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError),
    *(SafetensorError, StrictDataclassError, HTTPError),
)


class LassError(ValueError):
    """Base of every error that the user can mend."""


class GraphError(LassError):
    """A graph's files or triplets are not what they should be."""


class UnknownNameError(LassError):
    """A name that is no entity or relation of the graph, or that names several."""


class ModelError(LassError):
    """A folder or hub name that does not hold the model, encoder or tokenizer that was asked for."""


class HubError(LassError):
    """The hub did not take what was sent; nothing that is here has changed."""


class IndexFolderError(LassError):
    """A folder for the vectors of entities that holds those of another model or graph, or cannot be written."""


class NonFiniteError(LassError):
    """A score or a loss is NaN or infinite."""


def first_line(error: BaseException) -> str:
    """The first line of another library's error, for the middle of ours; of the hub's answers, what they mean."""
    hub = None if isinstance(error, LassError) else _of_the_hub(error)
    return hub or (str(error).strip().splitlines() or [type(error).__name__])[0]


def _of_the_hub(error: BaseException | None) -> str | None:
    """What the hub answered, where that is what an error is about, or was caused by."""
    while error is not None and not isinstance(error, HTTPError):
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if error is None or isinstance(error, EntryNotFoundError):
        return None  # transformers says which file
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
    told = (error.server_message or "it does not say why").strip().splitlines()[0]
    return f"{meaning.get(status, f'the hub refuses it: {told}')} (HTTP {status})"
