"""The `datasets` builder of a graph folder: tables `triplets`, `entities`, `relations`, as Arrow files in its cache.

It knows folders only; `benchmark_sources.py` downloads them. Importing it imports `datasets`.
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
from .dataset_folder import listed_files

TABLES = ("triplets", "entities", "relations")
# The modules that decide what a folder means: cached tables are those of this code.
READING_CODE = [
    *(Path(__file__).with_name(f"{name}.py") for name in ("arrow_tables", "dataset_folder", "named_triplets")),
    *(Path(__file__).with_name(f"{name}.py") for name in ("datasets_builder", "readers", "text_files")),
    *(Path(__file__).parents[1] / "core" / f"{name}.py" for name in ("knowledge_graph", "vocabulary")),
]


def fingerprint(folder: str | Path) -> str:
    """A hash of names and contents of a folder's graph files, wherever its card has them, and of the reading code."""
    digest = hashlib.sha256()
    files = [path for path in Path(folder).glob("*") if path.suffix in (".tsv", ".txt", ".md") and path.is_file()]
    names = {path: path.relative_to(folder).as_posix() for path in sorted([*files, *listed_files(folder)])}
    for path, name in (names | {path: path.name for path in READING_CODE}).items():
        try:
            digest.update(f"{name!r} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        except OSError as error:
            raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()[:32]


@lru_cache(maxsize=1)  # three tables, one reading
def _read(folder: str, long_text: bool, _: str) -> dict[str, Any]:
    tables = to_arrow(KnowledgeGraph.from_directory(folder, long_text=long_text), shared_schema=True)
    return {"triplets": tables["triplets"], **{name: {"train": tables[name]} for name in TABLES[1:]}}


class GraphConfig(datasets.BuilderConfig):
    """A table of a graph: its `name` is `triplets`, `entities` or `relations`."""

    def __init__(self, long_text: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.long_text = long_text


class GraphBuilder(datasets.ArrowBasedBuilder):
    """`GraphBuilder(config_name="triplets", data_dir=folder)`, then `download_and_prepare()`, then `as_dataset()`.

    `triplets` has splits train, validation, test with string columns head, relation, tail, and, if any split has
    labels, label (int8; 1, 0, or null in a split without labels). `entities` and `relations` have one split, train,
    with string columns id and text, in the order of the graph's integers. What is cached is found again only for the
    same contents of the folder and the same code. Raises GraphError, naming file and line, for bad files.
    """

    BUILDER_CONFIG_CLASS = GraphConfig
    BUILDER_CONFIGS = [GraphConfig(name=name) for name in TABLES]

    def __init__(self, *, data_dir: str | Path, hash: str | None = None, **kwargs: Any):
        super().__init__(data_dir=str(data_dir), hash=hash or fingerprint(data_dir), **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo()  # its features are those of the tables

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        tables = _read(self.config.data_dir, self.config.long_text, self.hash)[self.config.name]
        return [datasets.SplitGenerator(name=name, gen_kwargs={"table": table}) for name, table in tables.items()]

    def _generate_tables(self, table: Any):
        yield 0, table


def load_tables(name: str, folder: str | Path, *, long_text: bool = False) -> dict[str, datasets.DatasetDict]:
    """The three tables of a graph folder, as `KnowledgeGraph.from_datasets` takes them; the cache has them as `name`.

    Raises GraphError for bad files, and for a cache that cannot be written.
    """
    given: dict[str, Any] = {
        "dataset_name": name,
        "data_dir": folder,
        "hash": fingerprint(folder),
        "long_text": long_text,
    }
    tables = {}
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # ten of them, of milliseconds
    try:
        for table in TABLES:
            builder = GraphBuilder(config_name=table, **given)
            builder.download_and_prepare()
            tables[table] = builder.as_dataset()
    except (OSError, DatasetGenerationError) as error:
        cache, why = datasets.config.HF_DATASETS_CACHE, first_line(error.__cause__ or error)
        raise GraphError(f"{name}: the cache {cache} cannot be used ({why}); HF_DATASETS_CACHE names another") from None
    finally:
        _read.cache_clear()
        if bars:
            datasets.enable_progress_bars()
    return tables
