"""The fit of a fusion, compared with plain loops and with the optimum that another library finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from lass_hf.evidence.fitting_sample import ask_again_as_new
from lass_hf.evidence.fusion import NUM_BINS, QueryGroups, first_groups, is_without_facts, num_groups
from lass_hf.evidence.fusion_fitting import (
    BASE_STRENGTH,
    BEST_OF_FEATURE,
    OTHERS,
    FittingSample,
    Likelihood,
    choose_candidates,
    fit_fusions,
)
from lass_hf.structure.facts import Facts

NUM_RELATIONS = 2


def random_likelihood(queries=7, candidates=5, features=3, seed=0) -> Likelihood:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(queries, candidates, features)).astype(np.float32)
    corrections = rng.choice([0.0, 1.5], size=(queries, candidates)).astype(np.float32)
    corrections[:, 0] = 0
    corrections[2, 3:] = -np.inf
    sides, relations = rng.integers(2, size=queries), rng.integers(NUM_RELATIONS, size=queries)
    bins = rng.integers(NUM_BINS, size=(2, queries))
    levels = [np.zeros(queries, int), sides, 2 * relations + sides, bins[0], bins[1]]
    return Likelihood(values, corrections, first_groups(NUM_RELATIONS) + np.stack(levels, axis=1))


def loss_one_by_one(likelihood, weights_of_groups) -> float:
    total = 0.0
    for values, corrections, groups in zip(likelihood.values, likelihood.corrections, likelihood.groups, strict=True):
        weights = sum(weights_of_groups[group] for group in groups)
        scores = [float(row @ weights) for row in values.astype(np.float64)]
        terms = [np.exp(score + float(extra)) for score, extra in zip(scores, corrections, strict=True)]
        total -= scores[0] - np.log(sum(terms))
    return total


def test_the_likelihood_and_its_gradient_are_those_of_a_loop():
    likelihood = random_likelihood()
    weights = np.random.default_rng(1).normal(size=(num_groups(NUM_RELATIONS), 3)) / 4
    loss, gradient = likelihood(weights)
    assert loss == pytest.approx(loss_one_by_one(likelihood, weights), rel=1e-5)

    def flat(numbers):
        return loss_one_by_one(likelihood, numbers.reshape(weights.shape))

    expected = approx_fprime(weights.reshape(-1), flat, 1e-6).reshape(weights.shape)
    assert gradient == pytest.approx(expected, abs=1e-3)


def test_the_fit_is_where_the_penalized_loss_of_a_loop_is_flat():
    """The loss is convex, so it is the optimum."""
    likelihood = random_likelihood(queries=20, features=2)
    strengths = np.random.default_rng(3).uniform(0.5, 3, num_groups(NUM_RELATIONS))
    strengths[0] = 0
    weights = likelihood.fit(strengths, np.zeros((len(strengths), 2)))
    assert abs(weights).max() > 0.1
    strengths[0] = BASE_STRENGTH

    def penalized(flat):
        numbers = flat.reshape(weights.shape)
        return loss_one_by_one(likelihood, numbers) + (strengths[:, None] * numbers**2).sum() / 2

    assert approx_fprime(weights.reshape(-1), penalized, 1e-6) == pytest.approx(0, abs=0.02)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 400), st.floats(0, 0.9))
def test_the_candidates_that_are_chosen_stand_for_all_that_compete(seed, size, known):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2, 3, size)).astype(np.float32)
    is_free = rng.random((3, size)) >= known
    targets = rng.integers(size, size=3)
    is_free[np.arange(3), targets] = False
    columns, corrections = choose_candidates(features, is_free, targets, rng)
    assert columns[:, 0].tolist() == targets.tolist()
    assert not corrections[:, 0].any()
    for row in range(3):
        chosen = columns[row, 1:][np.isfinite(corrections[row, 1:])]
        assert len(set(chosen.tolist())) == len(chosen)
        assert is_free[row, chosen].all()
        assert np.exp(corrections[row, 1:].astype(np.float64)).sum() == pytest.approx(is_free[row].sum())
        for values in features:
            free = np.flatnonzero(is_free[row])
            best = free[np.argsort(-values[row, free])][:BEST_OF_FEATURE]
            assert set(best.tolist()) <= set(chosen.tolist())
        assert len(chosen) <= 2 * BEST_OF_FEATURE + OTHERS


def make_sample(queries=120) -> FittingSample:
    """Answers that "rules" tell well, "text" somewhat, and "vectors" not at all."""
    likelihood = random_likelihood(queries, candidates=20, features=3)
    likelihood.corrections[:] = 0
    likelihood.values[:, 0] += np.array([0.7, 2.0, 0.0], dtype=np.float32)
    kinds = ("text", "rules", "vectors")
    return FittingSample(kinds, kinds, likelihood.values, likelihood.corrections, likelihood.groups, NUM_RELATIONS)


def test_weights_follow_what_the_evidence_tells():
    (fusion,) = fit_fusions(make_sample(), [("text", "rules", "vectors")])
    text, rules, vectors = fusion.weights_of_groups[0]
    assert rules > text > abs(vectors)
    assert fusion.num_fitted == 120


def test_subsets_have_the_features_of_their_kinds_and_are_fitted_alone():
    sample = make_sample()
    alone, both, again = fit_fusions(sample, [("rules",), ("text", "rules"), ("rules",)])
    assert (alone.features, both.features) == (("rules",), ("text", "rules"))
    assert np.array_equal(alone.weights_of_groups, again.weights_of_groups)
    assert not np.allclose(alone.weights_of_groups[0], both.weights_of_groups[0, 1])


def test_the_unit_of_a_feature_does_not_matter():
    sample = make_sample()
    (before,) = fit_fusions(sample, [("text", "rules")])
    sample.values[:, :, 1] *= 100
    (after,) = fit_fusions(sample, [("text", "rules")])
    assert after.weights_of_groups * [1, 100] == pytest.approx(before.weights_of_groups, abs=1e-3)


def test_some_queries_come_again_with_words_alone():
    sample = make_sample(queries=400)
    both = ask_again_as_new(sample, seed=1)
    assert (len(both.again), len(both.values), both.num_queries) == (40, 440, 400)
    is_new = is_without_facts(both.groups, NUM_RELATIONS)
    first = first_groups(NUM_RELATIONS)
    assert is_new[:400].tolist() == [group in (first[4], first[4] + NUM_BINS) for group in sample.groups[:, 4]]
    assert is_new[400:].all()
    assert not both.values[is_new][:, :, 1:].any()
    before = np.concatenate([sample.values, sample.values[both.again]])
    assert np.array_equal(both.values[:, :, 0], before[:, :, 0])
    assert np.array_equal(both.values[~is_new], before[~is_new])
    sides = both.groups[400:, 1] - first[1]
    assert np.array_equal(both.groups[400:, 3:], first[3:] + NUM_BINS * sides[:, None])
    assert np.array_equal(both.groups[400:, :3], sample.groups[both.again, :3])
    without_text = replace(sample, kinds=("frequency", "rules", "vectors"))
    assert ask_again_as_new(without_text, seed=1) is without_text


def test_the_text_of_a_new_entity_counts_as_much_as_it_tells_alone():
    """Beside rules, text is worth less than alone; a query without facts has no other evidence."""
    sample = ask_again_as_new(make_sample(queries=1200), seed=1)
    (fusion,) = fit_fusions(sample, [("text", "rules", "vectors")])
    assert fusion.num_fitted == 1200
    old, new = sample.groups[:1200], sample.groups[1200:]
    weights = fusion.weights(new)
    assert not weights[1:].any()
    rows = slice(1200, None)
    likelihood = Likelihood(sample.values[rows, :, :1], sample.corrections[rows], np.zeros((len(new), 1), dtype=int))
    alone = likelihood.fit(np.zeros(1), np.zeros((1, 1)))[0, 0]
    assert weights[0].mean() == pytest.approx(alone, rel=0.15)
    assert fusion.weights(old)[:, ~is_without_facts(old, NUM_RELATIONS)].all()


def test_groups_of_a_query_are_its_side_relation_known_answers_and_facts():
    facts = Facts.from_triplets(np.array([[0, 0, 1], [0, 0, 2], [0, 1, 1], [3, 1, 1]]), 5, 2)
    groups = QueryGroups(facts, 5)
    tails, heads = groups(np.array([[0, 0, 9], [4, 1, 9], [77, 1, 9]]), 2), groups(np.array([[9, 1, 1]]), 0)
    first = first_groups(2)
    sizes = {0: 0, 1: 1, 2: 2, 3: 2}  # counts to bins
    assert (tails - first).tolist() == [
        [0, 1, 1, NUM_BINS + sizes[2], NUM_BINS + sizes[3]],
        [0, 1, 3, NUM_BINS, NUM_BINS],
        [0, 1, 3, NUM_BINS, NUM_BINS],  # an entity that is new to the graph
    ]
    assert (heads - first).tolist() == [[0, 0, 2, sizes[2], sizes[3]]]
    assert num_groups(2) == first[-1] + 2 * NUM_BINS
