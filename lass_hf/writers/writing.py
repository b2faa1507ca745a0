"""`write_judged_triplets`: the one way from judged triplets to a file of any format."""

import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..core.errors import LassError
from ..names.source import LeftOut, needs_extra
from ..utils.atomic_files import is_stream, locked, open_whole, write_whole
from .file_formats import FORMATS, format_of, sidecar_of
from .judged_triplets import FileMetadata, chunks_of
from .source_ids import SourceIds

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class WrittenFile:
    """What became of judged triplets.

    Attributes:
        rows: how many were written.
        left_out: those that the format cannot hold.
    """

    rows: int
    left_out: list[LeftOut]


def check_format(file: str | Path, format: str | None = None) -> str:
    """Returns the name of the format of a file that is to be written.

    Args:
        file: the file; its ending says the format.
        format: the name of the format, if the ending is not to say it.

    Raises:
        LassError: there is no such format, or the library that writes it is not installed.
    """
    kind = format_of(file, format)
    if FORMATS[kind].extra == "rdf" and importlib.util.find_spec("pyoxigraph") is None:
        raise needs_extra(Path(file), kind, "rdf")
    return kind


def write_judged_triplets(
    rows: "pa.Table | Iterable[pa.Table | pa.RecordBatch]",
    file: str | Path,
    metadata: FileMetadata,
    format: str | None = None,
    source: SourceIds | None = None,
) -> WrittenFile:
    """Writes judged triplets into a file, whole or not at all.

    Args:
        rows: a table of `judged_triplets`, or any number of tables, which are written one after the other; those that
            are written need not be in memory any more (but for OBO).
        file: the file to write, or to replace. Beside TSV, CSV, JSON Lines and KGX, `FILE.metadata.json` holds the
            metadata; the other formats hold them in the file.
        metadata: what the rows depend on.
        format: the name of the format, one of `FORMATS`; None: the ending of the file says it.
        source: the ids in the form of the graph's source; None: ids are in their own form.

    Returns:
        How many rows were written, and which were left out.

    Raises:
        LassError: the format is unknown, or its library is not installed; a row is not as expected; or the format can
            hold none of the rows. A file that was there is unchanged then.
        OSError: the file cannot be written.
    """
    kind, source = check_format(file, format), source or SourceIds()
    count = 0

    def counted() -> "Iterator[pa.Table]":
        nonlocal count
        for chunk in chunks_of(rows):
            count += len(chunk)
            yield chunk

    has_sidecar = FORMATS[kind].has_sidecar and not is_stream(Path(file))
    with ExitStack() as lock:
        with open_whole(file) as handle:
            left_out = _write(kind, counted(), handle, metadata, source)
            left = sum(one.count for one in left_out)
            if count and left == count:
                raise LassError(f"{file}: none of the {count} triplets can be written: {left_out[0].reason}")
            if has_sidecar:  # no file ever stands beside the metadata of another one, also not of another process
                lock.enter_context(locked(Path(file).parent))
                sidecar_of(file).unlink(missing_ok=True)
        if has_sidecar:
            write_whole(sidecar_of(file), metadata.as_json(indent=1) + "\n")
    return WrittenFile(count - left, left_out)


def _write(
    kind: str, chunks: "Iterator[pa.Table]", handle: BinaryIO, metadata: FileMetadata, source: SourceIds
) -> list[LeftOut]:
    if kind == "sssom":
        from .sssom import write_sssom

        return write_sssom(chunks, handle, metadata, source)
    if kind == "obo":
        from .obo import write_obo

        return write_obo(chunks, handle, metadata, source)
    if kind == "kgx":
        from .kgx import write_kgx

        write_kgx(chunks, handle, source)
    elif FORMATS[kind].extra == "rdf":
        from .rdf import write_rdf

        write_rdf(chunks, handle, metadata, source, kind)
    else:
        from . import tables

        if kind == "parquet":
            tables.write_parquet(chunks, handle, metadata)
        else:
            {"tsv": tables.write_tsv, "csv": tables.write_csv, "jsonl": tables.write_jsonl}[kind](chunks, handle)
    return []
