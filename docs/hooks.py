"""For `make docs`: tables of arguments from their dataclasses, and no links to what is no part of the site."""

import re
from dataclasses import fields
from importlib import import_module


def on_page_markdown(markdown: str, *, page, **kwargs) -> str:
    """Fills in `<!-- arguments: module.Class -->`; of a link to a file outside of docs/ only its text stays."""
    markdown = re.sub(r"<!-- arguments: (\S+)\.(\w+) -->", lambda found: arguments(*found.groups()), markdown)
    up = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}\.\./[^)]*\)", r"\1", markdown)


def arguments(module: str, name: str) -> str:
    """The fields that a dataclass adds to its base, as a table; the help is what the command line shows."""
    own = getattr(import_module(module), name)
    by_name = {one.name: one for one in fields(own) if "help" in one.metadata}
    described = [by_name[name] for name in vars(own)["__annotations__"] if name in by_name]
    rows = [f"| `--{one.name}` | {default(one.default)} | {one.metadata['help']} |" for one in described]
    return "\n".join(["| argument | default | |", "|---|---|---|", *rows])


def default(value: object) -> str:
    return f"`{value}`" if isinstance(value, (str, int, float)) else ""
