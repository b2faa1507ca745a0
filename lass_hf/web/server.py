"""`lass-hf serve` (`pip install "lass-hf[serve]"`): a page to ask a model, and the same as JSON over HTTP.

It routes: limits are `Guard`'s, answers the `QuestionService`'s.
"""

import base64
import hashlib
import ipaddress
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from ..core.errors import LassError, NonFiniteError, UnknownNameError
from ..prediction.predictor import LassPredictor
from ..version import __version__
from .guard import Guard
from .job_queue import Busy
from .question_service import QuestionService
from .schemas import MAX_TEXT, MAX_TOP_K, Answers, Checked, Entries, Info, Problem, Question, Triplet

PAGE = Path(__file__).parents[1] / "templates" / "serve.html"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_CONNECTIONS = 256
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text}
    for code, text in {
        400: "A question that cannot be asked",
        404: "A name that the graph lacks, or that names several",
        422: "Not the JSON that was expected",
        503: "Too many questions at once; the header Retry-After says when to come back",
    }.items()
}


class Application(Guard):
    """The page and the JSON of a predictor, as an ASGI application.

    Args:
        predictor: who answers. A bi-encoder encodes the graph's entities now.
        name: of the model, to be shown.
        hosts: names that requests may call the server by; None for any.
    """

    def __init__(self, predictor: LassPredictor, name: str, hosts: frozenset[str] | None = None):
        page = PAGE.read_text(encoding="utf-8")
        self.service = QuestionService(predictor)
        self.api = _routes(self.service, name, page)
        super().__init__(self.api, hosts, _policy(page))


def _policy(page: str) -> str:
    """The Content-Security-Policy that lets the page's own script and style run, and nothing else."""

    def hashes(tag: str) -> str:
        contents = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in contents)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _routes(service: QuestionService, name: str, page: str) -> FastAPI:
    app = FastAPI(
        title="lass-hf",
        description=f"Questions to the knowledge graph completion model {name}, as a page and as JSON.",
        version=__version__,
        docs_url=None,  # their page loads scripts from elsewhere; /openapi.json is here
        redoc_url=None,
        responses={code: PROBLEMS[code] for code in (422, 503)},
    )
    asked: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (400, 404)}
    query = Annotated[str, Query(max_length=MAX_TEXT, description="of an id or a text; case and accents do not matter")]

    @app.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> str:
        return page

    @app.get("/api/info")
    async def info() -> Info:
        """The model and the counts of its graph."""
        return service.info(name)

    @app.get("/api/entities")
    def entities(q: query = "", limit: Annotated[int, Query(ge=1, le=MAX_TOP_K)] = 20) -> Entries:
        """Entities whose id or text is, begins with, or has a word or part like `q`; the frequent ones without `q`."""
        return service.find("entities", q, limit)

    @app.get("/api/relations")
    def relations(q: query = "", limit: Annotated[int, Query(ge=1, le=1000)] = 1000) -> Entries:
        """Relations, in the same way."""
        return service.find("relations", q, limit)

    @app.post("/api/complete", responses=asked)
    async def complete(question: Question) -> Answers:
        """The best answers for the slot that is not given."""
        return await service.complete(question)

    @app.post("/api/check", responses=asked)
    async def check(triplet: Triplet) -> Checked:
        """The score of a triplet, and whether the graph holds it."""
        return await service.check(triplet)

    def problem(status: int, sentence: str, **headers: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status, headers)

    @app.exception_handler(LassError)
    async def bad_question(_: Request, error: LassError) -> JSONResponse:
        status = {UnknownNameError: 404, NonFiniteError: 500}.get(type(error), 400)
        return problem(status, str(error))

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        sentence = f"too many questions wait already; try again in {error.retry_after} s"
        return problem(503, sentence, **{"retry-after": str(error.retry_after)})

    @app.exception_handler(RequestValidationError)
    async def not_understood(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, _sentence(error))

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        sentence = f"{request.method} {request.url.path[:200]}: {error.detail}; see /openapi.json"
        return problem(error.status_code, sentence, **(error.headers or {}))

    @app.exception_handler(Exception)
    async def mistake(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "the server failed to answer, by a mistake of its own; its terminal shows which")

    return app


def _sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong, of a type that does not fit the last."""
    errors = sorted(error.errors(), key=lambda one: str(one["type"]).endswith("_type"))
    place = [str(part) for part in errors[0]["loc"][1:]]
    if errors[0]["type"] == "json_invalid":
        return "the body is no JSON"
    if not place:
        return "the body is no JSON object, or not marked as content-type application/json"
    if errors[0]["type"].endswith("_type") and place[0] in ("head", "tail"):
        return f'{place[0]}: expected an id or a text, or {{"text": "..."}} for a new entity'
    if errors[0]["type"] == "extra_forbidden":
        return f"{place[-1][:100]!r} is not known here; /openapi.json says what is"
    return f"{place[0]}: {errors[0]['msg'][0].lower()}{errors[0]['msg'][1:]}"


# The server


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; raises LassError when that is not to be had.

    It listens before anything is loaded: until then another process can bind the same port. Who asks early waits.
    """
    flags = socket.AI_PASSIVE
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: no name at all
        what = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise LassError(f"--host {host}: {what}; give a name or an address of this machine") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise LassError(f"port {port} of {host}: {error.strerror}; choose another one with --port or --host") from None
    return listener


def serve(predictor: LassPredictor, name: str, listener: socket.socket) -> None:
    """Answers requests at a socket of `bind` until it is interrupted; raises KeyboardInterrupt then."""
    server = make_server(predictor, name, listener)
    host, port = listener.getsockname()[:2]
    if not _is_loopback(host):
        print(
            f"lass-hf: warning: listening on {host}: whoever reaches this machine can ask, there is no password",
            file=sys.stderr,
        )
    print(f"{name} at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C ends it)", flush=True)
    server.run(sockets=[listener])


def make_server(predictor: LassPredictor, name: str, listener: socket.socket) -> uvicorn.Server:
    """A server for a socket of `bind`; `run(sockets=[listener])` answers."""
    host = listener.getsockname()[0]
    folder = Path(name).resolve().name if Path(name).is_dir() else name  # where it lies is nobody's business
    app = Application(predictor, folder, frozenset((*LOOPBACK, host)) if _is_loopback(host) else None)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
    )
    return _Server(config)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


class _Server(uvicorn.Server):
    """Ends what is being computed before it waits for those who asked."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.service.queue.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)
