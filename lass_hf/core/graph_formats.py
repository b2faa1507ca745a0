"""The other formats of a knowledge graph: lists, text files, tables, dataset folders, and datasets of the hub.

The methods are those of `KnowledgeGraph`. The wing `graphs/` does the work, and is imported when it is needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .errors import GraphError
from .vocabulary import Vocabulary


class GraphFormats:
    """The methods of `KnowledgeGraph` that read and write other formats."""

    if TYPE_CHECKING:  # The constructor of `KnowledgeGraph`.

        def __init__(
            self,
            entities: Vocabulary,
            relations: Vocabulary,
            splits: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
        ): ...

    @classmethod
    def from_triplets(
        cls,
        train: Any = None,
        validation: Any = None,
        test: Any = None,
        *,
        entity_text: Mapping[str, str] | None = None,
        relation_text: Mapping[str, str] | None = None,
    ) -> Self:
        """Makes a graph of lists, arrays or tables of names.

        White space around ids and texts is no part of them. Ids that only look the same are two, with a warning.

        Args:
            train: Triplets (head, relation, tail), or (head, relation, tail, label) with a label of 1, or of 0 or -1;
                dicts or named tuples with these names; or a table with these columns, such as a pandas DataFrame, a
                `datasets.Dataset` or an Arrow table. Ids are strings or integers.
            validation: Like `train`.
            test: Like `train`.
            entity_text: The text of each entity id; a dict, or a pandas Series. None: an id is its own text.
            relation_text: The text of each relation id. None: an id is its own text.

        Returns:
            The graph.

        Raises:
            GraphError: A row is not in this form, or texts are given and an id has none.
        """
        sources = (train, validation, test)
        return cls(*_Graphs().from_triplets(sources, entity_text, relation_text))

    @classmethod
    def from_directory(cls, path: str | Path, *, long_text: bool = False) -> Self:
        """Reads a folder of tab-separated UTF-8 files without header (KG-BERT's layout), or one of `save_dataset`.

        The files are `train.tsv`, and optionally `dev.tsv` (or `valid.tsv`, `validation.tsv`) and `test.tsv`, whose 4th
        column is a label; and optionally `entity2text.txt` and `relation2text.txt`. Files of triplets may end in
        `.txt` instead.

        Args:
            path: The folder.
            long_text: Whether texts are taken from `entity2textlong.txt` for the entities that it holds.

        Returns:
            The graph.

        Raises:
            GraphError: A file is missing or not in this form; the message names file and line.
        """
        return cls(*_Graphs().from_directory(path, long_text))

    def to_datasets(self: Any) -> dict[str, Any]:
        """Returns the graph as datasets of the library `datasets`.

        To share a graph use `save_dataset`, whose splits all have the same columns, as the hub requires.

        Returns:
            `{"triplets": DatasetDict, "entities": Dataset, "relations": Dataset}`. The columns `head`, `relation`,
            `tail` and `id`, `text` are strings. Only splits with labels have the column `label`, int8, 1 or 0.
        """
        return _Graphs().to_datasets(self)

    @classmethod
    def from_datasets(cls, triplets: Any, entities: Any = None, relations: Any = None) -> Self:
        """Makes a graph of datasets; `KnowledgeGraph.from_datasets(**graph.to_datasets())` is the same graph.

        Args:
            triplets: A DatasetDict, or a dict of Datasets, of some of the splits, with the columns `head`, `relation`,
                `tail` and optionally `label` (1, or 0 or -1). A split whose labels are all null has none. Other columns
                are ignored.
            entities: A Dataset with the columns `id` and `text`, whose rows are the graph's integers, or the result of
                `load_dataset(folder, "entities")`. None: an id is its own text.
            relations: Like `entities`.

        Returns:
            The graph.

        Raises:
            GraphError: A column is missing or holds no strings, a value is null or empty, an id has no row or several,
                or a label is another one. The message names table and row, counted from 0.
        """
        return cls(*_Graphs().from_datasets(triplets, entities, relations))

    def save_dataset(self: Any, folder: str | Path) -> None:
        """Writes a dataset folder to share: Parquet files, and a card (README.md) that names them.

        `datasets.load_dataset(folder)`, `load_dataset(folder, "entities")` and `from_directory(folder)` read it.

        Args:
            folder: The folder. If it is the dataset folder of a graph, it is replaced as a whole, card included.

        Raises:
            GraphError: The folder holds other files, or cannot be written. Then nothing has changed.
        """
        _Graphs().write_folder(self, folder)

    def push_to_hub(
        self: Any,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        commit_message: str = "Upload a knowledge graph",
    ) -> Any:
        """Uploads the files of `save_dataset` to the hub, where `datasets.load_dataset` and `from_hub` load them.

        Args:
            repo_id: The dataset repository, which is made if there is none.
            private: Whether a new repository is private. None: the account's default.
            token: A token of the hub. None: that of `hf auth login`, or of HF_TOKEN.
            commit_message: The message of the commit.

        Returns:
            The commit, a `huggingface_hub.CommitInfo`.

        Raises:
            HubError: The hub refuses the upload, or the connection breaks off.
        """
        return _Graphs().push_graph(self, repo_id, private=private, token=token, commit_message=commit_message)

    @classmethod
    def from_hub(cls, repo_id: str, *, long_text: bool = False, **kwargs: Any) -> Self:
        """Loads a dataset of the hub, uploaded by `push_to_hub` or in a layout that `from_directory` reads.

        Args:
            repo_id: The dataset repository.
            long_text: Whether texts are taken from `entity2textlong.txt`, as in `from_directory`.
            **kwargs: Arguments of `huggingface_hub.snapshot_download` (`revision`, `token`, `cache_dir`, ...).

        Returns:
            The graph.

        Raises:
            GraphError: The hub has no such dataset, or it is not that of a graph.
        """
        return cls(*_Graphs().pull_graph(repo_id, long_text, **kwargs))

    def summary(self: Any) -> dict[str, Any]:
        """Counts entities, relations and triplets, and reports on the quality of the data.

        Returns:
            The counts, and as `data_quality` those of duplicates, leaks between splits, entities that are not in the
            training split, shared texts and contradictory labels.
        """
        return _Graphs().summarize(self)


class _Graphs:
    """The functions of the wing that reads and writes other formats.

    This is the only import of another wing in core. It is inside `try`, because transformers copies the modules that
    all other import statements name beside a saved model, and these modules are not needed there.

    Raises:
        GraphError: The code is such a copy, and the package is not installed.
    """

    def __init__(self) -> None:
        try:
            from lass_hf.graphs.arrow_tables import from_datasets, to_datasets
            from lass_hf.graphs.dataset_folder import write_folder
            from lass_hf.graphs.hub import pull_graph, push_graph
            from lass_hf.graphs.readers import from_directory, from_triplets
            from lass_hf.graphs.summary import summarize
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "lass_hf":
                raise
            raise GraphError(
                "the code that is saved with a model cannot read or write other graphs: install the package lass-hf"
            ) from None
        self.from_triplets, self.from_directory = from_triplets, from_directory
        self.from_datasets, self.to_datasets = from_datasets, to_datasets
        self.write_folder, self.push_graph, self.pull_graph = write_folder, push_graph, pull_graph
        self.summarize = summarize
