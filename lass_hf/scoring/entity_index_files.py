"""The files of an entity index: one for each block of vectors, whole or not there, with what it was made from.

A file's name says which entities; its metadata says of which model and texts, at each length that it has had. It
encodes and compares nothing.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from ..core.errors import LOADING_ERRORS, IndexFolderError, LassError, first_line
from ..utils.atomic_files import write_whole

FORMAT = "3"
BLOCK = 2**14  # entities in a block and in a file: the unit that is kept, compared and moved to a device
STALE = 3600  # seconds after which a half-written file is one that a kill left

Texts = Callable[[int, int], str]
Blocks = list[torch.Tensor | None]
Spans = list[tuple[int, int]]


def spans_of(num_entities: int) -> Spans:
    """First entity and end of each block."""
    return [(start, min(start + BLOCK, num_entities)) for start in range(0, num_entities, BLOCK)]


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.safetensors"


def read_blocks(folder: Path, spans: Spans, texts: Texts, model: str) -> Blocks:
    """The blocks that are there, memory-mapped, float32 (entities, dim); None for those that are not.

    `texts(start, stop)` digests what entities start to stop - 1 are encoded from, `model` is the fingerprint of their
    encoder. Raises LassError for a damaged file; IndexFolderError for the index of another model or graph.
    """
    return [_read_block(folder, number, *span, texts, model) for number, span in enumerate(spans)]


def _read_block(folder: Path, number: int, start: int, stop: int, texts: Texts, model: str) -> torch.Tensor | None:
    """The block of entities start to stop - 1, memory-mapped: whole, or its first part; None if it is not there.

    A file with more entities, of a graph that has grown, serves the one that it has grown from.
    """
    file = _file(folder, number)
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as content:  # on the CPU its tensors are views of the mapped file
            found = content.metadata() or {}
            block = content.get_tensor("vectors")
    except LOADING_ERRORS as error:
        raise LassError(f"{file}: damaged ({first_line(error)}); delete it, its entities are encoded again") from None
    what, size = None, len(block)
    if found.get("format") != FORMAT:
        what = f"format (it is {found.get('format')}, expected {FORMAT})"
    elif found.get("model") != model:
        what = "model"
    else:
        digests = json.loads(found["texts"])
        size = stop - start if str(stop - start) in digests else size
        if size > stop - start or digests[str(size)] != texts(start, start + size):
            what = f"graph (other texts among the entities from {start} on)"
    if what:
        raise IndexFolderError(
            f"{folder}: the index of another {what}; name another folder, or delete it to build it anew"
        )
    return block[:size]


def make_writable(folder: Path) -> None:
    """Makes the folder, or fails before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFolderError(f"{folder}: cannot be made ({error.strerror}); name another folder") from None
    if not os.access(folder, os.W_OK):
        raise IndexFolderError(f"{folder}: cannot be written; name another folder")


def write_block(folder: Path, number: int, block: torch.Tensor, start: int, texts: Texts, model: str) -> None:
    """Writes the block of entities `start` and after, in place of a shorter one; a file is whole or not there."""
    file = _file(folder, number)
    sizes = {str(len(block))}
    if file.exists():
        with safe_open(file, "pt") as content:
            sizes |= set(json.loads(content.metadata()["texts"]))
    digests = {size: texts(start, start + int(size)) for size in sorted(sizes, key=int)}
    metadata = {"format": FORMAT, "model": model, "texts": json.dumps(digests)}
    try:
        write_whole(file, save({"vectors": block.contiguous()}, metadata))
    except OSError as error:
        raise LassError(
            f"{file}: cannot be written ({error.strerror or first_line(error)}); finished blocks are kept, "
            "so make room and run it again to go on"
        ) from None


def remove_leftovers(folder: Path) -> None:
    """Removes half-written files of builds that were killed; young ones may be another build's that goes on."""
    for leftover in folder.glob("*.safetensors.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > STALE:
                leftover.unlink()
