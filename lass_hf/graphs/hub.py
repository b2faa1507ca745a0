"""Graphs as datasets of the Hugging Face hub; `KnowledgeGraph.push_to_hub` and `from_hub` have the documentation."""

import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SPLITS
from ..utils.hub_client import api, create_repository, hub_errors
from .dataset_folder import CARD_FILE, VOCABULARIES, write_folder
from .readers import SPLIT_FILES, TEXT_FILES, Parts, from_directory

FILES = [CARD_FILE, "*.parquet", "*.tsv", "*2text*.txt"]
# What a push replaces: its own tables, and the text files, which `from_directory` would read instead of them.
OWN = [*(f"triplets/{split}.parquet" for split in SPLITS), *(f"{kind}.parquet" for kind in VOCABULARIES)]
REPLACED = [*OWN, *(file for files in SPLIT_FILES.values() for file in files), *TEXT_FILES]


def push_graph(graph: KnowledgeGraph, repo_id: str, *, private, token, commit_message: str) -> CommitInfo:
    """Uploads a dataset folder; what is there of another graph, and would be read with it or instead of it, goes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, repo_id.rpartition("/")[2])  # the card has its name
        write_folder(graph, folder)
        repo_id = create_repository(repo_id, private=private, token=token, repo_type="dataset")
        with hub_errors(f"{repo_id}: not pushed"):
            return api().upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                token=token,
                commit_message=commit_message,
                delete_patterns=REPLACED,
            )


def pull_graph(repo_id: str, long_text: bool, **kwargs: Any) -> Parts:
    """Downloads a dataset's files of a graph, and reads them; `kwargs` are those of `HfApi.snapshot_download`."""
    with hub_errors(f"{repo_id}: no graph could be loaded from the hub", kind=GraphError):
        folder = api().snapshot_download(repo_id, repo_type="dataset", allow_patterns=FILES, **kwargs)
    return from_directory(folder, long_text)
