"""Gives rules, vectors and weights the numbers that entities and relations have in another graph.

Where the other graph lacks an entity or a relation, what is about it is left out.
"""

from dataclasses import replace

import numpy as np

from ..structure.rules import RuleSet
from ..structure.structural_vectors import StructuralVectors
from .fusion import Fusion, first_groups, num_groups


def renumber_fusion(fusion: Fusion, relations: np.ndarray, num_relations: int) -> Fusion:
    """Returns the weights for the relations of another graph; a relation that is new has none of its own.

    Args:
        fusion: The weights.
        relations: The new number of each relation, -1 for none, int of shape (R,).
        num_relations: The number of relations of the other graph.
    """
    old, new = first_groups(len(relations)), first_groups(num_relations)
    weights = np.zeros((num_groups(num_relations), len(fusion.features)), dtype=np.float32)
    weights[: new[2]] = fusion.weights_of_groups[: old[2]]
    weights[new[3] :] = fusion.weights_of_groups[old[3] :]
    kept = np.flatnonzero(relations >= 0)
    for side in (0, 1):
        weights[new[2] + 2 * relations[kept] + side] = fusion.weights_of_groups[old[2] + 2 * kept + side]
    return replace(fusion, weights_of_groups=weights)


def _directed(relations: np.ndarray, num_relations: int) -> np.ndarray:
    """Returns the new numbers of the directed relations, -1 for none."""
    return np.concatenate([relations, np.where(relations >= 0, relations + num_relations, -1)])


def renumber_rules(rules: RuleSet, entities: np.ndarray, relations: np.ndarray, num_relations: int) -> RuleSet:
    """Returns the rules whose relations and constants another graph has, in its numbers.

    Args:
        rules: The rules.
        entities: The new number of each entity, -1 for none, int of shape (E,).
        relations: The new number of each relation, -1 for none, int of shape (R,).
        num_relations: The number of relations of the other graph.
    """
    # The last number stands for the -1 of what a rule does not have.
    directed = np.append(_directed(relations, num_relations), -1)
    entities = np.append(entities, -1)
    changed = {}
    kept = np.ones(len(rules), dtype=bool)
    for name, numbers in (
        ("heads", directed),
        ("bodies", directed),
        ("head_constants", entities),
        ("body_constants", entities),
    ):
        before = getattr(rules, name)
        changed[name] = numbers[before].astype(before.dtype)
        lost = (changed[name] < 0) & (before >= 0)
        kept &= ~lost.any(axis=1) if lost.ndim == 2 else ~lost
    renumbered = replace(rules, **changed).select(kept)
    return renumbered.select(np.argsort(renumbered.heads, kind="stable"))


def renumber_vectors(
    vectors: StructuralVectors, entities: np.ndarray, relations: np.ndarray, num_entities: int, num_relations: int
) -> StructuralVectors:
    """Returns the vectors in the numbers of another graph, whose other entities have none.

    Args:
        vectors: The vectors.
        entities: The new number of each entity, -1 for none, int of shape (E,).
        relations: The new number of each relation, -1 for none, int of shape (R,).
        num_entities: The number of entities of the other graph.
        num_relations: The number of relations of the other graph.
    """
    result = []
    for before, numbers, size in (
        (vectors.entities, entities, num_entities),
        (vectors.has_vector, entities, num_entities),
        (vectors.relations, _directed(relations, num_relations), 2 * num_relations),
    ):
        after = np.zeros((size, *before.shape[1:]), dtype=before.dtype)
        after[numbers[numbers >= 0]] = before[numbers >= 0]
        result.append(after)
    return replace(vectors, entities=result[0], has_vector=result[1], relations=result[2])
