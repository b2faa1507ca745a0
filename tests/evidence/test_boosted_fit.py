"""The fit that judges triplets out of fold: columns in which nothing is known."""

import numpy as np
import pytest

from lass_hf.evidence.boosted_fit import fit_out_of_fold


def test_a_column_in_which_nothing_is_known_changes_nothing():
    """Structural vectors know nothing of triplets whose entities training lacks."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(90, 3)).astype(np.float32)
    is_wrong, is_fitted = features[:, 0] + features[:, 1] > 0, np.arange(90) < 60
    unknown = np.full((90, 1), np.nan, np.float32)
    unknown[60:] = 1  # known of no triplet that is fitted
    expected = fit_out_of_fold(features, is_wrong, is_fitted)
    assert ((expected > 0) == is_wrong).mean() > 0.7
    found = fit_out_of_fold(np.hstack([features[:, :1], unknown, features[:, 1:]]), is_wrong, is_fitted)
    assert np.array_equal(found, expected)


def test_where_nothing_at_all_is_known_the_share_of_wrong_ones_is_the_judgment():
    is_wrong = np.arange(80) % 4 == 0
    found = fit_out_of_fold(np.full((80, 2), np.nan, np.float32), is_wrong, np.arange(80) < 60)
    assert found == pytest.approx(np.log(1 / 3))
