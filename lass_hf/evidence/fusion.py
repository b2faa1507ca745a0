"""The fusion: one score of the features of all evidence, by weights that were fitted."""

from dataclasses import dataclass, field

import numpy as np

from ..core.errors import LassError
from ..core.known_triplets import KnownTriplets
from ..structure.facts import Facts

# The first count of each bin behind the first one, which is 0.
BINS = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
NUM_BINS = len(BINS) + 1


class QueryGroups:
    """The groups that a query belongs to, each of which has weights of its own that add up.

    Groups are all queries; those of a slot; those of a slot and a relation; those with a number of known answers; and
    those whose entity has a number of facts, of which none is a group too.

    Args:
        facts: The facts.
        num_entities: The number of entities of the graph; those beyond have no facts.
    """

    NUM_LEVELS = 5

    def __init__(self, facts: Facts, num_entities: int):
        self.num_relations = facts.num_relations
        self.known = KnownTriplets(facts.triplets, num_entities, facts.num_relations)
        self.degrees = np.bincount(facts.triplets[:, [0, 2]].reshape(-1), minlength=num_entities)

    def __call__(self, queries: np.ndarray, slot: int) -> np.ndarray:
        """Returns the groups of queries.

        Args:
            queries: Int triplets of shape (q, 3); their values in `slot` are ignored.
            slot: 0 or 2.

        Returns:
            Int64 of shape (q, 5): rows of `Fusion.weights_of_groups`.
        """
        side, entities = slot // 2, queries[:, 2 - slot]
        is_old = entities < len(self.degrees)
        known, degrees = np.zeros((2, len(queries)), dtype=np.int64)
        known[is_old] = np.searchsorted(BINS, self.known.count(slot, queries[is_old]), side="right")
        degrees[is_old] = np.searchsorted(BINS, self.degrees[entities[is_old]], side="right")
        first = first_groups(self.num_relations)
        levels = [np.zeros_like(known), np.full_like(known, side), 2 * queries[:, 1] + side]
        return first + np.stack([*levels, NUM_BINS * side + known, NUM_BINS * side + degrees], axis=1)


def first_groups(num_relations: int) -> np.ndarray:
    """Returns the first group of each level, int64 of shape (5,)."""
    return np.cumsum([0, 1, 2, 2 * num_relations, 2 * NUM_BINS])


def num_groups(num_relations: int) -> int:
    """Returns the number of groups of queries."""
    return int(first_groups(num_relations)[-1]) + 2 * NUM_BINS


def is_without_facts(groups: np.ndarray, num_relations: int) -> np.ndarray:
    """Returns which queries are about an entity without facts.

    Args:
        groups: Int of shape (q, 5), from `QueryGroups`.
        num_relations: The number of relations.

    Returns:
        Bool of shape (q,).
    """
    return (groups[:, -1] - first_groups(num_relations)[-1]) % NUM_BINS == 0


@dataclass(frozen=True)
class Fusion:
    """Weights of features. The score of a candidate is the log of its probability among all candidates, but a constant.

    Where there is evidence of the text, queries about an entity without facts have weights of nothing else.

    Attributes:
        features: The names of the F features, in the order in which `BoundEvidence` computes them.
        kinds: The kind of each feature.
        weights_of_groups: Float32 of shape (G, F), for the G groups of `QueryGroups`. The weights of a query are the
            sums over its groups.
        strength: The strength of the L2 prior on the weights of groups, which was chosen by held-out likelihood.
        num_fitted: The number of queries that the weights were fitted on.
        held_out_mrr: The MRR of these queries, of which each half was ranked by weights fitted on the other half;
            estimated from the sampled candidates. None if there is only one query.
        shares: For each kind its share of what the score tells apart; the shares add up to 1.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]
    weights_of_groups: np.ndarray
    strength: float = 0.0
    num_fitted: int = 0
    held_out_mrr: float | None = None
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the shapes."""
        if not len(self.features) == len(self.kinds) == self.weights_of_groups.shape[-1]:
            raise LassError(
                f"a fusion of {len(self.features)} features, {len(self.kinds)} kinds and weights of shape "
                f"{self.weights_of_groups.shape}; expected as many of each"
            )

    def weights(self, groups: np.ndarray) -> np.ndarray:
        """Returns the weight of each feature for queries of some groups.

        Args:
            groups: Int of shape (q, levels), from `QueryGroups`.

        Returns:
            Float32 of shape (F, q).
        """
        weights = self.weights_of_groups[groups].sum(axis=1, dtype=np.float32)
        if "text" in self.kinds:
            num_relations = (len(self.weights_of_groups) - num_groups(0)) // 2
            weights[is_without_facts(groups, num_relations)] *= np.array(self.kinds) == "text"
        return weights.T
