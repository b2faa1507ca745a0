"""The client of the Hugging Face hub, and its errors as ours. It does not know what is uploaded."""

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
    """The client of all uploads: those in the background wait for each other."""
    return HfApi(library_name="lass_hf")


def create_repository(repo_id: str, **kwargs: Any) -> str:
    """Makes a repository unless it is there; its whole name, `user/name`. `kwargs`: as of `HfApi.create_repo`."""
    with hub_errors(f"{repo_id}: not pushed"):
        return api().create_repo(repo_id, exist_ok=True, **kwargs).repo_id


@contextmanager
def hub_errors(failed: str, hint: str = "", kind: type[LassError] = HubError) -> Iterator[None]:
    """Turns what the hub, the way to it, or the disk causes into an error of one line; our own errors and bugs pass."""
    try:
        yield
    except LassError:
        raise
    except Exception as error:
        if not _is_outside(error):
            raise
        raise kind(f"{failed} ({first_line(error)}){hint}") from error


def _is_outside(error: BaseException | None) -> bool:
    """Is it of the hub, the network or the disk, or raised from such an error? The hub's client wraps some."""
    while error is not None and not isinstance(error, OUTSIDE):
        error = error.__cause__
    return error is not None
