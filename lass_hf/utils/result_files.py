"""Results files: one JSON file for each run, with the environment that its figures depend on."""

import json
import os
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..core.errors import LassError
from .atomic_files import write_whole
from .checked_files import Types, check_types, read_json
from .environment import environment, process_rank

FORMAT = 2
TRAINING_FILE = "training.json"  # the results file of a training, in the model's folder
# In the output folder of a command: the results file, which is written last, and the judged triplets, the list first.
RESULTS = {"completion": "completion.json", "audit": "audit.json", "comparison": "comparison.json"}
LISTS = {
    "completion": ("suggestions.tsv", "implied.tsv"),
    "audit": ("findings.tsv", "signals.tsv"),
    "comparison": (),
}
REPORT_FILE = "report.html"
DECISIONS_FILE, DECIDED_FILE = "decisions.jsonl", "decisions.tsv"  # what people decided, and what that comes to
TABLES = (*(name for names in LISTS.values() for name in names), DECIDED_FILE)
# What commands keep in their output folders; the files of metadata are those that `writers/` writes beside tables.
OWN_FILES = (
    *(*RESULTS.values(), *TABLES, *(f"{name}.metadata.json" for name in TABLES), DECISIONS_FILE, REPORT_FILE),
    *(TRAINING_FILE, "config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),  # of a model
    *("special_tokens_map.json", "vocabulary.json", "model_card.json", "README.md", "recipe.yaml"),
    *("trainer_state.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "adapter_config.json"),
    *("source.json", "import_report.json"),  # of a graph that was imported
    *("trials.tsv", "trials.db"),  # of a search
)
# The weights and the code of a model, by their endings, and folders that are replaced as a whole, or may be.
OWN_PATTERNS = (
    *("*.safetensors", "*.safetensors.index.json", "*.bin", "*.model", "*.py"),
    *("checkpoint-*/*", "evidence/*", "entity_index/*"),
)
EXPECTED = "a results file, as --json of a lass-hf command writes it"
# The needed keys of a training's results, beside the metrics, which are empty until the training ends.
TRAINING_KEYS: Types = {
    **{"graph": str, "graph_fingerprint": str, "recipe": (str, type(None)), "changed": dict, "seed": int, "bf16": bool},
    **{"choices": dict, "command": str, "resumed": bool},
}
STARTED = time.perf_counter()  # near enough to the start of the program


def write_results(file: str | Path, metrics: dict[str, Any], **more: Any) -> None:
    """Writes the results of a run as one JSON file, whole or not at all.

    Args:
        file: the file to write, or to replace.
        metrics: the figures that were measured.
        more: further keys, such as `task`, `split` and `command`. `seconds` is the time since the program started,
            unless it is given here.
    """
    content = {
        "format": FORMAT,
        "metrics": metrics,
        "num_processes": process_rank()[1],
        **environment(),
        "seconds": round(time.perf_counter() - STARTED, 1),
        **more,
    }
    write_whole(file, json.dumps(content, indent=1) + "\n")


def update_results(file: str | Path, **more: Any) -> None:
    """Replaces keys of a results file that `write_results` wrote; the file is whole at any time.

    Args:
        file: the file.
        more: keys with their new values.

    Raises:
        LassError: as `read_results`.
    """
    write_whole(file, json.dumps({**read_results(file), **more}, indent=1) + "\n")


def read_results(file: str | Path) -> dict[str, Any]:
    """Reads a file that `write_results` wrote.

    Args:
        file: the file.

    Returns:
        Its content; `metrics` is a dict.

    Raises:
        LassError: the file is missing, or no results file, or one of another format.
    """
    content = read_json(file, EXPECTED)
    check_types(file, content, {"metrics": dict}, EXPECTED)
    if content.get("format") != FORMAT:
        raise LassError(
            f"{file}: results of format {content.get('format')!r:.20}, expected {FORMAT}: run the command that made it "
            "again"
        )
    return content


def refuse_own_file(file: str | Path, folder: str | Path, more: Iterable[str] = ()) -> None:
    """Raises LassError if a file that is to be written is one that a command keeps in a folder, and would be lost.

    Args:
        file: The file.
        folder: The folder.
        more: Further names of files that the command keeps there.
    """
    own = {os.path.realpath(Path(folder, name)) for name in (*OWN_FILES, *more)}
    root, path = Path(os.path.realpath(folder)), Path(file)
    # A file in the cache of the hub is a link: it is in the folder, and what it leads to is not.
    for place in (Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)):
        inside = place.relative_to(root).as_posix() if place.is_relative_to(root) else ""
        if str(place) in own or any(fnmatchcase(inside, pattern) for pattern in OWN_PATTERNS):
            raise LassError(f"{file}: a file of {folder} itself, which would be overwritten; name another file")


def refuse_input_folder(folder: str | Path, option: str = "--output", **read: str | None) -> None:
    """Raises LassError if an output folder is that of something that is read, among whose files no others may come.

    Args:
        folder: The output folder.
        option: The option that names it.
        **read: By what they are, such as `graph`, the files, folders or names that are read; None where none is.
    """
    place = Path(folder).resolve()
    for what, name in read.items():
        if name and Path(name).resolve() == place:
            raise LassError(f"{name}: the folder of the {what}; choose another {option}")
        if name and Path(name).is_file() and Path(name).parent.resolve() == place:
            raise LassError(f"{folder}: the folder of the {what} {name}; choose another {option}")


def read_training(model: str | Path) -> dict[str, Any] | None:
    """Reads the metadata of the training that made a saved model.

    Args:
        model: folder of the model.

    Returns:
        Graph, fingerprints, recipe, choices, command, metrics and environment of the training; None for a folder
        without a training that ended, and for a model of the hub.

    Raises:
        LassError: the file is damaged.
    """
    file = Path(model, TRAINING_FILE)
    if not os.path.lexists(file):
        return None
    content = read_results(file)
    check_types(file, content, TRAINING_KEYS, "the results file of a training; train again, or delete it")
    left_out = ("format", "task", "log", "seconds")
    return {name: value for name, value in content.items() if name not in left_out} if content["metrics"] else None
