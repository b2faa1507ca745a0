r"""Texts in the cells of TSV and CSV: no formula for a spreadsheet, no escape for a terminal, no end of a line.

Control characters and characters that turn the direction are written as `\x1b` or `\u202e`. A text that a spreadsheet
would calculate (it begins with =, +, - or @, perhaps behind spaces or apostrophes) gets an apostrophe before it. Both
can be undone: a backslash that stands in the text itself before what looks like such an escape becomes `\x5c`.
"""

import re
from typing import Any

# The control characters of utils/terminal.py, and a backslash that would be read as an escape.
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_TO_ESCAPE = rf"[{_CONTROL}]|\\(?:x[0-9a-f]{{2}}|u[0-9a-f]{{4}})"
_ESCAPED = r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))"
# What no cell begins with, full-width forms too. Where numbers have commas, a spreadsheet begins a cell behind ";".
_BEGIN, _FORMULA = "(^|;)", "([ ']*[=+\\-@\uff1d\uff0b\uff0d\uff20])"
_QUOTED = r'^"(?:[^"]|"")*"$'
_SEPARATOR = "|"  # of reasons


def cells_of(texts: Any) -> Any:
    """Returns Arrow large strings as they are written in cells."""
    return _guard(_escape(texts))


def cells_of_lists(lists: Any) -> Any:
    r"""Returns Arrow lists of large strings as cells: texts with `|` between them; a `|` in a text is `\x7c`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.replace_substring(_escape(lists.flatten()), _SEPARATOR, "\\x7c")
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, texts.cast(pa.string())), _SEPARATOR)
    return _guard(joined.cast(pa.large_string()))


def texts_of(cells: Any) -> Any:
    """Returns the texts of cells, Arrow large strings: what `cells_of` was given."""
    return _where(_unguard(cells), _ESCAPED, unescape)


def lists_of(cells: Any) -> list[list[str]]:
    """Returns the lists of cells: what `cells_of_lists` was given."""
    cells = _unguard(cells).to_pylist()
    return [[unescape(text) for text in cell.split(_SEPARATOR) if text] for cell in cells]


def unquoted(cells: Any) -> Any:
    """Returns cells of TSV without the quotation marks of a spreadsheet; no cell of ours begins with such a mark."""
    return _where(cells, _QUOTED, lambda cell: cell[1:-1].replace('""', '"'))


def escape(text: str) -> str:
    """Returns a text without control characters, from which the text can be made again."""
    return re.sub(_TO_ESCAPE, lambda found: _code(found[0][0]) + found[0][1:], text)


def unescape(text: str) -> str:
    """Returns the text of which `escape` made this one."""
    return re.sub(_ESCAPED, lambda found: chr(int(found[1] or found[2], 16)), text)


def _code(letter: str) -> str:
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else f"\\u{ord(letter):04x}"


def _escape(texts: Any) -> Any:
    return _where(texts, _TO_ESCAPE, escape)


def _guard(cells: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(cells, _BEGIN + _FORMULA, r"\1'\2")


def _unguard(cells: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(cells, f"{_BEGIN}'{_FORMULA}", r"\1\2")


def _where(texts: Any, pattern: str, change: Any) -> Any:
    """Returns strings, changed by a Python function where they have a match of a pattern, which few texts have."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.match_substring_regex(texts, pattern)
    if not pc.any(found).as_py():
        return texts
    changed = pa.array([change(text) for text in texts.filter(found).to_pylist()], texts.type)
    return pc.replace_with_mask(texts, found, changed)
