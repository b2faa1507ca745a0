"""Hooks of the site: tables of arguments made from dataclasses, and plain text in place of links that leave the site."""

import re
from dataclasses import fields
from importlib import import_module


def on_page_markdown(markdown: str, *, page, **kwargs) -> str:
    """Replaces `<!-- arguments: module.Class -->` by a table, and links to files outside of docs/ by their text."""
    markdown = re.sub(r"<!-- arguments: (\S+)\.(\w+) -->", lambda found: arguments(*found.groups()), markdown)
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}\.\./[^)]*\)", r"\1", markdown)


def arguments(module: str, name: str) -> str:
    """Returns a table of the fields that a dataclass adds to its base, with the help text of the command line."""
    own = getattr(import_module(module), name)
    by_name = {one.name: one for one in fields(own) if "help" in one.metadata}
    described = [by_name[name] for name in vars(own)["__annotations__"] if name in by_name]
    rows = [f"| `--{one.name}` | {default(one.default)} | {one.metadata['help']} |" for one in described]
    return "\n".join(["| argument | default | |", "|---|---|---|", *rows])


def default(value: object) -> str:
    """Returns a default as code, or nothing if there is none."""
    return f"`{value}`" if isinstance(value, (str, int, float)) else ""
