"""Checks of the queries of a search, and of the pairs that it excludes, for the exact and the approximate index."""

import numpy as np
import torch

from ..core.errors import LassError, NonFiniteError

Pairs = tuple[np.ndarray, np.ndarray]


def check_queries(queries: torch.Tensor, dim: int) -> torch.Tensor:
    """Returns the vectors of queries as float32, after checking them.

    Args:
        queries: Floating-point tensor of shape (q, dim).
        dim: The length of the vectors of the index.

    Returns:
        Float32 of shape (q, dim).

    Raises:
        LassError: The queries have another shape.
        NonFiniteError: A value is NaN or infinite.
    """
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise LassError(f"queries of shape {tuple(queries.shape)}; expected (number, {dim})")
    if not torch.isfinite(queries).all():
        raise NonFiniteError("the vector of a query is NaN or infinite; the model's weights or its precision are why")
    return queries.float()


def check_exclusions(num_queries: int, num_entities: int, k: int, exclude: Pairs | None) -> np.ndarray:
    """Returns excluded pairs as integers, after checking that there are k entities.

    Args:
        num_queries: The number of queries.
        num_entities: The number of entities.
        k: The number of entities that are to be found for each query.
        exclude: Rows of queries and entities, two int arrays of equal length; or None.

    Returns:
        The distinct pairs as int64, row * num_entities + entity, ascending.

    Raises:
        LassError: A row, an entity or `k` is out of range.
    """
    rows, entities = np.asarray(exclude if exclude is not None else ([], []), dtype=np.int64)
    for kind, values, size in (("query", rows, num_queries), ("entity", entities, num_entities)):
        if len(values) and not 0 <= values.min() <= values.max() < size:
            raise LassError(f"exclude holds {kind} {values.min()} to {values.max()}; expected 0 to {size - 1}")
    if not 1 <= k <= num_entities:
        raise LassError(f"k={k}; expected 1 to {num_entities:,}, the number of entities")
    return np.unique(rows * num_entities + entities)
