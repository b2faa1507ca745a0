"""Measures a completion by links that neither the model nor the list has seen: precision and recall of the list.

With a test split its links are hidden, and chances are fitted on validation. With a validation split alone, each half
of it (of its pairs of entities) is hidden once, while evidence and chances are fitted on the other half; the two results
are averaged. The graph that is completed does not hold the hidden links, and holds the other half, so that the list
leaves those out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from .suggestions import Suggestions

DEPTHS = (50, 200, 1000)


@dataclass(frozen=True)
class Completion:
    """What one completion of a graph came to.

    Attributes:
        queries: The queries that were asked, int64 of shape (q, 3).
        slots: The slot that each of them asked for, int of shape (q,).
        suggestions: All n suggestions, of any standing, but those that a split of the graph holds.
        standings: Int of shape (n,): positions in the names of standings.
        probabilities: Float64 of shape (n,); None without a calibration.
        listed: The list: int64 of shape (m,), positions in `suggestions` in the order of the list, as long as it would
            be without `--max`.
    """

    queries: np.ndarray
    slots: np.ndarray
    suggestions: Suggestions
    standings: np.ndarray
    probabilities: np.ndarray | None
    listed: np.ndarray


def evaluate_completion(
    graph: KnowledgeGraph,
    complete: Callable[[KnowledgeGraph], Completion],
    standing_names: tuple[str, ...],
    seed: int = 42,
) -> dict[str, Any]:
    """Completes a graph without its hidden links, and measures how many of them the list has.

    Args:
        graph: The graph, with a test or a validation split of links that the model was not trained on.
        complete: Completes the graph that it is given, whose facts are its train split and whose validation split
            weights and chances are fitted on: with a validation split that is not the whole one of `graph`, the evidence
            must be refitted on it (`refit_evidence`).
        standing_names: The names of standings.
        seed: Seed of the halves of validation, and of the order of equal frequencies.

    Returns:
        The results, as plain values.

    Raises:
        GraphError: The graph has neither a test nor a validation split.
    """
    raise NotImplementedError


def describe_evaluation(results: dict[str, Any]) -> list[str]:
    """Returns the lines of the printed table."""
    raise NotImplementedError
