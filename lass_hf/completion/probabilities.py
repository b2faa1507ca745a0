"""The chance that a suggestion is one of the links that were held out of training.

It is a lower bound of the probability that the suggestion is true: a suggestion that nobody held out may be true, too,
and of the missing links only a part was held out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..structure.facts import Facts
from ..structure.rule_scores import RuleScorer
from .suggestions import Suggestions


class LinkFeatures:
    """Describes suggestions by the numbers that their chance is computed from.

    Args:
        facts: The training triplets.
        rules: The rules over these facts; None without rules.
        standing_names: The name of each code in `standings`.
    """

    def __init__(self, facts: Facts, rules: RuleScorer | None, standing_names: Sequence[str]): ...

    def __call__(self, suggestions: Suggestions, standings: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the features of n suggestions, by name: float64 of shape (n,), NaN where one is not known.

        Args:
            suggestions: The suggestions.
            standings: Int of shape (n,): the standing of each against the graph, as a position in `standing_names`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LinkCalibration:
    """Turns features into chances: a logistic regression, whose sums isotonic regression or Platt scaling corrects."""

    def __call__(self, features: LinkFeatures, suggestions: Suggestions, standings: np.ndarray) -> np.ndarray:
        """Returns the chances of suggestions, float64 of shape (n,), the same for one alone and for many.

        Raises:
            LassError: A feature that was fitted is missing: there are no rules now.
        """
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON: what `from_dict` reads, and what the report shows."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], relation_ids: Sequence[str], source: str | Path) -> "LinkCalibration":
        """Makes a calibration of what `to_dict` returned, for the relations of a graph in their order.

        Raises:
            LassError: The content is not that of a calibration; the message names `source`.
        """
        raise NotImplementedError


def find_lack_of_links(graph: KnowledgeGraph) -> str | None:
    """Returns why suggestions of a graph get no probability and how they would get one; None if nothing is missing."""
    raise NotImplementedError


def fit_link_calibration(
    features: LinkFeatures, suggestions: Suggestions, standings: np.ndarray, graph: KnowledgeGraph, seed: int = 42
) -> tuple[LinkCalibration | None, str | None]:
    """Fits chances on the links of the validation split among suggestions.

    Args:
        features: The features.
        suggestions: The suggestions that were made of the training triplets, those that the validation and the test
            split hold among them: these are taken care of here.
        standings: Int of shape (n,).
        graph: The graph.
        seed: Seed of the parts of the cross-validation.

    Returns:
        The calibration; or None, and why there is none and how to get one, as one sentence.
    """
    raise NotImplementedError
