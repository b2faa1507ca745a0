"""Hooks of the site: they make tables of arguments from dataclasses, and unlink what is outside of the site."""

import re
from dataclasses import fields
from importlib import import_module
from inspect import get_annotations

from transformers import TrainingArguments


def on_page_markdown(markdown: str, *, page, **kwargs) -> str:
    """Replaces `<!-- arguments: module.Class -->` by a table, and links to files outside of docs/ by their text."""
    markdown = re.sub(r"<!-- arguments: (\S+)\.(\w+) -->", lambda found: arguments(*found.groups()), markdown)
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}\.\./[^)]*\)", r"\1", markdown)


def arguments(module: str, name: str) -> str:
    """Returns a table of the fields of a dataclass, without those of `transformers.TrainingArguments`."""
    own = getattr(import_module(module), name)
    ours = [one for one in own.__mro__ if one not in TrainingArguments.__mro__]
    named = {field for one in ours for field in get_annotations(one)}
    described = [one for one in fields(own) if one.name in named and "help" in one.metadata]
    rows = [f"| `--{one.name}` | {default(one.default)} | {one.metadata['help']} |" for one in described]
    return "\n".join(["| argument | default | |", "|---|---|---|", *rows])


def default(value: object) -> str:
    """Returns a default as code, or nothing if there is none."""
    return f"`{value}`" if isinstance(value, (str, int, float)) else ""
