"""Names of entities and relations: their ids, their texts, and the integers that stand for them everywhere else.

`triplet_rows` lists the names of triplets in whatever form people hold them. The module reads no files;
`names/named_triplets.py` turns the names of triplets into integers.
"""

import difflib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .errors import GraphError, LassError, UnknownNameError

SLOT_NAMES = ("head", "relation", "tail")  # the names of the slots 0, 1 and 2
SPLITS = ("train", "validation", "test")
# White space, and the marks without width that editors and joined files leave around a name. They are no part of it.
BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff"
)
SHOWN = 20  # names that an error lists, if it has no better idea
SHORTLIST = 50_000  # the most names that are compared letter by letter with an unknown one


def text_of_id(name: str) -> str:
    """Makes a text from an id, for an entity or relation without a text of its own.

    Args:
        name: the id.

    Returns:
        The id with runs of underscores, slashes and white space replaced by one space each; the id itself if nothing
        else is left.
    """
    return re.sub(r"[_/\s]+", " ", name).strip() or name


def escaped(name: str) -> str:
    """Writes a name for an error message, in quotation marks, so that no two names are written the same.

    Args:
        name: the name; `repr` escapes marks without width, and the whole name is escaped if it is not in the composed
            form of Unicode.
    """
    return repr(name) if unicodedata.normalize("NFC", name) == name else ascii(name)


def shown(value: Any) -> str:
    """Writes any value for an error message, as one line of at most 100 characters."""
    text = " ".join((escaped(value) if isinstance(value, str) else repr(value)).splitlines())
    return text if len(text) <= 100 else text[:99] + "…"


def is_unicode(text: str) -> bool:
    """Checks whether a string can be written as UTF-8: it has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def triplet_rows(source: Any, labels: bool = False) -> list[tuple[Any, ...]]:
    """Lists the rows of triplets.

    Args:
        source: rows, each of them (head, relation, tail), or a dict, named tuple or Series with these names; or a table
            with these columns: a pandas DataFrame, a `datasets.Dataset`, an Arrow table, or a dict of lists. Other
            names are ignored.
        labels: whether a row may have a label, behind the tail or with the name `label`.

    Returns:
        The values of each row as they were given: three, or with `labels` as many as the row has.

    Raises:
        LassError: the source or a row has another form; the message has the row's number, counted from 0.
    """
    columns = list(source) if isinstance(source, Mapping) else getattr(source, "column_names", None)
    if columns is None:
        columns = getattr(source, "columns", None)
    if columns is not None and hasattr(source, "__len__"):  # A streaming dataset has no length, and yields dicts.
        names = _names_to_read(columns, labels)
        values = [source[name] for name in names or ()]
        if not names or any(isinstance(column, str) for column in values):
            kind = f"a {type(source).__name__} with {shown(list(columns))}"
            raise LassError(f"{kind}; expected the columns {', '.join(SLOT_NAMES)}, or (head, relation, tail) rows")
        try:
            return list(zip(*(getattr(column, "to_pylist", column.__iter__)() for column in values), strict=True))
        except ValueError:
            raise LassError(
                f"{', '.join(names)}: columns of different lengths; expected one value for each row"
            ) from None
    if isinstance(source, (str, bytes)) or not np.iterable(source):
        raise LassError(f"{shown(source)} is a {type(source).__name__}; expected (head, relation, tail) rows")
    return [_triplet_row(row, number, labels) for number, row in enumerate(source)]


def _names_to_read(names: Any, labels: bool) -> tuple[str, ...]:
    """Returns the names of a triplet, and of its label, among those of a row; () if they are not all there."""
    if not set(SLOT_NAMES) <= set(names):
        return ()
    return (*SLOT_NAMES, "label") if labels and "label" in names else SLOT_NAMES


def _triplet_row(row: Any, number: int, labels: bool) -> tuple[Any, ...]:
    """Returns the values of a row, by their names if it has names."""
    if type(row) not in (tuple, list):
        keys = row.keys() if hasattr(row, "keys") else getattr(getattr(row, "dtype", None), "names", None)
        if keys is not None and (names := _names_to_read(keys, labels)):
            return tuple(row[name] for name in names)
        fields = getattr(row, "_fields", ())
        if names := _names_to_read(fields, labels):
            return tuple(getattr(row, name) for name in names)
        if "Index" in fields:
            raise LassError(f"item {number} is {shown(row)}, with an index; expected itertuples(index=False)")
        if keys is not None or not isinstance(row, (tuple, np.ndarray)) or not np.ndim(row):
            raise LassError(f"item {number} is {shown(row)}; expected (head, relation, tail)")
    if not labels and len(row) != 3:
        raise LassError(f"item {number} is {shown(row)}; expected (head, relation, tail)")
    return tuple(row)


class Vocabulary:
    """Ids and texts of all entities, or of all relations, of a graph.

    The position of a name in the lists is the integer that stands for it in every array.

    Args:
        kind: "entities" or "relations"; error messages name it.
        ids: the ids, all different.
        texts: one text for each id, in the same order; several ids may share a text.
    """

    def __init__(self, kind: str, ids: Sequence[str], texts: Sequence[str]):
        self.kind = kind
        self.ids = list(ids)
        self.texts = list(texts)

    def __len__(self) -> int:
        return len(self.ids)

    def check(self) -> None:
        """Checks what was read from a file.

        Raises:
            GraphError: There are no names, not as many texts as ids, ids or texts that are no strings, that are empty
                or not valid Unicode, or an id that is there twice.
        """
        if not self.ids or len(self.ids) != len(self.texts):
            raise GraphError(
                f"{self.kind}: {len(self.ids)} ids and {len(self.texts)} texts; expected a text for each id"
            )
        for what, names in (("id", self.ids), ("text", self.texts)):
            try:  # Operations on all names, because there can be millions.
                if all(map(str.strip, names)):
                    "".join(names).encode()
                    continue
            except (TypeError, UnicodeEncodeError):
                pass
            number = next(number for number, name in enumerate(names) if not _is_name(name))
            raise GraphError(
                f"{self.kind}, number {number}: the {what} is {shown(names[number])}; expected a name or text"
            )
        if len(self.index) < len(self):
            number = next(number for number, name in enumerate(self.ids) if self.index[name] != number)
            raise GraphError(f"{self.kind}, number {number}: a second one has the id {shown(self.ids[number])}")

    @cached_property
    def index(self) -> dict[str, int]:
        """Maps each id to its integer."""
        return dict(zip(self.ids, range(len(self)), strict=True))

    @cached_property
    def _by_text(self) -> tuple[dict[str, int], dict[str, list[int]]]:
        """The integers of each text, as `_numbers_of` gives them."""
        return _numbers_of(self.texts)

    @cached_property
    def _by_name(self) -> tuple[dict[str, int], dict[str, list[int]]]:
        """The integers of each name, as `_numbers_of` gives them. A text is often "name, description"."""
        return _numbers_of([text.partition(", ")[0] for text in self.texts])

    def name_of(self, number: int) -> str:
        """Returns what an entity or relation is called: a text is often "name, description".

        Args:
            number: the integer.

        Returns:
            The part of its text before the first ", ", with the id where others are called so, as persons of one family
            are in "last name, first name"; the whole text if that part is empty.
        """
        text = self.texts[number]
        name = text.partition(", ")[0]
        return f"{name} ({self.ids[number]})" if name in self._by_name[1] else name or text

    def find(self, name: str) -> int:
        """Returns the integer of an entity or relation.

        Args:
            name: an id, else the exact text of one entity or relation, else the part of it before its first ", ".

        Returns:
            The integer, from 0 to `len(self) - 1`.

        Raises:
            UnknownNameError: nothing matches (the message lists the closest ids and texts), or several ids share the
                text or its first part (the message lists the ids).
        """
        if (number := self.find_exactly(name)) is None:
            raise self.unknown(name, self._closest_names(name))
        return number

    def find_exactly(self, name: str) -> int | None:
        """Returns the integer of a name, or None, without the search for similar names that makes `find` slow.

        Args:
            name: as in `find`; white space around it is ignored.

        Returns:
            The integer; None for an unknown name.

        Raises:
            UnknownNameError: several ids share the text, or its part before the first ", ".
        """
        if name in self.index:
            return self.index[name]
        for what in ("text", "name"):
            number_of, shared = self._by_text if what == "text" else self._by_name
            if numbers := shared.get(name):
                ids = ", ".join(self.ids[number] for number in numbers[:20])
                raise UnknownNameError(
                    f"{len(numbers)} {self.kind} have the {what} {name!r}: {ids}; name the one you mean by its id"
                )
            if name in number_of:
                return number_of[name]
        stripped = name.strip(BLANKS)
        return self.find_exactly(stripped) if name != stripped else None

    def unknown(self, name: str, matches: Sequence[str]) -> UnknownNameError:
        """Makes the error for an unknown name; the caller raises it.

        Args:
            name: the unknown name.
            matches: similar names, the closest first; the message suggests them.
        """
        hint = f"; did you mean {', '.join(dict.fromkeys(map(escaped, matches)))}?" if matches else ""
        if not matches and len(self) <= SHOWN:
            hint = f"; they are {', '.join(map(escaped, self.ids))}"
        return UnknownNameError(f"{escaped(name)} is not an id or text of the graph's {len(self)} {self.kind}{hint}")

    def _closest_names(self, name: str) -> list[str]:
        """Returns up to 5 ids and texts with a spelling close to the name, the closest first."""
        numbers = range(len(self)) if len(self) <= SHORTLIST else self._numbers_sharing_letters(name)
        ids, texts = [self.ids[number] for number in numbers], [self.texts[number] for number in numbers]
        # A text is often "name, description", and people type the name.
        shared = self._by_name[1]
        original_of = {}
        for id, text in zip(ids, texts, strict=True):
            name_of_text = text.partition(", ")[0]
            original_of[name_of_text.lower()] = id if name_of_text in shared else name_of_text
        # What all ids begin with, such as a namespace, makes them alike without saying anything.
        start = os.path.commonprefix([id.lower() for id in self.ids]) if len(self) > 1 else ""  # noqa: RUF071 letters
        original_of |= {text.lower(): text for text in texts} | {id.lower().removeprefix(start): id for id in ids}
        asked = name.lower().removeprefix(start)
        return [original_of[key] for key in difflib.get_close_matches(asked, original_of, n=5, cutoff=0.5)]

    def _numbers_sharing_letters(self, name: str) -> list[int]:
        """Returns the SHORTLIST integers whose ids or texts contain most of the letter pairs at the name's start."""
        try:
            import pyarrow as pa
            import pyarrow.compute as pc
        except ImportError:  # The copy of this module beside a saved model must work without pyarrow.
            return []
        start = name.lower()[:21]
        pairs = {start[position : position + 2] for position in range(max(1, len(start) - 1))}
        num_shared = np.zeros((2, len(self)), dtype=np.int8)
        for row, names in enumerate((self.ids, self.texts)):
            strings = pc.utf8_lower(pa.array(names, pa.large_string()))
            for pair in pairs:
                num_shared[row] += np.asarray(pc.match_substring(strings, pair))
        return np.sort(np.argpartition(num_shared.max(axis=0), -SHORTLIST)[-SHORTLIST:]).tolist()


def _numbers_of(names: Sequence[str]) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Maps each name to the last of its positions, and each name that is there several times to all of them."""
    last = dict(zip(names, range(len(names)), strict=True))
    shared: dict[str, list[int]] = {}
    if len(last) < len(names):
        for number, name in enumerate(names):
            if last[name] != number:
                shared.setdefault(name, []).append(number)
    return last, {name: [*numbers, last[name]] for name, numbers in shared.items()}


def _is_name(name: object) -> bool:
    """Returns whether an id or text is a string that is not empty and valid Unicode."""
    return isinstance(name, str) and bool(name.strip()) and is_unicode(name)
