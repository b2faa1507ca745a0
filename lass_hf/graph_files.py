"""Reads the text files of a graph folder (KG-BERT layout) with errors that name file and line.

Strings in, lists of strings out; `knowledge_graph.py` turns them into integers.
"""

from pathlib import Path

from .errors import GraphError

LABELS = {"1": 1, "-1": 0, "0": 0}


def read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file, without byte-order mark, carriage returns and trailing blank lines."""
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise GraphError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8") from None
    except OSError as error:
        raise GraphError(f"{path}: cannot be read ({error.strerror})") from None
    # Not str.splitlines: it also splits at characters that occur inside descriptions (U+2028, form feed).
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise GraphError(f"{path}: the file is empty")
    return lines


def read_triplets(path: str | Path) -> tuple[list[list[str]], list[int] | None]:
    """Reads `head, relation, tail[, label]` lines separated by tabs.

    Returns the rows (three strings each) and the labels (1 or 0; None when the file has three columns).
    Raises GraphError, naming the line, for any other number of columns, empty fields and unknown labels.
    """
    rows = [line.split("\t") for line in read_lines(path)]
    columns = len(rows[0])
    if columns not in (3, 4):
        raise GraphError(
            f"{path}, line 1: {columns} tab-separated column(s), expected 3 (head, relation, tail) or 4 (and a label)"
        )
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise GraphError(f"{path}, line {number}: {len(row)} column(s), expected {columns} as in line 1")
        if not all(field.strip() for field in row):
            raise GraphError(f"{path}, line {number}: an empty field; expected head, relation and tail")
    if columns == 3:
        return rows, None
    labels = [LABELS.get(row[3].strip(), -1) for row in rows]
    if -1 in labels:
        number = labels.index(-1) + 1
        raise GraphError(f"{path}, line {number}: label {rows[number - 1][3]!r}; expected 1 (true) or -1 or 0 (false)")
    return [row[:3] for row in rows], labels


def read_texts(path: str | Path) -> dict[str, str]:
    """Reads `id, text` lines separated by a tab; raises GraphError for anything else, or two texts for one id."""
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if len(fields) != 2:
            raise GraphError(f"{path}, line {number}: {len(fields)} tab-separated column(s), expected 2 (id, text)")
        name, text = fields[0], fields[1].strip()
        if not name.strip() or not text:
            raise GraphError(f"{path}, line {number}: an empty {'text' if name.strip() else 'id'}")
        if texts.setdefault(name, text) != text:
            raise GraphError(f"{path}, line {number}: a second, different text for {name!r}; keep one line per id")
    return texts
