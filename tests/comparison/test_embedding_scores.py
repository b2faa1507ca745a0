"""The scores of a model of PyKEEN, of which a table takes the place, become the project's ranks."""

import numpy as np
import pytest
from helpers.embeddings import TableModel
from helpers.ranking import Table, same

from lass_hf import rank_split
from lass_hf.comparison import embedding_scores
from lass_hf.comparison.embedding_scores import score_triplets, scorer_from_embeddings
from lass_hf.core.errors import NonFiniteError
from lass_hf.scoring.candidate_scores import scorer_from_triplets


@pytest.mark.parametrize("floats_per_score", [1, 2**22])
def test_ranks_are_those_of_the_same_scores_of_triplets(dense_graph, floats_per_score):
    table = Table.random(dense_graph)
    model = TableModel(table.scores)
    found = rank_split(scorer_from_embeddings(model, floats_per_score), dense_graph["test"], quiet=True)
    assert same(found, rank_split(scorer_from_triplets(table), dense_graph["test"], quiet=True))
    assert found.metrics["tied_queries"] > 0
    assert max(model.batches) == 1 if floats_per_score > 1 else max(model.batches) > 1


def test_some_candidates_are_scored_in_their_order():
    scores = np.random.default_rng(0).random((5, 2, 5), dtype=np.float32)
    queries, candidates = np.array([[3, 1, 0], [2, 0, 4]]), np.array([4, 1])
    score, mask = scorer_from_embeddings(TableModel(scores)), np.ones((2, 2), bool)
    np.testing.assert_array_equal(score(queries, 2, candidates, mask, None), scores[[3, 2], [1, 0]][:, candidates])
    expected = scores[:, [1, 0], [0, 4]].T[:, candidates]
    np.testing.assert_array_equal(score(queries, 0, candidates, mask, None), expected)


def test_triplets_are_scored_in_batches(monkeypatch):
    monkeypatch.setattr(embedding_scores, "FLOATS_AT_ONCE", 64 * 3 * 10)
    scores = np.random.default_rng(0).random((5, 2, 5), dtype=np.float32)
    triplets = np.random.default_rng(1).integers((5, 2, 5), size=(25, 3))
    model = TableModel(scores)
    np.testing.assert_array_equal(score_triplets(model, triplets, 3), scores[tuple(triplets.T)])
    assert model.batches == [10, 10, 5]


def test_scores_that_are_not_finite_are_refused(dense_graph):
    scores = Table.random(dense_graph).scores
    scores[3, 1, 4] = np.nan
    with pytest.raises(NonFiniteError, match="the training of this method diverged"):
        rank_split(scorer_from_embeddings(TableModel(scores)), dense_graph["test"], quiet=True)
    with pytest.raises(NonFiniteError):
        score_triplets(TableModel(scores), np.array([[3, 1, 4]]))
