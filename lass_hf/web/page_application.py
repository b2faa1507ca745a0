"""What the applications of this package have in common: a page with its policy, and errors as one sentence of JSON."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from ..core.errors import LassError, NonFiniteError, UnknownNameError, first_line
from ..version import __version__
from .access import Access
from .guard import Guard
from .job_queue import Busy
from .schemas import Problem

TEMPLATES = Path(__file__).parents[1] / "templates"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text}
    for code, text in {
        400: "A question that has no answer, such as one with three open slots",
        404: "A name that the graph lacks, or that several entities have; a triplet that the list lacks",
        422: "JSON of another form than expected",
        503: "Too many requests at once; the header Retry-After has the seconds to wait",
    }.items()
}


class PageApplication(Guard):
    """A page and its JSON, as an ASGI application.

    Args:
        api: The application that answers; it gets the page as its route "/", and the handlers of errors.
        template: The name of the page's file. What stands in it for `page.css` and `page.js` is put in its place.
        access: Who may ask.
        close: Is called when the server ends, before and after it waits for its connections.
    """

    def __init__(self, api: FastAPI, template: str, access: Access, close: Callable[[], None]):
        page = read_page(template)
        self.api, self.close = api, close

        @api.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False)
        async def show_page() -> str:
            return page

        _handle_errors(api)
        super().__init__(api, access, _policy(page))


def read_page(template: str) -> str:
    """Returns a page, whose file names the style and the script that all pages have in lines of their own."""
    page = (TEMPLATES / template).read_text(encoding="utf-8")
    for shared in ("page.css", "page.js"):
        page = page.replace(f"/* {shared} */\n", (TEMPLATES / shared).read_text(encoding="utf-8"))
    return page


def make_api(description: str) -> FastAPI:
    """Returns an application without routes.

    Args:
        description: What its OpenAPI description says first.
    """
    return FastAPI(
        title="lass-hf",
        description=description,
        version=__version__,
        docs_url=None,  # FastAPI's pages load scripts from another server; /openapi.json is served.
        redoc_url=None,
        responses={code: PROBLEMS[code] for code in (422, 503)},
    )


def _policy(page: str) -> str:
    """Returns the Content-Security-Policy that admits the page's own script and style, and nothing else."""

    def hashes(tag: str) -> str:
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in contents)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _handle_errors(app: FastAPI) -> None:
    def problem(status: int, sentence: str, **headers: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status, headers)

    @app.exception_handler(LassError)
    async def unanswerable(_: Request, error: LassError) -> JSONResponse:
        status = {UnknownNameError: 404, NonFiniteError: 500}.get(type(error), 400)
        return problem(status, str(error))

    @app.exception_handler(OSError)
    async def unwritable(_: Request, error: OSError) -> JSONResponse:
        return problem(507, f"{error.filename}: {error.strerror}" if error.filename else first_line(error))

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        sentence = f"too many requests wait already; try again in {error.retry_after} s"
        return problem(503, sentence, **{"retry-after": str(error.retry_after)})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, _sentence(error))

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> JSONResponse:
        sentence = f"{request.method} {request.url.path[:200]}: {error.detail}; see /openapi.json"
        return problem(error.status_code, sentence, **(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "the server failed to answer because of an error in its own code; its terminal shows it")


def _sentence(error: RequestValidationError) -> str:
    """Returns the first validation error as one sentence."""
    # A name that is a string or an object has an error for each of the two; errors of type say least, so they go last.
    errors = sorted(error.errors(), key=lambda one: str(one["type"]).endswith("_type"))
    place = [str(part) for part in errors[0]["loc"][1:]]
    if errors[0]["type"] == "json_invalid":
        return "the body is not valid JSON"
    if not place:
        return "the body is not a JSON object, or its content-type is not application/json"
    if errors[0]["type"].endswith("_type") and place[0] in ("head", "tail"):
        return f'{place[0]}: expected an id or a text, or {{"text": "..."}} for a new entity'
    if errors[0]["type"] == "extra_forbidden":
        return f"{place[-1][:100]!r} is not expected; /openapi.json has the expected fields"
    return f"{place[0]}: {errors[0]['msg'][0].lower()}{errors[0]['msg'][1:]}"
