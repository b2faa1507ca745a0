"""Suggestions as arrays: answers to queries, and the links that they make, each link once."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Answers:
    """The best candidates of queries, n in all, those of one query together, the best first.

    Attributes:
        triplets: Int64 of shape (n, 3).
        slots: Int8 of shape (n,): the slot that was asked for, 0 or 2.
        log_probabilities: Float32 of shape (n,): the log of the probability among all candidates of the query that the
            graph does not hold.
        ranks: Int32 of shape (n,), from 1: the position among those of these candidates that may be answers.
        margins: Float32 of shape (n,), 0 or more: the log probability less that of the next one of them; at most
            `answering.MOST_MARGIN`, which is also that of an answer without a next one.
    """

    triplets: np.ndarray
    slots: np.ndarray
    log_probabilities: np.ndarray
    ranks: np.ndarray
    margins: np.ndarray

    def __len__(self) -> int:
        """Returns the number of answers."""
        return len(self.triplets)


@dataclass(frozen=True)
class Suggestions:
    """n different links that the graph does not hold, and what the two queries that they answer say.

    The columns of arrays of shape (n, 2) are the sides: the query for the head, and that for the tail.

    Attributes:
        triplets: Int64 of shape (n, 3).
        log_probabilities: Float32 of shape (n, 2): see `Answers`; NaN where the query was not asked, or the link was
            not among its kept answers.
        ranks: Int32 of shape (n, 2); 0 where the log probability is NaN.
        margins: Float32 of shape (n, 2); NaN where the log probability is.
    """

    triplets: np.ndarray
    log_probabilities: np.ndarray
    ranks: np.ndarray
    margins: np.ndarray

    def __len__(self) -> int:
        """Returns the number of suggestions."""
        return len(self.triplets)

    def select(self, positions: np.ndarray) -> "Suggestions":
        """Returns the suggestions at some positions, int of shape (m,) or bool of shape (n,)."""
        return Suggestions(*(getattr(self, one.name)[positions] for one in fields(self)))

    @classmethod
    def from_answers(cls, answers: Answers) -> "Suggestions":
        """Joins the answers to both sides' queries, in the order of their triplets.

        Args:
            answers: Answers of which no query has the same candidate twice.
        """
        triplets, rows = np.unique(answers.triplets, axis=0, return_inverse=True)
        rows, sides = rows.reshape(-1), answers.slots // 2
        log_probabilities, margins = np.full((2, len(triplets), 2), np.nan, dtype=np.float32)
        ranks = np.zeros((len(triplets), 2), dtype=np.int32)
        for whole, part in (
            (log_probabilities, answers.log_probabilities),
            (ranks, answers.ranks),
            (margins, answers.margins),
        ):
            whole[rows, sides] = part
        return cls(triplets, log_probabilities, ranks, margins)
