"""Losses over scores of positives and their negatives. Tensors in, one float32 scalar out."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus


def negative_sampling_loss(
    scores: Tensor, labels: Tensor, num_slots: int = 3, num_positives: Tensor | float | None = None
) -> Tensor:
    """Returns the negative-sampled sigmoid loss (Eq. 4), in which a positive counts once for each corrupted slot.

    Per positive it is `num_slots * softplus(-f(positive)) + sum softplus(f(negative))`. Also known as negative sampling
    or binary logistic loss; unlike a mean over all triplets it does not depend on how many negatives there are.

    Args:
        scores: Float32 of shape (n,).
        labels: 1 positive or 0 negative, shape (n,).
        num_slots: Number of slots that are corrupted (the paper: 3).
        num_positives: What the sum is divided by; None for the batch's own number of positives.

    Returns:
        A scalar.
    """
    positive = labels.to(scores.dtype)
    if num_positives is None:
        num_positives = positive.sum().clamp(min=1)
    total = num_slots * (positive * softplus(-scores)).sum() + ((1 - positive) * softplus(scores)).sum()
    return total / num_positives


def mean_bce_loss(scores: Tensor, labels: Tensor, num_scores: Tensor | float | None = None) -> Tensor:
    """Returns the published code's loss: binary cross-entropy, in which each triplet counts once.

    Args:
        scores: Float32 of shape (n,).
        labels: 1 positive or 0 negative, shape (n,).
        num_scores: What the sum is divided by; None for n.

    Returns:
        A scalar.
    """
    positive = labels.to(scores.dtype)
    total = (positive * softplus(-scores) + (1 - positive) * softplus(scores)).sum()
    return total / (scores.numel() if num_scores is None else num_scores)


def softmax_loss(scores: Tensor, targets: Tensor, masked: Tensor, num_queries: Tensor | float | None = None) -> Tensor:
    """Returns -log of the likelihood of each query's target among its candidates (Eq. 3), also known as InfoNCE.

    Args:
        scores: Float32 of shape (q, m).
        targets: Int64 of shape (q,), the position of each query's target.
        masked: Bool of shape (q, m), candidates that do not count.
        num_queries: What the sum is divided by; None for q.

    Returns:
        A scalar.
    """
    total = cross_entropy(scores.masked_fill(masked, -torch.inf), targets, reduction="sum")
    return total / (len(scores) if num_queries is None else num_queries)


def softmax_loss_of_groups(
    scores: Tensor, labels: Tensor, groups: Tensor, num_positives: Tensor | float | None = None
) -> Tensor:
    """Returns -log of the likelihood of each positive among itself and its own negatives (Eq. 3).

    Args:
        scores: Float32 of shape (n,).
        labels: 1 positive or 0 negative, shape (n,).
        groups: Int64 of shape (n,), from 0: a group is a positive and its negatives.
        num_positives: What the sum is divided by; None for the number of groups.

    Returns:
        A scalar.
    """
    highest = scores.new_full((int(groups.max()) + 1,), -torch.inf)
    highest = highest.scatter_reduce(0, groups, scores.detach(), "amax")
    total = torch.zeros_like(highest).index_add(0, groups, (scores - highest[groups]).exp())
    loss = (highest + total.log()).sum() - scores[labels == 1].sum()
    return loss / (len(highest) if num_positives is None else num_positives)


def in_batch_sigmoid_loss(
    scores: Tensor, targets: Tensor, masked: Tensor, num_queries: Tensor | float | None = None
) -> Tensor:
    """Returns the sigmoid loss of Eq. 4 with every candidate of a query as a negative.

    Per query it is `softplus(-f(target)) + sum softplus(f(candidate))`.

    Args:
        scores: Float32 of shape (q, m).
        targets: Int64 of shape (q,), the position of each query's target.
        masked: Bool of shape (q, m), candidates that do not count.
        num_queries: What the sum is divided by; None for q.

    Returns:
        A scalar.
    """
    target = torch.zeros_like(masked).scatter_(1, targets[:, None], True)
    negatives = softplus(scores).masked_fill(masked | target, 0)
    total = softplus(-scores.gather(1, targets[:, None])).sum() + negatives.sum()
    return total / (len(scores) if num_queries is None else num_queries)
