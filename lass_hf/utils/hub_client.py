"""The client of the Hugging Face hub."""

from functools import lru_cache
from typing import Any

from huggingface_hub import HfApi

from ..core.errors import HubError, library_errors


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
    with library_errors(f"{repo_id}: not pushed", kind=HubError):
        return api().create_repo(repo_id, exist_ok=True, **kwargs).repo_id
