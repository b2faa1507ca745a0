"""The fusion: one score of the features of all evidence, by weights that were fitted."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fusion:
    """Weights of features. The score of a candidate is the log of its probability among all candidates, but a constant.

    Attributes:
        features: The names of the F features, in the order in which `FusedEvidence` computes them.
        kinds: The kind of each feature.
    """

    features: tuple[str, ...]
    kinds: tuple[str, ...]

    def weights(self, queries: np.ndarray, slot: int, num_known: np.ndarray, has_structure: np.ndarray) -> np.ndarray:
        """Returns the weight of each feature for each query, float32 of shape (F, q)."""
        raise NotImplementedError
