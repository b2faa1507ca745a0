"""Argument parsers whose errors are one line, as all errors of the command line are."""

import argparse


class OneLineErrors:
    """Mixin for an argument parser: an error is one line without the usage, which `--help` shows."""

    def error(self, message: str):
        """Prints the error and exits with code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")  # type: ignore[attr-defined]


class Parser(OneLineErrors, argparse.ArgumentParser):
    """`argparse.ArgumentParser` with errors of one line."""
