"""The page of a completion: what was asked and found, how far chances can be believed, the first of the list."""

from collections.abc import Mapping, Sequence
from typing import Any


def render_completion(content: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> str:
    """Renders the page, which works offline.

    Args:
        content: What `completion.json` has: `settings` (names and values, shown as they are), `counts`
            (`queries`, `suggestions`, `listed`, and `by_standing`: name -> number), `relations` (rows of
            `count_by_relation`), `calibration` (`LinkCalibration.to_dict()`, or None) and `no_probability` (why there
            is none, or None).
        suggestions: The first rows of the list, as `judged.to_pylist()` gives them: ids, texts, `probability`, `kind`
            (the standing) and `reasons`. At most 100 are shown.

    Returns:
        The page in HTML.
    """
    raise NotImplementedError
