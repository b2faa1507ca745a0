"""Renders HTML pages of the templates: one file that works offline, with all texts escaped."""

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parents[1] / "templates"


def render_page(template: str, **values: Any) -> str:
    """Renders a template.

    Args:
        template: The name of a file in `lass_hf/templates`.
        **values: What it shows. A value that the template names and that is not given is an error.

    Returns:
        The page in HTML.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(values)
