"""Why a suggestion is made, in plain sentences: rules, facts that are alike, paths, and what else was close."""

import numpy as np

from ..evidence.bound_evidence import BoundEvidence
from .suggestions import Answers

MOST = 5  # sentences of a suggestion


def write_reasons(
    triplets: np.ndarray, evidence: BoundEvidence, answers: Answers | None = None, most: int = MOST
) -> list[list[str]]:
    """Returns the reasons for suggestions, the most telling first.

    Args:
        triplets: Int of shape (n, 3).
        evidence: The evidence that scored them.
        answers: The answers of the queries that were asked, which show what else was close; None for none.
        most: The most sentences of a suggestion.

    Returns:
        A list of sentences for each triplet.
    """
    raise NotImplementedError
