"""Isotonic scaling against scikit-learn's, and what holds for any scores."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from lass_hf.completion import isotonic_scaling
from lass_hf.completion.isotonic_scaling import fit_isotonic

ROWS = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 1), st.integers(1, 4)), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 5))
def test_knots_are_those_of_isotonic_regression_over_blocks_with_enough_true_ones(rows, least_true):
    scores, labels, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    last, higher, block = max(1, int(labels @ weights) // least_true) - 1, 0, {}
    for score in sorted(set(scores), reverse=True):
        block[score] = -min(higher // least_true, last)
        higher += labels[scores == score] @ weights[scores == score]
    blocks = np.array([block[score] for score in scores])
    values = IsotonicRegression().fit(blocks, labels, sample_weight=weights).predict(blocks)
    expected = []
    for value in np.unique(values.round(9)):
        own = np.isclose(values, value, atol=1e-8)
        least = 1 / (weights[own].sum() + 2)
        expected.append((np.average(scores[own], weights=weights[own]), np.clip(value, least, 1 - least)))
    with patch.object(isotonic_scaling, "LEAST_TRUE", least_true):
        fitted = fit_isotonic(scores, labels, weights)
    knots, probabilities = zip(*expected, strict=True)
    assert fitted.scores == pytest.approx(knots)
    assert fitted.probabilities == pytest.approx(np.maximum.accumulate(probabilities))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_probabilities_rise_with_the_score_and_are_never_0_or_1(rows):
    scores, labels, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    probabilities = fit_isotonic(scores, labels, weights)(np.linspace(-30, 30, 101))
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_a_weight_counts_as_so_many_rows():
    scores, labels, weights = np.array([1.0, 2, 3, 4]), np.array([0, 1, 0, 1]), np.array([1, 2, 3, 1])
    once = fit_isotonic(scores, labels, weights.astype(float))
    repeated = fit_isotonic(np.repeat(scores, weights), np.repeat(labels, weights), np.ones(7))
    np.testing.assert_allclose(once.scores, repeated.scores)
    np.testing.assert_allclose(once.probabilities, repeated.probabilities)


def test_three_best_that_are_true_do_not_make_a_certainty():
    labels = np.concatenate([np.ones(3), np.tile([1, 0, 0, 0, 0], 40)])
    scaling = fit_isotonic(np.arange(len(labels))[::-1].astype(float), labels, np.ones(len(labels)))
    assert scaling(1e9) < 0.35
