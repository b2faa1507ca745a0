"""Platt scaling against its likelihood, minimised by another solver; calibration errors against loops and by hand."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.calibration import calibration_curve

from lass_hf.evaluation.platt_scaling import NUM_BINS, PlattScaling, fit_platt, reliability_curve, sigmoid


def made_up(seed, n=300, slope=0.7, intercept=-1.0):
    """Scores whose labels follow a known probability."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(1, 4, n).astype(np.float32)
    labels = generator.random(n) < 1 / (1 + np.exp(-slope * scores - intercept))
    return scores, labels.astype(np.int8)


def platt_loss(parameters, scores, labels):
    """The negative log-likelihood of Platt (1999), with his targets."""
    positives, negatives = (labels == 1).sum(), (labels == 0).sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    logits = parameters[0] * scores.astype(np.float64) + parameters[1]
    return (np.logaddexp(0, -logits) * target + np.logaddexp(0, logits) * (1 - target)).sum()


# Platt scaling


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("factor", [1, 1000, 1e-3])
def test_platt_scaling_maximizes_the_likelihood(seed, factor):
    scores, labels = made_up(seed)
    fitted = fit_platt(scores * factor, labels)
    found = minimize(platt_loss, [0.1, 0.0], args=(scores, labels), method="BFGS", options={"gtol": 1e-8}).x
    assert fitted.slope * factor == pytest.approx(found[0], rel=1e-3)
    assert fitted.intercept == pytest.approx(found[1], rel=1e-3, abs=1e-3)


def test_platt_scaling_finds_the_probabilities_that_labels_follow():
    scores, labels = made_up(0, n=20_000)
    fitted = fit_platt(scores, labels)
    assert fitted.slope == pytest.approx(0.7, abs=0.05)
    assert fitted.intercept == pytest.approx(-1, abs=0.1)


def test_scores_that_a_threshold_separates_keep_the_slope_finite():
    fitted = fit_platt(np.array([-5, -4, 4, 5], dtype=np.float32), np.array([0, 0, 1, 1]))
    probabilities = fitted(np.array([-5, -4, 4, 5]))
    assert 0 < fitted.slope < 10
    # Platt's targets are 3/4 and 1/4 here.
    assert probabilities == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.03)


def test_equal_scores_give_the_share_of_true_triplets():
    fitted = fit_platt(np.full(30, 3.0, dtype=np.float32), np.array([1] * 10 + [0] * 20))
    target = (10 * 11 / 12 + 20 * 1 / 22) / 30
    assert fitted(np.array([3.0, -40.0])) == pytest.approx([target] * 2, abs=1e-4)


def test_probabilities_are_float64_of_the_scores_shape():
    probabilities = PlattScaling(2.0, 1.0)(np.zeros((2, 3), dtype=np.float32))
    assert probabilities.dtype == np.float64
    assert probabilities.shape == (2, 3)
    assert probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_sigmoid_is_torchs_and_does_not_overflow():
    values = np.array([-1e4, -40, -1.5, 0, 0.1, 40, 1e4])
    with np.errstate(over="raise"):
        assert sigmoid(values) == pytest.approx(torch.tensor(values).sigmoid().numpy(), rel=1e-12)


# Calibration error


def test_expected_calibration_error_by_hand():
    # Two triplets claim 0.15 and 0.17, one is true; three claim 0.9, two are true.
    curve = reliability_curve(np.array([0.15, 0.17, 0.9, 0.9, 0.9]), np.array([1, 0, 1, 1, 0]))
    assert curve.ece == pytest.approx((2 * abs(0.16 - 0.5) + 3 * abs(0.9 - 2 / 3)) / 5)
    assert curve.counts.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 3]
    assert curve.claimed[[1, 9]] == pytest.approx([0.16, 0.9])
    assert curve.observed[[1, 9]] == pytest.approx([0.5, 2 / 3])
    assert np.isnan(curve.claimed[0])


def test_probabilities_that_say_what_happens_have_no_error():
    assert reliability_curve(np.array([0.0, 1, 1, 0]), np.array([0, 1, 1, 0])).ece == 0
    assert reliability_curve(np.array([0.25] * 4), np.array([1, 0, 0, 0])).ece == 0


def test_probabilities_that_say_the_opposite_have_an_error_of_one():
    assert reliability_curve(np.array([0.0, 1, 1, 0]), np.array([1, 0, 0, 1])).ece == 1


labeled_probabilities = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@given(rows=labeled_probabilities)
@settings(max_examples=100, deadline=None)
def test_bins_are_those_of_a_loop(rows):
    bins = [[] for _ in range(NUM_BINS)]
    for probability, label in rows:
        bins[min(int(probability * NUM_BINS), NUM_BINS - 1)].append((probability, label))
    curve = reliability_curve(*(np.array(column) for column in zip(*rows, strict=True)))
    error = 0.0
    for number, members in enumerate(bins):
        assert curve.counts[number] == len(members)
        if members:
            claimed, observed = (sum(column) / len(members) for column in zip(*members, strict=True))
            assert curve.claimed[number] == pytest.approx(claimed)
            assert curve.observed[number] == pytest.approx(observed)
            error += len(members) / len(rows) * abs(claimed - observed)
    assert curve.ece == pytest.approx(error, abs=1e-12)
    assert 0 <= curve.ece <= 1


def test_the_curve_is_sklearns():
    scores, labels = made_up(7)
    probabilities = sigmoid(scores)
    curve = reliability_curve(probabilities, labels)
    observed, claimed = calibration_curve(labels, probabilities, n_bins=NUM_BINS)
    filled = curve.counts > 0
    assert curve.observed[filled] == pytest.approx(observed)
    assert curve.claimed[filled] == pytest.approx(claimed)


def test_a_curve_goes_into_json():
    content = reliability_curve(np.array([0.15, 0.9]), np.array([1, 1])).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["claimed"][:2] == [None, 0.15]
    assert content["observed"][9] == 1
    assert content["counts"] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_weight_counts_as_so_many_triplets():
    scores, labels, weights = np.array([-2.0, -1, 0.5, 1, 3]), np.array([0, 1, 0, 1, 1]), np.array([4, 1, 2, 3, 1])
    repeated = np.repeat(scores, weights), np.repeat(labels, weights)
    once, often = fit_platt(scores, labels, weights), fit_platt(*repeated)
    assert (once.slope, once.intercept) == pytest.approx((often.slope, often.intercept), rel=1e-4)
    probabilities = once(scores)
    weighted = reliability_curve(probabilities, labels, weights)
    plain = reliability_curve(np.repeat(probabilities, weights), repeated[1])
    assert weighted.counts.tolist() == plain.counts.tolist()
    assert weighted.ece == pytest.approx(plain.ece)
