"""Losses over scores of positives and their corrupted triplets. Tensors in, one scalar out; float32."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

LOSSES = {"cross-encoder": ("negative_sampling", "mean_bce", "softmax"), "bi-encoder": ("negative_sampling", "softmax")}


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


def softmax_loss(
    scores: Tensor,
    targets: Tensor,
    masked: Tensor,
    additive_margin: float = 0.0,
    temperature: float = 1.0,
    num_queries: Tensor | float | None = None,
) -> Tensor:
    """-log of the likelihood of each answer among the candidates of its query (Eq. 3), a mean over `num_queries` (Q).

    `scores`: (Q, M), divided by `temperature`. `targets`: int64 (Q,), positions of the answers, whose scores are
    lowered by `additive_margin`. `masked`: bool (Q, M), candidates that do not count.
    """
    target = torch.zeros_like(masked).scatter_(1, targets[:, None], True)
    logits = (scores - additive_margin * target) / temperature
    total = cross_entropy(logits.masked_fill(masked, -torch.inf), targets, reduction="sum")
    return total / (len(scores) if num_queries is None else num_queries)


def softmax_loss_of_groups(
    scores: Tensor,
    labels: Tensor,
    groups: Tensor,
    additive_margin: float = 0.0,
    temperature: float = 1.0,
    num_positives: Tensor | float | None = None,
) -> Tensor:
    """-log of the likelihood of each positive among itself and its negatives, a mean over `num_positives`.

    `scores`, `labels` (1 positive, 0 negative), `groups` (int64, from 0): shape (n,); a group is a positive and its
    negatives. `additive_margin` and `temperature` as in `softmax_loss`.
    """
    logits = (scores - additive_margin * labels) / temperature
    highest = logits.new_full((int(groups.max()) + 1,), -torch.inf)
    highest = highest.scatter_reduce(0, groups, logits.detach(), "amax")
    total = torch.zeros_like(highest).index_add(0, groups, (logits - highest[groups]).exp())
    loss = (highest + total.log()).sum() - logits[labels == 1].sum()
    return loss / (len(highest) if num_positives is None else num_positives)


def in_batch_sigmoid_loss(
    scores: Tensor, targets: Tensor, masked: Tensor, num_queries: Tensor | float | None = None
) -> Tensor:
    """The sigmoid loss of Eq. 4 with every candidate of a query as a negative, a mean over `num_queries`.

    Per query `softplus(-f(answer)) + sum softplus(f(candidate))`; arguments as in `softmax_loss`.
    """
    target = torch.zeros_like(masked).scatter_(1, targets[:, None], True)
    negatives = softplus(scores).masked_fill(masked | target, 0)
    total = softplus(-scores.gather(1, targets[:, None])).sum() + negatives.sum()
    return total / (len(scores) if num_queries is None else num_queries)
