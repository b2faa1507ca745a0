"""The command line: one program over the package's functions."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code, 0 on success and 2 on bad input."""
    from .commands import main as run  # here: importing a wing imports nothing

    return run(argv)
