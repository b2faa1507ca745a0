"""The program `lass-hf`: it finds the subcommand, parses its arguments and runs it.

Exit code 0, or 2 on bad input with one line on standard error; `--debug` shows the traceback too.
"""

import sys
from collections.abc import Sequence
from types import ModuleType

from ..utils.console import check_writable, quieten, run_program
from ..utils.one_line_parser import Parser
from ..version import __version__
from .options import add_debug

PROGRAM = "lass-hf"
COMMANDS = {
    "train": "train a model on a graph",
    "evaluate": "link prediction, filtered",
    "classify": "true or false, by a threshold from the validation split",
    "analyze": "errors and attention of a split, as pages, plots and numbers",
    "predict": "predictions for the slot that is not given, or the verdict on a whole triplet",
    "serve": "a page to ask a model, and the same as JSON",
    "info": "counts, data quality and, with --encoder, token lengths of a graph",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: the command line without the program's name; None: the one that runs.

    Returns:
        The exit code: 0; 2 after an error that the user can correct; 130 after an interrupt.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name not in COMMANDS:
        _program_parser().parse_args(argv)  # --help, --version, or an error; all of them exit
    if name == "train":  # its parser is made from dataclasses, of transformers too
        return _train(rest)
    command = _module(name)
    parser = Parser(prog=f"{PROGRAM} {name}", description=COMMANDS[name])
    command.add_arguments(parser)
    add_debug(parser)
    arguments = parser.parse_args(rest)

    def work() -> None:
        if arguments.json:
            check_writable(arguments.json)
        if arguments.quiet and command.USES_MODELS:
            quieten()
        command.run(arguments)

    return run_program(PROGRAM, work, arguments.debug)


def _program_parser() -> Parser:
    """Returns the parser of `lass-hf` itself, which shows the subcommands."""
    parser = Parser(prog=PROGRAM, description="Knowledge graph completion with language models.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


def _train(argv: list[str]) -> int:
    # The Trainer has a --debug of its own, which takes a value.
    bare = [
        number
        for number, word in enumerate(argv)
        if word == "--debug" and (number + 1 == len(argv) or argv[number + 1].startswith("-"))
    ]
    rest = [word for number, word in enumerate(argv) if number not in bare]

    def work() -> None:
        from .train import run

        run(rest)

    return run_program(PROGRAM, work, debug=bool(bare))


def _module(name: str) -> ModuleType:
    """Imports the module of one subcommand."""
    if name == "evaluate":
        from . import evaluate as module
    elif name == "classify":
        from . import classify as module
    elif name == "analyze":
        from . import analyze as module
    elif name == "predict":
        from . import predict as module
    elif name == "serve":
        from . import serve as module
    else:
        from . import info as module
    return module
