"""The client of the Hugging Face hub, and its errors as ours. It does not know what is uploaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from huggingface_hub import HfApi

from .errors import HTTPError, HubError, first_line

HUB_ERRORS = (OSError, ValueError, RuntimeError, LookupError, HTTPError)


@lru_cache(maxsize=1)
def api() -> HfApi:
    """The client of all uploads: those in the background wait for each other."""
    return HfApi(library_name="lass_hf")


def create_repository(repo_id: str, **kwargs: Any) -> str:
    """Makes a repository unless it is there; its whole name, `user/name`. `kwargs`: as of `HfApi.create_repo`."""
    with hub_errors(repo_id):
        return api().create_repo(repo_id, exist_ok=True, **kwargs).repo_id


@contextmanager
def hub_errors(repo_id: str, hint: str = "") -> Iterator[None]:
    """Turns what the hub's client raises into a HubError of one line."""
    try:
        yield
    except HubError:
        raise
    except HUB_ERRORS as error:
        raise HubError(f"{repo_id}: not pushed ({first_line(error)}){hint}") from error
