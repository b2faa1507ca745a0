"""Structural vectors of entities and relations, and their scores as inner products."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StructuralVectors:
    """Trained vectors. The score of a candidate is the inner product of a query's vector and the candidate's.

    Attributes:
        score_function: "complex", "distmult", "rotation" or "translation".
        entities: Float32 of shape (E, k).
        relations: Float32 of shape (2R, k): of each directed relation (reciprocal relations).
        has_vector: Bool of shape (E,): whether an entity has facts, and so a trained vector.
    """

    score_function: str
    entities: np.ndarray
    relations: np.ndarray
    has_vector: np.ndarray
