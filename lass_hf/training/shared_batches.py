"""Batches for several processes, in turn: one step of all processes is what one process does in a larger step."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import BatchSampler


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
