"""Neighbors and frequencies of training triplets in vectors and scores, compared with loops in float64."""

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
from lass_hf.scoring.candidate_scores import make_split_scorer, scorer_from_triplets
from lass_hf.scoring.candidate_vectors import find_neighbors, mix_candidate_vectors
from lass_hf.scoring.entity_index import EntityIndex
from lass_hf.scoring.triplet_scorer import TripletScorer

COUNT, DIM = 6, 3
TEXTS = np.array([0, 1, 2, 1, 4, 2])  # Entity 3 has the text of 1, and 5 that of 2.
VECTORS = torch.randn((COUNT, DIM), generator=torch.Generator().manual_seed(0))[TEXTS]


def neighbors_one_by_one(entity: int, triplets: np.ndarray) -> list[int]:
    neighbors = set()
    for head, _, tail in triplets.tolist():
        neighbors |= {int(TEXTS[tail])} if head == entity else set()
        neighbors |= {int(TEXTS[head])} if tail == entity else set()
    return sorted(neighbors - {int(TEXTS[entity])})


GRAPHS = arrays(np.int64, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(0, COUNT - 1))


@settings(deadline=None)
@given(GRAPHS)
def test_neighbors_are_those_of_any_relation_and_direction(triplets):
    result = find_neighbors(triplets, TEXTS)
    parts = [part.tolist() for part in np.split(result.entities, result.offsets[1:-1])]
    assert parts == [neighbors_one_by_one(entity, triplets) for entity in range(COUNT)]


@pytest.mark.parametrize("unit_length", [True, False])
@settings(deadline=None)
@given(GRAPHS)
def test_vectors_are_mixed_with_the_mean_of_the_neighbors(unit_length, triplets):
    index = EntityIndex([VECTORS[:4], VECTORS[4:]])
    candidates = mix_candidate_vectors(index, TEXTS, triplets, 0.5, unit_length)
    queries = torch.randn((4, DIM), generator=torch.Generator().manual_seed(1))
    entities = np.array([3, 0, 7, 5])  # Entity 7 is new to the graph.
    mixed_queries = candidates.mix_queries(queries, entities)
    texts = VECTORS.double().numpy()[TEXTS]
    cases = [(e, texts[e], candidates.index.vectors(np.array(e))) for e in range(COUNT)]
    cases += [(e, queries[row].double().numpy(), mixed_queries[row]) for row, e in enumerate(entities) if e < COUNT]
    for entity, vector, mixed in cases:
        neighbors = neighbors_one_by_one(entity, triplets)
        expected = (vector + 0.5 * texts[neighbors].mean(axis=0)) / 1.5 if neighbors else vector
        if unit_length and neighbors:
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(mixed.numpy(), expected, atol=1e-5)
    assert torch.equal(mixed_queries[2], queries[2])
    keys = [(TEXTS[entity], neighbors_one_by_one(entity, triplets)) for entity in range(COUNT)]
    assert candidates.same_vector.tolist() == [keys.index(key) for key in keys]


def test_without_a_weight_the_index_is_used_as_it_is():
    index = EntityIndex([VECTORS])
    candidates = mix_candidate_vectors(index, TEXTS, np.array([[0, 0, 1]]), 0.0, True)
    assert candidates.index is index
    assert candidates.mix_queries(VECTORS, TEXTS) is VECTORS


def test_rankings_are_those_of_the_mixed_vectors():
    text = {**ENTITY_TEXT, "stone": "a stone"}  # It occurs in no triplet, so it is no candidate.
    graph = KnowledgeGraph.from_triplets(TRAIN, VALIDATION, TEST, entity_text=text, relation_text=RELATION_TEXT)
    weights = {"neighbor_weight": 0.4, "self_match_weight": 0.02, "frequency_weight": 0.7}
    processor, model = bi_encoder_processor(graph), bi_encoder_model(**weights)
    store = processor.token_store()
    scorer = TripletScorer(model, store, "float32")
    entities = scorer.encode_entities(np.arange(graph.num_entities)).double()
    neighborhoods = find_neighbors(graph["train"].triplets, store.first_with_same_text[0])

    def mixed(vector, entity):
        others = neighborhoods.gather(np.array([entity]))[0]
        vector = vector + 0.4 * entities[others].mean(dim=0) if len(others) else vector
        return vector / vector.norm()

    def score(triplets, slot, progress):
        scores = []
        for triplet in triplets:
            query = scorer.encode_queries(triplet[None], slot)[0].double()
            u, t = mixed(query, triplet[2 - slot]), mixed(entities[triplet[slot]], triplet[slot])
            bonus = np.log(0.02) if triplet[0] == triplet[2] else 0
            frequency = sum((one[1], one[slot]) == (triplet[1], triplet[slot]) for one in graph["train"].triplets)
            distance = model.distance_factor().item() / 2 * (u - t).square().sum().item()
            scores.append(model.config.margin - distance + bonus + 0.7 * np.log(1 + frequency))
        return np.array(scores)

    expected = rank_split(scorer_from_triplets(score), graph["test"], quiet=True)
    result = evaluate_link_prediction(model, processor, graph, dtype="float32", quiet=True)
    np.testing.assert_array_equal(result.ranks, expected.ranks)
    predictor = LassPredictor(model, processor, dtype="float32")
    prediction = predictor.predict(head="cat", relation="eats", top_k=1, exclude_known=False)[0]
    names = graph.entities.ids
    triplets = np.array([[names.index("cat"), graph.relations.ids.index("eats"), e] for e in graph.candidates[2]])
    scores = score(triplets, 2, None)
    assert prediction.id == names[graph.candidates[2][int(scores.argmax())]]
    assert prediction.score == pytest.approx(scores.max(), rel=1e-5)


@pytest.mark.parametrize("frequency_weight", [0, 0.7])
def test_chosen_candidates_have_the_scores_that_they_have_among_all(frequency_weight):
    processor = bi_encoder_processor()
    model = bi_encoder_model(neighbor_weight=0.4, frequency_weight=frequency_weight)
    predictor = LassPredictor(model, processor, dtype="float32")
    query = {"head": "cat", "relation": "eats", "top_k": 20, "exclude_known": False}
    all_scores = {prediction.id: prediction.score for prediction in predictor.predict(**query)}
    text = {"text": "a small animal"}
    chosen = predictor.predict(**query, candidates=["milk", text, "dog"])
    assert {"milk", "dog", "a small animal"} == {prediction.id for prediction in chosen}
    scores = {prediction.id: prediction.score for prediction in chosen}
    for name in ("milk", "dog"):
        assert scores[name] == pytest.approx(all_scores[name], rel=1e-5)
    graph, scorer = predictor.graph, predictor.scorer
    cat = graph.entities.ids.index("cat")
    query_vector = predictor.candidate_vectors.mix_queries(
        scorer.encode_queries(np.array([[cat, 1, 0]]), 2), np.array([cat])
    )[0]
    new = model(**processor([("cat", "eats", text["text"])])).embeddings[1]  # A new entity has no neighbors.
    expected = model.config.margin - model.distance_factor() / 2 * (query_vector - new).square().sum()
    assert scores[text["text"]] == pytest.approx(expected.item(), rel=1e-5)


def test_new_candidates_tie_with_those_with_the_same_text():
    """They tie with an entity without neighbors, or another new one; one with neighbors has another vector."""
    candidates = mix_candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0.5, True)
    more = candidates.with_entities(VECTORS[[4, 0, 0]], np.append(TEXTS, [4, 0, 0]))
    assert more.same_vector[COUNT:].tolist() == [4, 7, 7]
    torch.testing.assert_close(more.index.vectors(np.array([7, 8])), VECTORS[[0, 0]])
    plain = mix_candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0, True)
    assert plain.with_entities(VECTORS[[4, 0]], np.append(TEXTS, [4, 0])).same_vector[COUNT:].tolist() == [4, 0]


def test_few_candidates_are_compared_alone():
    candidates = mix_candidate_vectors(EntityIndex([VECTORS]), TEXTS, np.array([[3, 0, 0]]), 0.5, True)
    for chosen, count in (([5, 1, 2], 2), ([3], 1)):  # 5 and 2 have the same text, and no neighbors.
        index, positions = candidates.select(np.array(chosen))
        assert index.num_entities == count
        torch.testing.assert_close(index.vectors(positions), candidates.index.vectors(np.array(chosen)))
    index, positions = candidates.select(np.array([5, 1, 2, 3]))
    assert index is candidates.index
    assert positions.tolist() == [2, 1, 2, 3]


def test_vectors_are_mixed_in_parts(monkeypatch):
    triplets = np.array([[0, 0, 1], [4, 0, 5], [3, 1, 4]])
    whole = mix_candidate_vectors(EntityIndex([VECTORS]), TEXTS, triplets, 0.5, True)
    monkeypatch.setattr("lass_hf.scoring.candidate_vectors.ENTITIES_MIXED_AT_ONCE", 4)
    parts = mix_candidate_vectors(EntityIndex([VECTORS]), TEXTS, triplets, 0.5, True)
    assert len(parts.index.blocks) == 2
    torch.testing.assert_close(torch.cat(parts.index.blocks), whole.index.blocks[0])


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_one_weight_is_enough_for_chosen_candidates_to_be_scored_as_all_are(weight):
    predictor = LassPredictor(bi_encoder_model(**{weight: 0.4}), bi_encoder_processor(), dtype="float32")
    query = {"head": "cat", "relation": "eats", "exclude_known": False}
    all_scores = {prediction.id: prediction.score for prediction in predictor.predict(**query, top_k=20)}
    for prediction in predictor.predict(**query, candidates=["milk", "dog"]):
        assert prediction.score == pytest.approx(all_scores[prediction.id], rel=1e-5)


def test_chosen_candidates_need_no_index_without_training_triplets(monkeypatch):
    monkeypatch.setattr("lass_hf.prediction.ranker.make_candidate_vectors", None)
    processor = bi_encoder_processor(KnowledgeGraph.from_triplets(None, None, TRAIN, entity_text=ENTITY_TEXT))
    query = {"head": "cat", "relation": "eats", "candidates": ["milk", "dog"], "exclude_known": False}
    weighted, expected = (
        LassPredictor(bi_encoder_model(frequency_weight=weight), processor, dtype="float32").predict(**query)
        for weight in (1.0, 0.0)
    )
    assert weighted == expected


def test_scores_that_a_weight_makes_infinite_are_not_ranked(graph):
    processor = bi_encoder_processor(graph)
    with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
        evaluate_link_prediction(bi_encoder_model(frequency_weight=1e39), processor, graph, quiet=True)


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_a_graph_without_training_triplets_is_ranked_by_its_texts_with_a_warning(weight, caplog):
    model = bi_encoder_model(**{weight: 0.4})
    graph = KnowledgeGraph.from_triplets(None, None, TRAIN, entity_text=ENTITY_TEXT)
    scorer = TripletScorer(model, bi_encoder_processor(make_graph()).token_store(graph), "float32")
    graph_scores = make_split_scorer(scorer, graph["test"])
    assert "no training triplets" in caplog.text
    plain = TripletScorer(bi_encoder_model(), scorer.store, "float32")
    triplets, entities = graph["test"].triplets, np.arange(graph.num_entities)
    mask = np.ones((len(triplets), len(entities)), dtype=bool)
    expected = make_split_scorer(plain, graph["test"])(triplets, 2, entities, mask, None)
    np.testing.assert_array_equal(graph_scores(triplets, 2, entities, mask, None), expected)


@pytest.mark.parametrize("weight", ["neighbor_weight", "frequency_weight"])
def test_ranks_of_training_triplets_come_with_a_warning(weight, caplog):
    processor = bi_encoder_processor()
    scorer = TripletScorer(bi_encoder_model(**{weight: 0.4}), processor.token_store(), "float32")
    make_split_scorer(scorer, processor.graph["test"])
    assert not caplog.text
    make_split_scorer(scorer, processor.graph["train"])
    assert "too good" in caplog.text
