"""Link and relation prediction of a model: ranks by its own forward, ties, splits, and what is shown."""

import numpy as np
import pytest
import torch

from lass_hf import KnowledgeGraph, LassError, evaluate_link_prediction
from lass_hf.evaluation import link_prediction
from lass_hf.evaluation.link_prediction import evaluate_relation_prediction


def rank_by_forward(model, processor, graph, triplets, slot, tolerance):
    """Lowest and highest realistic rank that scores off by `tolerance` allow, by the model's own forward."""
    texts = graph.entities.texts, graph.relations.texts
    known = {tuple(row) for split in graph.splits.values() for row in split.positives.tolist()}

    def score(triplet):
        head, relation, tail = triplet
        with torch.no_grad():
            return float(model(**processor([(texts[0][head], texts[1][relation], texts[0][tail])])).scores)

    bounds = []
    for triplet in map(tuple, triplets.tolist()):
        own = score(triplet)
        size = graph.num_relations if slot == 1 else graph.num_entities
        others = [(*triplet[:slot], value, *triplet[slot + 1 :]) for value in range(size)]
        scores = [score(other) for other in others if other not in known]
        bounds.append([1 + sum(other > own + sign * tolerance for other in scores) for sign in (1, -1)])
    return np.array(bounds)


def test_evaluation_ranks_by_the_scores_of_the_models_forward(model, processor, graph):
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    bounds = np.concatenate(
        [rank_by_forward(model, processor, graph, graph["test"].triplets, slot, 1e-5) for slot in (0, 2)]
    )
    assert (bounds[:, 0] <= result.ranks).all()
    assert (result.ranks <= bounds[:, 1]).all()
    assert (bounds[:, 0] == bounds[:, 1]).mean() > 0.5  # else the test says nothing
    assert len(set(result.ranks.tolist())) > 2


def test_relation_prediction_ranks_the_relation_among_all(model, processor, graph):
    result = evaluate_relation_prediction(model, processor, graph, dtype="float32", quiet=True)
    bounds = rank_by_forward(model, processor, graph, graph["test"].triplets, 1, 1e-5)
    assert result.slots == (1,)
    assert (bounds[:, 0] <= result.ranks).all()
    assert (result.ranks <= bounds[:, 1]).all()
    assert result.num_candidates.max() <= 3


def test_entities_that_read_the_same_are_tied(model, processor):
    graph = KnowledgeGraph.from_triplets(
        [("Q1", "eats", "Q2"), ("Q4", "eats", "Q2")],
        test=[("Q1", "eats", "Q3")],
        entity_text={"Q1": "cat", "Q2": "dog", "Q3": "mouse", "Q4": "mouse"},
    )
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert result.pessimistic_ranks[1] == result.optimistic_ranks[1] + 1


def test_evaluation_takes_the_split_and_limit_it_is_given(model, processor, graph):
    result = evaluate_link_prediction(model, processor, graph, split="validation", limit=2, dtype="float32", quiet=True)
    validation = {tuple(row) for row in graph["validation"].triplets.tolist()}
    assert len(result.triplets) == 2
    assert {tuple(row) for row in result.triplets.tolist()} <= validation


def test_evaluation_is_quiet_when_asked(model, processor, graph, capfd):
    evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    assert capfd.readouterr() == ("", "")


def test_evaluation_shows_progress_that_reaches_its_end(model, processor, graph, capfd):
    evaluate_link_prediction(model, processor, graph, dtype="float32")
    shown = capfd.readouterr().err
    assert "ranking heads: 100%" in shown
    assert "ranking tails: 100%" in shown


@pytest.mark.parametrize(
    "choice", [{"slots": ()}, {"slots": (3,)}, {"limit": 0}, {"seed": 1.5}, {"split": "validation"}], ids=str
)
def test_what_cannot_be_ranked_is_refused_before_evidence_is_found(choice, graph, monkeypatch):
    monkeypatch.setattr(link_prediction, "choose_evidence", None)
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    false = graph["validation"].triplets, np.zeros(len(graph["validation"]), np.int8)
    other = KnowledgeGraph(graph.entities, graph.relations, {**splits, "validation": false})
    with pytest.raises(LassError):
        evaluate_link_prediction(None, None, other, evidence="rules,vectors", quiet=True, **choice)
