"""Renders HTML pages of the templates: one file that works offline, with all texts escaped."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parents[1] / "templates"


def render_page(template: str, **values: Any) -> str:
    """Renders a template.

    Args:
        template: The name of a file in `lass_hf/templates`.
        **values: What it shows. A value that the template names and that is not given is an error.

    Returns:
        The page in HTML.
    """
    return _environment().get_template(template).render(values)


@cache  # it keeps the templates that it has compiled
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
