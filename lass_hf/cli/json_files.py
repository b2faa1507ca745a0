"""The file of `--json`: it is refused before the work if it is another file of the command. It imports no library."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comparison.methods import METHODS
from ..core.errors import LassError
from ..utils.atomic_files import is_stream
from ..utils.console import check_writable
from ..utils.result_files import refuse_own_file

# Options whose files --json must not replace: folders with files of their own, the graph, what is written and read.
FOLDERS = ("output_dir", "model", "rerank", "retriever", "encoder", "graph", "source")
PARTS = ("", "model", "seen", "unseen")  # of the folder of --output: itself, and those that complete and split make
# Of that folder, too, but usual names elsewhere: the files of rules and analyze.
RESULTS = ("rules.tsv", "index.html", "attention.html", "attention.png", "analysis.json")
GRAPHS = ("graph", "source")  # a file or a folder
WRITTEN = ("output", "output_dir")
READ = ("recipe", "ranks", "entities", "errors", "rules", "decisions")


def check_json(given: Mapping[str, Any]) -> None:
    """Makes sure before the work that `--json` can be written after it, and that nothing is lost by that.

    Args:
        given: the values of all options and positional arguments, by name.

    Raises:
        LassError: `--json` cannot be written, or is another file of the command: one that it reads or writes itself.
    """
    if not (file := given["json"]):
        return
    from ..graphs.import_files import refuse_source
    from ..graphs.text_folder import GRAPH_FILES

    for option in FOLDERS:
        if folder := given.get(option):
            refuse_own_file(file, folder)
    if output := given.get("output"):
        own = [*RESULTS, *(f"{name}.json" for name in METHODS if "methods" in given)]
        for part in PARTS:
            refuse_own_file(file, Path(output, part), [*own, *(GRAPH_FILES if "source" in given else ())])
    for graph in [given[option] for option in GRAPHS if given.get(option)] or [None]:
        refuse_source(file, None, graph)
    # On a terminal /dev/stdin, which may be read, and /dev/stdout are one device.
    for option in WRITTEN if is_stream(Path(file)) else (*WRITTEN, *READ):
        value = given.get(option) or []
        if os.path.realpath(file) in map(os.path.realpath, value if isinstance(value, list) else [value]):
            what = "the recipe" if option == "recipe" else f"--{option}"
            raise LassError(f"{file}: --json and {what} are one file; name two")
    check_writable(file)
