"""For `make docs`: tables of arguments from their dataclasses, and no links to what is no part of the site."""

import re
from dataclasses import fields
from importlib import import_module

from transformers import TrainingArguments


def on_page_markdown(markdown: str, *, page, **kwargs) -> str:
    """Fills in `<!-- arguments: module.Class -->`; of a link to a file outside of docs/ only its text stays."""
    markdown = re.sub(r"<!-- arguments: (\S+)\.(\w+) -->", lambda found: arguments(*found.groups()), markdown)
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}\.\./[^)]*\)", r"\1", markdown)


def arguments(module: str, name: str) -> str:
    """Returns the fields of a dataclass as a table, without those of transformers; `--help` shows the same texts."""
    others = {id(one) for one in fields(TrainingArguments)}
    described = [one for one in fields(getattr(import_module(module), name)) if "help" in one.metadata]
    described = [one for one in described if id(one) not in others]
    rows = [f"| `--{one.name}` | {default(one.default)} | {one.metadata['help']} |" for one in described]
    return "\n".join(["| argument | default | |", "|---|---|---|", *rows])


def default(value: object) -> str:
    return f"`{value}`" if isinstance(value, (str, int, float)) else ""
