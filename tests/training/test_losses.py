"""Eq. 1 and Eq. 4 against float64 numpy written from the equations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from lass_hf.core.modeling_lass import negative_sampling_loss
from lass_hf.core.score_functions import SCORE_FUNCTIONS, translation
from lass_hf.core.score_heads import distance_factor, score_of_energy
from lass_hf.training.losses import mean_bce_loss, softmax_loss_of_groups


def score(head, relation, tail, margin, distance_scale):
    return score_of_energy(translation(head, relation, tail), margin, distance_factor(distance_scale, head.shape[-1]))


def eq1(head, relation, tail, margin, scaled):
    """b - 1/2 ||h + r - t||_2^2, the norm over sqrt(k) when scaled; float64, one triplet after the other."""
    scores = []
    for h, r, t in zip(head, relation, tail, strict=True):
        squares = sum((float(a) + float(b) - float(c)) ** 2 for a, b, c in zip(h, r, t, strict=True))
        scores.append(margin - 0.5 * squares / (len(h) ** 0.5 if scaled else 1.0))
    return np.array(scores)


def log_sigmoid(value: float) -> float:
    return float(-np.logaddexp(0.0, -np.float64(value)))


def eq4(positives, negatives_by_slot):
    """-log s(f(pos)) - sum log s(-f(neg)) for each slot of each positive, summed over slots; mean over positives."""
    total = 0.0
    for positive, slots in zip(positives, negatives_by_slot, strict=True):
        for negatives in slots:
            total += -log_sigmoid(positive) - sum(log_sigmoid(-negative) for negative in negatives)
    return total / len(positives)


def random_vectors(seed: int, rows: int, width: int, scale: float = 1.0):
    generator = np.random.default_rng(seed)
    return tuple((generator.normal(size=(rows, width)) * scale).astype(np.float32) for _ in range(3))


def random_scores(seed: int, positives: int = 4, slots: int = 3, per_slot: int = 5):
    """Scores and labels as the collator orders them, and the same scores as nested lists."""
    generator = np.random.default_rng(seed)
    nested = generator.normal(scale=4.0, size=(positives, slots, per_slot)).astype(np.float32)
    positive = generator.normal(scale=4.0, size=positives).astype(np.float32)
    scores = torch.from_numpy(np.concatenate([positive[:, None], nested.reshape(positives, -1)], axis=1).ravel())
    labels = torch.zeros(positives, 1 + slots * per_slot, dtype=torch.int64)
    labels[:, 0] = 1
    return scores, labels.ravel(), positive.tolist(), nested.tolist()


@pytest.mark.parametrize(("distance_scale", "scaled"), [("sqrt_dim", True), ("none", False)])
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 5),
    width=st.integers(1, 40),
    margin=st.floats(-20, 20, width=32),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_scores_are_equation_1(distance_scale, scaled, seed, rows, width, margin, scale):
    vectors = random_vectors(seed, rows, width, scale)
    scores = score(*map(torch.from_numpy, vectors), margin, distance_scale)
    np.testing.assert_allclose(scores.numpy(), eq1(*vectors, margin, scaled), rtol=1e-4, atol=1e-4)


def test_score_of_a_hand_calculated_triplet():
    head, relation, tail = (
        torch.tensor([[1.0, 2, 0, 0]]),
        torch.tensor([[0.0, 1, 0, 1]]),
        torch.tensor([[0.0, 0, 2, 1]]),
    )
    # h + r - t = (1, 3, -2, 0): squared norm 14, k = 4.
    assert score(head, relation, tail, 7.0, "none").tolist() == [0.0]
    assert score(head, relation, tail, 7.0, "sqrt_dim").tolist() == [3.5]


def test_score_is_the_margin_where_head_plus_relation_is_the_tail():
    head, relation, _ = map(torch.from_numpy, random_vectors(1, 6, 8))
    assert score(head, relation, head + relation, 5.5, "none").tolist() == [5.5] * 6


@given(seed=st.integers(0, 2**16), queries=st.integers(0, 5), entities=st.integers(1, 7), width=st.integers(1, 20))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_all_pairs_of_queries_and_entities_have_the_energies_of_single_pairs(seed, queries, entities, width):
    generator = np.random.default_rng(seed)
    head, relation = generator.normal(size=(2, queries, width)).astype(np.float32)
    tail = generator.normal(size=(entities, width)).astype(np.float32)
    expected = np.square(head[:, None].astype(np.float64) + relation[:, None] - tail).sum(-1)
    function = SCORE_FUNCTIONS["translation"]
    vectors = function.row_vectors(
        *map(torch.from_numpy, (head, relation, np.zeros_like(head), np.ones(queries, bool))), unit_length=False
    )
    without_query = replace(function, query=None)
    pairs = torch.from_numpy(np.concatenate([head, relation], axis=1))
    for found in (
        function.compare_all(vectors, torch.from_numpy(tail)),
        without_query.compare_all(pairs, torch.from_numpy(tail)),
        function.compare(vectors[:, None], torch.from_numpy(tail)),
    ):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


@given(
    seed=st.integers(0, 2**32 - 1),
    positives=st.integers(1, 6),
    slots=st.integers(1, 3),
    per_slot=st.integers(0, 6),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_negative_sampling_loss_is_equation_4(seed, positives, slots, per_slot):
    scores, labels, positive, nested = random_scores(seed, positives, slots, per_slot)
    loss = negative_sampling_loss(scores, labels, num_slots=slots)
    assert loss.item() == pytest.approx(eq4(positive, nested), rel=1e-5, abs=1e-6)


def test_negative_sampling_loss_counts_three_slots_by_default():
    scores, labels, positive, nested = random_scores(3)
    assert negative_sampling_loss(scores, labels).item() == pytest.approx(eq4(positive, nested), rel=1e-5)


@pytest.mark.parametrize("num_slots", [1, 2, 3])
def test_positive_counts_once_for_each_slot(num_slots):
    scores, labels = torch.tensor([1.5]), torch.tensor([1])
    expected = num_slots * -log_sigmoid(1.5)
    assert negative_sampling_loss(scores, labels, num_slots=num_slots).item() == pytest.approx(expected, rel=1e-6)


def test_negative_counts_once_whatever_the_slots():
    scores, labels = torch.tensor([0.5, -2.0]), torch.tensor([1, 0])
    one, three = (negative_sampling_loss(scores, labels, num_slots=number).item() for number in (1, 3))
    assert three - one == pytest.approx(2 * -log_sigmoid(0.5), rel=1e-5)


def test_order_within_the_batch_does_not_change_the_loss():
    scores, labels, *_ = random_scores(4)
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))
    expected = negative_sampling_loss(scores, labels).item()
    assert negative_sampling_loss(scores[order], labels[order]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("num_positives", [8, 8.0, torch.tensor(8)])
def test_given_number_of_positives_is_the_divisor(num_positives):
    scores, labels, positive, nested = random_scores(5, positives=4)
    loss = negative_sampling_loss(scores, labels, num_positives=num_positives)
    assert loss.item() == pytest.approx(eq4(positive, nested) * 4 / 8, rel=1e-5)


def test_parts_of_a_batch_add_up_to_its_loss():
    scores, labels, *_ = random_scores(6, positives=4)
    parts = [
        negative_sampling_loss(scores[part], labels[part], num_positives=4) for part in (slice(0, 16), slice(16, None))
    ]
    assert sum(parts).item() == pytest.approx(negative_sampling_loss(scores, labels).item(), rel=1e-6)


def test_batch_without_positives_gives_the_sum_of_its_negatives():
    loss = negative_sampling_loss(torch.tensor([0.25, -1.0]), torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(-log_sigmoid(-0.25) - log_sigmoid(1.0), rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 50))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_mean_bce_is_torchs_binary_cross_entropy(seed, number):
    generator = torch.Generator().manual_seed(seed)
    scores = 5 * torch.randn(number, generator=generator)
    labels = torch.randint(0, 2, (number,), generator=generator)
    expected = binary_cross_entropy_with_logits(scores.double(), labels.double()).item()
    assert mean_bce_loss(scores, labels).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_given_number_of_scores_is_the_divisor_of_mean_bce():
    scores, labels, *_ = random_scores(7)
    expected = binary_cross_entropy_with_logits(scores, labels.float(), reduction="sum").item() / 100
    assert mean_bce_loss(scores, labels, num_scores=100).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [negative_sampling_loss, mean_bce_loss])
@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_scores_give_finite_loss_and_gradients(loss, extreme):
    scores = torch.tensor([extreme, extreme], requires_grad=True)
    value = loss(scores, torch.tensor([1, 0]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()


def test_extreme_wrong_scores_cost_their_size():
    scores = torch.tensor([-1e4, 1e4])
    assert negative_sampling_loss(scores, torch.tensor([1, 0])).item() == pytest.approx(4e4)
    assert mean_bce_loss(scores, torch.tensor([1, 0])).item() == pytest.approx(1e4)


@pytest.mark.parametrize("loss", [negative_sampling_loss, mean_bce_loss])
def test_gradient_raises_positives_and_lowers_negatives(loss):
    scores = torch.tensor([0.3, -0.2, 1.0], requires_grad=True)
    loss(scores, torch.tensor([1, 0, 0])).backward()
    assert (scores.grad.sign() == torch.tensor([-1.0, 1.0, 1.0])).all()


@given(
    seed=st.integers(0, 2**16),
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6),
)
@settings(deadline=None)
def test_softmax_of_groups_is_equation_3_over_each_positives_negatives(seed, sizes):
    generator = np.random.default_rng(seed)
    groups = np.concatenate([np.full(1 + size, number) for number, size in enumerate(sizes)])
    labels = np.concatenate([np.arange(1 + size) == 0 for size in sizes]).astype(np.int64)
    scores = generator.normal(size=len(groups)).astype(np.float32)
    expected = []
    for number in range(len(sizes)):
        positive, *negatives = scores[groups == number].astype(np.float64)
        logits = np.array([positive, *negatives])
        expected.append(np.logaddexp.reduce(logits) - logits[0])
    order = generator.permutation(len(groups))
    arrays = (torch.from_numpy(array[order]) for array in (scores, labels, groups))
    assert softmax_loss_of_groups(*arrays).item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_softmax_of_groups_moves_scores_within_a_group_only():
    scores = torch.tensor([0.0, 1.0, 2.0, 5.0], requires_grad=True)
    softmax_loss_of_groups(scores, torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1]), num_positives=1).backward()
    first, second = 1 / (1 + torch.tensor([1.0, 3.0]).exp())  # the likelihoods of the positives
    torch.testing.assert_close(scores.grad, torch.stack([first - 1, 1 - first, second - 1, 1 - second]))
