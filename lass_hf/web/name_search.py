"""Finds entities or relations while a person types: exact names first, then beginnings, words, and parts of words.

Letters are compared, without case and accents. Misspelled names are the business of `Vocabulary.find`.
"""

from bisect import bisect_left

import numpy as np

from ..core.vocabulary import Vocabulary
from ..names.letters import plain_letters
from .job_queue import OnProgress

NAMES_AT_ONCE = 2**18  # names; a search ends with the block in which it has found enough
MAX_BEGINNING = 50  # letters of an unknown name that are searched for


class NameSearch:
    """Search in a vocabulary's ids and texts.

    Args:
        vocabulary: The entities or the relations of a graph.
        counts: Their numbers of occurrences, int of shape (n,). Of names that match equally well, the more frequent one
            comes first.
    """

    def __init__(self, vocabulary: Vocabulary, counts: np.ndarray):
        import pyarrow as pa
        import pyarrow.compute as pc

        self.order = np.argsort(-counts, kind="stable")
        texts, ids = (plain_letters(pa.array(names, pa.large_string())) for names in (vocabulary.texts, vocabulary.ids))
        # Each name stands between line ends, so that one pattern finds texts and ids that begin with, or are, a query.
        empty, end = (pa.scalar(text, pa.large_string()) for text in ("", "\n"))
        self._names = pc.binary_join_element_wise(empty, texts, ids, empty, end).take(self.order)

    def find(self, query: str, limit: int, on_progress: OnProgress) -> list[int]:
        """Returns the integers of up to `limit` matching entries, best first.

        Args:
            query: Letters of an id or a text. An empty query matches all, the most frequent first.
            limit: The number of entries.
            on_progress: Is called with the number of names of each block before it is searched.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = plain_letters(pa.array([query], pa.large_string()))[0].as_py()
        if not wanted:
            return self.order[:limit].tolist()
        found: dict[int, None] = {}
        for pattern in (f"\n{wanted}\n", f"\n{wanted}", f" {wanted}", wanted):
            for start in range(0, len(self.order), NAMES_AT_ONCE):
                on_progress(min(NAMES_AT_ONCE, len(self.order) - start))
                matches = pc.match_substring(self._names.slice(start, NAMES_AT_ONCE), pattern)
                places = np.flatnonzero(np.asarray(matches))[: limit + len(found)] + start
                found.update(dict.fromkeys(places.tolist()))
                if len(found) >= limit:
                    return self.order[list(found)[:limit]].tolist()
        return self.order[list(found)].tolist()

    def find_beginning(self, name: str, limit: int, on_progress: OnProgress) -> list[int]:
        """Returns the integers of up to `limit` entries that contain the longest beginning of a name that any contains.

        Beginnings of less than half of the name are not searched for.
        """
        name = name.strip()[:MAX_BEGINNING]
        half = max(2, (len(name) + 1) // 2)
        # Where a beginning is not found, longer ones are not found either.
        more = bisect_left(
            range(half, len(name) + 1), True, key=lambda length: not self.find(name[:length], 1, on_progress)
        )
        return self.find(name[: half + more - 1], limit, on_progress) if more else []
