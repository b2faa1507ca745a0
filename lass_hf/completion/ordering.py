"""Puts suggestions in the order in which people are to see them, with quotas of queries and relations."""

import numpy as np

from ..structure.facts import Facts

# A relation that fills this share of the list gives way to others that are at least half as probable; one that fills it
# again, to others at least a quarter as probable; and so on. A fixed quota would fill the list with what is improbable
# where one relation lacks most, and no quota with one relation where it is easy.
SHARE = 0.25
BEYOND_MOST = "more in all (--max)"  # one of the reasons of `make_list`


def make_list(
    triplets: np.ndarray,
    log_probabilities: np.ndarray,
    facts: np.ndarray,
    usual_answers: np.ndarray,
    most: int,
    per_query: int,
    per_relation: int | None = None,
) -> tuple[np.ndarray, dict[str, int]]:
    """Chooses the suggestions of a list: of each fact the best link, in the order of `order_suggestions`.

    Nobody wants to review a link and its mirror image, too.

    Args:
        triplets: As in `order_suggestions`.
        log_probabilities: As there.
        facts: For each triplet the fact that it states, int of shape (n, 3): see `RelationTraits.canonical`.
        usual_answers: As in `order_suggestions`.
        most: As there.
        per_query: As there.
        per_relation: As there.

    Returns:
        The positions of the suggestions on the list, the best first: int64 of shape (m,). And why the others are not on
        it, in words, and how many are for each reason.
    """
    # A fact is listed if one of its links is among the answers of its queries.
    within = order_suggestions(triplets, log_probabilities, per_query=per_query, usual_answers=usual_answers)
    within = within[np.argsort(-log_probabilities[within], kind="stable")]
    single = within[np.sort(np.unique(facts[within], axis=0, return_index=True)[1])]
    listed = single[
        order_suggestions(triplets[single], log_probabilities[single], most=most, per_relation=per_relation)
    ]
    of_relations = np.bincount(triplets[single, 1])
    allowed = int(np.minimum(of_relations, per_relation or len(single)).sum())
    return listed, {
        "more answers to a query (--per_query)": len(triplets) - len(within),
        "the same fact as another": len(within) - len(single),
        "more of a relation (--per_relation)": len(single) - allowed,
        BEYOND_MOST: allowed - len(listed),
    }


def order_suggestions(
    triplets: np.ndarray,
    log_probabilities: np.ndarray,
    most: int | None = None,
    per_query: int | None = None,
    per_relation: int | None = None,
    usual_answers: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the positions of the suggestions of a list, the best first.

    A suggestion answers two queries, that for its head and that for its tail, and counts for both. It is taken, by
    falling probability, if neither has had its suggestions yet. Equal ones are in the order of their triplets. No
    relation eats the list, see `SHARE`.

    Args:
        triplets: Different triplets, int of shape (n, 3).
        log_probabilities: What they are ordered by, float of shape (n,): logs of probabilities; scores that are like
            these will do.
        most: The most suggestions in all; None for no limit.
        per_query: The most suggestions of a query that has one answer; a query of a relation whose queries have more
            answers, see `usual_answers`, gets so many times as many. None for no limit.
        per_relation: The most suggestions of a relation; None for no limit.
        usual_answers: Float of shape (2R,), 1 or more: what the function of this name returns. None for 1.

    Returns:
        Int64 of shape (m,).
    """
    triplets, values = np.asarray(triplets, dtype=np.int64), np.asarray(log_probabilities, dtype=np.float64)
    order = np.lexsort([*triplets.T[::-1], -values])
    if per_query is not None:
        order = order[_within_quotas(triplets[order], per_query, usual_answers)]
    relations = triplets[order, 1]
    places = _places(relations)
    if per_relation is not None:
        order, relations, places = (column[places < per_relation] for column in (order, relations, places))
    quota = max(1.0, SHARE * min(len(order), len(order) if most is None else most))
    given_way = values[order] - np.log(2) * np.floor(places / quota)
    return order[np.argsort(-given_way, kind="stable")][:most]


def usual_answers(facts: Facts) -> np.ndarray:
    """Returns how many answers the queries of each directed relation have: the mean of those that have any, rounded.

    Args:
        facts: The facts.

    Returns:
        Float64 of shape (2R,), 1 or more.
    """
    means = []
    for slot in (0, 2):
        queries = np.unique(facts.triplets[:, 1] * facts.num_entities + facts.triplets[:, slot])
        counts = np.bincount(queries // max(1, facts.num_entities), minlength=facts.num_relations)
        means.append(np.bincount(facts.triplets[:, 1], minlength=facts.num_relations) / np.maximum(counts, 1))
    return np.maximum(np.rint(np.concatenate(means)), 1)


def _places(groups: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Returns how many of the same group come before each: int64 of shape (n,); or the sum of their counts."""
    order = np.argsort(groups, kind="stable")
    own = np.ones(len(groups), np.int64) if counts is None else counts[order].astype(np.int64)
    before = np.cumsum(own) - own
    is_first = np.diff(groups[order], prepend=-1) != 0
    places = np.empty(len(groups), np.int64)
    places[order] = before - np.repeat(before[is_first], np.diff(np.flatnonzero(is_first), append=len(groups)))
    return places


def _within_quotas(triplets: np.ndarray, per_query: int, usual: np.ndarray | None) -> np.ndarray:
    """Returns which triplets, the best first, are taken if one after the other is, unless one of its queries is full.

    Each round decides all that need not wait for others: one is taken if all that come before it in its queries, taken
    or undecided, leave room, and left out if those that are taken leave none. The first undecided one never waits.
    """
    size = int(triplets[:, [0, 2]].max(initial=0)) + 1
    relations = triplets[:, 1]
    shift = 0 if usual is None else len(usual) // 2
    quotas, groups = [], []
    for entity, first in ((0, 0), (2, shift)):
        _, group = np.unique(relations * size + triplets[:, entity], return_inverse=True)
        groups.append(group)
        quotas.append(
            np.full(len(triplets), float(per_query)) if usual is None else per_query * usual[relations + first]
        )
    taken, waits = np.zeros(len(triplets), dtype=bool), np.ones(len(triplets), dtype=bool)
    while waits.any():
        fits, is_full = waits.copy(), np.zeros(len(triplets), dtype=bool)
        for group, quota in zip(groups, quotas, strict=True):
            fits &= _places(group, taken | waits) < quota
            is_full |= _places(group, taken) >= quota
        taken |= fits
        waits &= ~(fits | is_full)
    return taken
