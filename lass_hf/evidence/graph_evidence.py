"""Evidence of the graph: how frequent an entity is, what rules imply, and structural vectors."""

import copy

import numpy as np
import torch
from torch import Tensor

from ..scoring.entity_frequencies import EntityFrequencies
from ..scoring.triplet_scorer import TripletScorer
from ..structure.facts import Facts
from ..structure.rule_scores import RuleScorer
from ..structure.structural_vectors import StructuralVectors
from .evidence import SparseEvidence, positions_of

LEAST_PROBABILITY = 1e-3  # of a rule's answer that says anything: the unit of the logarithm of probabilities


class FrequencyEvidence(SparseEvidence):
    """How often an entity has the slot of the relation in the facts, as log(1 + count).

    Args:
        facts: The facts.
        num_entities: The number of entities of the graph; those beyond the facts' have none.
    """

    features: tuple[str, ...] = ("frequency_in_slot",)
    kinds: tuple[str, ...] = ("frequency",)

    def __init__(self, facts: Facts, num_entities: int):
        self.counts = EntityFrequencies(facts.triplets, facts.num_entities)
        self.num_entities = num_entities

    def with_scorer(self, scorer: TripletScorer) -> "FrequencyEvidence":
        """See `Evidence.with_scorer`."""
        other = copy.copy(self)
        other.num_entities = scorer.store.num_entities
        return other

    def pairs(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `SparseEvidence.pairs`."""
        positions = positions_of(candidates, self.num_entities)
        rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for relation in np.unique(queries[:, 1]).tolist():
            entities, counts = self.counts.of_relation(slot, relation)
            is_candidate = positions[entities] >= 0
            found, own = positions[entities[is_candidate]], np.flatnonzero(queries[:, 1] == relation)
            rows.append(np.repeat(own, len(found)))
            columns.append(np.tile(found, len(own)))
            values.append(np.tile(np.log1p(counts[is_candidate]), len(own)))
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)[None]


class DegreeEvidence:
    """How many facts are about an entity, as log(1 + count): the same for each query.

    Args:
        facts: The facts.
        num_entities: The number of entities of the graph; those beyond the facts' have none.
    """

    features: tuple[str, ...] = ("frequency",)
    kinds: tuple[str, ...] = ("frequency",)
    block_of_feature: tuple[int, ...] = (0,)

    def __init__(self, facts: Facts, num_entities: int):
        degrees = np.bincount(facts.triplets[:, [0, 2]].reshape(-1), minlength=num_entities)
        self.blocks = [torch.from_numpy(np.log1p(degrees.astype(np.float32)))[:, None]]

    def with_scorer(self, scorer: TripletScorer) -> "DegreeEvidence":
        """See `VectorEvidence.with_scorer`."""
        return self

    def new_rows(self, entities: np.ndarray) -> list[Tensor]:
        """See `VectorEvidence.new_rows`."""
        return [torch.zeros(len(entities), 1)]

    def query_vectors(self, queries: np.ndarray, slot: int) -> list[Tensor]:
        """See `VectorEvidence.query_vectors`."""
        return [torch.ones(len(queries), 1)]


class RuleEvidence(SparseEvidence):
    """What rules imply: the probability p of an answer, as log(1 + p / 0.001) and as -log(1 - p).

    The first tells unlikely answers apart, the second, a sum over rules of a noisy-or, the likely ones.

    Args:
        scorer: The scorer of the rules over the facts.
        num_entities: The number of entities of the graph; nothing is implied for those beyond the facts'.
    """

    features: tuple[str, ...] = ("rules_log", "rules_sum")
    kinds: tuple[str, ...] = ("rules", "rules")

    def __init__(self, scorer: RuleScorer, num_entities: int):
        self.scorer = scorer
        self.num_entities = num_entities

    def with_scorer(self, scorer: TripletScorer) -> "RuleEvidence":
        """See `Evidence.with_scorer`."""
        return RuleEvidence(self.scorer, scorer.store.num_entities)

    def pairs(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `SparseEvidence.pairs`."""
        known = np.flatnonzero(queries[:, 2 - slot] < self.scorer.facts.num_entities)
        found = self.scorer.scores(queries[known], slot).tocoo()
        columns = positions_of(candidates, self.num_entities)[found.col]
        kept = np.flatnonzero(columns >= 0)
        sums = found.data[kept].astype(np.float32)
        logs = np.log1p(-np.expm1(-sums) / np.float32(LEAST_PROBABILITY))
        return known[found.row[kept]], columns[kept], np.stack([logs, sums])


class StructuralVectorEvidence:
    """The scores of structural vectors, less their mean over all entities that have a vector.

    The mean is that of an inner product with the mean vector, so vectors are centered, and an entity without one has 0.
    A further dimension tells whether an entity has a vector.

    Args:
        vectors: The vectors.
        num_entities: The number of entities of the graph; those beyond the vectors' have none.
    """

    features: tuple[str, ...] = ("vectors", "has_vector")
    kinds: tuple[str, ...] = ("vectors", "vectors")
    block_of_feature: tuple[int, ...] = (0, 1)

    def __init__(self, vectors: StructuralVectors, num_entities: int):
        self.vectors = vectors
        has_vector = np.zeros(num_entities, dtype=bool)
        has_vector[: len(vectors.has_vector)] = vectors.has_vector
        own = np.flatnonzero(has_vector)
        candidates = vectors.candidate_vectors()
        centered = np.zeros((num_entities, candidates.shape[1]), dtype=np.float32)
        if len(own):
            centered[own] = candidates[own] - candidates[own].mean(axis=0, dtype=np.float64)
        self.blocks = [torch.from_numpy(centered), torch.from_numpy(has_vector.astype(np.float32)[:, None])]

    def with_scorer(self, scorer: TripletScorer) -> "StructuralVectorEvidence":
        """See `VectorEvidence.with_scorer`."""
        return self

    def new_rows(self, entities: np.ndarray) -> list[Tensor]:
        """See `VectorEvidence.new_rows`."""
        return [torch.zeros(len(entities), block.shape[1]) for block in self.blocks]

    def query_vectors(self, queries: np.ndarray, slot: int) -> list[Tensor]:
        """See `VectorEvidence.query_vectors`."""
        known = np.flatnonzero(queries[:, 2 - slot] < len(self.vectors.has_vector))
        result = torch.zeros(len(queries), self.blocks[0].shape[1])
        result[torch.from_numpy(known)] = torch.from_numpy(self.vectors.query_vectors(queries[known], slot))
        return [result, result.any(1, keepdim=True).float()]
