"""Renders the two pages of an analysis: the report, and the attention of one triplet.

Each page is one file that works offline, and all texts in it are escaped. The attention page has the form of BertViz's
head view. BertViz itself (1.4.1) is not used, because its page loads require.js, d3 and jquery from a CDN, and is empty
offline.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..writers.pages import render_page
from .attention import SEGMENTS, TripletAttention


def render_report(analysis: Mapping[str, Any], metadata: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """Renders the report of an analysis.

    Args:
        analysis: the result of `report.analyze`.
        metadata: names and values that the page shows below its heading.
        images: file name -> content of a PNG file; the page contains the images.

    Returns:
        The page in HTML.
    """
    inlined = {
        name: {"content": base64.b64encode(content).decode(), "width": _width(content)}
        for name, content in images.items()
    }
    return render_page("analysis.html", analysis=analysis, metadata=metadata, images=inlined, segments=SEGMENTS)


def render_attention(attention: TripletAttention, triplet: Mapping[str, str]) -> str:
    """Renders the attention weights of every head as lines between tokens, which a click switches on and off.

    Args:
        attention: the attention of one layer.
        triplet: the texts of `head`, `relation` and `tail`.

    Returns:
        The page in HTML.
    """
    data = {
        "tokens": attention.tokens,
        "segments": attention.segments.tolist(),
        "weights": np.rint(attention.weights * 1000).astype(int).tolist(),
        "layer": attention.layer,
        "num_layers": attention.num_layers,
    }
    return render_page("attention.html", data=data, triplet=triplet, segments=SEGMENTS)


def _width(png: bytes) -> int:
    """Returns the width of an image in CSS pixels: plots have 144 pixels per inch, and a page has 96."""
    return int.from_bytes(png[16:20]) * 96 // 144
