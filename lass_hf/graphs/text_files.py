"""Reads the text files of a graph folder (KG-BERT layout) with errors that name file and line.

Files in, names out; `knowledge_graph.py` turns them into integers. Arrow splits the lines: triplets may be many.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import GraphError
from .named_triplets import NamedTriplets, is_blank

if TYPE_CHECKING:
    import pyarrow as pa

LABELS = {"1": 1, "-1": 0, "0": 0}


def read_lines(path: str | Path) -> "pa.LargeStringArray":
    """The lines of a UTF-8 file, without byte-order mark, carriage returns and trailing blank lines."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise GraphError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    # Only a newline ends a line: neither str.splitlines nor Arrow's CSV reader knows that (U+2028, a lone \r).
    text = text.replace("\r\n", "\n").rstrip("\n")
    lines = pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten()
    count = len(lines)
    while count and not lines[count - 1].as_py().strip():
        count -= 1
    if not count:
        raise GraphError(f"{path}: the file is empty")
    return lines[:count]


def read_triplets(path: str | Path) -> NamedTriplets:
    """Reads `head, relation, tail[, label]` lines separated by tabs; labels are None when there are three columns.

    Raises GraphError, naming the line, for any other number of columns, empty fields and unknown labels.
    """
    import pyarrow as pa

    rows, widths = _split_lines(path)
    columns = int(widths[0])
    if columns not in (3, 4):
        raise GraphError(
            f"{path}, line 1: {columns} tab-separated column(s), expected 3 (head, relation, tail) or 4 (and a label)"
        )
    whole = _first(widths != columns)
    fields = rows[:whole].flatten().dictionary_encode()
    names, codes = fields.dictionary, fields.indices.to_numpy().reshape(-1, columns)
    if (blank := is_blank(names)).any():
        line = _first(blank[codes].any(axis=1)) + 1
        raise GraphError(f"{path}, line {line}: an empty field; expected head, relation and tail")
    if whole < len(rows):
        raise GraphError(f"{path}, line {whole + 1}: {widths[whole]} column(s), expected {columns} as in line 1")
    if columns == 3:
        return NamedTriplets(names, codes, None)
    used = pa.array(codes[:, 3]).unique()
    label_of = np.full(len(names), -1, dtype=np.int8)
    label_of[used.to_numpy()] = [LABELS.get(label.strip(), -1) for label in names.take(used).to_pylist()]
    labels = label_of[codes[:, 3]]
    if (row := _first(labels == -1)) < len(labels):
        label = names[int(codes[row, 3])].as_py()
        raise GraphError(f"{path}, line {row + 1}: label {label!r}; expected 1 (true) or -1 or 0 (false)")
    return NamedTriplets(names, codes[:, :3], labels)


def read_texts(path: str | Path) -> dict[str, str]:
    """Reads `id, text` lines separated by a tab; raises GraphError for anything else, or two texts for one id."""
    import pyarrow.compute as pc

    rows, widths = _split_lines(path)
    whole = _first(widths != 2)
    fields = rows[:whole].flatten()
    ids, given = fields[::2], pc.utf8_trim_whitespace(fields[1::2])
    filled = _first((blank := is_blank(ids)) | is_blank(given))
    texts: dict[str, str] = {}
    pairs = zip(ids[:filled].to_pylist(), given[:filled].to_pylist(), strict=True)
    for number, (name, text) in enumerate(pairs, start=1):
        if texts.setdefault(name, text) != text:
            raise GraphError(f"{path}, line {number}: a second, different text for {name!r}; keep one line per id")
    if filled < whole:
        raise GraphError(f"{path}, line {filled + 1}: an empty {'id' if blank[filled] else 'text'}")
    if whole < len(rows):
        raise GraphError(f"{path}, line {whole + 1}: {widths[whole]} tab-separated column(s), expected 2 (id, text)")
    return texts


def _split_lines(path: str | Path) -> "tuple[pa.ListArray, np.ndarray]":
    """The tab-separated fields of each line, and how many there are."""
    import pyarrow.compute as pc

    rows = pc.split_pattern(read_lines(path), "\t")
    return rows, pc.list_value_length(rows).to_numpy()


def _first(wrong: np.ndarray) -> int:
    """Position of the first true value; the length where there is none."""
    return int(wrong.argmax()) if wrong.any() else len(wrong)
