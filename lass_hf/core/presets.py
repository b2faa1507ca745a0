"""Presets: the choices of the two variants of the method, the paper's and its published code's."""

from typing import Any

# A preset has every choice of a variant that changes scores or loss; learning rate, epochs and batch size are in
# recipes. `published_code` is the link prediction form of that code; its classification form has one negative and
# corruption="head_or_tail".
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "margin": 7.0,
        "distance_scale": "none",
        "separators": True,
        "loss": "negative_sampling",
        "num_negatives": 5,
        "corruption": "each_slot",
        "replacement": False,
    },
    "published_code": {
        "margin": 7.0,
        "distance_scale": "sqrt_dim",
        "separators": False,
        "loss": "mean_bce",
        "num_negatives": 5,
        "corruption": "each_slot",
        "replacement": True,
    },
}
