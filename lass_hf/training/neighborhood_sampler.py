"""The order of an epoch in which triplets that share entities share batches. It makes no batches.

With a bi-encoder a batch encodes each of its queries and answers once, so neighbors cost fewer tokens; and they
are each other's hard negatives.
"""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class NeighborhoodSampler(Sampler[int]):
    """All positions of `triplets`, int64 of shape (n, 3), in blocks of `size` neighbors; other ones in each epoch.

    Seed and epoch say which, so a resumed training has the order of one that was never cut.
    """

    def __init__(self, triplets: np.ndarray, size: int, seed: int):
        self.triplets, self.size, self.seed = triplets, size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.triplets)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        yield from neighborhood_order(self.triplets, self.size, rng).tolist()


def neighborhood_order(triplets: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random permutation of n triplets, (n, 3), in which blocks of `size` are close in the graph: int64, shape (n,).

    Each entity draws a number, and joins the neighbor with the smallest one; triplets are sorted by whom their
    entities join, then by the entities, and blocks of the sorted ones are shuffled.
    """
    heads, tails = triplets[:, 0], triplets[:, 2]
    number = rng.permutation(triplets[:, [0, 2]].max(initial=-1) + 1)
    smallest = number.copy()
    np.minimum.at(smallest, heads, number[tails])
    np.minimum.at(smallest, tails, number[heads])
    pairs = [(key[heads], key[tails]) for key in (number, smallest)]
    order = np.lexsort([extreme(*pair) for pair in pairs for extreme in (np.maximum, np.minimum)])
    starts = rng.permutation(np.arange(0, len(order), size))
    positions = (starts[:, None] + np.arange(size)).reshape(-1)
    return order[positions[positions < len(order)]]
