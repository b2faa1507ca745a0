"""What the decisions of all reviewers come to, for each triplet of a list."""

from collections import defaultdict

import numpy as np

from .decisions import Decision

OUTCOMES = ("open", "accepted", "rejected", "unsure", "contradiction")
OPEN, ACCEPTED, REJECTED, UNSURE, CONTRADICTION = range(5)
LABELS = {ACCEPTED: True, REJECTED: False}  # of all other outcomes: None


class Outcomes:
    """The outcomes of a list.

    The last decision of each reviewer about a triplet counts. Somebody who is unsure leaves it to the others. Where one
    accepts and another rejects, the outcome is a contradiction, until one of them decides otherwise, or somebody who
    saw it settles it, by accepting or rejecting. A decision that is made later than one that settles opens the question
    again.

    Args:
        count: The number of triplets, n.

    Attributes:
        codes: The outcomes, positions in `OUTCOMES`, int8 of shape (n,).
        rows_of: For each reviewer the rows that they decided, in the order of their decisions.
        votes: For each row that was decided the decision of each reviewer, by name.
    """

    def __init__(self, count: int):
        self.codes = np.zeros(count, dtype=np.int8)
        self.rows_of: defaultdict[str, dict[int, None]] = defaultdict(dict)
        self.votes: defaultdict[int, dict[str, str]] = defaultdict(dict)
        self._settlers: dict[int, str] = {}

    def add(self, row: int, decision: Decision) -> None:
        """Takes a decision about the triplet of a row."""
        votes, reviewer = self.votes[row], decision.reviewer
        votes.pop(reviewer, None)
        self.rows_of[reviewer].pop(row, None)
        self._settlers.pop(row, None)
        if decision.decision != "undo":
            votes[reviewer] = decision.decision
            self.rows_of[reviewer][row] = None
            if decision.settles and decision.decision != "unsure":
                self._settlers[row] = reviewer
        self.codes[row] = self._outcome(row)

    def reviewers(self, row: int) -> list[str]:
        """Returns the names of those whose decisions the outcome of a row rests on, in alphabetical order."""
        if row in self._settlers:
            return [self._settlers[row]]
        wanted = {ACCEPTED: "accept", REJECTED: "reject"}.get(int(self.codes[row]))
        return sorted(name for name, vote in self.votes[row].items() if wanted in (None, vote))

    def _outcome(self, row: int) -> int:
        votes = self.votes[row]
        given = {votes[self._settlers[row]]} if row in self._settlers else set(votes.values())
        if {"accept", "reject"} <= given:
            return CONTRADICTION
        return ACCEPTED if "accept" in given else REJECTED if "reject" in given else UNSURE if given else OPEN
