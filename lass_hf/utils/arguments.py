"""Parsers of command lines: errors in one line, old names of options refused, arguments made of dataclasses."""

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import Field
from typing import Any, NoReturn

from transformers import HfArgumentParser

from ..core.choices import refuse_old_names


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and that refuses options by old names; `--help` shows the usage."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parses arguments as any parser; raises LassError for an option by an old name."""
        words = sys.argv[1:] if args is None else list(args)
        flags = (word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--"))
        refuse_old_names(flags, dashes="--")
        return super().parse_known_args(words, namespace)


class DataclassParser(Parser, HfArgumentParser):
    """A parser of dataclasses, some of whose fields are choices (`lass_hf.core.choices`)."""

    @staticmethod
    def _parse_dataclass_field(parser: argparse.ArgumentParser, field: Field) -> None:
        """Adds the option of a field; `float | int`, which a configuration accepts, is parsed as a float."""
        plain = copy.copy(field)  # Dataclasses share the field, and the parser changes it.
        if "affects" in field.metadata:  # What `choice` adds means nothing to argparse.
            plain.metadata = {"help": field.metadata["help"]}  # type: ignore[assignment]
        if plain.type == float | int:
            plain.type = float
        HfArgumentParser._parse_dataclass_field(parser, plain)
