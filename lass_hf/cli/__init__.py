"""The command line: `lass-hf`, one program over the package's functions.

Each subcommand has a module in `subcommands/`, with `add_arguments(parser)` and `run(arguments)`. It imports torch,
transformers and the wings that need them inside of `run`, because `--help` must answer at once.
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code, 0 on success and 2 on bad input."""
    try:
        from .commands import main as run  # here: importing a wing imports nothing

        return run(argv)
    except KeyboardInterrupt:  # before `run` takes care of it
        return 130
