"""The precision of scoring, by name. It imports no library, because the parsers of the command line need the names."""

from typing import TYPE_CHECKING

from ..core.errors import LassError
from ..utils.environment import multiplies_bfloat16

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16")


def scoring_dtype(dtype: str, device: "torch.device") -> "torch.dtype | None":
    """Returns the precision to score in.

    Args:
        dtype: "float32", "bfloat16", or "auto" for bfloat16 where the hardware multiplies it natively.
        device: The device of the model.

    Returns:
        The torch dtype, or None for that of the model.

    Raises:
        LassError: The name is none of these.
    """
    import torch

    if dtype not in DTYPES:
        raise LassError(f"dtype={dtype!r}; expected one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return getattr(torch, dtype)
    return torch.bfloat16 if multiplies_bfloat16(device.type) else None
