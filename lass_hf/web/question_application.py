"""A page for questions to a model, and the same as JSON over HTTP: the routes of `lass-hf serve`."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query

from ..prediction.predictor import LassPredictor
from .access import Access
from .page_application import PROBLEMS, PageApplication, make_api
from .question_service import QuestionService
from .schemas import MAX_TEXT, MAX_TOP_K, Answers, Checked, Entries, Info, Question, Triplet


class QuestionApplication(PageApplication):
    """The page and the JSON of a predictor, as an ASGI application.

    Args:
        predictor: Answers the questions. A bi-encoder encodes the entities of the graph when the application is made.
        name: The model's folder or hub name. The page shows a folder's last part only.
        access: Who may ask.
    """

    def __init__(self, predictor: LassPredictor, name: str, access: Access):
        self.service = QuestionService(predictor)
        shown = Path(name).resolve().name if Path(name).is_dir() else name  # not the path
        super().__init__(
            _routes(self.service, shown, access.token is not None), "serve.html", access, self.service.close
        )


def _routes(service: QuestionService, name: str, has_token: bool) -> FastAPI:
    app = make_api(f"Questions to the knowledge graph completion model {name}, as a page and as JSON.")
    asked: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (400, 404)}
    query = Annotated[
        str, Query(max_length=MAX_TEXT, description="a part of an id or a text; case and accents do not matter")
    ]

    @app.get("/api/info")
    async def info() -> Info:
        """The model and the counts of its graph."""
        return service.info(name, has_token)

    @app.get("/api/entities")
    async def entities(q: query = "", limit: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 20) -> Entries:
        """Entities whose id or text equals, begins with, or contains `q`; the most frequent ones without `q`."""
        return await service.find(0, q, limit)

    @app.get("/api/relations")
    async def relations(q: query = "", limit: Annotated[int, Query(ge=1, le=1000)] = 1000) -> Entries:
        """Relations, found in the same way."""
        return await service.find(1, q, limit)

    @app.post("/api/complete", responses=asked)
    async def complete(question: Question) -> Answers:
        """The best entities or relations for the slot that is not given."""
        return await service.complete(question)

    @app.post("/api/check", responses=asked)
    async def check(triplet: Triplet) -> Checked:
        """The score of a triplet, and whether the graph holds it."""
        return await service.check(triplet)

    return app
