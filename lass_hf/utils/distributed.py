"""Several processes, as torchrun and accelerate launch start them: who is there, sums over all, batches for each, and
which of them says what went wrong.

Without a launcher there is one process, and all of this changes nothing. It starts no process.
"""

from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce

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
