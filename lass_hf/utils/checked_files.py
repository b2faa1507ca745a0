"""Reads JSON and YAML that others may have written, or something damaged: one line says what is wrong with them.

Nothing here waits for a pipe, follows aliases or nests without end.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..core.errors import LassError, first_line

LARGEST_YAML = 2**20  # letters; a recipe has a few hundred

# What is read, by key: the type of the value, or types of which it is one.
Types = Mapping[str, type | tuple[type, ...]]


def read_json(file: str | Path, expected: str) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    Args:
        file: the file.
        expected: what the file should be, for the message of an error.

    Returns:
        The object.

    Raises:
        LassError: the file is missing, no regular file, not UTF-8, no JSON, or holds no object.
    """
    try:
        content = json.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise LassError(f"{file}: not {expected} ({_reason(error)})") from None
    if not isinstance(content, dict):
        raise LassError(f"{file}: not {expected} (no JSON object)")
    return content


def check_types(file: str | Path, content: Mapping[str, Any], types: Types, expected: str) -> None:
    """Checks that keys are there, with values of their types.

    Args:
        file: where the content comes from.
        content: the content.
        types: the needed keys, and the types of their values.
        expected: what the file should be, for the message of an error.

    Raises:
        LassError: a key is missing, or its value has another type.
    """
    for name, kind in types.items():
        if name not in content:
            raise LassError(f"{file}: not {expected} (no {name} in it)")
        value = content[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise LassError(f"{file}: not {expected} ({name} is of type {type(value).__name__})")


def parse_yaml(text: str, source: str | Path) -> Any:
    """Parses YAML without aliases, of which a few lines can stand for gigabytes, and without repeated keys.

    Args:
        text: the YAML.
        source: where it comes from, for the message of an error.

    Returns:
        Its value.

    Raises:
        LassError: the text is no such YAML, or longer than 1 MB.
    """
    if len(text) > LARGEST_YAML:
        raise LassError(f"{source}: {len(text):,} letters of YAML; expected at most {LARGEST_YAML:,}")
    try:
        return yaml.load(text, _PlainLoader)
    except Exception as error:  # Tags of the text choose what PyYAML constructs, which raises errors of any kind.
        raise LassError(f"{source}: no valid YAML ({_reason(error)})") from None


def read_yaml(file: str | Path) -> Any:
    """Reads a YAML file and parses it as `parse_yaml` does; raises LassError also for a file that cannot be read."""
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise LassError(f"{file}: cannot be read ({_reason(error)})") from None
    return parse_yaml(text, file)


def read_text(file: str | Path) -> str:
    """Reads a UTF-8 file with its line ends; raises OSError also for what is no regular file, such as a pipe."""
    path = Path(file)
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file")
    return path.read_bytes().decode()


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's loader of plain values, without aliases and repeated keys."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="an alias; write its value out", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a key is there twice", problem_mark=node.start_mark)
        return mapping


def _reason(error: Exception) -> str:
    """Returns what is wrong with a file, in words, with the line of YAML."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem}, line {error.problem_mark.line + 1}"
    return (isinstance(error, OSError) and error.strerror) or first_line(error)
