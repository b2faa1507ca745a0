"""What was found in a graph that a person should know, and how it is written for one."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..utils.terminal import one_line

SEVERITIES = {
    "wrong": "Would make results wrong",
    "doubtful": "May be wrong",
    "fact": "Good to know",
}
LONGEST_EXAMPLE = 240  # characters


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about a graph, or good to know.

    Attributes:
        kind: its name in files, such as "positives_in_train".
        severity: "wrong" (it makes results wrong), "doubtful" (it may) or "fact" (it is good to know).
        what: what was counted, in words, plural: "test triplets that train has too".
        count: how many.
        share: the share of all of them, 0 to 1; None where a share means nothing.
        example: one of them, or a few, in ids and texts.
        meaning: what it does to a model or to its results, one sentence.
        remedy: what to do, one sentence; "" where there is nothing to do.
    """

    kind: str
    severity: str
    what: str
    count: int
    share: float | None
    example: str
    meaning: str
    remedy: str = ""


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Returns findings, first those that make results wrong, then those that may, then facts."""
    return sorted(findings, key=lambda one: list(SEVERITIES).index(one.severity))


def format_findings(findings: Iterable[Finding], *, with_facts: bool = True) -> list[str]:
    """Writes findings for a person, the worst first: what and how many, an example, and what it means.

    Args:
        findings: what was found.
        with_facts: whether those of the severity "fact" are written too.

    Returns:
        The lines. Names in them are escaped, so that a terminal shows each as one line.
    """
    findings = list(findings)
    lines = []
    if not any(one.severity == "wrong" for one in findings):
        lines = [f"Nothing {'would make results wrong' if findings else 'is odd'}, as far as this can be seen."]
    for severity, heading in SEVERITIES.items():
        if chosen := [one for one in findings if one.severity == severity and (with_facts or severity != "fact")]:
            lines += [*([""] if lines else []), heading]
            for one in chosen:
                lines += _format(one)
    return lines


def _format(one: Finding) -> list[str]:
    share = "" if one.share is None else "<0.1%" if one.share < 0.0005 else f"{one.share:.1%}"
    example = one.example if len(one.example) <= LONGEST_EXAMPLE else one.example[: LONGEST_EXAMPLE - 1] + "…"
    details = [example and f"such as {example}", " ".join(filter(None, (one.meaning, one.remedy)))]
    first = f"{one.count:>11,} {share:>6}  {one_line(one.what)}"
    return [first, *(f"{'':>20}{one_line(text)}" for text in details if text)]
