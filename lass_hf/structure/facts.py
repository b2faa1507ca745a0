"""The facts that rules and structural vectors are made of: distinct triplets, and a sparse matrix for each relation.

A directed relation is a number below 2R: d < R is relation d from head to tail, and d + R is its inverse, from tail to
head. What a graph labels false is indexed here, too.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..utils.fingerprints import digest


@dataclass(frozen=True)
class Links:
    """All facts as seen from each entity, in both directions, in ascending order of entity, other entity and relation.

    Attributes:
        starts: Int64 of shape (E + 1,): the links of entity x are those from `starts[x]` to `starts[x + 1]`.
        relations: Int32 of shape (2n,): the directed relation from x to the other entity.
        others: Int32 of shape (2n,): the other entity.
        keys: Int64 of shape (2n,): x * E + other, to find all relations between two entities by binary search.
    """

    starts: np.ndarray
    relations: np.ndarray
    others: np.ndarray
    keys: np.ndarray


@dataclass(frozen=True)
class Facts:
    """Distinct true triplets.

    Attributes:
        triplets: Int64 of shape (n, 3), distinct, in ascending order.
        num_entities: The number E of entities of the vocabulary.
        num_relations: The number R of relations of the vocabulary.
    """

    triplets: np.ndarray
    num_entities: int
    num_relations: int

    @classmethod
    def from_triplets(cls, triplets: np.ndarray, num_entities: int, num_relations: int) -> "Facts":
        """Makes facts of triplets, int of shape (n, 3), which may repeat."""
        return cls(KnownTriplets(triplets, num_entities, num_relations).triplets(), num_entities, num_relations)

    @classmethod
    def from_graph(cls, graph: KnowledgeGraph) -> "Facts":
        """Makes facts of the true training triplets of a graph, of which there can be none."""
        return cls(graph.known_in_train.triplets(), graph.num_entities, graph.num_relations)

    @cached_property
    def links(self) -> Links:
        """The facts as seen from each entity."""
        heads, relations, tails = self.triplets.T
        entities, others = np.concatenate([heads, tails]), np.concatenate([tails, heads])
        relations = np.concatenate([relations, relations + self.num_relations])
        keys = entities * self.num_entities + others
        order = np.lexsort([relations, keys])
        starts = np.searchsorted(entities[order], np.arange(self.num_entities + 1))
        return Links(starts, relations[order].astype(np.int32), others[order].astype(np.int32), keys[order])

    @cached_property
    def adjacency(self) -> list[csr_array]:
        """For each of the 2R directed relations the float32 matrix of shape (E, E) with a 1 for each fact."""
        matrices = []
        by_relation = self.triplets[np.argsort(self.triplets[:, 1], kind="stable")]
        bounds = np.searchsorted(by_relation[:, 1], np.arange(self.num_relations + 1)).tolist()
        shape = (self.num_entities, self.num_entities)
        for start, end in pairwise(bounds):
            heads, _, tails = by_relation[start:end].T
            matrices.append(csr_array((np.ones(end - start, np.float32), (heads, tails)), shape=shape))
        return [*matrices, *(matrix.T.tocsr() for matrix in matrices)]


def labeled_false(graph: KnowledgeGraph, *names: str) -> KnownTriplets:
    """Makes an index of the triplets that some splits label false, as `KnowledgeGraph.index_splits` of the true ones.

    Args:
        graph: The graph.
        *names: Names of splits. Those that the graph lacks, or that have no labels, add no triplets.

    Returns:
        The index.
    """
    splits = [graph.splits[name] for name in names if name in graph.splits]
    wrong = [split.triplets[split.labels == 0] for split in splits if split.labels is not None]
    triplets = np.concatenate(wrong) if wrong else np.empty((0, 3), dtype=np.int64)
    return KnownTriplets(triplets, graph.num_entities, graph.num_relations)


def false_fingerprint(graph: KnowledgeGraph, *names: str) -> str | None:
    """Returns the fingerprint of what some splits label false, which that of a graph leaves out.

    Args:
        graph: The graph.
        *names: Names of splits, as in `labeled_false`.

    Returns:
        The fingerprint; None if they label nothing false.
    """
    wrong = labeled_false(graph, *names)
    return digest([wrong.triplets()]) if len(wrong) else None
