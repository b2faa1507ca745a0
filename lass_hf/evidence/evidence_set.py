"""All evidence that a graph and a text model give: its features, and their weighted sum as one product of vectors."""

import copy
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import xxhash
from torch import Tensor

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..scoring.entity_index import EntityIndex
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import Progress, TripletScorer
from ..structure.facts import Facts
from ..structure.rule_scores import RuleScorer
from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from ..utils.stopwatch import Stopwatch
from .evidence import Evidence, SparseEvidence, VectorEvidence
from .graph_evidence import DegreeEvidence, FrequencyEvidence, RuleEvidence, StructuralVectorEvidence
from .text_evidence import SameTextEvidence, TextScoreEvidence, TextVectorEvidence, has_text_vectors

ROWS_AT_ONCE = 2**14  # Rows of candidates that are compared with each other together.


class EvidenceSet:
    """Several pieces of evidence. Features are those of the inner products first, then those of the others.

    Args:
        products: Evidence whose features are inner products. Their blocks become views of one matrix.
        others: Other evidence.
        num_entities: The number E of entities.
        device: The device of the inner products.

    Attributes:
        features: The names of the F features.
        kinds: The kind of each feature.
        index: The vectors of all entities as candidates, all blocks side by side.
        first_with_same_row: For each entity the first one with the same row, int64 of shape (E,).
    """

    def __init__(
        self,
        products: Sequence[VectorEvidence],
        others: Sequence[Evidence],
        num_entities: int,
        device: torch.device | str = "cpu",
    ):
        self.products, self.others = list(products), list(others)
        everything: list[VectorEvidence | Evidence] = [*self.products, *self.others]
        self.features = tuple(name for one in everything for name in one.features)
        self.kinds = tuple(kind for one in everything for kind in one.kinds)
        matrix = _side_by_side([block for one in self.products for block in one.blocks], num_entities, device)
        self._hashes = _hash_rows(matrix)
        self.first_with_same_row = _first_with_same(self._hashes)
        self.index = EntityIndex([matrix])
        self._mean_rows: dict[int, Tensor] = {}
        start = 0
        for product in self.products:
            for number, block in enumerate(product.blocks):
                product.blocks[number] = self.index.blocks[0][:, start : start + block.shape[1]]
                start += block.shape[1]

    def with_scorer(self, scorer: TripletScorer) -> "EvidenceSet":
        """Returns the evidence for the texts of another scorer, whose store has new entities after the others.

        Args:
            scorer: The scorer of the same model.
        """
        other = copy.copy(self)
        other.products = [product.with_scorer(scorer) for product in self.products]
        other.others = [one.with_scorer(scorer) for one in self.others]
        new = np.arange(self.index.num_entities, scorer.store.num_entities)
        if len(new):
            blocks = [block for product in other.products for block in product.new_rows(new)]
            matrix = _side_by_side(blocks, len(new), self.index.blocks[0].device)
            other._hashes = np.concatenate([self._hashes, _hash_rows(matrix)])
            other.first_with_same_row = _first_with_same(other._hashes)
            other.index = EntityIndex([*self.index.blocks, matrix])
        return other

    def __call__(
        self,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        costly: bool = True,
        watch: Stopwatch | None = None,
    ) -> np.ndarray:
        """Returns all features, see `Evidence.__call__`; those of a cross-encoder are 0 if not `costly`.

        `watch` gets the seconds of each piece of evidence, by its kinds with commas between them.
        """
        watch = watch or Stopwatch()
        features = np.zeros((len(self.features), *mask.shape), dtype=np.float32)
        index, rows = self._rows_of(candidates)
        for number, product in enumerate(self._products(queries, slot, index.blocks, watch)):
            np.take(product, rows, axis=1, out=features[number], mode="clip")
        for other, own in self._others():
            if costly or not isinstance(other, TextScoreEvidence):
                with watch.time(",".join(dict.fromkeys(other.kinds))):
                    features[own] = other(queries, slot, candidates, mask)
        return features

    def deviations(
        self, queries: np.ndarray, slot: int, candidates: np.ndarray, everyone: np.ndarray, mask: np.ndarray
    ) -> np.ndarray:
        """Returns the features of few candidates, less their means over `everyone`: float32 of shape (F, q, c).

        A cross-encoder scores just the pairs of the mask; its scores are less their means over those of the query.
        """
        features = np.zeros((len(self.features), len(queries), len(candidates)), dtype=np.float32)
        rows = self.index.vectors(candidates) - self._mean_row(slot, everyone)
        for number, product in enumerate(self._products(queries, slot, [rows], Stopwatch())):
            features[number] = product
        for other, own in self._others():
            if isinstance(other, SparseEvidence):
                features[own] = other.deviations(queries, slot, candidates, everyone)
            else:
                features[own] = other(queries, slot, candidates, mask)
                counts = np.maximum(mask.sum(axis=1, keepdims=True), 1)
                features[own] -= features[own].sum(axis=2, keepdims=True, where=mask) / counts
        return features

    def _mean_row(self, slot: int, everyone: np.ndarray) -> Tensor:
        """Returns the mean row of all candidates of a slot, which is computed once."""
        if slot not in self._mean_rows:
            chosen = torch.zeros(self.index.num_entities, device=self.index.blocks[0].device)
            chosen[torch.from_numpy(everyone).to(chosen.device)] = 1 / len(everyone)
            parts = zip(chosen.split([len(block) for block in self.index.blocks]), self.index.blocks, strict=True)
            self._mean_rows[slot] = torch.stack([part @ block for part, block in parts]).sum(0)
        return self._mean_rows[slot]

    def _rows_of(self, candidates: np.ndarray) -> tuple[EntityIndex, np.ndarray]:
        """Returns an index with the rows of candidates, and their positions there, which equal rows share."""
        rows = self.first_with_same_row[candidates]
        if 2 * len(candidates) > self.index.num_entities:
            return self.index, rows
        distinct, rows = np.unique(rows, return_inverse=True)
        return EntityIndex([self.index.vectors(distinct)]), rows

    def _products(
        self, queries: np.ndarray, slot: int, blocks: Sequence[Tensor], watch: Stopwatch
    ) -> Iterator[np.ndarray]:
        """Yields the features that are inner products, for all rows of blocks: float32 of shape (q, rows)."""
        start = 0
        for product in self.products:
            ends = start + np.cumsum([block.shape[1] for block in product.blocks])
            with watch.time(",".join(dict.fromkeys(product.kinds))):
                for query, number in zip(product.query_vectors(queries, slot), product.block_of_feature, strict=True):
                    part = slice(int(ends[number]) - query.shape[1], int(ends[number]))
                    yield torch.cat([query.to(block.device) @ block[:, part].T for block in blocks], 1).cpu().numpy()
            start = int(ends[-1])

    def _others(self) -> Iterator[tuple[Evidence, slice]]:
        """Yields the other pieces of evidence with the positions of their features."""
        number = sum(len(product.features) for product in self.products)
        for other in self.others:
            yield other, slice(number, number + len(other.features))
            number += len(other.features)

    @property
    def is_costly(self) -> bool:
        """Whether some features are the scores of a cross-encoder."""
        return any(isinstance(other, TextScoreEvidence) for other in self.others)

    def query_rows(self, queries: np.ndarray, slot: int, weights: np.ndarray) -> Tensor:
        """Returns vectors of queries whose inner products with rows of `index` are the weighted sums of features.

        Args:
            queries: Int of shape (q, 3).
            slot: 0 or 2.
            weights: The weight of each feature for each query, float32 of shape (F, q).

        Returns:
            Float32 of shape (q, k), on the device of the index.
        """
        parts, number = [], 0
        for product in self.products:
            sums = [torch.zeros(len(queries), block.shape[1]) for block in product.blocks]
            for query, block in zip(product.query_vectors(queries, slot), product.block_of_feature, strict=True):
                sums[block] += torch.from_numpy(weights[number])[:, None] * query
                number += 1
            parts += sums
        return _side_by_side(parts, len(queries), self.index.blocks[0].device)

    def add_others(
        self,
        scores: np.ndarray,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        progress: Progress | None = None,
    ) -> None:
        """Adds what is no inner product to scores, see `Evidence.add`; a cross-encoder tells its progress."""
        for other, own in self._others():
            if weights[own].any():
                told = (progress,) if isinstance(other, TextScoreEvidence) else ()
                other.add(scores, weights[own], queries, slot, candidates, mask, *told)

    def score(
        self,
        weights: np.ndarray,
        queries: np.ndarray,
        slot: int,
        candidates: np.ndarray,
        mask: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Returns the weighted sums of features, float32 of shape (q, c). Equal features have exactly equal sums."""
        vectors = self.query_rows(queries, slot, weights)
        index, rows = self._rows_of(candidates)
        scores = torch.cat([vectors @ block.T for block in index.blocks], 1).cpu().numpy()[:, rows]
        self.add_others(scores, weights, queries, slot, candidates, mask, progress)
        return scores


def _side_by_side(blocks: Sequence[Tensor], num_rows: int, device: torch.device | str) -> Tensor:
    return torch.cat([torch.empty(num_rows, 0), *blocks], 1).to(device)


def _hash_rows(matrix: Tensor) -> np.ndarray:
    """Returns 64-bit hashes of rows, uint64: equal rows have equal hashes, others hardly ever."""
    numbers = (part.cpu().numpy() + np.float32(0) for part in matrix.split(ROWS_AT_ONCE))  # -0 becomes 0
    hashes = (xxhash.xxh3_64_intdigest(row) for part in numbers for row in part)
    return np.fromiter(hashes, dtype=np.uint64, count=len(matrix))


def _first_with_same(hashes: np.ndarray) -> np.ndarray:
    """Returns the position of the first hash that equals each one: int64."""
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
        if not has_text_vectors(scorer):
            others.append(TextScoreEvidence(scorer))
        else:
            index = build_entity_index(scorer, index_folder, quiet, shared)
            products.append(TextVectorEvidence(scorer, index, facts.triplets, "neighbors" in kinds))
        others.append(SameTextEvidence(scorer.store.first_with_same_text[0], "text"))
    elif "frequency" in kinds:
        others.append(SameTextEvidence(np.arange(size), "frequency"))
    if "vectors" in kinds and vectors is not None:
        products.append(StructuralVectorEvidence(vectors, size))
    if "frequency" in kinds:
        products.append(DegreeEvidence(facts, size))
        others.append(FrequencyEvidence(facts, size))
    if "rules" in kinds and rules is not None:
        others.append(RuleEvidence(RuleScorer(rules, facts), size))
    return EvidenceSet(products, others, size, device)
