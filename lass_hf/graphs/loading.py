"""Graphs by name: the one that ships with the package, the paper's five benchmarks, and folders.

It finds folders; a benchmark goes through `graph_builder.py` too, and only that imports `datasets`.
"""

from pathlib import Path

from ..core.encoders import HUB_NAME
from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from .benchmark_downloads import BENCHMARKS, download

EMBEDDED = {"countries": Path(__file__).parents[1] / "data" / "countries"}


def load_benchmark(name: str, data_dir: str | Path | None = None, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads `countries`, part of the package, or one of the paper's: `umls`, `wn18rr`, `fb15k-237`, `wn11`, `fb13`.

    These are read from `data_dir`, a folder in KG-BERT layout, or downloaded from their public sources on first use.
    They go through `datasets`: `GraphBuilder` keeps tables in the cache of `datasets` (`HF_DATASETS_CACHE`), until
    files or code change. The graph is that of `KnowledgeGraph.from_directory`. `long_text`: as there. Raises GraphError
    for an unknown name, listing the known ones, for bad files, and for a download that fails, which leaves no file.
    """
    if name in EMBEDDED:
        return KnowledgeGraph.from_directory(data_dir or EMBEDDED[name], long_text=long_text)
    if name not in BENCHMARKS:
        raise GraphError(f"unknown graph {name!r}; {_known()}, or pass a folder")
    from .datasets_builder import load_tables  # here: a graph in a folder needs no `datasets`

    folder = data_dir or download(name, long_text=long_text)
    return KnowledgeGraph.from_datasets(**load_tables(name, folder, long_text=long_text))


def load_graph(name_or_folder: str | Path, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads a graph by name, else a folder, else `user/name`, a dataset of the hub (`KnowledgeGraph.from_hub`).

    A folder called like a benchmark goes first, one called countries not.
    """
    name = str(name_or_folder)
    if name in EMBEDDED or (name in BENCHMARKS and not Path(name).is_dir()):
        return load_benchmark(name, long_text=long_text)
    if "/" in name and HUB_NAME.fullmatch(name) and not Path(name).parent.is_dir():
        try:
            return KnowledgeGraph.from_hub(name, long_text=long_text)
        except GraphError as error:
            raise GraphError(f"{name}: no such folder, and {str(error).removeprefix(f'{name}: ')}") from error
    if Path(name).is_dir() or len(Path(name).parts) > 1:
        return KnowledgeGraph.from_directory(name_or_folder, long_text=long_text)
    raise GraphError(f"{name}: no such folder, and no graph of that name; {_known()}")


def _known() -> str:
    return f"known are {', '.join([*EMBEDDED, *BENCHMARKS])}"
