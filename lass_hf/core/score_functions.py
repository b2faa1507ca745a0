"""Score functions: Eq. 1 of the paper, and the place where another one is added. Tensors in, tensors out; float32.

A score function turns the vectors of head, relation and tail into an energy, low for plausible triplets. Eq. 1 makes
the score of it: b - 1/2 * factor * energy. To add one, write a function of (head, relation, tail) and register it:

    @register_score_function("rotation")
    def rotation(head, relation, tail):
        ...

`LassConfig(score_function="rotation")` then uses it in training, scoring, ranking and prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .errors import LassError

NUMBERS_AT_ONCE = 2**24  # of an energy by broadcasting that are in memory together

Energy = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ScoreFunction:
    """An energy of three vectors, and how a bi-encoder keeps and compares the vectors of its sequences.

    Attributes:
        name: What `LassConfig.score_function` calls it.
        energy: Function of head, relation and tail, float32 tensors of shape (..., k) that broadcast, which returns the
            energies, of shape (...).
        query: Function of head and relation that returns a vector u with energy(h, r, t) = ||u - t||^2, or None if
            there is no such vector. With it a query is k numbers, and all candidates are compared by one matrix
            product. Without it a query is the 2k numbers of h and r, and candidates are compared by broadcasting.
    """

    name: str
    energy: Energy
    query: Callable[[Tensor, Tensor], Tensor] | None = None

    def compute_energy(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Returns `energy` of vectors of shape (..., k), and checks its shape.

        Raises:
            LassError: The function did not sum over the last dimension.
        """
        energy = self.energy(head, relation, tail)
        expected = torch.broadcast_shapes(head.shape, relation.shape, tail.shape)[:-1]
        if energy.shape != expected:
            raise LassError(
                f"score function {self.name!r} returned energies of shape {tuple(energy.shape)}; expected "
                f"{tuple(expected)}, without the last dimension of its vectors"
            )
        return energy

    def row_vectors(self, head: Tensor, relation: Tensor, tail: Tensor, is_query: Tensor, unit_length: bool) -> Tensor:
        """Returns one vector for each sequence of a bi-encoder, which is a query (h, r) or an entity (t).

        Args:
            head: Float32 of shape (rows, k); 0 in the rows of entities.
            relation: Float32 of shape (rows, k); 0 in the rows of entities.
            tail: Float32 of shape (rows, k); 0 in the rows of queries.
            is_query: Bool of shape (rows,), the rows of queries.
            unit_length: Whether u and t (without `query`: h and t) are brought to unit length.

        Returns:
            Float32 of shape (rows, k), or (rows, 2k) without `query`.
        """
        if self.query is None:
            compared = head + tail
        else:
            # Ones stand in for what an entity does not have: at 0 a query vector, or its gradient, may be undefined.
            given = is_query[:, None]
            vectors = (torch.where(given, vector, torch.ones_like(vector)) for vector in (head, relation))
            compared = torch.where(given, self.query(*vectors), tail)
        if unit_length:
            compared = normalize(compared, dim=-1)
        return torch.cat([compared, relation], dim=-1) if self.query is None else compared

    def entity_vectors(self, vectors: Tensor) -> Tensor:
        """Returns the part of entities' row vectors that stands for them as candidates: shape (..., k)."""
        return vectors if self.query is not None else vectors[..., : vectors.shape[-1] // 2]

    def compare(self, queries: Tensor, entities: Tensor) -> Tensor:
        """Returns the energies of queries with one entity each.

        Args:
            queries: Row vectors of queries, float32 of shape (..., k) or (..., 2k).
            entities: Vectors of entities, float32 of shape (..., k).

        Returns:
            Float32 of shape (...).
        """
        if self.query is None:
            head, relation = queries.chunk(2, dim=-1)
            return self.compute_energy(head, relation, entities)
        return (queries - entities).square().sum(-1)

    def compare_all(self, queries: Tensor, entities: Tensor) -> Tensor:
        """Returns the energies of every query with every entity.

        Args:
            queries: Row vectors of queries, float32 of shape (q, k) or (q, 2k).
            entities: Vectors of entities, float32 of shape (m, k).

        Returns:
            Float32 of shape (q, m).
        """
        if self.query is not None:
            return queries.square().sum(1, keepdim=True) + entities.square().sum(1) - 2 * queries @ entities.T
        size = max(1, NUMBERS_AT_ONCE // max(1, len(entities) * entities.shape[1]))
        parts = [self.compare(part[:, None], entities) for part in queries.split(size)]
        return torch.cat(parts) if parts else queries.new_empty(0, len(entities))


SCORE_FUNCTIONS: dict[str, ScoreFunction] = {}


def register_score_function(
    name: str, query: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Callable[[Energy], Energy]:
    """Makes an energy available to `LassConfig(score_function=name)`; use it as a decorator.

    Args:
        name: Name of the score function.
        query: See `ScoreFunction.query`.

    Returns:
        A decorator that registers the function and returns it unchanged.

    Raises:
        LassError: Another function has the name. (The same one may be registered again, as a notebook does.)
    """

    def register(energy: Energy) -> Energy:
        before = SCORE_FUNCTIONS.get(name)
        if before is not None and _origin(before.energy) != _origin(energy):
            raise LassError(f"a score function {name!r} is registered already; choose another name")
        SCORE_FUNCTIONS[name] = ScoreFunction(name, energy, query)
        return energy

    return register


def _origin(energy: Energy) -> tuple[str, str]:
    """Returns module and name of a function."""
    return energy.__module__, energy.__qualname__


@register_score_function("translation", query=torch.add)
def translation(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """Returns ||h + r - t||^2, the energy of Eq. 1.

    Args:
        head: Float32 of shape (..., k).
        relation: Float32 of shape (..., k).
        tail: Float32 of shape (..., k).

    Returns:
        Float32 of shape (...).
    """
    return (head + relation - tail).square().sum(-1)


def distance_factor(distance_scale: str, dim: int) -> float:
    """Returns the factor of the energy in Eq. 1.

    Args:
        distance_scale: "none" for Eq. 1 as printed. "sqrt_dim" divides the energy by sqrt(k), as the published code
            does, so that an untrained encoder scores near the margin whatever its width.
        dim: k, the length of the vectors.

    Returns:
        1 or 1 / sqrt(k).
    """
    return dim**-0.5 if distance_scale == "sqrt_dim" else 1.0


def score_of_energy(energy: Tensor, margin: float, factor: Tensor | float) -> Tensor:
    """Returns b - 1/2 * factor * energy (Eq. 1); higher is more plausible.

    Args:
        energy: Float32 of any shape.
        margin: b.
        factor: Factor of the energy, see `distance_factor`.

    Returns:
        Float32 of the same shape.
    """
    return margin - 0.5 * factor * energy
