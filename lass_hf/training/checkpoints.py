"""Checkpoints: finds the one to resume from, and checks that it belongs to the model and the graph."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer import OPTIMIZER_NAME, TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import CONFIG_NAME, SAFE_WEIGHTS_NAME

from ..core.configuration_lass import LassConfig
from ..core.errors import LassError, first_line, loading_errors
from ..core.processing_lass import LassProcessor
from ..utils.fingerprints import config_fingerprint, graph_fingerprint, texts_fingerprint


def checkpoints_in(output_dir: str | Path) -> list[Path]:
    """Returns the folders of checkpoints in an output folder, whole or not, that with the most steps first."""
    steps = [folder.name.rpartition("-")[2] for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*")]
    newest_first = sorted(map(int, filter(str.isdecimal, steps)), reverse=True)
    return [Path(output_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}") for step in newest_first]


def find_checkpoint(name: str | bool, output_dir: str | Path) -> str | None:
    """Finds the checkpoint to resume from.

    A checkpoint is whole when its last file is: a kill while it is written leaves one that is not.

    Args:
        name: Folder of a checkpoint, or "last" for the newest whole one in the output folder, if any. True: there must
            be one.
        output_dir: The output folder.

    Returns:
        The checkpoint's folder; None if the last one is asked for and there is none.

    Raises:
        LassError: The folder holds no whole checkpoint.
    """
    if name is True or name == "last":
        found = next((str(folder) for folder in checkpoints_in(output_dir) if not _lacks(folder)), None)
        if found is None and name is True:
            raise LassError(f"{output_dir}: it has no whole checkpoint to resume from")
        return found
    if missing := _lacks(Path(name := str(name))):
        raise LassError(
            f"{name}: its {missing} is missing or incomplete; expected the folder of a whole checkpoint, or "
            '"last" for the newest one in the output folder'
        )
    return name


def _lacks(checkpoint: Path) -> str | None:
    """Returns a file that is missing or cut off; the Trainer writes its state last."""
    for name in (CONFIG_NAME, SAFE_WEIGHTS_NAME, OPTIMIZER_NAME):
        if not (checkpoint / name).is_file():
            return name
    return None if is_whole_state(checkpoint) else TRAINER_STATE_NAME


def is_whole_state(checkpoint: Path) -> bool:
    """Returns whether a checkpoint has the state of the Trainer, which is written last."""
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "global_step" in state


def check_checkpoint(folder: Path, config: LassConfig, processor: LassProcessor) -> None:
    """Checks that a checkpoint is one of this model and graph; a training cannot go on from another one.

    Args:
        folder: The checkpoint's folder.
        config: The configuration of the model that is trained.
        processor: Its processor, with the graph that is trained on.

    Raises:
        LassError: The checkpoint is of another model, graph, texts or sequence template.
    """
    if config_fingerprint(LassConfig.from_pretrained(folder)) != config_fingerprint(config):
        raise LassError(
            f"{folder}: its config.json is that of another model; resume with the arguments of its training"
        )
    saved, graph = LassProcessor.from_pretrained(folder), processor.graph
    if saved.graph is None or graph is None or graph_fingerprint(saved.graph) != graph_fingerprint(graph):
        raise LassError(f"{folder}: its training was on another graph; resume with the same graph")
    stores = saved.token_store(), processor.token_store(graph)
    if len(set(map(texts_fingerprint, stores))) > 1:
        raise LassError(
            f"{folder}: its training had other texts, separators or max_length; resume with the same arguments"
        )


@contextmanager
def loading_checkpoint(folder: str | Path | None, part: str) -> Iterator[None]:
    """Turns the errors of other libraries while they load a part of a checkpoint into a LassError."""
    errors: tuple[type[Exception], ...] = (*loading_errors(), EOFError)
    try:
        yield
    except errors as error:
        if isinstance(error, LassError):
            raise
        raise LassError(f"{folder}: its {part} cannot be loaded ({first_line(error)})") from error


@contextmanager
def saving(folder: str | Path | None) -> Iterator[None]:
    """Turns the errors of a full disk into a LassError: safetensors and torch raise their own kinds."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if type(error) is RuntimeError and "inline_container" not in str(error):  # torch's file writer
            raise
        raise LassError(
            f"{folder}: cannot be saved ({first_line(error)}); free space there, and continue from the last whole "
            "checkpoint with --resume_from_checkpoint last"
        ) from error
