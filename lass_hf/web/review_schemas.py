"""The JSON that `lass-hf review` reads and writes, as pydantic models, from which its OpenAPI description is made."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from ..review.decisions import MAX_REVIEWER
from .schemas import MAX_TEXT, Entry, Input

Outcome = Literal["open", "accepted", "rejected", "unsure", "contradiction"]
State = Literal["open", "new to me", "decided", "accepted", "rejected", "unsure", "contradiction", "all"]
Reviewer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REVIEWER)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


# What comes in


class NewDecision(Input):
    """What a person decides about a triplet of the list."""

    head: Id
    relation: Id
    tail: Id
    decision: Literal["accept", "reject", "unsure"]
    reviewer: Reviewer
    settles: bool = Field(False, description="the person saw that others contradict each other: this counts alone")


class Undo(Input):
    """Takes back the last decision of a person."""

    reviewer: Reviewer


# What goes out


class Progress(BaseModel):
    """How many triplets there are, of each outcome, and decided by the person who asks."""

    total: int
    open: int = Field(description="that nobody decided")
    accepted: int
    rejected: int
    unsure: int
    contradiction: int = Field(description="that some accept and others reject")
    mine: int = Field(description="that the person who asks decided")


class NeighborFact(BaseModel):
    """A known fact of an entity."""

    relation: str
    other: str
    is_head: bool = Field(description="whether the entity itself is the head of the fact")


class Neighbors(BaseModel):
    """Known facts of an entity."""

    facts: list[NeighborFact]
    total: int = Field(description="how many the graph holds, shown or not")


class Card(BaseModel):
    """A triplet to decide about, and what speaks for it."""

    row: int = Field(description="its place in the list, from 0")
    head: Entry
    relation: Entry
    tail: Entry
    score: float
    probability: float | None
    rank: int | None
    kind: str
    reasons: list[str]
    neighbors: list[Neighbors] | None = Field(description="of head and tail; null where the graph is not given")
    outcome: Outcome
    votes: dict[str, str] = Field(description="what each person decided")


class Cards(BaseModel):
    """The next cards of a choice."""

    cards: list[Card]
    matching: int = Field(description="how many triplets of the choice there are in the whole list")
    progress: Progress


class Undone(BaseModel):
    """The triplet about which a decision was taken back; null where there was none."""

    card: Card | None
    progress: Progress


class Count(BaseModel):
    """A relation or a kind, with how many triplets of the list have it."""

    id: str
    text: str
    count: int


class ReviewInfo(BaseModel):
    """The list."""

    name: str = Field(description="the folder and the file")
    model: str
    relations: list[Count]
    kinds: list[Count]
    of_facts: bool = Field(description="whether they are facts that may be wrong: accept means true, and reject wrong")
    has_probabilities: bool
    has_graph: bool
    progress: Progress
    version: str
