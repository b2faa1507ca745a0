"""The processes of a run, as torchrun and accelerate launch start them: this process's rank, and sums over all.

Without a launcher there is one process, and nothing here changes anything. No process is started here.
"""

from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce

Values = TypeVar("Values", np.ndarray, torch.Tensor)


def processes() -> PartialState:
    """Returns the state of the processes; on the CPU too, where a plain PartialState would see only one."""
    return PartialState(cpu=True) if not torch.accelerator.is_available() else PartialState()


def place(shared: bool = True) -> tuple[int, int]:
    """Returns the rank of this process and the number of processes; (0, 1) for work that is not shared."""
    return (processes().process_index, processes().num_processes) if shared else (0, 1)


def sum_over_processes(values: Values) -> Values:
    """Sums arrays of equal shape, one of each process; exact where all but one of them are 0.

    All processes must call this.

    Args:
        values: an array, which is moved to the process's device and back, or a tensor on that device.

    Returns:
        The sum, of the same kind and shape.
    """
    state = processes()
    if state.num_processes == 1:
        return values
    if isinstance(values, np.ndarray):
        return reduce(torch.from_numpy(values).to(state.device), "sum").cpu().numpy()
    return reduce(values, "sum")
