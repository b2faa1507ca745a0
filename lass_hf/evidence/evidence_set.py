"""All evidence that a graph and a text model give: its features, and their weighted sum as one product of vectors."""

from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.candidate_vectors import CandidateVectors
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import TripletScorer
from ..structure.facts import Facts
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from .evidence import Evidence, VectorEvidence
from .graph_evidence import FrequencyEvidence, RuleEvidence, StructuralVectorEvidence
from .text_evidence import SameTextEvidence, TextScoreEvidence, TextVectorEvidence

ROWS_AT_ONCE = 2**14  # Rows of candidates that are compared with each other together.


class EvidenceSet:
    """Several pieces of evidence. Features are those of the inner products first, then those of the others.

    Args:
        products: Evidence whose features are inner products.
        others: Other evidence.
        num_entities: The number E of entities.
        device: The device of the inner products.

    Attributes:
        features: The names of the F features.
        kinds: The kind of each feature.
        matrix: The vectors of all entities as candidates, all blocks side by side, float32 of shape (E, k).
        first_with_same_row: For each entity the first one with the same row of `matrix`, int64 of shape (E,).
    """

    def __init__(
        self,
        products: Sequence[VectorEvidence],
        others: Sequence[Evidence],
        num_entities: int,
        device: torch.device | str = "cpu",
    ):
        self.products, self.others = list(products), list(others)
        everything = [*self.products, *self.others]
        self.features = tuple(name for one in everything for name in one.features)
        self.kinds = tuple(kind for one in everything for kind in one.kinds)
        blocks = [block for one in self.products for block in one.blocks]
        # Without inner products one column of zeros keeps the product.
        self.matrix = torch.cat(blocks, 1).to(device) if blocks else torch.zeros(num_entities, 1, device=device)
        self.first_with_same_row = _first_with_same_row(self.matrix)

    def __call__(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, costly: bool = True
    ) -> np.ndarray:
        """Returns all features, see `Evidence.__call__`; those of a cross-encoder are 0 if not `costly`."""
        features = np.zeros((len(self.features), *mask.shape), dtype=np.float32)
        number = 0
        for product in self.products:
            vectors = product.query_vectors(queries, slot)
            for query, block in zip(vectors, product.block_of_feature, strict=True):
                features[number] = (query @ product.blocks[block][torch.from_numpy(candidates)].T).numpy()
                number += 1
        for other in self.others:
            if costly or not isinstance(other, TextScoreEvidence):
                features[number : number + len(other.features)] = other(queries, slot, candidates, mask)
            number += len(other.features)
        return features

    def over(self, scorer: TripletScorer) -> "EvidenceSet":
        """Returns the evidence over more entities, see `Evidence.over`."""
        result, size = copy(self), len(self.matrix)
        result.products = [product.over(scorer) for product in self.products]
        result.others = [other.over(scorer) for other in self.others]
        blocks = [block[size:] for product in result.products for block in product.blocks]
        num_new = scorer.store.num_entities - size
        new = torch.cat(blocks, 1).to(self.matrix.device) if blocks else self.matrix.new_zeros(num_new, 1)
        result.matrix = torch.cat([self.matrix, new])
        # A new entity has the row of an old one with the same text, if that one has no neighbors and no vectors either.
        first = self.first_with_same_row
        for entity in range(size, size + num_new):
            same = int(scorer.store.first_with_same_text[0][entity])
            is_same = torch.equal(result.matrix[same], result.matrix[entity])
            first = np.append(first, first[same] if is_same and same < entity else entity)
        result.first_with_same_row = first
        return result

    @property
    def is_costly(self) -> bool:
        """Whether some features are the scores of a cross-encoder."""
        return any(isinstance(other, TextScoreEvidence) for other in self.others)

    def query_rows(self, queries: np.ndarray, slot: int, weights: np.ndarray) -> Tensor:
        """Returns vectors of queries whose inner products with rows of `matrix` are the weighted sums of features.

        Args:
            queries: Int of shape (q, 3).
            slot: 0 or 2.
            weights: The weight of each feature for each query, float32 of shape (F, q).

        Returns:
            Float32 of shape (q, k), on the device of `matrix`.
        """
        parts, number = [], 0
        for product in self.products:
            sums = [torch.zeros(len(queries), block.shape[1]) for block in product.blocks]
            for query, block in zip(product.query_vectors(queries, slot), product.block_of_feature, strict=True):
                sums[block] += torch.from_numpy(weights[number])[:, None] * query
                number += 1
            parts += sums
        if not parts:
            return torch.zeros(len(queries), 1, device=self.matrix.device)
        return torch.cat(parts, 1).to(self.matrix.device)

    def add_others(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
    ) -> None:
        """Adds what is no inner product to scores, see `Evidence.add`."""
        number = sum(len(product.features) for product in self.products)
        for other in self.others:
            part = weights[number : number + len(other.features)]
            number += len(other.features)
            if part.any():
                other.add(scores, part, queries, slot, candidates, mask)

    def score(
        self, weights: np.ndarray, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Returns the weighted sums of features, float32 of shape (q, c). Equal features have exactly equal sums."""
        rows = self.first_with_same_row[candidates]
        vectors = self.query_rows(queries, slot, weights)
        if 2 * len(candidates) > len(self.matrix):
            scores = (vectors @ self.matrix.T).cpu().numpy()[:, rows]
        else:
            distinct, rows = np.unique(rows, return_inverse=True)
            scores = (vectors @ self.matrix[torch.from_numpy(distinct)].T).cpu().numpy()[:, rows]
        self.add_others(scores, weights, queries, slot, candidates, mask)
        return scores


def _first_with_same_row(matrix: Tensor) -> np.ndarray:
    """Returns the first row that equals each row: int64. Rows are compared by 64-bit hashes of their numbers."""
    odd = np.random.default_rng(0).integers(2**63, size=matrix.shape[1], dtype=np.uint64) * 2 + 1
    hashes = np.empty(len(matrix), dtype=np.uint64)
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        # Zero is added so that -0 becomes 0.
        numbers = (matrix[part].cpu() + 0.0).contiguous().numpy().view(np.uint32)
        mixed = numbers.astype(np.uint64) * odd
        hashes[part] = ((mixed >> np.uint64(29)) ^ mixed).sum(axis=1, dtype=np.uint64)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first[inverse]


def collect_evidence(
    kinds: Collection[str],
    graph: KnowledgeGraph,
    facts: Facts,
    scorer: TripletScorer | None = None,
    rules: RuleSet | None = None,
    vectors: StructuralVectors | None = None,
    index_folder: str | Path | None = None,
    quiet: bool = True,
    shared: bool = True,
) -> EvidenceSet:
    """Makes the evidence of some kinds.

    Args:
        kinds: The kinds, of `evidence.KINDS`.
        graph: The graph.
        facts: The facts that neighbors, frequencies and rules are read from.
        scorer: The scorer of the text model over the graph's texts, for "text" and "neighbors".
        rules: The rules, for "rules".
        vectors: The structural vectors, for "vectors".
        index_folder: The folder that keeps the entity vectors of a bi-encoder.
        quiet: Whether no progress bar is shown while entities are encoded.
        shared: Whether several processes, which must all call this function, share the encoding.

    Returns:
        The evidence.

    Raises:
        LassError: A kind needs a text model, rules or vectors that are not given.
    """
    size = graph.num_entities if scorer is None else scorer.store.num_entities
    products: list[VectorEvidence] = []
    others: list[Evidence] = []
    for kind, needed in (("text", scorer), ("neighbors", scorer), ("rules", rules), ("vectors", vectors)):
        if kind in kinds and needed is None:
            missing = "a text model" if needed is scorer and kind in ("text", "neighbors") else kind
            raise LassError(f"evidence {kind!r} needs {missing}, which is not there; expected some of other kinds")
    device: torch.device | str = "cpu"
    if scorer is not None and {"text", "neighbors"} & set(kinds):
        device = scorer.model.device
        if not scorer.is_bi_encoder:
            others.append(TextScoreEvidence(scorer))
        else:
            index = build_entity_index(scorer, index_folder, quiet, shared)
            if scorer.model.score_function.query is None:
                own = CandidateVectors(index, scorer.store.first_with_same_text[0])
                others.append(TextScoreEvidence(scorer, own))
            else:
                products.append(TextVectorEvidence(scorer, index, facts.triplets, "neighbors" in kinds))
        others.append(SameTextEvidence(scorer.store.first_with_same_text[0], "text"))
    elif "frequency" in kinds:
        others.append(SameTextEvidence(np.arange(size), "frequency"))
    if "vectors" in kinds and vectors is not None:
        products.append(StructuralVectorEvidence(vectors, size))
    if "frequency" in kinds:
        others.append(FrequencyEvidence(facts, size))
    if "rules" in kinds and rules is not None:
        from ..structure.rule_scores import RuleScorer

        others.append(RuleEvidence(RuleScorer(rules, facts), size))
    return EvidenceSet(products, others, size, device)
