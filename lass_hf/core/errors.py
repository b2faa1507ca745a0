"""The exceptions that mean "the input is wrong", one line each: what was given, where, what to do.

The command line turns them into exit code 2. They do not cover mistakes in this package. Importing this module imports
no library, because `lass-hf --help` needs it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

MAX_LENGTH = 300  # of a line of another library: some repeat the whole input
# What errors of transformers mean here, by a part of their line.
MEANINGS = {
    "file named model.safetensors": (
        "it has no model.safetensors, and pickled weights are not read: they can run code; convert them first"
    ),
    "contains custom code": "it needs code that comes with it, which is not run unless trust_remote_code=True is given",
    "`ignore_mismatched_sizes`": "its weights have other sizes than those that its config.json says",
}


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


@contextmanager
def library_errors(failed: str, hint: str = "", kind: type[LassError] = ModelError) -> Iterator[None]:
    """Turns whatever a library raises, while it works on what a user gave, into an error of one line.

    What a library raises for a missing, damaged or strange file is its own affair, and changes with its version. So any
    error counts; `--debug` shows where it was raised.

    Args:
        failed: beginning of the line: what could not be done, and to which folder, file or name.
        hint: end of the line: what to do.
        kind: class of the error to raise; an error of this class passes as it is.
    """
    try:
        yield
    except kind:
        raise
    except BaseException as error:
        # Libraries in Rust panic with an error that is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise kind(f"{failed} ({first_line(error)}){hint}") from error


def first_line(error: BaseException) -> str:
    """Returns the first line of another library's error, to stand inside one of ours.

    Args:
        error: an error of a library; for an answer of the hub the line explains that answer. A line without a space,
            such as the key of a KeyError, gets the name of the error's class.
    """
    if isinstance(error, LassError):
        return str(error)
    if hub := _explain_hub_error(error):
        return hub
    lines, name = [line for line in str(error).splitlines() if line.strip()] or [""], type(error).__name__
    line = " ".join(map(str.strip, lines[: 1 + lines[0].endswith(":")]))  # the next line says what is announced
    for part, meaning in MEANINGS.items():
        if part in line:
            return meaning
    if len(line) > MAX_LENGTH:
        line = line[: MAX_LENGTH - 1] + "…"
    return line if " " in line else f"{name}: {line}" if line else name


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
