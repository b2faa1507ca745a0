"""`lass-hf serve`: a page to ask a model, and the same as JSON."""

import argparse

from ...core.errors import LassError
from ..options import add_evidence, add_graph, add_model, add_quiet, add_reranker, add_server

HELP = "a page to ask a model, and the same as JSON"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf serve`."""
    add_model(parser)
    add_graph(parser, required=False)
    add_reranker(parser)
    add_evidence(parser)
    add_server(parser)
    add_quiet(parser)
    parser.set_defaults(json=None)


def run(arguments: argparse.Namespace) -> None:
    """Serves until it is interrupted."""
    try:
        from ...web.access import make_access
        from ...web.question_application import QuestionApplication
        from ...web.server import bind, serve
    except ModuleNotFoundError as error:
        raise LassError(f'{error.name} is not installed: pip install "lass-hf[serve]"') from None
    from ..loading import load_predictor

    with bind(arguments.host, arguments.port) as listener:
        access = make_access(arguments.host, listener, arguments.allow_host, arguments.token, arguments.no_token)
        application = QuestionApplication(load_predictor(arguments), arguments.model, access)
        serve(application, arguments.model, listener, show_token=arguments.token is None)
