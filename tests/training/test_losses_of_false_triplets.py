"""The losses of answers that are known to be false, against plain loops in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.training.losses import in_batch_sigmoid_loss, softmax_loss, softmax_loss_of_groups

SEEDS = given(seed=st.integers(0, 2**32 - 1))
QUICK = settings(max_examples=25, deadline=None, derandomize=True)


def batch(seed, queries=6, candidates=5):
    """Scores, targets, masks of other candidates, and labels of which the first is true."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=4.0, size=(queries, candidates)).astype(np.float32)
    targets = rng.integers(candidates, size=queries)
    masked = rng.random((queries, candidates)) < 0.3
    masked[np.arange(queries), targets] = False
    labels = rng.integers(2, size=queries)
    labels[0] = 1
    return tuple(map(torch.from_numpy, (scores, targets, masked, labels)))


def softmax_by_hand(scores, targets, masked, labels):
    total = 0.0
    for row, target, hidden, label in zip(
        scores.tolist(), targets.tolist(), masked.tolist(), labels.tolist(), strict=True
    ):
        shown = [number for number in range(len(row)) if not hidden[number]]
        whole = sum(math.exp(row[number]) for number in shown)
        p = math.exp(row[target]) / whole
        rest = sum(math.exp(row[number]) for number in shown if number != target) / whole
        total += -math.log(p) if label else -math.log(rest) if rest else 0.0
    return total


def sigmoid_by_hand(scores, targets, masked, labels):
    total = 0.0
    for row, target, hidden, label in zip(
        scores.tolist(), targets.tolist(), masked.tolist(), labels.tolist(), strict=True
    ):
        if not label:
            total += math.log1p(math.exp(row[target]))
            continue
        total += math.log1p(math.exp(-row[target]))
        total += sum(math.log1p(math.exp(row[n])) for n in range(len(row)) if n != target and not hidden[n])
    return total


@pytest.mark.parametrize(
    ("loss", "by_hand"), [(softmax_loss, softmax_by_hand), (in_batch_sigmoid_loss, sigmoid_by_hand)]
)
@SEEDS
@QUICK
def test_a_false_target_counts_by_the_likelihood_of_its_label(loss, by_hand, seed):
    scores, targets, masked, labels = batch(seed)
    expected = by_hand(scores, targets, masked, labels)
    assert loss(scores, targets, masked, 3.0, labels).item() == pytest.approx(expected / 3, rel=1e-4, abs=1e-5)
    mean = loss(scores, targets, masked, None, labels).item()
    assert mean == pytest.approx(expected / labels.sum().item(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("loss", [softmax_loss, in_batch_sigmoid_loss])
def test_labels_of_true_targets_change_no_bit(loss):
    scores, targets, masked, _ = batch(1)
    assert torch.equal(loss(scores, targets, masked, None, torch.ones(6)), loss(scores, targets, masked))


def groups_of(seed):
    """Scores, labels, groups and false triplets of five groups in random order; the second and the last are false."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, size=5)
    groups = np.repeat(np.arange(5), sizes)
    is_first = np.diff(groups, prepend=-1) > 0
    is_false = is_first & np.isin(groups, [1, 4])
    order = rng.permutation(len(groups))
    scores = rng.normal(scale=4.0, size=len(groups)).astype(np.float32)
    labels = (is_first & ~is_false).astype(np.int64)
    return tuple(torch.from_numpy(array[order]) for array in (scores, labels, groups, is_false))


@SEEDS
@QUICK
def test_a_false_triplet_is_compared_with_its_own_negatives(seed):
    scores, labels, groups, is_false = groups_of(seed)
    expected = 0.0
    for group in range(5):
        rows = np.flatnonzero(groups.numpy() == group)
        whole = sum(math.exp(scores[row]) for row in rows)
        (lead,) = [row for row in rows if labels[row] or is_false[row]]
        p = math.exp(scores[lead]) / whole
        rest = sum(math.exp(scores[row]) for row in rows if row != lead) / whole
        expected += -math.log(p if labels[lead] else rest)
    found = softmax_loss_of_groups(scores, labels, groups, None, is_false)
    assert found.item() == pytest.approx(expected / 3, rel=1e-4)


def test_scores_far_apart_give_finite_losses_and_gradients():
    scores = torch.tensor([[300.0, -300.0], [-300.0, 300.0]], requires_grad=True)
    targets, masked, labels = torch.tensor([0, 0]), torch.zeros(2, 2, dtype=torch.bool), torch.tensor([0, 1])
    losses = [loss(scores, targets, masked, None, labels) for loss in (softmax_loss, in_batch_sigmoid_loss)]
    is_false = torch.tensor([True, False, False, False])
    groups, positive = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0])
    losses.append(softmax_loss_of_groups(scores.reshape(-1), positive, groups, None, is_false))
    for loss, expected in zip(losses, (1200.0, 900.0, 1200.0), strict=True):
        assert loss.item() == pytest.approx(expected)
        assert torch.isfinite(torch.autograd.grad(loss, scores, retain_graph=True)[0]).all()


def test_a_false_answer_that_is_the_only_candidate_counts_nothing():
    scores = torch.tensor([[2.0]], requires_grad=True)
    one, nothing = torch.tensor([0]), torch.zeros(1, 1, dtype=torch.bool)
    loss = softmax_loss(scores, one, nothing, None, torch.tensor([0]))
    alone = softmax_loss_of_groups(scores[0], torch.tensor([0]), one, None, torch.tensor([True]))
    assert (loss.item(), alone.item()) == (0.0, 0.0)
    assert torch.autograd.grad(loss + alone, scores)[0].tolist() == [[0.0]]


def test_a_batch_of_false_triplets_alone_gives_their_sum():
    scores, targets, masked, _ = batch(3)
    labels = torch.zeros(6, dtype=torch.int64)
    expected = softmax_by_hand(scores, targets, masked, labels)
    assert softmax_loss(scores, targets, masked, None, labels).item() == pytest.approx(expected, rel=1e-4)
