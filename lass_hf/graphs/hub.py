"""Uploads graphs to the Hugging Face hub as datasets, and downloads them.

`KnowledgeGraph.push_to_hub` and `KnowledgeGraph.from_hub` are the public way here.
"""

import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo

from ..core.errors import GraphError, HubError, library_errors
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import SPLITS
from ..utils.hub_client import api, create_repository
from .dataset_folder import DATASET_CARD, VOCABULARIES, write_folder
from .readers import Parts
from .text_folder import SPLIT_FILES, TEXT_FILES, from_directory

FILES_TO_DOWNLOAD = [
    DATASET_CARD,
    "*.parquet",
    *(file for files in SPLIT_FILES.values() for file in files),
    *TEXT_FILES,
]
WRITTEN_FILES = [*(f"triplets/{split}.parquet" for split in SPLITS), *(f"{kind}.parquet" for kind in VOCABULARIES)]
# A push removes older tables of a graph, and also text files, because `from_directory` prefers them to the tables.
FILES_TO_REPLACE = [*WRITTEN_FILES, *(file for files in SPLIT_FILES.values() for file in files), *TEXT_FILES]


def push_graph(graph: KnowledgeGraph, repo_id: str, *, private, token, commit_message: str) -> CommitInfo:
    """Uploads a graph as a dataset folder, in one commit that also removes the files of another graph.

    Args:
        graph: the graph.
        repo_id: the dataset's name on the hub; the repository is made if it does not exist.
        private: whether a new repository is private; None: the default of the account.
        token: the access token; None: that of `hf auth login`, or of HF_TOKEN.
        commit_message: the subject of the commit.

    Returns:
        The commit.

    Raises:
        GraphError: the graph has no triplets.
        HubError: the hub refuses, or the connection breaks off.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, repo_id.rpartition("/")[2])  # The card is titled with the folder's name.
        write_folder(graph, folder)
        repo_id = create_repository(repo_id, private=private, token=token, repo_type="dataset")
        with library_errors(f"{repo_id}: not pushed", kind=HubError):
            return api().upload_folder(
                repo_id=repo_id,
                repo_type="dataset",
                folder_path=folder,
                token=token,
                commit_message=commit_message,
                delete_patterns=FILES_TO_REPLACE,
            )


def pull_graph(repo_id: str, long_text: bool, **kwargs: Any) -> Parts:
    """Downloads the files of a graph from a dataset of the hub, and reads them.

    Args:
        repo_id: the dataset's name on the hub.
        long_text: as in `text_folder.from_directory`.
        **kwargs: arguments of `HfApi.snapshot_download` (`revision`, `token`, `cache_dir`, ...).

    Returns:
        Entities, relations and splits, as `text_folder.from_directory`.

    Raises:
        GraphError: there is no such dataset, it cannot be reached, or its files are not those of a graph.
    """
    with library_errors(f"{repo_id}: no graph could be loaded from the hub", kind=GraphError):
        folder = api().snapshot_download(repo_id, repo_type="dataset", allow_patterns=FILES_TO_DOWNLOAD, **kwargs)
    return from_directory(folder, long_text)
