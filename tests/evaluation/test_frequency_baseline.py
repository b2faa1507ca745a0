"""The frequency baseline: counts of training triplets as scores."""

import numpy as np
import pytest
from helpers.tiny import integer_graph

from lass_hf.core.errors import LassError
from lass_hf.evaluation.frequency_baseline import make_frequency_scorer
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import scorer_from_triplets


@pytest.fixture(scope="module")
def counted():
    """Relation 0 has the tail 2 three times, the tail 1 twice (one of them twice the same), the head 0 twice."""
    train = [(0, 0, 2), (3, 0, 2), (4, 0, 2), (0, 0, 1), (5, 0, 1), (2, 1, 0)]
    return integer_graph(train, 7, 2, test=[(6, 0, 1), (6, 1, 0)])


def test_the_baseline_scores_an_entity_by_its_count_in_the_slot_of_the_relation(counted):
    score = make_frequency_scorer(counted)
    tails = np.array([[6, 0, tail] for tail in range(7)])
    heads = np.array([[head, 0, 6] for head in range(7)])
    assert score(tails, 2).tolist() == [0, 2, 3, 0, 0, 0, 0]
    assert score(heads, 0).tolist() == [2, 0, 0, 1, 1, 1, 0]
    assert score(np.array([[6, 1, tail] for tail in range(7)]), 2).tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert score(tails, 2).dtype == np.float32


def test_the_baseline_is_ranked_like_a_model(counted):
    result = rank_split(scorer_from_triplets(make_frequency_scorer(counted)), counted["test"], (2,), quiet=True)
    assert result.ranks.tolist() == [2.0, 1.0]  # the tail 2 is more frequent than 1; 0 is alone


def test_the_baseline_refuses_to_rank_relations(counted):
    with pytest.raises(LassError, match=r"slot 1: frequencies rank heads and tails only; expected slots \(0, 2\)"):
        rank_split(scorer_from_triplets(make_frequency_scorer(counted)), counted["test"], (1,), quiet=True)


def test_the_baseline_counts_training_triplets_only():
    graph = integer_graph([(0, 0, 1, 1), (0, 0, 2, 0)], 3, 1, test=[(1, 0, 2)])
    tails = np.array([[0, 0, tail] for tail in range(3)])
    assert make_frequency_scorer(graph)(tails, 2).tolist() == [0, 1, 0]
