"""What is told of evidence that was found and fitted: sizes, seconds, the share of each kind, its MRR beside text's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from .fusion import Fusion
from .fusion_fitting import FittingSample, fit_fusions, mean_leads


class Stopwatch:
    """Adds up the seconds of several pieces of work, each of which may be done more than once.

    Attributes:
        seconds: The seconds by the name of the work.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds the seconds of what is done inside.

        Args:
            name: The name of the work.
        """
        started = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)


def report_fit(
    sample: FittingSample,
    fusion: Fusion,
    rules: RuleSet | None,
    vectors: StructuralVectors | None,
    seconds: dict[str, float],
    seed: int,
) -> dict[str, Any]:
    """Describes evidence that was found and fitted.

    Args:
        sample: The queries that the weights were fitted on.
        fusion: The weights.
        rules: The rules, or None.
        vectors: The structural vectors, or None.
        seconds: The seconds of each piece of work.
        seed: The seed of the fit.

    Returns:
        Plain values: `seconds`; `num_rules` and `dim`, or None; `num_queries` of the fit; `mrr` of all evidence on
        them, and `text_mrr` of the text alone, or None: each half of the queries was ranked by weights fitted on the
        other half; and `shares`, the part that each kind has in the lead of answers over the mean candidate, which sum
        to 1.
    """
    leads = mean_leads(sample, fusion)
    total = sum(leads.values())
    text_mrr = None
    if "text" in fusion.kinds:
        is_all = set(fusion.kinds) == {"text"}
        text_mrr = (fusion if is_all else fit_fusions(sample, [("text",)], seed)[0]).held_out_mrr
    return {
        "seconds": seconds,
        "num_rules": None if rules is None else len(rules),
        "dim": None if vectors is None else vectors.entities.shape[1],
        "num_queries": fusion.num_fitted,
        "mrr": fusion.held_out_mrr,
        "text_mrr": text_mrr,
        "shares": {kind: lead / total if total else 0.0 for kind, lead in leads.items()},
    }
