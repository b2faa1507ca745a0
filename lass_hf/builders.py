"""Graphs by name: the one that ships with the package, and the paper's five benchmarks read from a folder.

It finds folders; `knowledge_graph.py` reads them.
"""

from pathlib import Path

from .errors import GraphError
from .knowledge_graph import KnowledgeGraph

EMBEDDED = {"countries": Path(__file__).parent / "data" / "countries"}
BENCHMARKS = ("umls", "wn18rr", "fb15k-237", "wn11", "fb13")


def load_benchmark(name: str, data_dir: str | Path | None = None, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads `countries` (part of the package), or a benchmark of the paper from a folder in KG-BERT layout.

    Raises GraphError for an unknown name, listing the known ones, and for a benchmark without `data_dir`.
    """
    if name not in EMBEDDED and name not in BENCHMARKS:
        raise GraphError(f"unknown graph {name!r}; known are {', '.join([*EMBEDDED, *BENCHMARKS])}, or pass a folder")
    folder = data_dir or EMBEDDED.get(name)
    if folder is None:
        raise GraphError(
            f"{name} does not ship with the package: download it in KG-BERT layout (train.tsv, dev.tsv, test.tsv, "
            "entity2text.txt, relation2text.txt; see github.com/yao8839836/kg-bert) and pass the folder as data_dir"
        )
    return KnowledgeGraph.from_directory(folder, long_text=long_text)


def load_graph(name_or_folder: str | Path, *, long_text: bool = False) -> KnowledgeGraph:
    """Loads a graph that ships with the package by name, else a folder (a folder called countries is `./countries`)."""
    if str(name_or_folder) in EMBEDDED or (str(name_or_folder) in BENCHMARKS and not Path(name_or_folder).is_dir()):
        return load_benchmark(str(name_or_folder), long_text=long_text)
    if Path(name_or_folder).is_dir() or len(Path(name_or_folder).parts) > 1:
        return KnowledgeGraph.from_directory(name_or_folder, long_text=long_text)
    raise GraphError(f"{name_or_folder}: no such folder, and no graph of that name; known are {', '.join(EMBEDDED)}")
