"""The parser of command lines: errors in one line, old names of options refused. It imports no library."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..core.choices import new_name, refuse_old_names
from ..core.errors import LassError
from .terminal import one_line


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; old names and empty values are refused. `--help` shows the usage."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit code 2."""
        self.exit(2, f"{self.prog}: error: {one_line(message)}; see {self.prog} --help\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parses arguments as any parser; raises LassError for an option by an old name, or for an empty value.

        A parser may have an option of its own by an old name, as that of a script does. A new name is told only where
        it is an option. An empty value, as a shell makes of a variable that is not set, would count as none given.
        """
        words = sys.argv[1:] if args is None else list(args)
        flags = {word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--")}
        own = {action.dest for action in self._actions}
        refuse_old_names({flag for flag in flags - own if new_name(flag) in own}, dashes="--")
        parsed = super().parse_known_args(words, namespace)
        for action in self._actions:
            value = getattr(parsed[0], action.dest, None)
            if value != action.default and "" in (value if isinstance(value, list) else [value]):
                name = f"--{action.dest}" if action.option_strings else action.metavar or action.dest
                raise LassError(f"{name} is empty, as from a variable that is not set; expected a value")
        return parsed
