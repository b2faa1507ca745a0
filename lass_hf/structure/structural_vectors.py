"""Structural vectors of entities and relations, their scores as inner products, and their file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from ..core.errors import LassError, library_errors
from ..utils.atomic_files import write_whole
from .structural_scores import STRUCTURAL_SCORES

VECTORS_FORMAT = "1"


@dataclass(frozen=True)
class StructuralVectors:
    """Trained vectors. The score of a candidate is the inner product of a query's vector and the candidate's.

    Attributes:
        score_function: "complex", "distmult", "rotation" or "translation".
        entities: Float32 of shape (E, k). 0 for entities without a vector.
        relations: Float32 of shape (2R, k): of each directed relation (reciprocal relations). 0 for relations without
            facts.
        has_vector: Bool of shape (E,): whether an entity has facts, and so a trained vector.
    """

    score_function: str
    entities: np.ndarray
    relations: np.ndarray
    has_vector: np.ndarray

    @property
    def has_relation(self) -> np.ndarray:
        """Bool of shape (2R,): whether a directed relation has facts, and so a trained vector."""
        return self.relations.any(axis=1)

    def query_vectors(self, queries: np.ndarray, slot: int) -> np.ndarray:
        """Returns the vectors of queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot that is asked for: 0 or 2.

        Returns:
            Float32 of shape (q, k'). 0 where the entity or the relation has no vector.
        """
        entities = queries[:, 2 - slot]
        relations = queries[:, 1] + (len(self.relations) // 2 if slot == 0 else 0)
        vectors = STRUCTURAL_SCORES[self.score_function].combine(
            torch.from_numpy(self.entities[entities]), torch.from_numpy(self.relations[relations])
        )
        vectors[torch.from_numpy(~(self.has_vector[entities] & self.has_relation[relations]))] = 0
        return vectors.numpy()

    def candidate_vectors(self) -> np.ndarray:
        """Returns the vectors of all entities as candidates, float32 of shape (E, k'); 0 for those without a vector."""
        return STRUCTURAL_SCORES[self.score_function].as_candidate(torch.from_numpy(self.entities)).numpy()

    def scores(self, queries: np.ndarray, slot: int, candidates: np.ndarray) -> np.ndarray:
        """Returns the scores of candidates for the same slot of several queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot that the candidates are put into: 0 or 2.
            candidates: Int entities of shape (c,).

        Returns:
            Float32 of shape (q, c). 0 where the query or the candidate has no vector.
        """
        chosen = torch.from_numpy(self.entities[candidates])
        vectors = STRUCTURAL_SCORES[self.score_function].as_candidate(chosen).numpy()
        return self.query_vectors(queries, slot) @ vectors.T

    def save(self, file: str | Path) -> None:
        """Writes the vectors to a file of safetensors, whole or not at all."""
        arrays = {"entities": self.entities, "relations": self.relations, "has_vector": self.has_vector}
        metadata = {"format": VECTORS_FORMAT, "score_function": self.score_function}
        write_whole(file, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata))

    @classmethod
    def load(cls, file: str | Path) -> "StructuralVectors":
        """Reads a file that `save` wrote.

        Raises:
            LassError: The file is missing or damaged, or of another version.
        """
        if not Path(file).is_file():
            raise LassError(f"{file}: no such file; expected structural vectors")
        names = ("entities", "relations", "has_vector")
        with library_errors(f"{file}: no structural vectors", kind=LassError), safe_open(file, "np") as content:
            metadata = content.metadata() or {}
            if metadata.get("format") != VECTORS_FORMAT:
                raise LassError(
                    f"{file}: structural vectors of format {metadata.get('format')!r:.20}; "
                    f"expected {VECTORS_FORMAT!r}, so train them anew"
                )
            entities, relations, has_vector = (content.get_tensor(name) for name in names)
        vectors = cls(metadata.get("score_function", ""), entities, relations, has_vector)
        if difference := vectors._difference():
            raise LassError(f"{file}: damaged ({difference}); train the structural vectors anew")
        return vectors

    def _difference(self) -> str | None:
        """Returns what is wrong with the arrays of a file; None if they are as `save` writes them."""
        if self.score_function not in STRUCTURAL_SCORES:
            return f"score function {self.score_function!r:.30}; expected one of {', '.join(STRUCTURAL_SCORES)}"
        for array in (self.entities, self.relations):
            if array.ndim != 2 or array.dtype != np.float32 or array.shape[1] != self.entities.shape[-1]:
                return f"{array.dtype} of shape {array.shape}; expected float32 with a row for each vector"
            if not np.isfinite(array).all():
                return "NaN or infinite"
        if self.has_vector.dtype != bool or self.has_vector.shape != self.entities.shape[:1]:
            return f"{self.has_vector.dtype} of shape {self.has_vector.shape}; expected a bool for each entity"
        if len(self.relations) % 2 or (
            STRUCTURAL_SCORES[self.score_function].is_complex and self.entities.shape[1] % 2
        ):
            return f"{self.entities.shape[1]} numbers and {len(self.relations)} relations; expected even numbers"
        return None
