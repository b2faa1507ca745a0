"""The forms of names in files and tables: blanks around them, names that look the same, and headers among them.

The functions take Arrow strings. What is no part of a name is removed; what may be is found and reported.
"""

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.vocabulary import BLANKS, escaped

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

# Names that the columns of triplets have in files of others, by slot.
COLUMN_NAMES = [
    re.compile(rf"\W*(?:{names})(?:[ _]?(?:id|name|entity|label))?\W*", re.IGNORECASE)
    for names in (
        "head|subject|subj|source|src|from|start|entity_?1",
        "relation|rel|predicate|pred|property|edge|type|relationship",
        "tail|object|obj|target|dst|to|end|entity_?2",
    )
]
SHORT_COLUMN_NAMES = (["h", "r", "t"], ["h", "t", "r"], ["s", "p", "o"])
TEXT_COLUMN_NAMES = (
    re.compile(r"(?:(?:entity|relation|node)?[ _]?id|entity|relation|node|key)", re.IGNORECASE),
    re.compile(r"(?:text|name|label|description|title)", re.IGNORECASE),
)


def trim(strings: Any) -> Any:
    """Removes white space and marks without width at both ends of Arrow strings."""
    import pyarrow.compute as pc

    return pc.utf8_trim(strings, characters=BLANKS)


def on_one_line(strings: Any) -> Any:
    """Replaces each run of white space and control characters in Arrow strings by one space, and trims the strings.

    What is replaced is what the lines of a text file cannot hold, or what no encoder tells from a space.
    """
    import pyarrow.compute as pc

    return trim(pc.replace_substring_regex(strings, r"[\x00-\x20\x{85}\x{2028}\x{2029}]+", " "))


def is_blank(strings: Any) -> np.ndarray:
    """Checks which Arrow strings are empty, or white space and marks without width only.

    Args:
        strings: n Arrow strings.

    Returns:
        bool of shape (n,).
    """
    import pyarrow.compute as pc

    return np.asarray(pc.equal(trim(strings), ""))


def names_columns(triplet: list[str]) -> bool:
    """Checks whether three names are those of the columns of a table, in any order."""
    lower = [name.lower() for name in triplet]
    slots = [slot for name in triplet for slot, pattern in enumerate(COLUMN_NAMES) if pattern.fullmatch(name)]
    return lower in SHORT_COLUMN_NAMES or sorted(slots) == [0, 1, 2]


def names_text_columns(name: str, text: str) -> bool:
    """Checks whether an id and its text are the names of the columns of a table."""
    return all(pattern.fullmatch(value) for pattern, value in zip(TEXT_COLUMN_NAMES, (name, text), strict=True))


def find_look_alikes(names: Any) -> tuple[int, list[str]]:
    """Finds names that look the same: they differ in their Unicode form, in marks without width or in kinds of space.

    Args:
        names: Arrow large strings, all different.

    Returns:
        The number of names that look like another one, and the first two that look the same, or [].
    """
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(names)).as_py() is not False:
        return 0, []
    is_same, pair = find_same_forms(names, visible_forms(names))
    return int(is_same.sum()), [names[position].as_py() for position in pair]


def visible_forms(names: Any) -> "pa.LargeStringArray":
    """Returns names as they look: composed, without marks without width, with one kind of space.

    Args:
        names: Arrow large strings.
    """
    import pyarrow.compute as pc

    def change(others: Any) -> Any:
        composed = pc.utf8_normalize(others, form="NFC")
        visible = pc.replace_substring_regex(composed, r"[\p{Cf}\x{fe00}-\x{fe0f}]", "")
        return pc.replace_substring_regex(visible, r"\p{Zs}", " ")

    return _change_where(pc.invert(pc.string_is_ascii(names)), names, change)


def loose_forms(names: Any) -> "pa.LargeStringArray":
    """Returns names in lower case, as they look, with one space for each run of white space and underscores.

    Args:
        names: Arrow large strings.
    """
    import pyarrow.compute as pc

    lower = pc.utf8_lower(visible_forms(names))
    mask = pc.match_substring_regex(lower, r"[_\t\n\r\f\v]|\s\s")
    return _change_where(mask, lower, lambda others: pc.replace_substring_regex(others, r"[\s_]+", " "))


def _change_where(mask: Any, names: Any, change: Callable[[Any], Any]) -> Any:
    """Changes some Arrow strings: most names need no change, and each change copies all it is given."""
    import pyarrow.compute as pc

    return pc.replace_with_mask(names, mask, change(names.filter(mask)))


def find_same_forms(names: Any, forms: Any) -> tuple[np.ndarray, list[int]]:
    """Finds names that differ, but share a form.

    Args:
        names: n Arrow strings.
        forms: the form of each name, n Arrow strings.

    Returns:
        Which names share their form with a different name, bool of shape (n,); and the positions of the first two that
        do, or [].
    """
    if forms.equals(names):
        return np.zeros(len(names), dtype=bool), []
    numbers, codes = (strings.dictionary_encode().indices.to_numpy() for strings in (names, forms))
    first = np.empty(codes.max(initial=-1) + 1, dtype=numbers.dtype)
    first[codes[::-1]] = numbers[::-1]  # Of several values for one form, the last one stays.
    differs = numbers != first[codes]
    is_same = np.bincount(codes, weights=differs)[codes] > 0
    if not differs.any():
        return is_same, []
    second = int(differs.argmax())
    return is_same, [int((codes == codes[second]).argmax()), second]


def look_alike_of(name: str, names: list[str]) -> str:
    """Returns the end of an error message: the one of some names that looks like an unknown one, or ""."""
    import pyarrow as pa

    unknown, *known = visible_forms(pa.array([name, *names], pa.large_string())).to_pylist()
    if unknown not in known:
        return ""
    return f"; {escaped(names[known.index(unknown)])} looks the same: write both alike"


def warn_of_look_alikes(kind: str, ids: list[str]) -> None:
    """Logs one warning if some ids of "entities" or "relations", all different, look the same."""
    import pyarrow as pa

    count, same = find_look_alikes(pa.array(ids, pa.large_string()))
    if count:
        logger.warning(
            "%d %s have ids that look like another one, such as %s and %s: if they are the same, write them alike",
            *(count, kind, *map(escaped, same)),
        )
