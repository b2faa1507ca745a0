"""Scores of triplets from their segment vectors: Eq. 1 of the paper. Tensors in, tensors out; always float32."""

from torch import Tensor

DISTANCE_SCALES = ("sqrt_dim", "none")


def translation_score(head: Tensor, relation: Tensor, tail: Tensor, margin: float, distance_scale: str) -> Tensor:
    """f(h, r, t) = b - 1/2 ||h + r - t||^2 (Eq. 1), float32 of shape (n,), from vectors of shape (n, k).

    `distance_scale`: "none" is Eq. 1 as printed; "sqrt_dim" divides the squared norm by sqrt(k), as the published code
    does, so that an untrained encoder scores near the margin whatever its width.
    """
    difference = head.float() + relation.float() - tail.float()
    distance = difference.square().sum(dim=-1)
    if distance_scale == "sqrt_dim":
        distance = distance / head.shape[-1] ** 0.5
    return margin - 0.5 * distance
