"""Loads a graph by name: that of the package, a benchmark of the paper, a file, a folder, or a dataset of the hub.

The module finds the folder; `text_folder.py` and `importing.py` read it. The paper's benchmarks also pass through
`datasets_builder.py`, so that only they import `datasets`.
"""

from pathlib import Path

from ..core.encoders import HUB_NAME
from ..core.errors import GraphError
from ..core.knowledge_graph import VOCABULARY_FILE, KnowledgeGraph
from .benchmark_downloads import download
from .benchmark_sources import BENCHMARKS
from .text_folder import is_graph_folder

EMBEDDED = {"countries": Path(__file__).parents[1] / "data" / "countries"}  # graphs that ship with the package


def load_benchmark(name: str, data_dir: str | Path | None = None, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads a benchmark by its name.

    `countries` is part of the package. The paper's five benchmarks are downloaded from their public sources on first
    use, unless `data_dir` holds them. They pass through `datasets`, whose cache (`HF_DATASETS_CACHE`) keeps their
    tables until the files or the code that reads them change. The graph is the same as that of
    `KnowledgeGraph.from_directory`.

    Args:
        name: `countries`, `umls`, `wn18rr`, `fb15k-237`, `wn11` or `fb13`.
        data_dir: a folder that holds the benchmark in KG-BERT layout; None: the package or the download.
        long_text: as in `KnowledgeGraph.from_directory`.

    Returns:
        The graph.

    Raises:
        GraphError: the name is unknown (the message lists the known ones), a file is wrong, or the download fails,
            which leaves no file.
    """
    if name in EMBEDDED:
        return KnowledgeGraph.from_directory(data_dir or EMBEDDED[name], long_text=long_text)
    if name not in BENCHMARKS:
        raise GraphError(f"unknown graph {name!r}; {_known_names()}, or pass a folder")
    # This import is here because a graph in a folder does not need `datasets`, which takes a second to import.
    from .datasets_builder import load_tables

    folder = data_dir or download(name, long_text=long_text)
    return KnowledgeGraph.from_datasets(**load_tables(name, folder, long_text=long_text))


def load_graph(name_or_path: str | Path, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads a graph from whatever `--graph` accepts: a benchmark's name, a file or folder, or a dataset of the hub.

    A local folder takes precedence over a benchmark of the same name, except over `countries`, which always is the
    graph in the package (write `./countries` for a folder of that name).

    Args:
        name_or_path: a name of `load_benchmark`; or a file or folder, as `KnowledgeGraph.from_file` reads it; or
            `user/name`, a dataset of the hub, as `KnowledgeGraph.from_hub` reads it.
        long_text: as in `KnowledgeGraph.from_directory`.

    Returns:
        The graph.

    Raises:
        GraphError: there is no graph of that name, or its files are wrong.
    """
    name = str(name_or_path)
    if (path := find_path(name)) is None:
        if name in EMBEDDED or name in BENCHMARKS:
            return load_benchmark(name, long_text=long_text)
        try:
            return KnowledgeGraph.from_hub(name, long_text=long_text)
        except GraphError as error:
            raise GraphError(f"{name}: no such folder, and {str(error).removeprefix(f'{name}: ')}") from error
    if is_graph_folder(path):
        return KnowledgeGraph.from_directory(path, long_text=long_text)
    if long_text:
        raise GraphError(f"{path}: long_text is for graph folders with entity2textlong.txt; leave it out")
    return KnowledgeGraph.from_file(path)


def find_path(name: str) -> Path | None:
    """Finds the file or folder that `--graph` names; None for a benchmark and a dataset of the hub.

    Raises:
        GraphError: there is nothing of that name.
    """
    path = Path(name)
    if name in EMBEDDED or (name in BENCHMARKS and not path.is_dir()):
        return None
    if "/" in name and HUB_NAME.fullmatch(name) and not path.exists() and not path.parent.is_dir():
        return None
    if (path / VOCABULARY_FILE).is_file():
        raise GraphError(f"{name}: the folder of a model; expected a graph, such as the one that it was trained on")
    if path.exists():
        return path
    if len(path.parts) > 1:
        raise GraphError(f"{name}: no such folder or file")
    raise GraphError(f"{name}: no such folder or file, and no graph of that name; {_known_names()}")


def _known_names() -> str:
    return f"known are {', '.join([*EMBEDDED, *BENCHMARKS])}"
