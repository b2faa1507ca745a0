"""Squared distances of queries to a block of vectors, and the order of (distance, entity) pairs, for `EntityIndex`."""

import torch

from ..core.errors import NonFiniteError

FARTHEST = 0x7F800000_FFFFFFFF  # The sort key of an infinite distance, which comes after the keys of all entities.


def squared_norms(vectors: torch.Tensor, start: int) -> torch.Tensor:
    """Returns the squared norms of a block of vectors.

    Args:
        vectors: Float32 of shape (n, dim).
        start: The entity of the first vector, for the error message.

    Returns:
        Float32 of shape (n,).

    Raises:
        NonFiniteError: A norm is NaN or infinite.
    """
    norms = vectors.square().sum(1)
    bad = (~torch.isfinite(norms)).nonzero()
    if len(bad):
        raise NonFiniteError(
            f"the vectors of {len(bad):,} entities are NaN or infinite, entity {start + int(bad[0])} is the first; "
            "the model's weights or its precision are why"
        )
    return norms


def squared_distances(queries: torch.Tensor, block: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """Returns |u|² + |t|² - 2 u·t for all pairs of a query u and a vector t of a block, and 0 where that is negative.

    Args:
        queries: Float32 of shape (q, dim).
        block: Float32 of shape (n, dim).
        norms: The squared norms of the block, float32 of shape (n,).

    Returns:
        Float32 of shape (q, n).
    """
    distances = torch.addmm(norms, queries, block.T, alpha=-2)
    return distances.add_(queries.square().sum(1, keepdim=True)).clamp_(min=0)


def sort_keys(distances: torch.Tensor, entities: torch.Tensor) -> torch.Tensor:
    """Returns integers that are ordered by distance, and for equal distances by entity.

    The bits of a float that is not negative, read as an integer, have the order of the floats.

    Args:
        distances: Float32 of shape (q, n), not negative.
        entities: Int64 of shape (n,) or (q, n).

    Returns:
        Int64 of shape (q, n).
    """
    return (distances.contiguous().view(torch.int32).to(torch.int64) << 32) | entities


def from_sort_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the distances, float32, and the entities, int64, that sort keys of any shape were made of."""
    return (keys >> 32).to(torch.int32).view(torch.float32), keys & 0xFFFFFFFF
