"""A page on which people decide about a list, and the same as JSON over HTTP: the routes of `lass-hf review`."""

from typing import Annotated, Any

from fastapi import FastAPI, Query

from ..review.known_facts import KnownFacts
from ..review.review_list import Choice
from ..review.reviewing import Review
from .access import Access
from .page_application import PROBLEMS, PageApplication, make_api
from .review_schemas import Cards, NewDecision, Progress, ReviewInfo, State, Undo, Undone
from .review_service import ReviewService
from .schemas import MAX_TEXT

MAX_CARDS = 50  # in an answer


class ReviewApplication(PageApplication):
    """The page and the JSON of a review, as an ASGI application.

    Args:
        review: The list and the decisions.
        facts: Known facts of the entities, or None.
        access: Who may ask.
    """

    def __init__(self, review: Review, facts: KnownFacts | None, access: Access):
        self.service = ReviewService(review, facts)
        super().__init__(_routes(self.service), "review.html", access, self.service.close)


def _routes(service: ReviewService) -> FastAPI:
    """Routes are functions, not coroutines: they run on threads, because a decision waits for the disk."""
    app = make_api("The review of a list of triplets, as a page and as JSON.")
    asked: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (400, 404)}
    name = Annotated[str, Query(max_length=MAX_TEXT)]

    @app.get("/api/info")
    def info() -> ReviewInfo:
        """The list, its relations and kinds, and the progress."""
        return service.info()

    @app.get("/api/cards")
    def cards(
        reviewer: name = "",
        state: State = "open",
        relation: name | None = None,
        kind: name | None = None,
        least: Annotated[float | None, Query(ge=0, le=1, description="the least probability")] = None,
        most: Annotated[float | None, Query(ge=0, le=1, description="the highest probability")] = None,
        q: Annotated[name, Query(description="letters of ids or texts; case and accents do not matter")] = "",
        after: Annotated[int, Query(ge=-1, description="the row behind which the cards are")] = -1,
        limit: Annotated[int, Query(ge=1, le=MAX_CARDS)] = 10,
    ) -> Cards:
        """The next triplets to decide about, in the order of the list."""
        return service.cards(Choice(relation, kind, least, most, q), state, " ".join(reviewer.split()), after, limit)

    @app.post("/api/decisions", responses=asked)
    def decide(decision: NewDecision) -> Progress:
        """Keeps a decision, which is on the disk when the answer comes."""
        return service.decide(decision)

    @app.post("/api/undo", responses=asked)
    def undo(who: Undo) -> Undone:
        """Takes back the last decision of a person."""
        return service.undo(who.reviewer)

    return app
