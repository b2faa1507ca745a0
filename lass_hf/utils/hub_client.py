"""The client of the Hugging Face hub, and its errors as errors of this package."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, HTTPError, RevisionResolutionError

from ..core.errors import HubError, LassError, first_line

OUTSIDE = (OSError, HTTPError, EntryNotFoundError, RevisionResolutionError, HFValidationError)


@lru_cache(maxsize=1)
def api() -> HfApi:
    """Returns the one client of all uploads: those in the background wait for each other."""
    return HfApi(library_name="lass_hf")


def create_repository(repo_id: str, **kwargs: Any) -> str:
    """Creates a repository on the hub unless it exists.

    Args:
        repo_id: `name` or `user/name`.
        kwargs: further arguments of `HfApi.create_repo`.

    Returns:
        The whole name, `user/name`.

    Raises:
        HubError: the hub refused, or could not be reached.
    """
    with hub_errors(f"{repo_id}: not pushed"):
        return api().create_repo(repo_id, exist_ok=True, **kwargs).repo_id


@contextmanager
def hub_errors(failed: str, hint: str = "", kind: type[LassError] = HubError) -> Iterator[None]:
    """Turns errors of the hub, the network and the disk into an error of one line; other errors pass.

    Args:
        failed: beginning of the line: what was not done.
        hint: end of the line: what to do.
        kind: class of the error to raise.
    """
    try:
        yield
    except LassError:
        raise
    except Exception as error:
        if not _is_outside(error):
            raise
        raise kind(f"{failed} ({first_line(error)}){hint}") from error


def _is_outside(error: BaseException | None) -> bool:
    """Returns whether an error comes from hub, network or disk; the hub's client wraps some of these."""
    while error is not None and not isinstance(error, OUTSIDE):
        error = error.__cause__
    return error is not None
