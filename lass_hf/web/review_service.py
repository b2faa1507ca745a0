"""Cards for `lass-hf review`: which triplets a person gets next, with all that the page shows of them.

Several people get different open triplets: those that were handed to one are kept from the others for a while, by each
process of its own. HTTP is the business of `review_application.py`.
"""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from ..review.known_facts import KnownFacts
from ..review.outcomes import OPEN, OUTCOMES
from ..review.review_list import Choice
from ..review.reviewing import Review
from ..version import __version__
from ..writers.judged_triplets import NAMES
from .review_schemas import (
    Card,
    Cards,
    Count,
    NeighborFact,
    Neighbors,
    NewDecision,
    Progress,
    ReviewInfo,
    State,
    Undone,
)
from .schemas import Entry

MAX_FACTS = 6  # of an entity, on a card
SECONDS_KEPT = 120  # that an open triplet is kept for the person who got it


class ReviewService:
    """Hands out cards and keeps decisions; its methods may be called by several threads.

    Args:
        review: The list and the decisions.
        facts: Known facts of the entities, or None.
    """

    def __init__(self, review: Review, facts: KnownFacts | None):
        self.review, self.facts = review, facts
        self._kept_until = np.zeros(len(review.list))  # of each row, in seconds of `time.monotonic`
        self._kept_for = np.full(len(review.list), "", dtype=object)

    def info(self) -> ReviewInfo:
        """Returns what the page shows of the list."""
        listed = self.review.list
        texts = dict(zip(*(listed.table[name].to_pylist() for name in ("relation", "relation_text")), strict=True))
        return ReviewInfo(
            name=f"{self.review.folder.resolve().name}/{listed.file.name}",
            model=listed.metadata.model,
            relations=[Count(id=id, text=texts[id] or id, count=count) for id, count in listed.counts("relation")],
            kinds=[Count(id=kind, text=kind, count=count) for kind, count in listed.counts("kind") if kind],
            of_facts=listed.of_facts,
            has_probabilities=bool((listed.probabilities >= 0).any()),
            has_graph=self.facts is not None,
            progress=self._progress(""),
            version=__version__,
        )

    def cards(self, choice: Choice, state: State, reviewer: str, after: int, limit: int) -> Cards:
        """Returns the next cards of a choice.

        Args:
            choice: What is wanted of the list.
            state: What is wanted of the decisions: an outcome; "new to me", not decided by this person; "decided", by
                anybody; or "all".
            reviewer: The person's name.
            after: The row behind which the cards are.
            limit: The most cards.
        """
        self.review.refresh()
        chosen = self.review.list.select(choice)
        with self.review.lock:
            codes = self.review.outcomes.codes
            if state == "new to me":
                chosen[list(self.review.outcomes.rows_of.get(reviewer, ()))] = False
            elif state == "decided":
                chosen &= codes != OPEN
            elif state != "all":
                chosen &= codes == OUTCOMES.index(state)
            rows = np.flatnonzero(chosen)
            following = rows[rows > after]
            if state == "open":
                now = time.monotonic()
                free = (self._kept_until[following] < now) | (self._kept_for[following] == reviewer)
                following = following[free] if free.any() else following  # rather twice than nothing to do
                self._kept_until[following[:limit]] = now + SECONDS_KEPT
                self._kept_for[following[:limit]] = reviewer
            cards = self._make_cards(following[:limit])
        return Cards(cards=cards, matching=len(rows), progress=self._progress(reviewer))

    def decide(self, decision: NewDecision) -> Progress:
        """Keeps a decision.

        Raises:
            LassError: The list lacks the triplet, or the name is none.
            OSError: It cannot be written.
        """
        row = self.review.list.find((decision.head, decision.relation, decision.tail))
        self.review.decide(row, decision.decision, decision.reviewer, decision.settles)
        return self._progress(decision.reviewer)

    def undo(self, reviewer: str) -> Undone:
        """Takes back the last decision of a person; raises as `decide` does."""
        row = self.review.undo(reviewer)
        with self.review.lock:
            card = None if row is None else self._make_cards(np.array([row]))[0]
        return Undone(card=card, progress=self._progress(reviewer))

    def close(self) -> None:
        """Writes the decisions as a table, for other programs."""
        self.review.write_decided()

    def _progress(self, reviewer: str) -> Progress:
        return Progress(**self.review.progress(reviewer))

    def _make_cards(self, rows: np.ndarray) -> list[Card]:
        outcomes = self.review.outcomes
        return [
            Card(
                row=row,
                **_named(one),
                **{name: one[name] for name in ("score", "probability", "rank", "kind", "reasons")},
                neighbors=self._neighbors(one),
                outcome=OUTCOMES[outcomes.codes[row]],  # type: ignore[arg-type]
                votes=dict(outcomes.votes.get(row, {})),
            )
            for row, one in zip(rows.tolist(), self.review.list.table.take(pa.array(rows)).to_pylist(), strict=True)
        ]

    def _neighbors(self, one: dict[str, Any]) -> list[Neighbors] | None:
        if self.facts is None:
            return None
        triplet = one["head"], one["relation"], one["tail"]
        found = [self.facts.of(one[name], triplet, MAX_FACTS) for name in ("head", "tail")]
        return [
            Neighbors(facts=[NeighborFact(**asdict(fact)) for fact in facts], total=total) for facts, total in found
        ]


def _named(one: dict[str, Any]) -> dict[str, Any]:
    """Returns the entries of a triplet by slot."""
    return {name: Entry(id=one[name], text=one[f"{name}_text"] or one[name]) for name in NAMES}
