"""The other formats of a knowledge graph: lists, files of all kinds, tables, dataset folders, and datasets of the hub.

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
        column is a label; the false triplets may also have a file of their own, such as `test_neg.tsv`. Optional are
        `entity2text.txt` and `relation2text.txt`, or names (`entity2label.txt`, `relation2label.json`) and definitions
        (`entity2definition.txt`) instead. Files of triplets may end in `.txt`. An id without a text stands in for it.

        Args:
            path: The folder.
            long_text: Whether texts are taken from `entity2textlong.txt` for the entities that it holds.

        Returns:
            The graph.

        Raises:
            GraphError: A file is missing or not in this form; the message names file and line.
        """
        return cls(*_Graphs().from_directory(path, long_text))

    @classmethod
    def from_file(cls, path: str | Path, **options: Any) -> Self:
        """Reads a file or folder in any format that people keep graphs in, and logs what was left out of it.

        The formats are RDF (Turtle, N-Triples, N-Quads, TriG, RDF/XML, JSON-LD), OBO, OWL and obographs, CSV, TSV,
        Parquet and JSON Lines, Neo4j's and KGX's tables of nodes and edges, and the folders of `from_directory`. A text
        is "name, description"; where an entity has none, words made of its id stand in. `lass-hf import` does the same,
        and shows in detail what became of the file.

        Args:
            path: The file or folder.
            **options: What is read: `relations` and `exclude` (names of relations), `limit` (a number of triplets),
                `name_of` and `description_of` (properties or columns that hold texts), `language` (the preferred one),
                `include` ("literals", "annotations", "blank_nodes"), and the columns of tables: `head_column`,
                `relation_column`, `tail_column`, `id_column`, `split_column`, `date_column`.

        Returns:
            The graph.

        Raises:
            GraphError: The file is damaged or of no known format, its library is not installed, an option means nothing
                for it, or nothing is left. The message names file and line, or statement.
        """
        return cls(*_Graphs().read_file(path, options))

    @classmethod
    def from_pandas(cls, edges: Any, nodes: Any = None, **options: Any) -> Self:
        """Makes a graph of a DataFrame of edges, and one of nodes with their names and descriptions.

        Args:
            edges: A DataFrame with a column each for heads, relations and tails. They are known by their names
                (head/relation/tail, source/type/target, subject/predicate/object, ...), or named by options.
            nodes: A DataFrame with the columns id, name, description or category. None: ids are the texts.
            **options: As in `from_file`, as far as they concern tables.

        Returns:
            The graph.

        Raises:
            GraphError: A column is missing, or has other values than names.
        """
        return cls(*_Graphs().read_pandas(edges, nodes, options))

    @classmethod
    def from_networkx(cls, graph: Any, **options: Any) -> Self:
        """Makes a graph of a networkx graph, whose edges have their relation as an attribute or as their key.

        Args:
            graph: A `networkx` graph of any kind. The attributes of nodes are the columns of `nodes` in `from_pandas`.
            **options: As in `from_pandas`.

        Returns:
            The graph.

        Raises:
            GraphError: As in `from_pandas`.
        """
        return cls(*_Graphs().read_networkx(graph, options))

    def save_directory(self: Any, folder: str | Path) -> None:
        """Writes a folder of text files, which `from_directory` reads as the same graph.

        The files are `train.tsv`, `dev.tsv` and `test.tsv`, with labels where a split has them, `entity2text.txt` and
        `relation2text.txt`. A newline or tab inside a text is written as a space, with a warning.

        Args:
            folder: The folder: a new or empty one, or one with these files only, which is replaced as a whole.

        Raises:
            GraphError: The folder holds other files or cannot be written, or an id holds a newline or tab. Then nothing
                has changed.
        """
        _Graphs().write_directory(self, folder)

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
            from lass_hf.graphs.importing import read_file, read_networkx, read_pandas
            from lass_hf.graphs.readers import from_triplets
            from lass_hf.graphs.summary import summarize
            from lass_hf.graphs.text_folder import from_directory, write_directory
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "lass_hf":
                raise
            raise GraphError(
                "the code that is saved with a model cannot read or write other graphs: install the package lass-hf"
            ) from None
        self.from_triplets, self.from_directory = from_triplets, from_directory
        self.from_datasets, self.to_datasets = from_datasets, to_datasets
        self.read_file, self.read_pandas, self.read_networkx = read_file, read_pandas, read_networkx
        self.write_directory = write_directory
        self.write_folder, self.push_graph, self.pull_graph = write_folder, push_graph, pull_graph
        self.summarize = summarize
