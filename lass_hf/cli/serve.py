"""`lass-hf serve`: a page to ask a model, and the same as JSON."""

import argparse

from ..core.errors import LassError
from .options import add_evidence, add_graph, add_model, add_quiet, add_reranker, port

HELP = "a page to ask a model, and the same as JSON"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf serve`."""
    add_model(parser)
    add_graph(parser, required=False)
    add_reranker(parser)
    add_evidence(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    parser.add_argument("--port", type=port, default=8000, help="(default: %(default)s; 0: any that is free)")
    parser.add_argument(
        "--allow_host",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="more names that requests may use for the server, such as that of a proxy in front of it",
    )
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token", help="what requests have to bring along (default: one is made if others can reach --host)"
    )
    token.add_argument("--no_token", action="store_true", help="lets everyone ask who can reach --host")
    add_quiet(parser)
    parser.set_defaults(json=None)


def run(arguments: argparse.Namespace) -> None:
    """Serves until it is interrupted."""
    try:
        from ..web.access import make_access
        from ..web.server import bind, serve
    except ModuleNotFoundError as error:
        raise LassError(f'{error.name} is not installed: pip install "lass-hf[serve]"') from None
    from .loading import load_predictor

    with bind(arguments.host, arguments.port) as listener:
        access = make_access(arguments.host, listener, arguments.allow_host, arguments.token, arguments.no_token)
        serve(load_predictor(arguments), arguments.model, listener, access, show_token=arguments.token is None)
