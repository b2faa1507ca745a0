"""The two pages of an analysis, each one file that works offline: the report, and the attention of one triplet.

BertViz 1.4.1 (head_view.py, head_view.js) loads require.js, d3 and jquery from a CDN, so its page is empty offline: the
attention page here is our own, in the manner of its head view. All texts are escaped. It computes nothing.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .attention import SEGMENTS, TripletAttention


def report_page(analysis: Mapping[str, Any], about: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The page of `analysis_folder.analyze`'s numbers. `about`: name -> value, its heading; `images`: file -> PNG."""
    inlined = {
        name: {"content": base64.b64encode(content).decode(), "width": _width(content)}
        for name, content in images.items()
    }
    return _render("analysis.html", analysis=analysis, about=about, images=inlined, segments=SEGMENTS)


def attention_page(attention: TripletAttention, triplet: Mapping[str, str]) -> str:
    """Every head's weights between the tokens, as lines to switch and to point at. `triplet`: the three texts."""
    data = {
        "tokens": attention.tokens,
        "segments": attention.segments.tolist(),
        "weights": np.rint(attention.weights * 1000).astype(int).tolist(),
        "layer": attention.layer,
        "num_layers": attention.num_layers,
    }
    return _render("attention.html", data=data, triplet=triplet, segments=SEGMENTS)


def _width(png: bytes) -> int:
    """On the page, in CSS pixels: plots have 144 pixels per inch, a page 96."""
    return int.from_bytes(png[16:20]) * 96 // 144


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parents[1] / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(template).render(values)
