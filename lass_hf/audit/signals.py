"""All signals of the triplets of a graph as one matrix, with what each means in words, and comparisons within groups.

Groups are relations, queries or entities; each number is compared without its own help.
"""

from dataclasses import dataclass

import numpy as np

# The kind of each signal, and what a low value says. "context" is no evidence: it tells a fit what to make of the rest.
SIGNALS = {
    "shared_neighbors": ("neighbors", "head and tail share few neighbors"),
    "longer_paths": ("neighbors", "few paths of three steps lead from head to tail"),
    "other_links": ("neighbors", "nothing else links head and tail"),
    "rules": ("rules", "no rule, or only a weak one, leads to it"),
    "head_profile": ("profiles", "the head has other relations than the heads of this relation have"),
    "tail_profile": ("profiles", "the tail has other relations than the tails of this relation have"),
    "profiles": ("profiles", "head and tail have other relations than is usual for this relation"),
    "relation_by_profiles": ("profiles", "another relation fits the other triplets of head and tail better"),
    "mirror_missing": ("patterns", "the others are there in both directions, and this one is not"),
    "mirror_present": ("patterns", "the others have one direction, and this one has both"),
    "second_tail": ("patterns", "other heads have one tail of this relation only, and this one has several"),
    "second_head": ("patterns", "other tails have one head of this relation only, and this one has several"),
    "cycle": ("patterns", "it closes a circle of its relation, and the others are in none"),
    "self_loop": ("patterns", "head and tail are the same, and those of the others differ"),
    "contradiction": ("labels", "the graph labels it true and false"),
    "text_of_pair": ("text", "the texts of head and tail are further apart than is usual for this relation"),
    "text_analogs": ("text", "no other triplet of this relation has a head and a tail with such texts"),
    "tail_like_neighbors": ("text", "the text of the tail is unlike the head's other neighbors"),
    "head_like_neighbors": ("text", "the text of the head is unlike the tail's other neighbors"),
    "neighbors_alike": ("text", "the texts around the head are unlike those around the tail"),
    "head_like_heads": ("text", "the text of the head is unlike other heads of this relation"),
    "tail_like_tails": ("text", "the text of the tail is unlike other tails of this relation"),
    "difference_like_others": (
        "text",
        "the texts of head and tail differ in another way than those of other triplets of this relation",
    ),
    "tail_like_siblings": ("text", "the text of the tail is unlike the head's other tails of this relation"),
    "head_like_siblings": ("text", "the text of the head is unlike the tail's other heads of this relation"),
    "vectors_tail": ("vectors", "by the rest of the graph, the tail is unlikely"),
    "vectors_tail_rank": ("vectors", "by the rest of the graph, other tails are likelier"),
    "vectors_head": ("vectors", "by the rest of the graph, the head is unlikely"),
    "vectors_head_rank": ("vectors", "by the rest of the graph, other heads are likelier"),
    "vectors_relation": ("vectors", "by the rest of the graph, this relation between the two is unlikely"),
    "model_score": ("model", "the text model scores it low for this relation"),
    "model_tail": ("model", "the text model finds the tail unlikely"),
    "model_tail_rank": ("model", "the text model finds other tails likelier"),
    "model_head": ("model", "the text model finds the head unlikely"),
    "model_head_rank": ("model", "the text model finds other heads likelier"),
    "num_other_tails": ("context", ""),
    "num_other_heads": ("context", ""),
    "num_of_relation": ("context", ""),
    "num_of_head": ("context", ""),
    "num_of_tail": ("context", ""),
    "tail_nearest_sibling": ("context", ""),
    "head_nearest_sibling": ("context", ""),
    "other_texts_of_head": ("context", ""),
    "other_texts_of_tail": ("context", ""),
}
ABSOLUTE = ("patterns", "labels")  # These say something where they are negative, in any relation.


@dataclass(frozen=True)
class Signals:
    """F signals of n triplets. The higher a value, the more plausible is the triplet, but for those of kind "context".

    Attributes:
        names: The names, of `SIGNALS`.
        values: Float32 of shape (F, n); NaN where a signal knows nothing.
        relations: Int64 of shape (n,): the relations of the triplets.
    """

    names: tuple[str, ...]
    values: np.ndarray
    relations: np.ndarray

    @classmethod
    def from_dict(cls, signals: dict[str, np.ndarray], relations: np.ndarray) -> "Signals":
        """Makes one matrix, in the order of `SIGNALS`.

        Args:
            signals: Arrays of shape (n,) by name.
            relations: Int64 of shape (n,).
        """
        names = tuple(name for name in SIGNALS if name in signals)
        assert len(names) == len(signals), sorted(signals.keys() - SIGNALS)
        return cls(names, np.stack([signals[name] for name in names]).astype(np.float32), relations)

    def select(self, rows: np.ndarray) -> "Signals":
        """Returns the signals of the triplets at some positions, int or bool of shape (m,)."""
        return Signals(self.names, self.values[:, rows], self.relations[rows])

    def within_relations(self) -> np.ndarray:
        """Returns each signal as the share of the relation's triplets with a lower one, float32 of shape (F, n)."""
        return np.stack([percentiles(one, self.relations) for one in self.values])

    def features(self) -> np.ndarray:
        """Returns what a fit reads: the signals, and those that are evidence within their relation, too.

        Returns:
            Float32 of shape (n, F').
        """
        compared = [
            percentiles(one, self.relations)
            for name, one in zip(self.names, self.values, strict=True)
            if SIGNALS[name][0] not in ("context", *ABSOLUTE)
        ]
        return np.stack([*self.values, *compared], axis=1)


def percentiles(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the share of the numbers of the same group that are smaller, equal ones counted half.

    Args:
        values: Float of shape (n,); NaN where nothing is known.
        groups: Int of shape (n,), 0 or more.

    Returns:
        Float32 of shape (n,), above 0 and below 1; NaN where the value is.
    """
    result = np.full(len(values), np.nan, np.float32)
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        order = known[np.lexsort([values[known], groups[known]])]
        own, group = values[order], groups[order]
        is_new_group = np.diff(group, prepend=-1) != 0
        is_first = is_new_group | np.append(True, own[1:] != own[:-1])
        starts = np.flatnonzero(is_first)
        sizes = np.diff(starts, append=len(order))
        group_starts = np.maximum.accumulate(np.where(is_new_group, np.arange(len(order)), 0))[starts]
        below = np.repeat(starts - group_starts + sizes / 2, sizes)
        result[order] = below / np.bincount(group)[group]
    return result


def mean_of_others(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns the mean of the other numbers of the same group; NaN where there are none.

    Args:
        values: Float of shape (n,); NaN does not count.
        groups: Int of shape (n,), 0 or more.

    Returns:
        Float32 of shape (n,).
    """
    known = ~np.isnan(values)
    own = np.where(known, values, 0).astype(np.float64)
    counts = np.bincount(groups, known)[groups] - known
    sums = np.bincount(groups, own)[groups] - own
    return divide(sums, counts)


def divide(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns quotients as float32; NaN where the divisor is 0 or less."""
    result = np.full(np.broadcast(one, other).shape, np.nan, np.float32)
    np.divide(one, other, out=result, where=other > 0, casting="unsafe")
    return result


def number_groups(*columns: np.ndarray) -> np.ndarray:
    """Returns for each row of int columns of shape (n,) the number of its group of equal rows: int64 of shape (n,)."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    order = np.lexsort(columns)
    is_first = np.zeros(len(order), bool)
    is_first[0] = True
    for column in columns:
        is_first[1:] |= np.diff(column[order]) != 0
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(is_first) - 1
    return groups
