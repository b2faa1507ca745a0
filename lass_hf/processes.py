"""Several processes, as torchrun and accelerate launch start them: who is there, sums over all, batches for each, and
which of them says what went wrong.

Without a launcher there is one process, and all of this changes nothing. It starts no process.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import reduce
from torch.utils.data import BatchSampler

Values = TypeVar("Values", np.ndarray, torch.Tensor)


def processes() -> PartialState:
    """The processes; on the CPU too, where a plain PartialState would see only one."""
    return PartialState(cpu=True) if not torch.accelerator.is_available() else PartialState()


def place(shared: bool = True) -> tuple[int, int]:
    """The number of this process, and how many there are; (0, 1) for work that is not shared."""
    return (processes().process_index, processes().num_processes) if shared else (0, 1)


def sum_over_processes(values: Values) -> Values:
    """The sum of arrays of equal shape, one of each process; exact where all but one of them are 0.

    All processes must call it. A tensor must be on the process's device, an array is moved there and back.
    """
    state = processes()
    if state.num_processes == 1:
        return values
    if isinstance(values, np.ndarray):
        return reduce(torch.from_numpy(values).to(state.device), "sum").cpu().numpy()
    return reduce(values, "sum")


def first_to_fail() -> bool:
    """Whether no other process has asked before: then this one says what went wrong, and the others need not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    try:  # the launcher's store, which is there before the processes have found each other, and after they lost touch
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=5))
        return store.add(f"lass_hf/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT')}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True


def lost_another(error: RuntimeError) -> bool:
    """Whether an error is that of a collective that another process has left by ending."""
    return isinstance(error, dist.DistError) or (dist.is_initialized() and "/gloo/" in str(error))


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
