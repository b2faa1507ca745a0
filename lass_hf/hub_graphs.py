"""Graphs as datasets of the Hugging Face hub; `KnowledgeGraph.push_to_hub` and `from_hub` have the documentation."""

import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from .dataset_folder import CARD_FILE, write_folder
from .errors import GraphError, first_line
from .graph_sources import Parts, from_directory
from .hub_client import HUB_ERRORS, api, create_repository, hub_errors
from .knowledge_graph import KnowledgeGraph

FILES = [CARD_FILE, "*.parquet", "*.tsv", "*2text*.txt"]


def push_graph(graph: KnowledgeGraph, repo_id: str, *, private, token, commit_message: str) -> CommitInfo:
    """Uploads a dataset folder; splits that are there from an earlier push, and are none of the graph's, go."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, repo_id.rpartition("/")[2])  # the card has its name
        write_folder(graph, folder)
        repo_id = create_repository(repo_id, private=private, token=token, repo_type="dataset")
        with hub_errors(repo_id):
            return api().upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                token=token,
                commit_message=commit_message,
                delete_patterns=["*.parquet"],
            )


def pull_graph(repo_id: str, long_text: bool, **kwargs: Any) -> Parts:
    """Downloads a dataset's files of a graph, and reads them; `kwargs` are those of `HfApi.snapshot_download`."""
    try:
        folder = api().snapshot_download(repo_id, repo_type="dataset", allow_patterns=FILES, **kwargs)
    except HUB_ERRORS as error:
        raise GraphError(f"{repo_id}: no graph could be loaded from the hub ({first_line(error)})") from error
    return from_directory(folder, long_text)
