"""The program `lass-hf`: it finds the subcommand, parses its arguments and runs it.

Exit code 0, or what the subcommand returns, or 2 on bad input with one line on standard error; `--debug` shows the
traceback too.
"""

import sys
from collections.abc import Sequence
from types import ModuleType

from ..utils.arguments import Parser
from ..utils.console import quieten, run_program
from ..version import __version__
from .json_files import check_json
from .options import add_debug
from .subcommands import (
    add_evidence,
    analyze,
    audit,
    classify,
    compare,
    complete,
    evaluate,
    importing,
    info,
    predict,
    review,
    rules,
    search,
    serve,
    split,
    train,
)

PROGRAM = "lass-hf"
TRAINER_DEBUG = ("underflow_overflow", "tpu_metrics_debug")  # values of the Trainer's own --debug
COMMANDS: dict[str, ModuleType] = {
    "import": importing,
    "train": train,
    "search": search,
    "add-evidence": add_evidence,
    "evaluate": evaluate,
    "classify": classify,
    "compare": compare,
    "analyze": analyze,
    "predict": predict,
    "complete": complete,
    "serve": serve,
    "review": review,
    "info": info,
    "split": split,
    "rules": rules,
    "audit": audit,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: the command line without the program's name; None: the one that runs.

    Returns:
        The exit code: 0; 1 if `info --strict` finds what makes results wrong; 2 after an error that the user can
        correct; 130 after an interrupt.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    words = _without_debug(given)
    return run_program(PROGRAM, lambda: _run(words), debug=words != given)


def _run(argv: list[str]) -> int | None:
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name not in COMMANDS:
        _program_parser().parse_args(argv)  # --help, --version, or an error; all of them exit
    command = COMMANDS[name]
    if command is train and not {"-h", "--help"} & set(rest):  # it parses its arguments itself
        train.run(rest)
        return None
    parser = Parser(prog=f"{PROGRAM} {name}", description=command.HELP)
    command.add_arguments(parser)
    add_debug(parser)
    arguments = parser.parse_args(rest)
    check_json(vars(arguments))
    if arguments.quiet:
        quieten(libraries=command.USES_MODELS)
    return command.run(arguments)


def _program_parser() -> Parser:
    """Returns the parser of `lass-hf` itself, which shows the subcommands."""
    parser = Parser(prog=PROGRAM, description="Knowledge graph completion with language models.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    add_debug(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.HELP)
    return parser


def _without_debug(argv: list[str]) -> list[str]:
    """Removes `--debug`, wherever it stands; the Trainer's option of that name has a value, and stays."""
    following = [*argv, ""][1:]
    return [word for word, value in zip(argv, following, strict=True) if word != "--debug" or _is_trainer_debug(value)]


def _is_trainer_debug(value: str) -> bool:
    return bool(value.split()) and set(value.split()) <= set(TRAINER_DEBUG)
