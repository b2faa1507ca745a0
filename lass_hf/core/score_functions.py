"""Scores of triplets from their segment vectors: Eq. 1 of the paper. Tensors in, tensors out; always float32."""

from torch import Tensor

DISTANCE_SCALES = ("sqrt_dim", "none")


def distance_factor(distance_scale: str, dim: int) -> float:
    """What Eq. 1's squared distance of vectors of k = `dim` numbers is multiplied by.

    "none" is Eq. 1 as printed; "sqrt_dim" divides the squared norm by sqrt(k), as the published code does, so that an
    untrained encoder scores near the margin whatever its width.
    """
    return dim**-0.5 if distance_scale == "sqrt_dim" else 1.0


def distance_score(squared: Tensor, margin: float, factor: Tensor | float) -> Tensor:
    """b - 1/2 * factor * squared distance (Eq. 1); higher is more plausible."""
    return margin - 0.5 * factor * squared


def translation_score(head: Tensor, relation: Tensor, tail: Tensor, margin: float, distance_scale: str) -> Tensor:
    """f(h, r, t) = b - 1/2 ||h + r - t||^2 (Eq. 1), float32 of shape (n,), from vectors of shape (n, k)."""
    squared = (head.float() + relation.float() - tail.float()).square().sum(dim=-1)
    return distance_score(squared, margin, distance_factor(distance_scale, head.shape[-1]))
