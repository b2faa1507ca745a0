"""Puts suggestions in the order in which people are to see them, with quotas of queries and relations."""

import numpy as np


def order_suggestions(
    triplets: np.ndarray,
    log_probabilities: np.ndarray,
    most: int | None = None,
    per_query: int | None = None,
    per_relation: int | None = None,
    usual_answers: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the positions of the suggestions of a list, the best first.

    Args:
        triplets: Different triplets, int of shape (n, 3).
        log_probabilities: What they are ordered by, float of shape (n,): logs of probabilities; scores will do.
        most: The most suggestions in all; None for no limit.
        per_query: The most suggestions of a query that has one answer; a query of a relation whose entities have as
            many answers, as a rule, as `usual_answers` says, gets so many times as many. None for no limit.
        per_relation: The most suggestions of a relation; None for no limit.
        usual_answers: The number of answers of the queries of each directed relation, float of shape (2R,); see
            `usual_answers`. None for one.

    Returns:
        Int64 of shape (m,).
    """
    raise NotImplementedError
