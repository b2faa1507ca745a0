"""The page of a completion: what was asked and found, how far chances can be believed, the first of the list."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.vocabulary import Vocabulary
from ..writers.pages import render_page
from .probabilities import LEAST_OF_RELATION

SHOWN = 100  # suggestions on the page


def count_by_relation(
    relations: np.ndarray, listed: np.ndarray, probabilities: np.ndarray | None, vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """Counts suggestions of each relation.

    Args:
        relations: The relations of n suggestions, int of shape (n,).
        listed: The positions of those on the list, int of shape (m,).
        probabilities: Their chances, float64 of shape (n,); None without a calibration.
        vocabulary: The relations of the graph.

    Returns:
        For each relation with suggestions, those with the most links on the list first: `relation` (id), `text`,
        `suggestions`, `listed`, and `mean_probability` of the links on the list, None if there are none.
    """
    suggested, own = (np.bincount(some, minlength=len(vocabulary)) for some in (relations, relations[listed]))
    sums = None if probabilities is None else np.bincount(relations[listed], probabilities[listed], len(vocabulary))
    return [
        {
            "relation": vocabulary.ids[relation],
            "text": vocabulary.texts[relation],
            "suggestions": int(suggested[relation]),
            "listed": int(own[relation]),
            "mean_probability": None if sums is None or not own[relation] else float(sums[relation] / own[relation]),
        }
        for relation in np.lexsort([-suggested, -own]).tolist()
        if suggested[relation]
    ]


def render_completion(content: Mapping[str, Any], suggestions: Sequence[Mapping[str, Any]]) -> str:
    """Renders the page, which works offline.

    Args:
        content: What `completion.json` has: `graph` and `model` (names), `settings` (names and values, shown as they
            are), `counts` (`queries`, `suggestions`, `listed`, perhaps `implied`, `left_out` and `by_standing`: name
            -> number), `relations` (of `count_by_relation`), `calibration` (`LinkCalibration.to_dict()`, or None) and
            `no_probability` (why there is none, or None).
        suggestions: The list, or its beginning: dicts of ids (`head`, `relation`, `tail`), texts (`head_text`, ...),
            `probability` (or None), `score`, `kind` (the standing) and `reasons`. `SHOWN` of them are shown.

    Returns:
        The page in HTML.
    """
    calibration = content["calibration"]
    return render_page(
        "completion.html",
        **{name: content[name] for name in ("counts", "relations", "calibration", "no_probability")},
        settings={"graph": content["graph"], "model": content["model"] or None, **content["settings"]},
        measured={row["relation"]: row for row in calibration["report"]["by_relation"]} if calibration else {},
        least_of_relation=LEAST_OF_RELATION,
        suggestions=list(suggestions)[:SHOWN],
    )
