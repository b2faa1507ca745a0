"""The page of an audit: what was judged, what a suspicion means, the first findings with all signals, odd entities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..writers.pages import render_page
from .auditing import LEAST_HELD_OUT, Audit
from .findings import UNUSUAL, Findings
from .signals import SIGNALS

SHOWN = 100  # findings on the page
SHOWN_ENTITIES = 50  # odd entities of each kind
SMALLEST_GRAPH = 5 * LEAST_HELD_OUT  # triplets; of a smaller one too few would be left to train on


def describe_signals(audit: Audit, findings: Findings, row: int) -> list[dict[str, Any]]:
    """Describes the signals of a finding.

    Args:
        audit: The audit.
        findings: Its findings.
        row: The position of the finding.

    Returns:
        For each kind of signals `kind`, `share` (the lowest of the kind: how unusual it is; None if none is known) and
        `signals`: dicts of `words` (what a low value says), `value` and `share` (both None if unknown).
    """
    kinds: dict[str, list[dict[str, Any]]] = {}
    columns = audit.signals.values[:, findings.positions[row]], findings.shares[:, row]
    for name, *numbers in zip(audit.signals.names, *columns, strict=True):
        kind, words = SIGNALS[name]
        if kind != "context":
            value, share = (None if np.isnan(one) else float(one) for one in numbers)
            kinds.setdefault(kind, []).append({"words": words, "value": value, "share": share})
    return [
        {
            "kind": kind,
            "share": min((one["share"] for one in some if one["share"] is not None), default=None),
            "signals": some,
        }
        for kind, some in kinds.items()
    ]


def explain_model(model_counts: str | None, by_heart: float | None, num_held_out: int, num_triplets: int) -> str:
    """Says for which triplets a text model counts, why, and what to do about it; "" without one.

    Args:
        model_counts: See `Audit`.
        by_heart: See `Audit`.
        num_held_out: The number of triplets outside of train.
        num_triplets: The number of all triplets.
    """
    if model_counts is None:
        return ""
    if model_counts == "none":
        remedy = (
            f"Train one with more held out (lass-hf train --validation {LEAST_HELD_OUT}, or lass-hf split before, of a "
            "graph whose triplets are all in train), or leave --model out."
        )
        if num_triplets < SMALLEST_GRAPH:
            remedy = "Too few would be left of this graph if so many were held out; leave --model out."
        return (
            f"The text model counts for no triplet: {num_held_out:,} of the {num_triplets:,} triplets are outside of "
            f"train, and {LEAST_HELD_OUT} are needed to tell what it knows from what it learned by heart. {remedy}"
        )
    which = "all triplets" if model_counts == "all" else f"the {num_held_out:,} triplets outside of train alone"
    counts = f"The text model counts for {which}."
    if by_heart is None:
        return counts
    return (
        f"{counts} It prefers a triplet that it was trained on to another true one in {100 * by_heart:.0f} % of the "
        "cases. The more often, the more it knows triplets by heart, wrong ones too: one epoch of training is best "
        "for an audit."
    )


def render_audit(content: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> str:
    """Renders the page, which works offline.

    Args:
        content: What `audit.json` has: `settings` (names and values, shown as they are), `metrics` (counts of triplets,
            findings and odd entities; no `duplicates` if they were not searched for), `injected` (the number of errors
            of each kind), `by_heart`, `model_counts`, `held_out` (the number of triplets outside of train),
            `duplicates` and `misfits`.
        findings: The list, or its beginning: dicts of ids (`head`, `relation`, `tail`), texts (`head_text`, ...),
            `score` (1 - suspicion), `kind`, `against`, `better` (both lists of texts) and `signals` (of
            `describe_signals`). 100 are shown.

    Returns:
        The page in HTML.
    """
    return render_page(
        "audit.html",
        **{name: content[name] for name in ("settings", "metrics", "injected")},
        **{name: content[name][:SHOWN_ENTITIES] for name in ("duplicates", "misfits")},
        unusual=UNUSUAL,
        of_model=explain_model(
            content["model_counts"], content["by_heart"], content["held_out"], content["metrics"]["triplets"]
        ),
        findings=list(findings)[:SHOWN],
    )
