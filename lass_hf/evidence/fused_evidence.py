"""All evidence of one graph: what was found and trained, and the weights by which it becomes one score."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.candidate_scores import CandidateScorer
from ..scoring.triplet_scorer import TripletScorer
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from .fusion import Fusion


@dataclass(frozen=True)
class FusedEvidence:
    """What is saved beside a model, or without any model, in a folder `evidence/`.

    Attributes:
        kinds: The kinds of evidence that count, of `evidence.KINDS`.
        fusion: The fitted weights.
        rules: The rules, or None.
        vectors: The structural vectors, or None.
        facts_fingerprint: The fingerprint of the training triplets and the ids that all this was made of.
        model_fingerprint: The fingerprint of the text model; None without text.
    """

    kinds: tuple[str, ...]
    fusion: Fusion
    rules: RuleSet | None
    vectors: StructuralVectors | None
    facts_fingerprint: str
    model_fingerprint: str | None

    def bind(
        self, graph: KnowledgeGraph, scorer: TripletScorer | None = None, index_folder: str | Path | None = None
    ) -> "BoundEvidence":
        """Makes the evidence ready to score candidates of a graph.

        Args:
            graph: The graph. Its training triplets are the facts, which may be more than those that it was made of.
            scorer: The scorer of the text model over the graph's texts; None where `kinds` have no text.
            index_folder: The folder that keeps the entity vectors of a bi-encoder.
        """
        raise NotImplementedError


class BoundEvidence:
    """Evidence, a graph and a text model, which score candidates."""

    score_candidates: CandidateScorer  # log-probability but a constant per query: the fused score

    def shares(self, queries: np.ndarray, slot: int, candidates: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what each kind adds to the score of each pair, float32 of shape (q, c), by kind.

        0 is what the mean of all candidates of the query gets from the kind; the sum over kinds is the score but a
        constant for each query.
        """
        raise NotImplementedError

    def reasons(self, query: np.ndarray, slot: int, candidate: int, most: int = 3) -> list[str]:
        """Returns the rules that speak for a candidate, in words with the entities that fulfil them, the best first."""
        raise NotImplementedError
