"""The order of an epoch: neighborhoods of the graph in one batch, and batches for several processes."""

from collections.abc import Iterator

import numpy as np
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, Sampler


class NeighborhoodSampler(Sampler[int]):
    """Draws all positions of triplets in blocks of neighbors, in another order in each epoch.

    The order depends on seed and epoch alone, so a training that is resumed has the order of one that never stopped.

    Args:
        triplets: Int64 of shape (n, 3).
        size: The number of triplets of a block.
        seed: Seed of the random numbers.
    """

    def __init__(self, triplets: np.ndarray, size: int, seed: int):
        self.triplets, self.size, self.seed = triplets, size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch whose order is drawn from now on.

        Args:
            epoch: The epoch, counted from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Returns the number of triplets."""
        return len(self.triplets)

    def __iter__(self) -> Iterator[int]:
        """Yields each position once."""
        rng = np.random.default_rng([self.seed, self.epoch])
        yield from neighborhood_order(self.triplets, self.size, rng).tolist()


def neighborhood_order(triplets: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a permutation of triplets in which the triplets of a block are close to each other in the graph.

    Each entity draws a random number and joins its neighbor with the smallest one. Triplets are sorted by the entities
    that their own entities join, then by their own entities; blocks of sorted triplets are shuffled.

    Args:
        triplets: Int64 of shape (n, 3).
        size: The number of triplets of a block.
        rng: The random numbers.

    Returns:
        The permutation, int64 of shape (n,).
    """
    heads, tails = triplets[:, 0], triplets[:, 2]
    drawn = rng.permutation(triplets[:, [0, 2]].max(initial=-1) + 1)
    smallest = drawn.copy()
    np.minimum.at(smallest, heads, drawn[tails])
    np.minimum.at(smallest, tails, drawn[heads])
    pairs = [(key[heads], key[tails]) for key in (drawn, smallest)]
    order = np.lexsort([extreme(*pair) for pair in pairs for extreme in (np.maximum, np.minimum)])
    starts = rng.permutation(np.arange(0, len(order), size))
    positions = (starts[:, None] + np.arange(size)).reshape(-1)
    return order[positions[positions < len(order)]]


class SharedBatches(BatchSampler):
    """Draws batches for several processes, in turn.

    As many batches as there are processes make a step. If the last step of an epoch has too few triplets, they are
    shared out anew, as evenly as possible; accelerate would fill it up with the first triplets of the epoch. If it has
    fewer triplets than there are processes, some of them occur twice.

    Args:
        batches: Draws the batches of one process.
        num_processes: The number of processes.
    """

    def __init__(self, batches: BatchSampler, num_processes: int):
        super().__init__(batches.sampler, batches.batch_size, batches.drop_last)
        self.batches, self.num_processes = batches, num_processes

    def __len__(self) -> int:
        """Returns the number of batches of all processes together."""
        steps, remainder = divmod(len(self.batches), self.num_processes)
        return self.num_processes * (steps + (remainder > 0 and not self.drop_last))

    def __iter__(self) -> Iterator[list[int]]:
        """Yields lists of positions: a batch for the first process, one for the second, and so on."""
        step: list[list[int]] = []
        for batch in self.batches:
            step.append(batch)
            if len(step) == self.num_processes and len(batch) == self.batch_size:
                yield from step
                step = []
        rest = [position for batch in step for position in batch]
        if rest and not self.drop_last:
            rest = (rest * self.num_processes)[: max(len(rest), self.num_processes)]
            for part in np.array_split(np.array(rest), self.num_processes):
                yield part.tolist()


def share_last_batch(shard: BatchSamplerShard) -> None:
    """Lets processes share the last triplets of an epoch by `SharedBatches`, where each has batches of its own."""
    if shard.split_batches:
        return
    shard.batch_sampler = SharedBatches(shard.batch_sampler, shard.num_processes)
    shard.even_batches = False  # they are even
    shard.sampler = shard.batch_sampler.sampler  # where a resumed epoch, whose batches are wrapped, looks
