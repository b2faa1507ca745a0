"""Finds entities or relations while a person types: exact names first, then beginnings, words, and parts of words.

It compares letters, without case and accents; it knows no meaning and forgives no spelling (`Vocabulary.find` does).
"""

from bisect import bisect_left
from typing import Any

import numpy as np

from ..core.vocabulary import Vocabulary

NAMES_AT_ONCE = 2**18  # a search ends with the block of names in which it has found enough
MAX_BEGINNING = 50  # letters of an unknown name that are looked for


class NameSearch:
    """Search in a vocabulary's ids and texts.

    Args:
        vocabulary: of entities or relations.
        counts: int of shape (n,), how often each occurs; of names that match alike the more frequent comes first.
    """

    def __init__(self, vocabulary: Vocabulary, counts: np.ndarray):
        import pyarrow as pa
        import pyarrow.compute as pc

        self.order = np.argsort(-counts, kind="stable")
        texts, ids = (_plain(pa.array(names, pa.large_string())) for names in (vocabulary.texts, vocabulary.ids))
        # Each name stands between line ends, so that one pattern tells whether a text or an id begins, or is, so.
        empty, end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
        self._names = pc.binary_join_element_wise(empty, texts, ids, empty, end).take(self.order)

    def find(self, query: str, limit: int) -> list[int]:
        """Integers of up to `limit` entries, best first; of an empty query the most frequent."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = _plain(pa.array([query], pa.large_string()))[0].as_py()
        if not wanted:
            return self.order[:limit].tolist()
        found: dict[int, None] = {}
        for pattern in (f"\n{wanted}\n", f"\n{wanted}", f" {wanted}", wanted):
            for start in range(0, len(self.order), NAMES_AT_ONCE):
                matches = pc.match_substring(self._names.slice(start, NAMES_AT_ONCE), pattern)
                places = np.flatnonzero(np.asarray(matches))[: limit + len(found)] + start
                found.update(dict.fromkeys(places.tolist()))
                if len(found) >= limit:
                    return self.order[list(found)[:limit]].tolist()
        return self.order[list(found)].tolist()

    def find_beginning(self, name: str, limit: int) -> list[int]:
        """Integers of up to `limit` entries that have as much of a name's beginning as any has, but at least half."""
        name = name.strip()[:MAX_BEGINNING]
        half = max(2, (len(name) + 1) // 2)
        # Where some letters are not found, more of them are not either.
        more = bisect_left(range(half, len(name) + 1), True, key=lambda length: not self.find(name[:length], 1))
        return self.find(name[: half + more - 1], limit) if more else []


def _plain(strings: Any) -> Any:
    """Arrow strings in small letters, without accents, with single spaces."""
    import pyarrow.compute as pc

    letters = pc.replace_substring_regex(pc.utf8_normalize(strings, "NFKD"), r"\p{Mn}+", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(letters), r"\s+", " "))
