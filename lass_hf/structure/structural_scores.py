"""Score functions of structural vectors, each an inner product of a query's vector and a candidate's.

A query is an entity and a directed relation; the inverse relation d + R asks for heads as d asks for tails. Complex
vectors are real ones of twice the length: all real parts, then all imaginary parts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def multiply_complex(one: Tensor, other: Tensor) -> Tensor:
    """Returns the products of complex numbers, float of shape (n, k) like both arguments."""
    (a, b), (c, d) = one.chunk(2, dim=1), other.chunk(2, dim=1)
    return torch.cat([a * c - b * d, a * d + b * c], dim=1)


def multiply_conjugate(one: Tensor, other: Tensor) -> Tensor:
    """Returns the products of the conjugates of complex numbers with others, float of shape (n, k) like both."""
    (a, b), (c, d) = one.chunk(2, dim=1), other.chunk(2, dim=1)
    return torch.cat([a * c + b * d, a * d - b * c], dim=1)


def complex_moduli(vectors: Tensor) -> Tensor:
    """Returns the moduli of complex numbers, of shape (n, k / 2); their gradient at 0 is 0."""
    real, imaginary = vectors.chunk(2, dim=1)
    return (real.square() + imaginary.square() + 1e-30).sqrt()


def unit_moduli(vectors: Tensor) -> Tensor:
    """Divides complex numbers by their moduli, which makes rotations of them."""
    return vectors / complex_moduli(vectors).repeat(1, 2)


def translate(entities: Tensor, relations: Tensor) -> Tensor:
    """Returns 2 (h + r) and a 1, of shape (n, k + 1): the part of -|h + r - t|² that differs between tails is linear."""
    return torch.nn.functional.pad(2 * (entities + relations), (0, 1), value=1.0)


def with_square(vectors: Tensor) -> Tensor:
    """Returns vectors and their negative squared lengths, of shape (n, k + 1)."""
    return torch.cat([vectors, -vectors.square().sum(dim=1, keepdim=True)], dim=1)


def unchanged(vectors: Tensor) -> Tensor:
    """Returns the vectors."""
    return vectors


@dataclass(frozen=True)
class StructuralScore:
    """A score function: combine(h, r) · as_candidate(t) for entities, and pair(h, t) · as_candidate(r) for relations.

    Attributes:
        combine: Returns the query vectors of entities and relations, all of shape (n, k), as (n, k').
        pair: Returns the vectors of pairs of entities as queries for their relation, (n, k').
        as_candidate: Returns the vectors of entities or relations as candidates, (n, k').
        constrain: Returns the relations that free parameters stand for, (2R, k).
        moduli: Returns the sizes of the numbers of which vectors consist, for regularization.
        is_complex: Whether vectors are complex, so that k is even.
    """

    combine: Callable[[Tensor, Tensor], Tensor]
    pair: Callable[[Tensor, Tensor], Tensor]
    as_candidate: Callable[[Tensor], Tensor] = unchanged
    constrain: Callable[[Tensor], Tensor] = unchanged
    moduli: Callable[[Tensor], Tensor] = torch.abs
    is_complex: bool = False


STRUCTURAL_SCORES = {
    # Re<h r, t> with complex vectors (Trouillon et al. 2016, Eq. 9)
    "complex": StructuralScore(multiply_complex, multiply_conjugate, moduli=complex_moduli, is_complex=True),
    # <h r, t> (Yang et al. 2015)
    "distmult": StructuralScore(torch.mul, torch.mul),
    # Re<h r, t> with |r| = 1: the rotation of RotatE (Sun et al. 2019) with an inner product in place of a distance
    "rotation": StructuralScore(
        multiply_complex, multiply_conjugate, constrain=unit_moduli, moduli=complex_moduli, is_complex=True
    ),
    # -|h + r - t|² but |h + r|², which is the same for all tails (Bordes et al. 2013)
    "translation": StructuralScore(translate, lambda heads, tails: translate(tails, -heads), with_square),
}
