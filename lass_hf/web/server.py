"""`lass-hf serve` (`pip install "lass-hf[serve]"`): a page for questions to a model, and the same as JSON over HTTP.

This module has the routes, the errors and the socket. `connections.py` limits connections, `guard.py` and `access.py`
requests, and `question_service.py` answers them.
"""

import asyncio
import base64
import errno
import hashlib
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
from .access import Access, is_loopback
from .connections import BACKLOG, SECONDS, LimitedConnection, close_oldest
from .guard import Guard
from .job_queue import Busy
from .question_service import QuestionService
from .schemas import MAX_TEXT, MAX_TOP_K, Answers, Checked, Entries, Info, Problem, Question, Triplet

PAGE = Path(__file__).parents[1] / "templates" / "serve.html"
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text}
    for code, text in {
        400: "A question that has no answer, such as one with three open slots",
        404: "A name that the graph lacks, or that several entities have",
        422: "JSON of another form than expected",
        503: "Too many requests at once; the header Retry-After has the seconds to wait",
    }.items()
}


class Application(Guard):
    """The page and the JSON of a predictor, as an ASGI application.

    Args:
        predictor: Answers the questions. A bi-encoder encodes the entities of the graph when the application is made.
        name: The name of the model that the page shows.
        access: Who may ask.
    """

    def __init__(self, predictor: LassPredictor, name: str, access: Access):
        page = PAGE.read_text(encoding="utf-8")
        self.service = QuestionService(predictor)
        self.api = _routes(self.service, name, page, access.token is not None)
        super().__init__(self.api, access, _policy(page))


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


def _routes(service: QuestionService, name: str, page: str, has_token: bool) -> FastAPI:
    app = FastAPI(
        title="lass-hf",
        description=f"Questions to the knowledge graph completion model {name}, as a page and as JSON.",
        version=__version__,
        docs_url=None,  # FastAPI's pages load scripts from another server; /openapi.json is served.
        redoc_url=None,
        responses={code: PROBLEMS[code] for code in (422, 503)},
    )
    asked: dict[int | str, dict[str, Any]] = {code: PROBLEMS[code] for code in (400, 404)}
    query = Annotated[
        str, Query(max_length=MAX_TEXT, description="a part of an id or a text; case and accents do not matter")
    ]

    @app.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> str:
        return page

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

    def problem(status: int, sentence: str, **headers: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status, headers)

    @app.exception_handler(LassError)
    async def unanswerable(_: Request, error: LassError) -> JSONResponse:
        status = {UnknownNameError: 404, NonFiniteError: 500}.get(type(error), 400)
        return problem(status, str(error))

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

    return app


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


# The server


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at an address.

    It is meant to be called before a model is loaded, so that no other process takes the port meanwhile. Requests that
    come before `serve` wait.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 for any free one.

    Raises:
        LassError: The host is unknown, or the port is in use.
    """
    flags = socket.AI_PASSIVE
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError is raised for strings that cannot be host names.
        what = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise LassError(f"--host {host}: {what}; give a name or an address of this machine") from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise LassError(f"port {port} of {host}: {error.strerror}; choose another one with --port or --host") from None
    return listener


def serve(predictor: LassPredictor, name: str, listener: socket.socket, access: Access, show_token: bool) -> None:
    """Answers requests at a socket until the process is interrupted.

    Args:
        predictor: Answers the questions.
        name: The model's folder or hub name. The page shows a folder's last part only.
        listener: A socket of `bind`.
        access: Who may ask.
        show_token: Whether the address that is printed has the token.

    Raises:
        KeyboardInterrupt: The process was interrupted.
    """
    server = make_server(predictor, name, listener, access)
    host, port = listener.getsockname()[:2]
    if access.token is None and not is_loopback(listener):
        print(
            f"lass-hf: warning: listening on {host}: anyone who reaches this machine can ask, there is no token",
            file=sys.stderr,
        )
    query = "" if access.token is None else f"?token={access.token if show_token else '...'}"
    print(f"{name} at http://{f'[{host}]' if ':' in host else host}:{port}/{query} (Ctrl-C ends it)", flush=True)
    server.run(sockets=[listener])


def make_server(predictor: LassPredictor, name: str, listener: socket.socket, access: Access) -> uvicorn.Server:
    """Returns a server that answers by `run(sockets=[listener])`; arguments are those of `serve`."""
    folder = Path(name).resolve().name if Path(name).is_dir() else name  # not the path
    config = uvicorn.Config(
        Application(predictor, folder, access),
        http=LimitedConnection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="error",  # Clients can cause as many warnings as they like.
        access_log=False,
        proxy_headers=False,
        use_colors=False,  # escape sequences reach no terminal
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SECONDS,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Closes connections whose clients are late, and cancels all jobs before it waits for their connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.has_warned = False
        asyncio.get_running_loop().set_exception_handler(self._handle)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        for connection in list(self.server_state.connections):
            connection.close_if_late()  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.service.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Makes room when no connection can be accepted. asyncio by itself prints a traceback for each, and waits."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
            return
        close_oldest(self.server_state.connections)  # type: ignore[arg-type]
        if not self.has_warned:
            self.has_warned = True
            print(
                f"lass-hf: warning: {error.strerror}: connections that wait for their clients are closed; "
                "allow more with ulimit -n",
                file=sys.stderr,
            )
