"""Evidence over one graph: scores of candidates, and what each kind adds to them."""

import copy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from scipy.special import logsumexp

from ..core.errors import GraphError, LassError, NonFiniteError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.entity_index import EntityIndex
from ..scoring.triplet_scorer import Progress, TripletScorer
from ..structure.facts import Facts
from ..structure.rule_scores import RuleScorer
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..utils.stopwatch import Stopwatch
from .evidence_set import EvidenceSet, collect_evidence
from .fusion import Fusion, QueryGroups
from .graph_evidence import RuleEvidence, StructuralVectorEvidence
from .text_evidence import TextVectorEvidence


def training_facts(graph: KnowledgeGraph) -> Facts:
    """Returns the facts of a graph that evidence is made of.

    Args:
        graph: The graph.

    Raises:
        GraphError: The graph has no true training triplet.
    """
    facts = Facts.from_graph(graph)
    if not len(facts.triplets):
        raise GraphError(
            "the graph has no training triplets, of which rules, vectors and neighbors are made: give a graph with a "
            'train split, or use evidence="text"'
        )
    return facts


class BoundEvidence:
    """Evidence, a graph and a text model, which score candidates.

    `FusedEvidence.bind` makes it.

    Args:
        kinds: The kinds of evidence.
        fusion: The fitted weights, as all that follows in the numbers of the graph.
        rules: The rules, or None.
        vectors: The structural vectors, or None.
        graph: The graph.
        scorer: The scorer of the text model, or None.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.
        shared: As in `FusedEvidence.bind`.

    Attributes:
        kinds: The kinds of evidence.
        fusion: The fitted weights.
        graph: The graph.
        scorer: The scorer of the text model, or None.
    """

    def __init__(
        self,
        kinds: tuple[str, ...],
        fusion: Fusion,
        rules: RuleSet | None,
        vectors: StructuralVectors | None,
        graph: KnowledgeGraph,
        scorer: TripletScorer | None = None,
        index_folder: str | Path | None = None,
        shared: bool = True,
    ):
        self.kinds, self.fusion, self.graph, self.scorer = kinds, fusion, graph, scorer
        facts = training_facts(graph)
        self._set: EvidenceSet = collect_evidence(
            kinds, graph, facts, scorer, rules, vectors, index_folder, shared=shared
        )
        self._groups = QueryGroups(facts, graph.num_entities)
        if missing := [name for name in fusion.features if name not in self._set.features]:
            raise LassError(
                f"the evidence has weights for {', '.join(missing)}, which this model and graph do not give; they give "
                f"{', '.join(self._set.features)}: add evidence again"
            )
        self._columns = np.array([self._set.features.index(name) for name in fusion.features])

    def _weights(self, queries: np.ndarray, slot: int) -> np.ndarray:
        """Returns the weight of each feature of the set for each query: float32 of shape (F, q)."""
        if slot not in (0, 2):
            raise LassError(f'slot {slot}: evidence ranks heads and tails; rank relations with evidence="text"')
        weights = np.zeros((len(self._set.features), len(queries)), dtype=np.float32)
        weights[self._columns] = self.fusion.weights(self._groups(queries, slot))
        return weights

    def score_candidates(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None = None
    ) -> np.ndarray:
        """Scores candidates by all evidence: a `CandidateScorer`.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot of the candidates, 0 or 2.
            candidates: Int entities of shape (c,).
            mask: Bool of shape (q, c), True for the pairs that must be scored.
            progress: A progress bar to advance by the number of these pairs, or None.

        Returns:
            Float32 of shape (q, c): the log of the probability, but a constant for each query. Candidates with equal
            features have exactly equal scores.

        Raises:
            LassError: The slot is that of relations.
            NonFiniteError: Scores are NaN or infinite.
        """
        weights, left = self._weights(queries, slot), int(mask.sum())

        def update(count: int) -> None:
            nonlocal left
            left -= count
            if progress is not None:
                progress.update(count)

        told = cast(Progress, SimpleNamespace(update=update))  # by a cross-encoder, which may be stopped so
        scores = self._set.score(weights, queries, slot, candidates, mask, told)
        if not np.isfinite(scores[mask] if self._set.is_costly else scores).all():
            raise NonFiniteError("scores are NaN or infinite: the model's weights or its evidence are damaged")
        if left:
            update(left)
        return scores

    def score_by(
        self,
        fusions: Sequence[Fusion],
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        watch: Stopwatch | None = None,
    ) -> np.ndarray:
        """Scores candidates by several fusions, of features that are computed once.

        Args:
            fusions: The fusions, whose features are some of the evidence's.
            queries: As in `score_candidates`.
            slot: As in `score_candidates`.
            candidates: As in `score_candidates`.
            mask: As in `score_candidates`.
            watch: Gets the seconds of the features, by their kinds with commas between them.

        Returns:
            Float32 of shape (s, q, c), for each of s fusions what `score_candidates` would return, but for rounding.
        """
        features, groups = self._set(queries, slot, candidates, mask, watch=watch), self._groups(queries, slot)
        scores = np.zeros((len(fusions), *mask.shape), dtype=np.float32)
        for number, fusion in enumerate(fusions):
            for name, weights in zip(fusion.features, fusion.weights(groups), strict=True):
                scores[number] += weights[:, None] * features[self._set.features.index(name)]
        return scores

    def with_scorer(self, scorer: TripletScorer) -> "BoundEvidence":
        """Returns the evidence for texts of entities that are new to the graph, and that no facts are about.

        Args:
            scorer: A scorer of the same model; the new entities of its store follow those of the graph.
        """
        other = copy.copy(self)
        other.scorer, other._set = scorer, self._set.with_scorer(scorer)
        return other

    @property
    def text_index(self) -> EntityIndex | None:
        """The text vectors of all entities; None without a bi-encoder."""
        blocks = [one.blocks[0][:, :-1] for one in self._set.products if isinstance(one, TextVectorEvidence)]
        return EntityIndex(blocks) if blocks else None  # the last column is their length

    def shares(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Returns what each kind adds to the score of each pair.

        Args:
            queries: Int of shape (q, 3).
            slot: 0 or 2.
            candidates: Int of shape (c,).
            mask: Bool of shape (q, c), True for the pairs that are asked for; what others get means nothing. None for
                all.

        Returns:
            Float32 of shape (q, c), by kind. 0 is what the mean of all candidates of the query gets from the kind (of a
            cross-encoder: the mean of those that are asked for); the sum over kinds is the score but a constant for
            each query.
        """
        mask = np.ones((len(queries), len(candidates)), dtype=bool) if mask is None else mask
        deviations = self._set.deviations(queries, slot, candidates, self.graph.candidates[slot], mask)
        own, kinds = self._weights(queries, slot)[:, :, None] * deviations, np.array(self._set.kinds)
        return {kind: own[kinds == kind].sum(axis=0) for kind in self.kinds}

    def probabilities(self, queries: np.ndarray, slot: int, candidates: np.ndarray) -> np.ndarray:
        """Returns the probability of each candidate to be the answer, among all that are not known to be one.

        Args:
            queries: Int of shape (q, 3).
            slot: 0 or 2.
            candidates: Int of shape (c,), some of the graph's entities.

        Returns:
            Float32 of shape (q, c). A known answer's is that among itself and those that are not known.
        """
        everyone = np.union1d(self.graph.candidates[slot], candidates)
        scores = self.score_candidates(queries, slot, everyone, np.ones((len(queries), len(everyone)), dtype=bool))
        scores = scores.astype(np.float64)
        is_open = np.ones(scores.shape, dtype=bool)
        rows, values = self.graph.known.values(slot, queries)
        is_open[rows, np.searchsorted(everyone, values)] = False
        open_scores = logsumexp(np.where(is_open, scores, -np.inf), axis=1, keepdims=True)
        chosen = np.searchsorted(everyone, candidates)
        scores, is_open = scores[:, chosen], is_open[:, chosen]
        sums = np.where(is_open, open_scores, np.logaddexp(open_scores, scores))
        return np.exp(scores - sums).astype(np.float32)

    @property
    def rule_scorer(self) -> RuleScorer | None:
        """What scores by rules; None without them."""
        return next((one.scorer for one in self._set.others if isinstance(one, RuleEvidence)), None)

    def entity_vectors(self, entities: np.ndarray) -> list[np.ndarray]:
        """Returns the vectors of entities: of their texts, and of their structure, where there are such.

        Args:
            entities: Int of shape (n,).

        Returns:
            Float32 of shape (n, k), for each kind of vectors; 0 for an entity without one.
        """
        rows = torch.from_numpy(np.asarray(entities, dtype=np.int64))
        vectors = []
        for product in self._set.products:
            if isinstance(product, (TextVectorEvidence, StructuralVectorEvidence)):
                own = product.blocks[0][rows.to(product.blocks[0].device)].cpu().numpy()
                vectors.append(own[:, :-1] if isinstance(product, TextVectorEvidence) else own)  # without its length
        return vectors
