"""Batches for several processes, in turn: one step of all is what one process does in a larger step."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import BatchSampler


class SharedBatches(BatchSampler):
    """Batches for several processes, in turn, such that one step of all is what one process does in a larger step.

    `batches` draws the batches of one process. As many of them as there are processes make a step. Those of the last
    step of an epoch, which may be too few or too short, are shared out anew, as evenly as possible; accelerate would
    fill them up with the first triplets of the epoch. Where a last step has fewer triplets than there are processes,
    some of them occur twice.
    """

    def __init__(self, batches: BatchSampler, num_processes: int):
        super().__init__(batches.sampler, batches.batch_size, batches.drop_last)
        self.batches, self.num_processes = batches, num_processes

    def __len__(self) -> int:
        steps, more = divmod(len(self.batches), self.num_processes)
        return self.num_processes * (steps + (more > 0 and not self.drop_last))

    def __iter__(self) -> Iterator[list[int]]:
        step: list[list[int]] = []
        for batch in self.batches:
            step.append(batch)
            if len(step) == self.num_processes and len(batch) == self.batch_size:
                yield from step
                step = []
        left = [number for batch in step for number in batch]
        if left and not self.drop_last:
            left = (left * self.num_processes)[: max(len(left), self.num_processes)]
            for part in np.array_split(np.array(left), self.num_processes):
                yield part.tolist()
