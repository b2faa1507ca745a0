"""The files of an entity index: one for each block of vectors, which is there as a whole or not at all.

The metadata of a file holds the fingerprint of the model, a digest of the texts of the entities for each number of
entities that the file has had, and a digest of all that and of the vectors. It is compared whenever a file is opened,
which reads the file once: a search reads all vectors anyway.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from ..core.errors import IndexFolderError, LassError, first_line, library_errors
from ..utils.atomic_files import write_whole
from ..utils.fingerprints import digest

INDEX_FORMAT = "5"
ENTITIES_PER_BLOCK = 2**14  # Entities of a block and of its file, written, compared and moved to a device together.

DigestTexts = Callable[[int, int], str]
Blocks = list[torch.Tensor | None]
Spans = list[tuple[int, int]]


def spans_of_blocks(num_entities: int) -> Spans:
    """Returns the first entity and the end of each block, for a number of entities."""
    starts = range(0, num_entities, ENTITIES_PER_BLOCK)
    return [(start, min(start + ENTITIES_PER_BLOCK, num_entities)) for start in starts]


def read_blocks(folder: Path, spans: Spans, texts: DigestTexts, model: str) -> Blocks:
    """Opens the blocks of a folder, memory-mapped.

    Args:
        folder: The folder.
        spans: The first entity and the end of each block.
        texts: Function of `start` and `stop` that digests the texts of the entities from start to stop - 1.
        model: The fingerprint of the encoder.

    Returns:
        Float32 of shape (entities, dim) for each block, which can hold fewer entities than its span; None for a block
        that has no file.

    Raises:
        LassError: A file is damaged.
        IndexFolderError: A file is that of another model or graph.
    """
    return [_read_block(folder, number, *span, texts, model) for number, span in enumerate(spans)]


def make_writable(folder: Path) -> None:
    """Makes the folder, so that a folder that cannot be written is an error before the work begins.

    Args:
        folder: The folder.

    Raises:
        IndexFolderError: The folder cannot be made, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFolderError(f"{folder}: cannot be made ({error.strerror}); name another folder") from None
    if not os.access(folder, os.W_OK):
        raise IndexFolderError(f"{folder}: cannot be written; name another folder")


def write_block(folder: Path, number: int, block: torch.Tensor, start: int, texts: DigestTexts, model: str) -> None:
    """Writes a block, in place of a shorter one if there is one.

    Args:
        folder: The folder.
        number: The number of the block.
        block: The vectors, float32 of shape (entities, dim).
        start: The first entity of the block.
        texts: Function of `start` and `stop` that digests the texts of the entities from start to stop - 1.
        model: The fingerprint of the encoder.

    Raises:
        LassError: The file cannot be written.
    """
    file = _file(folder, number)
    sizes = {len(block)}
    if file.exists():  # It was read before, so it is whole.
        with safe_open(file, "pt") as content:
            sizes |= set(map(int, json.loads(content.metadata()["texts"])))
    digests = {size: texts(start, start + size) for size in sorted(sizes)}
    metadata = {"format": INDEX_FORMAT, "model": model, "texts": json.dumps(digests)}
    metadata["digest"] = _digest(metadata, block)
    try:
        write_whole(file, save({"vectors": block.contiguous()}, metadata))
    except OSError as error:
        raise LassError(
            f"{file}: cannot be written ({error.strerror or first_line(error)}); finished blocks are kept, "
            "so make room and run it again to go on"
        ) from None


def _digest(metadata: dict[str, str], block: torch.Tensor) -> str:
    """Returns the digest of a file's other metadata and of its vectors, with their type and shape."""
    others = sorted((name, value) for name, value in metadata.items() if name != "digest")
    vectors = block.contiguous().reshape(-1).view(torch.uint8).numpy()
    return digest([repr((others, block.dtype, block.shape)).encode(), vectors])


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.safetensors"


def _read_block(
    folder: Path, number: int, start: int, stop: int, texts: DigestTexts, model: str
) -> torch.Tensor | None:
    """Opens the block of the entities from start to stop - 1, or of the first ones; returns None if it has no file.

    A file with more entities, written for a graph that has grown, also serves the graph before it grew.
    """
    file = _file(folder, number)
    if not os.path.lexists(file):
        return None
    hint = "; delete it, its entities are encoded again"
    if not file.is_file():
        raise LassError(f"{file}: damaged (it is no regular file){hint}")
    with library_errors(f"{file}: damaged", hint, LassError), safe_open(file, "pt") as content:
        metadata = content.metadata() or {}
        block = content.get_tensor("vectors")  # On the CPU this is a view of the mapped file.
    difference, size = None, len(block)
    if metadata.get("format") != INDEX_FORMAT:
        difference = f"format (it is {metadata.get('format')!r:.20}, expected '{INDEX_FORMAT}')"
    elif metadata.get("digest") != _digest(metadata, block):
        raise LassError(f"{file}: damaged (it is not what was written){hint}")
    elif metadata.get("model") != model:
        difference = "model"
    else:
        digests = json.loads(metadata["texts"])
        size = stop - start if str(stop - start) in digests else len(block)
        if size > stop - start or digests[str(size)] != texts(start, start + size):
            difference = f"graph (other texts among the entities from {start} on)"
    if difference:
        raise IndexFolderError(
            f"{folder}: the index of another {difference}; name another folder, or delete it to build it anew"
        )
    return block[:size]
