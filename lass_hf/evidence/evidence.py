"""What a kind of evidence is: features of the candidates of queries, of which 0 says nothing."""

from typing import Protocol

import numpy as np

KINDS = ("text", "neighbors", "frequency", "rules", "vectors")


class Evidence(Protocol):
    """Gives features of candidates, which a fusion weighs.

    Attributes:
        features: The names of its F features.
        kinds: The kind of each feature, one of `KINDS`.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]

    def __call__(self, queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, /) -> np.ndarray:
        """Returns the features of candidates for the same slot of several queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot that the candidates are put into: 0 or 2.
            candidates: Int entities of shape (c,).
            mask: Bool of shape (q, c), True for the pairs whose features are needed.

        Returns:
            Float32 of shape (F, q, c). 0 where the evidence knows nothing: a query or a candidate without facts.
        """
        ...
