"""A parser whose options are the fields of dataclasses."""

import copy
from argparse import ArgumentParser
from dataclasses import Field

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool

from .arguments import Parser


class DataclassParser(Parser, HfArgumentParser):
    """A parser of dataclasses, some of whose fields are choices (`lass_hf.core.choices`)."""

    @staticmethod
    def _parse_dataclass_field(parser: ArgumentParser, field: Field) -> None:
        """Adds the option of a field; `float | int`, which a configuration accepts, is parsed as a float."""
        plain = copy.copy(field)  # Dataclasses share the field, and the parser changes it.
        if "affects" in field.metadata:  # What `choice` adds means nothing to argparse.
            plain.metadata = {"help": field.metadata["help"]}  # type: ignore[assignment]
        if plain.type == float | int:
            plain.type = float
        HfArgumentParser._parse_dataclass_field(parser, plain)
        for action in parser._actions:
            if action.type is string_to_bool and action.nargs is None:  # `--bf16`, whose default is None
                action.nargs, action.const = "?", True
