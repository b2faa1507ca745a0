"""Losses over scores of positives and their corrupted triplets. Tensors in, one scalar out; float32."""

from torch import Tensor
from torch.nn.functional import softplus

LOSSES = ("negative_sampling", "mean_bce")


def negative_sampling_loss(
    scores: Tensor, labels: Tensor, num_slots: int = 3, num_positives: Tensor | float | None = None
) -> Tensor:
    """The negative-sampled sigmoid loss (Eq. 4), summed over slots: the positive counts once for each of them.

    Per positive `num_slots * softplus(-f(positive)) + sum softplus(f(negative))`, summed over the batch and divided by
    `num_positives` (default: the batch's own number of positives). `scores` and `labels` (1 positive, 0 negative) have
    shape (n,).
    """
    positive = labels.to(scores.dtype)
    if num_positives is None:
        num_positives = positive.sum().clamp(min=1)
    total = num_slots * (positive * softplus(-scores)).sum() + ((1 - positive) * softplus(scores)).sum()
    return total / num_positives


def mean_bce_loss(scores: Tensor, labels: Tensor, num_scores: Tensor | float | None = None) -> Tensor:
    """The published code's loss: binary cross-entropy, each triplet once, divided by `num_scores` (default n)."""
    positive = labels.to(scores.dtype)
    total = (positive * softplus(-scores) + (1 - positive) * softplus(scores)).sum()
    return total / (scores.numel() if num_scores is None else num_scores)
