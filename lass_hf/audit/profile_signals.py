"""Signals of the profiles of entities: how well the relations that head and tail have besides fit the relation.

A profile says which of the 2R directed relations an entity has. Naive Bayes compares it with the profiles of all
entities that have the relation: the log of P(profile | relation) / P(profile). The profile of the entity that is judged
lacks the triplet, in the counts too; that of the triplet's other end does not.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ..core.known_triplets import KnownTriplets
from ..structure.facts import Facts

PRIOR = 2.0  # entities that a relation is said to have besides, with the profiles of all entities
ROWS = 4096  # triplets at once


@dataclass(frozen=True)
class ProfileSignals:
    """What profiles say.

    Attributes:
        signals: Float32 of shape (n,) each.
        best_relations: Int64 of shape (n,): the best other relation for the pair that is no other fact.
        log_probabilities: Float32 of shape (n, 2): those of the relation and of the best other one, given the pair,
            among the relations that are no other facts; -inf where there is no other one.
    """

    signals: dict[str, np.ndarray]
    best_relations: np.ndarray
    log_probabilities: np.ndarray

    def select(self, rows: np.ndarray) -> "ProfileSignals":
        """Returns what profiles say about the triplets at some positions, int or bool of shape (m,)."""
        signals = {name: values[rows] for name, values in self.signals.items()}
        return ProfileSignals(signals, self.best_relations[rows], self.log_probabilities[rows])


def profile_signals(facts: Facts, known: KnownTriplets) -> ProfileSignals:
    """Judges the triplets of facts by profiles.

    Args:
        facts: The facts. A loop, which would put both directions into the profile of one entity, is in no profile.
        known: The same facts.
    """
    triplets, num_relations = facts.triplets, facts.num_relations
    heads, relations, tails = triplets.T
    ends = triplets[heads != tails]
    owners = np.concatenate([ends[:, 0], ends[:, 2]])
    of_owners = np.concatenate([ends[:, 1], ends[:, 1] + num_relations])
    shape = (facts.num_entities, 2 * num_relations)
    counts = csr_array((np.ones(len(owners), np.int32), (owners, of_owners)), shape=shape)  # equal ones are summed
    profiles = csr_array((np.ones(counts.nnz, np.float32), counts.indices, counts.indptr), shape=shape)
    num_occurring = max(int(np.count_nonzero(np.diff(counts.indptr))), 1)
    sizes = np.bincount(counts.indices, minlength=2 * num_relations)
    prior = (sizes + 0.5) / (num_occurring + 1)
    together = (profiles.T @ profiles).toarray()
    p = (together + PRIOR * prior) / (sizes[:, None] + PRIOR)  # [d, d']: of the entities with d, those with d'
    present, absent = np.log(p / prior).T, np.log((1 - p + 1e-9) / (1 - prior)).T
    for matrix in (present, absent):
        np.fill_diagonal(matrix, 0)
    base, change = absent.sum(axis=0).astype(np.float32), (present - absent).astype(np.float32)
    values = np.zeros((len(triplets), 2), np.float32)
    best = np.zeros(len(triplets), np.int64)
    log_probabilities = np.full((len(triplets), 2), np.nan, np.float32)
    frequencies = np.bincount(relations, minlength=num_relations)
    frequency = np.log(frequencies + 1.0).astype(np.float32)
    for rows in np.split(np.arange(len(triplets)), np.arange(ROWS, len(triplets), ROWS)):
        scores = np.broadcast_to(frequency, (len(rows), num_relations)).copy()
        for side, shift in ((0, 0), (1, num_relations)):
            entity, directed = triplets[rows, 2 * side], relations[rows] + shift
            is_only = (np.asarray(counts[entity, directed]).reshape(-1) == 1) & (heads[rows] != tails[rows])
            own, profile = slice(shift, shift + num_relations), profiles[entity].toarray()
            scores += profile @ change[:, own] + base[own] - is_only[:, None] * change[directed, own]
            values[rows, side] = _judge(profile, directed, is_only, together, sizes, prior)
        place = np.arange(len(rows)), relations[rows]
        owners, others = known.values(1, triplets[rows])
        scores[owners, others] = -np.inf
        # What the pair's own relation gets is what the exact counts without the triplet say.
        scores[place] = np.log(frequencies[relations[rows]]) + values[rows].sum(axis=1)
        total = np.logaddexp.reduce(scores, axis=1)
        log_probabilities[rows, 0] = scores[place] - total
        scores[place] = -np.inf
        best[rows] = scores.argmax(axis=1)
        log_probabilities[rows, 1] = scores[np.arange(len(rows)), best[rows]] - total
    signals = {
        "head_profile": values[:, 0],
        "tail_profile": values[:, 1],
        "profiles": values.sum(axis=1),
        "relation_by_profiles": log_probabilities[:, 0].copy(),
    }
    return ProfileSignals(signals, best, log_probabilities)


def _judge(
    profiles: np.ndarray,
    directed: np.ndarray,
    is_only: np.ndarray,
    together: np.ndarray,
    sizes: np.ndarray,
    prior: np.ndarray,
) -> np.ndarray:
    """Returns the log ratio of profiles, float32 of shape (m, 2R), for a directed relation each, without that one."""
    without = is_only[:, None] * profiles
    p = (together[directed] - without + PRIOR * prior) / (sizes[directed] - is_only + PRIOR)[:, None]
    p = np.clip(p, 1e-9, 1 - 1e-9)
    ratios = np.where(profiles > 0, np.log(p / prior), np.log((1 - p) / (1 - prior)))
    ratios[np.arange(len(directed)), directed] = 0
    return ratios.sum(axis=1).astype(np.float32)
