"""Named presets: the choices in which the paper and its published code differ. Data only."""

from typing import Any

# The two variants of the method: every choice that changes scores or loss. Learning rate, epochs and batch size are
# the recipes' business. `published_code` is its link prediction form; its classification form has one negative,
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
