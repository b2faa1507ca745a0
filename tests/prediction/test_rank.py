"""LassPredictor in integers: rankings against a plain loop over all candidates, progress, and stopping."""

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, TEST, TRAIN, VALIDATION, byte_level_tokenizer, make_model, make_processor

from lass_hf import LassPredictor, LassProcessor
from lass_hf.core.errors import LassError

KNOWN = [*TRAIN, *VALIDATION, *TEST]
ARCHITECTURES = ["cross-encoder", "bi-encoder"]
QUERIES = np.array([[0, 1, 0], [2, 0, 3], [0, 0, 1], [4, 1, 2], [5, 2, 6]])  # the entry in the open slot is no matter
SLOTS = np.array([2, 0, 1, 2, 0])
NEW = "cheese house, a building that purrs"


@pytest.fixture(scope="module", params=ARCHITECTURES)
def predictor(request, graph):
    model = make_model(architecture=request.param)
    model.config.calibration = {"threshold": 0.5, "slope": 1.5, "intercept": -0.5}
    return LassPredictor(model, make_processor(graph, architecture=request.param), dtype="float32")


def known_triplets(graph):
    return {
        (graph.entities.index[head], graph.relations.index[relation], graph.entities.index[tail])
        for head, relation, tail in KNOWN
    }


@pytest.mark.parametrize("exclude_known", [True, False])
def test_rankings_are_those_of_a_plain_loop(exclude_known, predictor):
    graph = predictor.graph
    known, sizes = known_triplets(graph), (graph.num_entities, graph.num_relations, graph.num_entities)
    before = QUERIES.copy()
    rankings = predictor.rank(QUERIES, SLOTS, 4, exclude_known)
    np.testing.assert_array_equal(QUERIES, before)
    for query, slot, ranking in zip(QUERIES.tolist(), SLOTS.tolist(), rankings, strict=True):
        triplets = [(*query[:slot], candidate, *query[slot + 1 :]) for candidate in range(sizes[slot])]
        wanted = [triplet for triplet in triplets if not (exclude_known and triplet in known)]
        scores = predictor.scorer.score(np.array(wanted), slot)
        order = sorted(range(len(wanted)), key=lambda row: -scores[row])[:4]
        assert list(map(tuple, ranking["triplet"].tolist())) == [wanted[row] for row in order]
        np.testing.assert_allclose(ranking["score"], scores[order], rtol=1e-5, atol=1e-5)
        assert ranking["known"].tolist() == [wanted[row] in known for row in order]
        assert np.isnan(ranking["probability"]).all()  # not asked for


def test_one_slot_may_stand_for_all_queries(predictor):
    for one, other in zip(predictor.rank(QUERIES, 2), predictor.rank(QUERIES, np.full(5, 2)), strict=True):
        np.testing.assert_array_equal(one[["triplet", "score", "known"]], other[["triplet", "score", "known"]])


def test_calibrated_rankings_have_the_labels_of_their_triplets(predictor):
    for ranking in predictor.rank(QUERIES, SLOTS, 3, calibrate=True):
        scores = predictor.scorer.score(ranking["triplet"]).astype(np.float64)
        np.testing.assert_allclose(ranking["probability"], 1 / (1 + np.exp(0.5 - 1.5 * scores)), atol=1e-5)
        np.testing.assert_array_equal(ranking["label"], scores > 0.5)


def test_candidates_may_be_chosen_for_each_slot(predictor):
    chosen = {0: np.array([1, 4, 7]), 1: np.array([2]), 2: np.array([0, 3])}
    every = predictor.rank(QUERIES, SLOTS, 100, exclude_known=False)
    few = predictor.rank(QUERIES, SLOTS, 100, exclude_known=False, candidates=chosen)
    for slot, one, other in zip(SLOTS.tolist(), every, few, strict=True):
        rows = one[np.isin(one["triplet"][:, slot], chosen[slot])]
        np.testing.assert_array_equal(rows["triplet"], other["triplet"])
        np.testing.assert_allclose(rows["score"], other["score"], rtol=1e-5, atol=1e-5)


def test_new_entities_have_integers_behind_those_of_the_graph(predictor):
    new = predictor.graph.num_entities
    (ranking,) = predictor.rank(np.array([[new, 1, 0]]), 2, new_texts=[NEW])
    expected = predictor.predict(head={"text": NEW}, relation=predictor.graph.relations.ids[1])
    ids = [predictor.graph.entities.ids[tail] for tail in ranking["triplet"][:, 2].tolist()]
    assert ids == [prediction.id for prediction in expected]
    assert not ranking["known"].any()
    same = predictor.judge(np.array([[new, 1, 0], [0, 1, 0]]), [predictor.graph.entities.texts[0]])
    assert same["score"][0] == same["score"][1]


def test_judged_triplets_are_those_of_the_names(predictor):
    graph = predictor.graph
    triplets = np.array([*sorted(known_triplets(graph)), (0, 0, 0)])
    judged = predictor.judge(triplets)
    np.testing.assert_array_equal(judged["triplet"], triplets)
    np.testing.assert_array_equal(judged["score"], predictor.scorer.score(triplets))
    assert judged["known"].tolist() == [True] * (len(triplets) - 1) + [False]


def test_progress_counts_each_scored_triplet_once(predictor):
    counts = []
    predictor.rank(QUERIES, SLOTS, exclude_known=False, on_progress=counts.append)
    entities, relations = predictor.graph.num_entities, predictor.graph.num_relations
    assert sum(counts) == 4 * entities + relations
    counts.clear()
    predictor.judge(QUERIES, on_progress=counts.append)
    assert sum(counts) == len(QUERIES)


class Stop(Exception):  # noqa: N818
    pass


def test_an_exception_of_the_progress_function_stops_the_scoring(predictor, monkeypatch):
    monkeypatch.setattr(predictor.scorer, "token_budget", 1)  # many batches
    calls = []

    def on_progress(count):
        calls.append(count)
        raise Stop

    for work in (
        lambda: predictor.rank(QUERIES, SLOTS, on_progress=on_progress),
        lambda: predictor.judge(QUERIES, on_progress=on_progress),
    ):
        calls.clear()
        with pytest.raises(Stop):
            work()
        assert len(calls) == 1
    assert len(predictor.rank(QUERIES, SLOTS)) == len(QUERIES)  # and it can go on


def test_a_reranking_can_be_stopped_too(graph):
    retriever = make_model(architecture="bi-encoder")
    cross = LassPredictor(make_model(), make_processor(graph), "float32")
    both = LassPredictor(retriever, make_processor(graph, architecture="bi-encoder"), "float32", rerank=cross)
    counts = []
    both.rank(QUERIES[:1], 2, exclude_known=False, on_progress=counts.append)
    assert sum(counts) == 2 * len(ENTITY_TEXT)  # retrieved, and reranked


def test_a_reranker_reads_new_entities_by_its_own_tokenizer(graph):
    processor = LassProcessor(byte_level_tokenizer())
    processor.graph = graph
    cross = LassPredictor(make_model("roberta"), processor, "float32")
    retriever = make_model(architecture="bi-encoder")
    both = LassPredictor(retriever, make_processor(graph, architecture="bi-encoder"), "float32", rerank=cross)
    query, texts = np.array([[graph.num_entities, 1, 0]]), [NEW]
    (ranking,), (expected,) = (one.rank(query, 2, len(ENTITY_TEXT), new_texts=texts) for one in (both, cross))
    np.testing.assert_array_equal(ranking["triplet"], expected["triplet"])
    np.testing.assert_allclose(ranking["score"], expected["score"], rtol=1e-5, atol=1e-5)


def test_no_queries_have_no_rankings(predictor):
    assert predictor.rank(np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64)) == []
    assert len(predictor.judge(np.empty((0, 3), dtype=np.int64))) == 0


def test_top_k_below_one_is_refused(predictor):
    with pytest.raises(LassError, match="top_k=0; expected 1 or more"):
        predictor.rank(QUERIES, SLOTS, 0)
