"""Losses over scores of positives and their negatives, besides Eq. 4. Tensors in, one float32 scalar out.

Where p is the probability that a loss gives to an answer, a true one counts with -log p. One that is known to be false
counts with -log(1 - p), the likelihood of its label, also known as unlikelihood (Welleck et al., 2020).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus


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


def softmax_loss(
    scores: Tensor,
    targets: Tensor,
    masked: Tensor,
    num_queries: Tensor | float | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Returns -log of the likelihood of each query's target among its candidates (Eq. 3), also known as InfoNCE.

    A target that is labeled 0 counts with -log(1 - p), where p is its likelihood: the log of the sum of
    `exp(f(candidate))` over all candidates, less that over all but the target.

    Args:
        scores: Float32 of shape (q, m).
        targets: Int64 of shape (q,), the position of each query's target.
        masked: Bool of shape (q, m), candidates that do not count.
        num_queries: What the sum is divided by; None for the number of true targets.
        labels: 1 true or 0 false target, shape (q,); None if all are true.

    Returns:
        A scalar.
    """
    if labels is not None:
        losses = softmax_loss, _unlikelihood
        return _with_false_targets(*losses, scores, targets, masked, num_queries, labels)
    total = cross_entropy(scores.masked_fill(masked, -torch.inf), targets, reduction="sum")
    return total / (len(scores) if num_queries is None else num_queries)


def softmax_loss_of_groups(
    scores: Tensor,
    labels: Tensor,
    groups: Tensor,
    num_positives: Tensor | float | None = None,
    is_false: Tensor | None = None,
) -> Tensor:
    """Returns -log of the likelihood of each positive among itself and its own negatives (Eq. 3).

    A false triplet counts with -log(1 - p), where p is its likelihood among itself and its own negatives.

    Args:
        scores: Float32 of shape (n,).
        labels: 1 positive or 0 negative, shape (n,).
        groups: Int64 of shape (n,), from 0: a group is a positive or a false triplet, and its negatives.
        num_positives: What the sum is divided by; None for the number of positives.
        is_false: Which triplets are false ones with negatives of their own, bool of shape (n,); None for none.

    Returns:
        A scalar.
    """
    num_groups, positive = int(groups.max()) + 1, labels == 1
    if is_false is None:
        loss = _logsumexp_of_groups(scores, groups, num_groups).sum() - scores[positive].sum()
    else:
        others = _logsumexp_of_groups(scores[~is_false], groups[~is_false], num_groups)[groups[is_false]]
        has_others = others > -torch.inf
        false = softplus(scores[is_false][has_others] - others[has_others])
        true = _logsumexp_of_groups(scores, groups, num_groups)[groups[positive]] - scores[positive]
        loss = true.sum() + false.sum()
    return loss / (positive.sum().clamp(min=1) if num_positives is None else num_positives)


def in_batch_sigmoid_loss(
    scores: Tensor,
    targets: Tensor,
    masked: Tensor,
    num_queries: Tensor | float | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Returns the sigmoid loss of Eq. 4 with every candidate of a query as a negative.

    Per query it is `softplus(-f(target)) + sum softplus(f(candidate))`; for a target that is labeled 0 it is
    `softplus(f(target))`, and the other candidates do not count.

    Args:
        scores: Float32 of shape (q, m).
        targets: Int64 of shape (q,), the position of each query's target.
        masked: Bool of shape (q, m), candidates that do not count.
        num_queries: What the sum is divided by; None for the number of true targets.
        labels: 1 true or 0 false target, shape (q,); None if all are true.

    Returns:
        A scalar.
    """
    if labels is not None:
        losses = in_batch_sigmoid_loss, _sigmoid_of_false
        return _with_false_targets(*losses, scores, targets, masked, num_queries, labels)
    target = torch.zeros_like(masked).scatter_(1, targets[:, None], True)
    negatives = softplus(scores).masked_fill(masked | target, 0)
    total = softplus(-scores.gather(1, targets[:, None])).sum() + negatives.sum()
    return total / (len(scores) if num_queries is None else num_queries)


def _with_false_targets(
    loss: Callable[..., Tensor],
    loss_of_false: Callable[[Tensor, Tensor, Tensor], Tensor],
    scores: Tensor,
    targets: Tensor,
    masked: Tensor,
    num_queries: Tensor | float | None,
    labels: Tensor,
) -> Tensor:
    """Returns the loss of the queries with true targets and the sum over those with false ones, divided as one."""
    true, false = labels == 1, labels != 1
    total = loss(scores[true], targets[true], masked[true], 1)
    total = total + loss_of_false(scores[false], targets[false], masked[false])
    return total / (true.sum().clamp(min=1) if num_queries is None else num_queries)


def _unlikelihood(scores: Tensor, targets: Tensor, masked: Tensor) -> Tensor:
    """Returns the sum of -log(1 - p) over targets; one that is the only candidate is compared with nothing."""
    others = scores.masked_fill(masked.scatter(1, targets[:, None], True), -torch.inf)
    compared = (others > -torch.inf).any(dim=1)
    target = scores[compared].gather(1, targets[compared, None]).squeeze(1)
    return softplus(target - others[compared].logsumexp(dim=1)).sum()


def _sigmoid_of_false(scores: Tensor, targets: Tensor, masked: Tensor) -> Tensor:
    """Returns the sum of -log(1 - p) over targets, where p is the sigmoid of the score."""
    return softplus(scores.gather(1, targets[:, None])).sum()


def _logsumexp_of_groups(scores: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Returns the log of the sum of the exponentials of each group's scores, -inf for none, shape (num_groups,)."""
    highest = scores.new_full((num_groups,), -torch.inf)
    highest = highest.scatter_reduce(0, groups, scores.detach(), "amax")
    total = torch.zeros_like(highest).index_add(0, groups, (scores - highest[groups]).exp())
    return highest + total.log()
