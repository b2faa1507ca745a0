"""What training triplets add to vectors and scores in rankings, against loops in float64."""

import numpy as np
import pytest
import torch
from helpers.bi_encoder import bi_encoder_model, bi_encoder_processor
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TEST, TRAIN, VALIDATION, make_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lass_hf import KnowledgeGraph, LassPredictor, evaluate_link_prediction
from lass_hf.core.errors import NonFiniteError
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import by_triplets, candidate_scores
from lass_hf.scoring.candidate_vectors import candidate_vectors, find_neighbors
from lass_hf.scoring.entity_index import EntityIndex
from lass_hf.scoring.triplet_scorer import TripletScorer

COUNT, DIM = 6, 3
TEXTS = np.array([0, 1, 2, 1, 4, 2])  # 3 reads like 1, and 5 like 2
VECTORS = torch.randn((COUNT, DIM), generator=torch.Generator().manual_seed(0))[TEXTS]


def by_hand(entity: int, triplets: np.ndarray) -> list[int]:
    found = set()
    for head, _, tail in triplets.tolist():
        found |= {int(TEXTS[tail])} if head == entity else set()
        found |= {int(TEXTS[head])} if tail == entity else set()
    return sorted(found - {int(TEXTS[entity])})


GRAPHS = arrays(np.int64, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(0, COUNT - 1))


@settings(deadline=None)
@given(GRAPHS)
def test_neighbors_are_those_of_any_relation_and_direction(triplets):
    found = find_neighbors(triplets, TEXTS)
    assert [part.tolist() for part in np.split(found.entities, found.offsets[1:-1])] == [
        by_hand(e, triplets) for e in range(COUNT)
    ]


@pytest.mark.parametrize("unit", [True, False])
@settings(deadline=None)
@given(GRAPHS)
def test_vectors_are_mixed_with_the_mean_of_the_neighbors(unit, triplets):
    index = EntityIndex([VECTORS[:4], VECTORS[4:]])
    answers = candidate_vectors(index, TEXTS, triplets, 0.5, unit)
    queries = torch.randn((4, DIM), generator=torch.Generator().manual_seed(1))
    asked = np.array([3, 0, 7, 5])  # 7 is new to the graph
    found = answers.mixed(queries, asked)
    texts = VECTORS.double().numpy()[TEXTS]
    cases = [(e, texts[e], answers.index.vectors(np.array(e))) for e in range(COUNT)]
    cases += [(e, queries[row].double().numpy(), found[row]) for row, e in enumerate(asked) if e < COUNT]
    for entity, own, mixed in cases:
        near = by_hand(entity, triplets)
        expected = (own + 0.5 * texts[near].mean(axis=0)) / 1.5 if near else own
        if unit and near:
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(mixed.numpy(), expected, atol=1e-5)
    assert torch.equal(found[2], queries[2])
    same = [
        min(f for f in range(COUNT) if (TEXTS[f], by_hand(f, triplets)) == (TEXTS[e], by_hand(e, triplets)))
        for e in range(COUNT)
    ]
    assert answers.same_vector.tolist() == same


def test_without_a_weight_the_index_is_used_as_it_is():
    index = EntityIndex([VECTORS])
    answers = candidate_vectors(index, TEXTS, np.array([[0, 0, 1]]), 0.0, True)
    assert answers.index is index
    assert answers.mixed(VECTORS, TEXTS) is VECTORS


def test_rankings_are_those_of_the_mixed_vectors():
    text = {**ENTITY_TEXT, "stone": "a stone"}  # which occurs in no triplet, and is no candidate
    graph = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=text, relation_text=RELATION_TEXT)
    weights = {"neighbor_weight": 0.4, "self_match_weight": 0.02, "frequency_weight": 0.7}
    processor, model = bi_encoder_processor(graph), bi_encoder_model(**weights)
    store = processor.token_store()
    scorer = TripletScorer(model, store, "float32")
    entities = scorer.encode_entities(np.arange(graph.num_entities)).double()
    near = find_neighbors(graph["train"].triplets, store.same_text[0])

    def mixed(vector, entity):
        others = near.gather(np.array([entity]))[0]
        vector = vector + 0.4 * entities[others].mean(dim=0) if len(others) else vector
        return vector / vector.norm()

    def score(triplets, slot, bar):
        scores = []
        for triplet in triplets:
            query = scorer.encode_queries(triplet[None], slot)[0].double()
            u, t = mixed(query, triplet[2 - slot]), mixed(entities[triplet[slot]], triplet[slot])
            own = np.log(0.02) if triplet[0] == triplet[2] else 0
            often = sum((one[1], one[slot]) == (triplet[1], triplet[slot]) for one in graph["train"].triplets)
            distance = model.distance_factor().item() / 2 * (u - t).square().sum().item()
            scores.append(model.config.margin - distance + own + 0.7 * np.log(1 + often))
        return np.array(scores)

    expected = rank_split(by_triplets(score), graph["test"], quiet=True)
    found = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    predictor = LassPredictor(model, processor, dtype="float32")
    answer = predictor.predict(head="cat", relation="eats", top_k=1, exclude_known=False)[0]
    names = graph.entities.ids
    triplets = np.array([[names.index("cat"), graph.relations.ids.index("eats"), e] for e in graph.candidates[2]])
    best = score(triplets, 2, None)
    assert answer.id == names[graph.candidates[2][int(best.argmax())]]
    assert answer.score == pytest.approx(best.max(), rel=1e-5)


@pytest.mark.parametrize("frequency_weight", [0, 0.7])
def test_chosen_candidates_have_the_scores_that_they_have_among_all(frequency_weight):
    processor = bi_encoder_processor()
    model = bi_encoder_model(neighbor_weight=0.4, frequency_weight=frequency_weight)
    predictor = LassPredictor(model, processor, dtype="float32")
    question = {"head": "cat", "relation": "eats", "top_k": 20, "exclude_known": False}
    every = {answer.id: answer.score for answer in predictor.predict(**question)}
    text = {"text": "a small animal"}
    chosen = predictor.predict(**question, candidates=["milk", text, "dog"])
    assert {"milk", "dog", "a small animal"} == {answer.id for answer in chosen}
    scores = {answer.id: answer.score for answer in chosen}
    for name in ("milk", "dog"):
        assert scores[name] == pytest.approx(every[name], rel=1e-5)
    graph, scorer = predictor.graph, predictor.scorer
    cat = graph.entities.ids.index("cat")
    query = predictor.candidate_vectors.mixed(scorer.encode_queries(np.array([[cat, 1, 0]]), 2), np.array([cat]))[0]
    new = model(**processor([("cat", "eats", text["text"])])).embeddings[1]  # it has no neighbors
    by_hand = model.config.margin - model.distance_factor() / 2 * (query - new).square().sum()
    assert scores[text["text"]] == pytest.approx(by_hand.item(), rel=1e-5)


def test_new_candidates_tie_with_those_that_read_the_same():
    """An entity without neighbors, or another new one; one with neighbors has another vector."""
    answers = candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0.5, True)
    more = answers.extended(VECTORS[[4, 0, 0]], np.append(TEXTS, [4, 0, 0]))
    assert more.same_vector[COUNT:].tolist() == [4, 7, 7]
    torch.testing.assert_close(more.index.vectors(np.array([7, 8])), VECTORS[[0, 0]])
    plain = candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0, True)
    assert plain.extended(VECTORS[[4, 0]], np.append(TEXTS, [4, 0])).same_vector[COUNT:].tolist() == [4, 0]


def test_few_candidates_are_compared_alone():
    answers = candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0.5, True)
    for chosen, count in (([5, 1, 2], 2), ([3], 1)):  # 5 and 2 read the same, and neither has neighbors
        index, places = answers.among(np.array(chosen))
        assert index.num_entities == count
        torch.testing.assert_close(index.vectors(places), answers.index.vectors(np.array(chosen)))
    index, places = answers.among(np.array([5, 1, 2, 3]))
    assert index is answers.index
    assert places.tolist() == [2, 1, 2, 3]


def test_vectors_are_mixed_in_parts(monkeypatch):
    triplets = np.array([[0, 0, 1], [4, 0, 5], [3, 1, 4]])
    whole = candidate_vectors(EntityIndex([VECTORS]), TEXTS, triplets, 0.5, True)
    monkeypatch.setattr("lass_hf.scoring.candidate_vectors.ENTITIES_AT_ONCE", 4)
    parts = candidate_vectors(EntityIndex([VECTORS]), TEXTS, triplets, 0.5, True)
    assert len(parts.index.blocks) == 2
    torch.testing.assert_close(torch.cat(parts.index.blocks), whole.index.blocks[0])


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_one_weight_is_enough_for_chosen_candidates_to_be_scored_as_all_are(weight):
    predictor = LassPredictor(bi_encoder_model(**{weight: 0.4}), bi_encoder_processor(), dtype="float32")
    question = {"head": "cat", "relation": "eats", "exclude_known": False}
    every = {answer.id: answer.score for answer in predictor.predict(**question, top_k=20)}
    for answer in predictor.predict(**question, candidates=["milk", "dog"]):
        assert answer.score == pytest.approx(every[answer.id], rel=1e-5)


def test_chosen_candidates_need_no_index_where_no_training_triplets_tell_more(monkeypatch):
    monkeypatch.setattr("lass_hf.prediction.ranker.vectors_of", None)
    processor = bi_encoder_processor(KnowledgeGraph.from_triplets(None, None, TRAIN, entity_text=ENTITY_TEXT))
    question = {"head": "cat", "relation": "eats", "candidates": ["milk", "dog"], "exclude_known": False}
    found, expected = (
        LassPredictor(bi_encoder_model(frequency_weight=weight), processor, dtype="float32").predict(**question)
        for weight in (1.0, 0.0)
    )
    assert found == expected


def test_scores_that_a_weight_makes_infinite_are_not_ranked(graph):
    processor = bi_encoder_processor(graph)
    with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
        evaluate_link_prediction(bi_encoder_model(frequency_weight=1e39), processor, graph, quiet=True)


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_a_graph_without_training_triplets_is_ranked_by_its_texts_with_a_warning(weight, caplog):
    model = bi_encoder_model(**{weight: 0.4})
    graph = KnowledgeGraph.from_triplets(None, None, TRAIN, entity_text=ENTITY_TEXT)
    scorer = TripletScorer(model, bi_encoder_processor(make_graph()).token_store(graph), "float32")
    graph_scores = candidate_scores(scorer, graph["test"])
    assert "no training triplets" in caplog.text
    plain = TripletScorer(bi_encoder_model(), scorer.store, "float32")
    triplets, every = graph["test"].triplets, np.arange(graph.num_entities)
    wanted = np.ones((len(triplets), len(every)), dtype=bool)
    expected = candidate_scores(plain, graph["test"])(triplets, 2, every, wanted, None)
    np.testing.assert_array_equal(graph_scores(triplets, 2, every, wanted, None), expected)


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_ranks_of_training_triplets_come_with_a_warning(weight, caplog):
    processor = bi_encoder_processor()
    scorer = TripletScorer(bi_encoder_model(**{weight: 0.4}), processor.token_store(), "float32")
    candidate_scores(scorer, processor.graph["test"])
    assert not caplog.text
    candidate_scores(scorer, processor.graph["train"])
    assert "too good" in caplog.text
