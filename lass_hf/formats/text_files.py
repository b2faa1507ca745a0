"""Reads and writes the text files of a graph folder (KG-BERT layout): tab-separated triplets, and texts of ids.

A reader takes a file and returns names; `graphs/text_folder.py` turns those of a folder into a graph. Errors name the
file and the line. Arrow splits and joins the lines, because a file may hold many millions of triplets.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import GraphError
from ..core.vocabulary import BLANKS, escaped
from ..names.name_forms import is_blank, trim
from ..names.named_triplets import LABELS, NamedTriplets, first_true

if TYPE_CHECKING:
    import pyarrow as pa

NEWLINE = b"\n"
UNWRITABLE = r"[\x00\t\n]"


def check_text(path: Path, content: bytes) -> bytes:
    """Checks the content of a text file, and returns it without byte-order mark.

    Raises:
        GraphError: the content is not UTF-8, or has NUL characters; the message names the line.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not _is_utf8(content):
        position, fault = 0, "not UTF-8"
        try:
            content.decode()
        except UnicodeDecodeError as error:
            position, fault = error.start, f"not UTF-8 (byte 0x{content[error.start]:02x}: {error.reason})"
        remedy = "save the file as UTF-8, in Excel as 'CSV UTF-8'"
    elif (position := content.find(b"\0")) >= 0:
        fault, remedy = "a NUL character, as UTF-16 has them", "save the file as UTF-8"
    else:
        return content
    raise GraphError(f"{path}, line {content.count(NEWLINE, 0, position) + 1}: {fault}; {remedy}")


def _is_utf8(content: bytes) -> bool:
    """Checks bytes without making a string of them, which can need four times their memory."""
    import pyarrow as pa

    offsets = pa.array([0, len(content)], pa.int64()).buffers()[1]
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(content)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def read_lines(path: str | Path) -> "pa.LargeStringArray":
    """Reads the lines of a UTF-8 file.

    Args:
        path: the file.

    Returns:
        One string for each line, without byte-order mark and trailing blank lines.

    Raises:
        GraphError: the file cannot be read, is not UTF-8, has NUL characters or is empty.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    path = Path(path)
    try:
        text = check_text(path, path.read_bytes())
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    # Only a newline ends a line here. str.splitlines and Arrow's CSV reader would also split at U+2028 or a lone \r.
    # A carriage return before it is white space, and removed with that of the last field.
    text = text.rstrip(NEWLINE)
    lines = pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten()
    count = len(lines)
    while count and not lines[count - 1].as_py().strip(BLANKS):
        count -= 1
    if not count:
        raise GraphError(f"{path}: the file is empty")
    return lines[:count]


def read_triplets(path: str | Path) -> NamedTriplets:
    """Reads a file of triplets: lines of `head, relation, tail` or `head, relation, tail, label`, separated by tabs.

    Args:
        path: the file; it has no header. A label is 1 (true), or -1 or 0 (false).

    Returns:
        The triplets in names, without white space at both ends; their labels are None if the file has three columns.

    Raises:
        GraphError: a line has another number of columns, an empty field or an unknown label, or the first line is a
            header; the message names the first such line.
    """
    import pyarrow as pa

    rows, widths = _split_lines(path)
    columns = int(widths[0])
    if columns not in (3, 4):
        first = " ".join(rows[0].as_py())
        spaces = "; its words stand between spaces: put tabs there" if columns == 1 and len(first.split()) > 2 else ""
        raise GraphError(
            f"{path}, line 1: {columns} tab-separated column(s), expected 3 (head, relation, tail) or 4 (and a label)"
            f"{spaces}"
        )
    num_complete = first_true(widths != columns)  # Lines before the first one of another width.
    fields = rows[:num_complete].flatten().dictionary_encode()
    names, codes = fields.dictionary, fields.indices.to_numpy().reshape(-1, columns)
    if (blank := is_blank(names)).any():
        line = first_true(blank[codes].any(axis=1)) + 1
        raise GraphError(f"{path}, line {line}: an empty field; expected head, relation and tail")
    if num_complete < len(rows):
        raise GraphError(
            f"{path}, line {num_complete + 1}: {widths[num_complete]} column(s), expected {columns} as in line 1"
        )
    triplets = NamedTriplets.from_codes(names, codes[:, :3], None)
    if header := triplets.find_header():
        raise GraphError(f"{path}, line 1: a header ({', '.join(header)}); expected triplets only: remove the line")
    if columns == 3:
        return triplets
    label_codes = pa.array(codes[:, 3]).unique()
    label_of = np.full(len(names), -1, dtype=np.int8)
    label_of[label_codes.to_numpy()] = [
        LABELS.get(label.strip(BLANKS), -1) for label in names.take(label_codes).to_pylist()
    ]
    triplets.labels = labels = label_of[codes[:, 3]]
    if (row := first_true(labels == -1)) < len(labels):
        label = names[int(codes[row, 3])].as_py()
        raise GraphError(f"{path}, line {row + 1}: label {label!r}; expected 1 (true) or -1 or 0 (false)")
    return triplets


def read_texts(path: str | Path) -> dict[str, str]:
    """Reads a file of texts: lines of `id, text`, separated by a tab.

    Args:
        path: the file; it has no header.

    Returns:
        The text of each id in the order of the file, both without white space at their ends.

    Raises:
        GraphError: a line has another number of columns, an empty field, or a second, different text for an id; the
            message names the first such line.
    """
    rows, widths = _split_lines(path)
    num_complete = first_true(widths != 2)
    fields = trim(rows[:num_complete].flatten())
    ids, of_ids = fields[::2], fields[1::2]
    num_filled = first_true((blank := is_blank(ids)) | is_blank(of_ids))
    texts: dict[str, str] = {}
    pairs = zip(ids[:num_filled].to_pylist(), of_ids[:num_filled].to_pylist(), strict=True)
    for line, (name, text) in enumerate(pairs, start=1):
        if texts.setdefault(name, text) != text:
            raise GraphError(f"{path}, line {line}: a second, different text for {escaped(name)}; keep one line per id")
    if num_filled < num_complete:
        raise GraphError(f"{path}, line {num_filled + 1}: an empty {'id' if blank[num_filled] else 'text'}")
    if num_complete < len(rows):
        raise GraphError(
            f"{path}, line {num_complete + 1}: {widths[num_complete]} tab-separated column(s), expected 2 (id, text)"
        )
    return texts


def check_ids(kind: str, ids: "pa.ChunkedArray") -> None:
    """Raises GraphError for an id that a line of a file cannot hold.

    Args:
        kind: "entities" or "relations"; the message names it.
        ids: Arrow strings.
    """
    import pyarrow.compute as pc

    is_wrong = np.asarray(pc.match_substring_regex(ids, UNWRITABLE)) | np.asarray(pc.not_equal(trim(ids), ids))
    if is_wrong.any():
        name = ids[first_true(is_wrong)].as_py()
        raise GraphError(
            f"{kind}: the id {escaped(name)} has a tab, newline or NUL character, or white space around it, which a "
            "text file cannot hold; change it, or use save_dataset"
        )


def without_line_ends(texts: "pa.ChunkedArray") -> "tuple[pa.ChunkedArray, int]":
    """Replaces what a line cannot hold by spaces, in Arrow strings; returns them and how many have changed."""
    import pyarrow.compute as pc

    num_changed = pc.sum(pc.match_substring_regex(texts, UNWRITABLE)).as_py() or 0
    return pc.replace_substring_regex(texts, UNWRITABLE, " ") if num_changed else texts, num_changed


def write_table(path: str | Path, table: "pa.Table") -> None:
    """Writes the rows of a table as lines, with a tab between columns, of which none may hold tabs and newlines.

    Args:
        path: the file to write.
        table: columns of strings, or of labels.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tab, newline = (pa.scalar(separator, pa.large_string()) for separator in ("\t", "\n"))
    with Path(path).open("wb") as file:
        for batch in table.to_batches(max_chunksize=2**18):
            rows = pc.binary_join_element_wise(*(column.cast(pa.large_string()) for column in batch.columns), tab)
            lines = pa.LargeListArray.from_arrays(pa.array([0, len(rows)], pa.int64()), rows)
            file.write(pc.binary_join(lines, newline)[0].as_buffer())
            file.write(b"\n")


def _split_lines(path: str | Path) -> "tuple[pa.ListArray, np.ndarray]":
    """Returns the tab-separated fields of each line, and the number of fields of each line: integers of shape (n,)."""
    import pyarrow.compute as pc

    rows = pc.split_pattern(read_lines(path), "\t")
    return rows, pc.list_value_length(rows).to_numpy()
