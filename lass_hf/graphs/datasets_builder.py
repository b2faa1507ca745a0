"""The `datasets` builder of a graph folder; it keeps the tables `triplets`, `entities` and `relations` in its cache.

`loading.py` uses it for the paper's benchmarks, which `benchmark_downloads.py` downloads. Importing this module imports
`datasets`.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from ..core.errors import GraphError, first_line
from ..core.knowledge_graph import KnowledgeGraph
from .arrow_tables import to_arrow
from .dataset_folder import list_files

TABLES = ("triplets", "entities", "relations")
# The modules that turn a folder into tables. Their contents are part of the cache's key, so that no table of older code
# is loaded.
READING_CODE = [
    Path(__file__).parents[1] / f"{module}.py"
    for module in (
        *(
            "graphs/arrow_tables",
            "graphs/dataset_folder",
            "graphs/datasets_builder",
            "graphs/readers",
            "graphs/text_folder",
        ),
        *("names/name_forms", "names/named_triplets", "formats/text_files", "utils/checked_files"),
        *("core/knowledge_graph", "core/vocabulary"),
    )
]


def fingerprint(folder: str | Path) -> str:
    """Hashes the names and contents of a folder's graph files, and the code that reads them.

    Args:
        folder: a folder in KG-BERT layout, or a dataset folder, whose card may list files in subfolders.

    Returns:
        32 hexadecimal digits.

    Raises:
        GraphError: a file cannot be read.
    """
    digest = hashlib.sha256()
    files = [
        path for path in Path(folder).glob("*") if path.suffix in (".tsv", ".txt", ".json", ".md") and path.is_file()
    ]
    tables = [] if any(path.suffix == ".tsv" for path in files) else list_files(folder)  # as `from_directory` reads it
    names = {path: path.relative_to(folder).as_posix() for path in sorted([*files, *tables])}
    for path, name in (names | {path: path.name for path in READING_CODE}).items():
        try:
            digest.update(f"{name!r} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        except OSError as error:
            raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1)  # The builders of the three tables share one reading of the folder.
def _read_folder(folder: str, long_text: bool, _fingerprint: str) -> dict[str, Any]:
    tables = to_arrow(KnowledgeGraph.from_directory(folder, long_text=long_text), shared_schema=True)
    return {"triplets": tables["triplets"], **{name: {"train": tables[name]} for name in TABLES[1:]}}


class GraphConfig(datasets.BuilderConfig):
    """Configuration of `GraphBuilder`: which table to build, and from which texts.

    Args:
        long_text: as in `KnowledgeGraph.from_directory`.
        **kwargs: arguments of `datasets.BuilderConfig`; `name` is `triplets`, `entities` or `relations`.
    """

    def __init__(self, long_text: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.long_text = long_text


class GraphBuilder(datasets.ArrowBasedBuilder):
    """Builds one table of a graph folder, the way `datasets` builds every dataset.

    Call `GraphBuilder(config_name="triplets", data_dir=folder)`, then `download_and_prepare()`, which raises GraphError
    for a wrong file, and then `as_dataset()`.

    The table `triplets` has the splits train, validation and test. Its string columns are `head`, `relation` and
    `tail`; if any split has labels, there is also `label` (int8: 1, 0, or null in a split without labels). The tables
    `entities` and `relations` have one split, train, with the string columns `id` and `text`, in the order of the
    graph's integers. A cached table is used again only for the same contents of the folder and the same code.

    Args:
        data_dir: a folder that `KnowledgeGraph.from_directory` reads.
        hash: the result of `fingerprint(data_dir)`, if the caller has it already.
        **kwargs: arguments of `datasets.ArrowBasedBuilder`.
    """

    BUILDER_CONFIG_CLASS = GraphConfig
    BUILDER_CONFIGS = [GraphConfig(name=name) for name in TABLES]

    def __init__(self, *, data_dir: str | Path, hash: str | None = None, **kwargs: Any):
        super().__init__(data_dir=str(data_dir), hash=hash or fingerprint(data_dir), **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo()  # `datasets` takes the features from the tables.

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        tables = _read_folder(self.config.data_dir, self.config.long_text, self.hash)[self.config.name]
        return [datasets.SplitGenerator(name=name, gen_kwargs={"table": table}) for name, table in tables.items()]

    def _generate_tables(self, table: Any):
        yield 0, table


def load_tables(name: str, folder: str | Path, *, long_text: bool = False) -> dict[str, datasets.DatasetDict]:
    """Loads the three tables of a graph folder, from the cache of `datasets` if it holds them.

    Args:
        name: the name of the dataset in the cache.
        folder: a folder that `KnowledgeGraph.from_directory` reads.
        long_text: as in `KnowledgeGraph.from_directory`.

    Returns:
        `{"triplets": ..., "entities": ..., "relations": ...}`, the arguments of `KnowledgeGraph.from_datasets`.

    Raises:
        GraphError: a file of the folder is wrong, or the cache cannot be written.
    """
    choices: dict[str, Any] = {
        "dataset_name": name,
        "data_dir": folder,
        "hash": fingerprint(folder),
        "long_text": long_text,
    }
    tables = {}
    bars_were_enabled = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # `datasets` would show ten bars of some milliseconds each.
    try:
        for table in TABLES:
            builder = GraphBuilder(config_name=table, **choices)
            builder.download_and_prepare()
            tables[table] = builder.as_dataset()
    except (OSError, DatasetGenerationError) as error:
        cache, reason = datasets.config.HF_DATASETS_CACHE, first_line(error.__cause__ or error)
        raise GraphError(
            f"{name}: the cache {cache} cannot be used ({reason}); set HF_DATASETS_CACHE to another folder"
        ) from None
    finally:
        _read_folder.cache_clear()
        if bars_were_enabled:
            datasets.enable_progress_bars()
    return tables
