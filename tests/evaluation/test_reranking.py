"""Retrieve, then rerank: ranks against a brute force over all candidates, the weight, progress, bad input."""

import contextlib
from unittest.mock import patch

import numpy as np
import pytest
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TRAIN, make_graph, make_model, make_processor

from lass_hf import KnowledgeGraph, LassPredictor, evaluate_link_prediction
from lass_hf.core.errors import LassError
from lass_hf.evaluation.reranking import evaluate_reranking, rerank
from lass_hf.evaluation.retrieval import Retrieved, retrieve
from lass_hf.evaluation.score_fusion import fit_retriever_weight, fused_ranks
from lass_hf.scoring.triplet_scorer import TripletScorer

NO_WEIGHTS = (float("nan"), float("inf"), -5.0, "x")
GRAPH = make_graph()
BI_ENCODER, CROSS_ENCODER = make_processor(GRAPH, architecture="bi-encoder"), make_processor(GRAPH)


@pytest.fixture
def models():
    return make_model(architecture="bi-encoder", normalize=True), make_model(seed=3)


def both_stages(models, **choices):
    retriever, cross_encoder = models
    choices = {"dtype": "float32", "quiet": True, **choices}
    return evaluate_reranking(retriever, BI_ENCODER, cross_encoder, CROSS_ENCODER, GRAPH, **choices)


class Tables:
    """Scores of all triplets by two random models; those of the retriever have many ties."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        shape = (GRAPH.num_entities, GRAPH.num_relations, GRAPH.num_entities)
        self.retriever = rng.integers(0, 6, (3, *shape)).astype(np.float32)
        self.cross_encoder = rng.integers(0, 4, shape).astype(np.float32)
        self.asked = []
        self.tokens = 0

    def __call__(self, queries, slot, candidates, wanted, bar):
        triplets = np.repeat(queries[:, None], len(candidates), axis=1)
        triplets[:, :, slot] = candidates
        return self.retriever[(slot, *triplets.transpose(2, 0, 1))]

    def score(self, triplets, slot):
        self.asked.append(len(triplets))
        return self.cross_encoder[tuple(triplets.T)]


def by_brute_force(tables, triplet, slot, top_k, retriever_weight):
    """Optimistic and pessimistic rank of one query; None for those that the order of equal rivals decides."""
    known = {tuple(row) for split in GRAPH.splits.values() for row in split.positives.tolist()}
    scores, own = {}, triplet[slot]
    for entity in GRAPH.candidates[slot].tolist():
        other = list(triplet)
        other[slot] = entity
        if entity == own or tuple(other) not in known:
            scores[entity] = (tables.retriever[(slot, *other)], tables.cross_encoder[tuple(other)])
    rivals = sorted((entity for entity in scores if entity != own), key=lambda entity: (-scores[entity][0], entity))
    before = [sum(scores[entity][0] > scores[own][0] for entity in rivals)]
    before.append(sum(scores[entity][0] >= scores[own][0] for entity in rivals))
    if before[1] + 1 > top_k:
        return 1 + before[0], 1 + before[1], 1 + len(rivals)
    fused = {
        entity: cross_encoder + retriever_weight * np.float64(retriever)
        for entity, (retriever, cross_encoder) in scores.items()
    }
    best = rivals[: top_k - 1]
    above = sum(fused[entity] > fused[own] for entity in best)
    not_below = sum(fused[entity] >= fused[own] for entity in best)
    return 1 + above, 1 + not_below, 1 + len(rivals)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("retriever_weight", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("top_k", [2, 4, 10])
@pytest.mark.parametrize("slot", [0, 2])
def test_ranks_are_those_of_the_definition(slot, top_k, retriever_weight, seed):
    tables, triplets = Tables(seed), GRAPH["train"].triplets
    retrieved = retrieve(tables, GRAPH, triplets, slot, top_k)
    found = rerank(tables, retrieved, top_k, retriever_weight)
    expected = [by_brute_force(tables, triplet, slot, top_k, retriever_weight) for triplet in triplets.tolist()]
    assert found.T.tolist() == [list(row) for row in expected]


@pytest.mark.parametrize("slot", [0, 2])
def test_retrieval_ranks_are_those_of_link_prediction(slot, models):
    result = both_stages(models, top_k=3, split="train")
    expected = evaluate_link_prediction(models[0], BI_ENCODER, GRAPH, "train", dtype="float32", quiet=True)
    np.testing.assert_array_equal(result.retrieval.ranks, expected.ranks)
    assert result.retrieval.metrics == pytest.approx(expected.metrics)


def test_reranking_all_candidates_by_weight_0_is_the_cross_encoder(models):
    result = both_stages(models, top_k=10, retriever_weight=0.0, split="train")
    expected = evaluate_link_prediction(models[1], CROSS_ENCODER, GRAPH, "train", dtype="float32", quiet=True)
    np.testing.assert_array_equal(result.reranked.ranks, expected.ranks)
    assert result.recall == 1.0


def test_below_the_top_the_retrievers_rank_stands(models):
    result = both_stages(models, top_k=3, retriever_weight=0.0, split="train")
    below = result.retrieval.pessimistic_ranks > 3
    assert below.any()
    np.testing.assert_array_equal(result.reranked.ranks[below], result.retrieval.ranks[below])
    assert (result.reranked.ranks[~below] <= 3).all()
    assert result.recall == pytest.approx((~below).mean())


def test_tokens_are_those_run_through_the_encoders(models):
    counts = [0, 0]
    for number, model in enumerate(models):

        def count(module, args, kwargs, number=number):
            counts[number] += kwargs["input_ids"].numel()

        model.encoder.register_forward_pre_hook(count, with_kwargs=True)
    result = both_stages(models, top_k=3)
    stages = ("indexing", "retrieval", "fitting", "reranking")
    assert tuple(result.tokens) == tuple(result.seconds) == stages
    assert min(result.tokens.values()) > 0
    assert sum(result.tokens.values()) == sum(counts)
    scorer = TripletScorer(models[0], BI_ENCODER.token_store(GRAPH), "float32")
    scorer.encode_entities(np.arange(GRAPH.num_entities))
    assert result.tokens["indexing"] == scorer.tokens
    given = both_stages(models, top_k=3, retriever_weight=result.retriever_weight)
    assert given.tokens == {**result.tokens, "fitting": 0}
    assert result.num_reranked == (result.retrieval.pessimistic_ranks <= 3).sum()


def test_the_entities_vectors_are_kept_in_a_folder(models, tmp_path):
    first, again = (both_stages(models, top_k=3, index_folder=tmp_path) for _ in range(2))
    assert first.tokens["indexing"] > 0
    assert again.tokens == {**first.tokens, "indexing": 0}
    np.testing.assert_array_equal(first.reranked.ranks, again.reranked.ranks)


def first_stage(of_retriever):
    """Returns the first stage with some scores, of each query's target first; and the order of the rivals in it."""
    order = np.argsort(-of_retriever[:, 1:], axis=1)
    rivals = np.take_along_axis(of_retriever[:, 1:], order, axis=1)
    count, top_k = of_retriever.shape
    ranks = np.stack([1 + (rivals > of_retriever[:, :1]).sum(1)] * 2 + [np.full(count, 99)])
    nothing = np.zeros((count, top_k), dtype=int)
    return Retrieved(np.zeros((count, 3), dtype=int), 2, nothing, rivals, of_retriever[:, 0], ranks), order


def drawn_stages(weight, count=4000, top_k=6, seed=0):
    """Draws the answer of each query by softmax(first + second / weight), and returns both stages of such queries."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, count, top_k)) * np.array([1.5, 4.0])[:, None, None]
    chances = np.exp(first + second / weight)
    drawn = (chances.cumsum(1) / chances.sum(1, keepdims=True) > rng.random((count, 1))).argmax(1)
    rows = np.arange(count)
    for scores in (first, second):
        scores[rows, 0], scores[rows, drawn] = scores[rows, drawn], scores[rows, 0].copy()
    retrieved, order = first_stage(first)
    return retrieved, np.concatenate([second[:, :1], np.take_along_axis(second[:, 1:], order, axis=1)], axis=1)


@pytest.mark.parametrize("weight", [0.5, 3.0, 20.0])
def test_the_weight_is_the_one_by_which_answers_were_drawn(weight):
    retrieved, second = drawn_stages(weight)
    found = fit_retriever_weight([retrieved], [second], 6)
    assert found == pytest.approx(weight, rel=0.1)
    apart = np.linspace(-50, 50, len(second))[:, None]  # scores of different queries need not be comparable
    assert fit_retriever_weight([retrieved], [second + apart], 6) == pytest.approx(found, rel=1e-3)
    assert fit_retriever_weight([retrieved], [second / 8], 6) == pytest.approx(found / 8, rel=1e-3)


def test_the_weight_is_that_of_the_least_loss_of_a_plain_loop():
    (retrieved, second), other = drawn_stages(2.0, count=60), drawn_stages(2.0, count=60, seed=1)
    second[::3] = -np.inf  # targets that are not among the best
    second[1::3, 4:] = retrieved.candidate_scores[1::3, 3:] = -np.inf  # queries with fewer candidates

    def loss(weight):
        total = 0.0
        for part, scores in ((retrieved, second), other):
            for row in range(len(scores)):
                if np.isfinite(scores[row, 0]):
                    first = [part.target_scores[row], *part.candidate_scores[row, :5]]
                    logits = [a + b / weight for a, b in zip(first, scores[row], strict=True) if np.isfinite(b)]
                    total += np.log(np.exp(logits).sum()) - logits[0]
        return total

    found = fit_retriever_weight([retrieved, other[0]], [second, other[1]], 6)
    assert loss(found) <= min(loss(found * factor) for factor in (0.5, 0.97, 1.03, 2.0))


def test_a_stage_that_tells_nothing_apart_has_no_say():
    retrieved, second = drawn_stages(2.0, count=50)
    assert fit_retriever_weight([retrieved], [np.ones_like(second)], 6) == 1.0
    alike, _ = first_stage(np.ones((50, 6)))
    assert fit_retriever_weight([alike], [second], 6) == 0.0
    assert fit_retriever_weight([retrieved], [np.full_like(second, -np.inf)], 6) == 0.0
    noise = np.random.default_rng(5).normal(size=second.shape)
    rows = np.arange(50)
    ranks = fused_ranks(retrieved, rows, noise, 6, fit_retriever_weight([retrieved], [noise], 6))
    by_noise = fused_ranks(retrieved, rows, noise, 6, 0.0)
    assert (1 / ranks[0]).mean() > (1 / by_noise[0]).mean()


def test_a_reranking_goes_on_where_it_stopped(models, tmp_path, monkeypatch):
    monkeypatch.setattr("lass_hf.evaluation.reranking.QUERIES_PER_CHUNK", 3)
    expected = both_stages(models, top_k=5, retriever_weight=0.1, split="train")
    score, calls = TripletScorer.score, []

    def stopping(self, triplets, slot=None, progress=None):
        calls.append(len(triplets))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return score(self, triplets, slot, progress)

    with patch.object(TripletScorer, "score", stopping), contextlib.suppress(KeyboardInterrupt):
        both_stages(models, top_k=5, retriever_weight=0.1, split="train", resume_dir=tmp_path)
    assert len(calls) == 4
    calls[:] = [0] * 10
    with patch.object(TripletScorer, "score", stopping):
        result = both_stages(models, top_k=5, retriever_weight=0.1, split="train", resume_dir=tmp_path)
    assert len(calls) == 10 + 10 - 3  # 5 chunks a side
    np.testing.assert_array_equal(result.reranked.ranks, expected.reranked.ranks)
    with pytest.raises(LassError, match="retriever_weight was"):
        both_stages(models, top_k=5, retriever_weight=0.2, split="train", resume_dir=tmp_path)


def test_the_progress_of_a_reranking_among_other_candidates_is_refused(models, tmp_path):
    """Two graphs that differ in a false triplet, by which garden is a candidate."""
    for false, expectation in (
        ((), contextlib.nullcontext()),
        ([("garden", "is_a", "animal", 0)], pytest.raises(LassError, match=r"\(other entities occur in triplets")),
    ):
        test = [(*TRAIN[0], 1), *false]
        texts = {"entity_text": ENTITY_TEXT, "relation_text": RELATION_TEXT}
        graph = KnowledgeGraph.from_triplets(TRAIN[:13], test=test, **texts)
        processors = make_processor(graph, architecture="bi-encoder"), make_processor(graph)
        with expectation:
            evaluate_reranking(
                *(models[0], processors[0], models[1], processors[1], graph),
                **{"top_k": 3, "retriever_weight": 0.1, "dtype": "float32", "quiet": True, "resume_dir": tmp_path},
            )


@pytest.mark.parametrize("top_k", [0, 1, 11])
def test_a_top_k_that_cannot_be(top_k, models):
    with pytest.raises(LassError, match=f"top_k={top_k}; expected 2 or more candidates to rerank, and at most all 10"):
        both_stages(models, top_k=top_k)


def test_by_default_all_candidates_of_a_small_graph_are_reranked(models):
    assert both_stages(models, retriever_weight=0.1).top_k == 10


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"split": "validation"}, "fitted on the validation split, which is the one to be ranked"),
        ({"split": "tset"}, "tset"),
        ({"top_k": 1}, "top_k=1;"),
        ({"top_k": 11}, "top_k=11;"),
        ({"top_k": 2.5}, "top_k=2.5;"),
        *(({"retriever_weight": weight}, f"retriever_weight={weight!r}; expected") for weight in NO_WEIGHTS),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_encoded(choices, message, models):
    architecture = patch.object(TripletScorer, "_forward", side_effect=AssertionError)
    with architecture, pytest.raises(LassError, match=message):
        both_stages(models, **{"top_k": 5, **choices})


def test_the_validation_split_is_ranked_with_a_weight_that_is_given(models):
    result = both_stages(models, split="validation", retriever_weight=0.5, top_k=3)
    assert result.reranked.metrics["num_queries"] == 2 * len(GRAPH["validation"].triplets)


def test_architectures_that_do_not_fit_are_refused(models):
    retriever, cross_encoder = models
    for first, second in (
        ((cross_encoder, CROSS_ENCODER), (cross_encoder, CROSS_ENCODER)),
        ((retriever, BI_ENCODER), (retriever, BI_ENCODER)),
    ):
        with pytest.raises(LassError, match=r"a bi-encoder \(it is .*\), and a cross-encoder"):
            evaluate_reranking(*first, *second, GRAPH)
        with pytest.raises(LassError, match=r"a bi-encoder \(it is .*\), and a cross-encoder"):
            LassPredictor(*first, rerank=LassPredictor(*second))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"rerank": "runs/reranker"}, "rerank='runs/reranker'; expected a LassPredictor"),
        ({"rerank_top_k": 0}, "rerank_top_k=0"),
        ({"rerank_top_k": 2.5}, "rerank_top_k=2.5"),
        *(({"retriever_weight": weight}, f"retriever_weight={weight!r}") for weight in NO_WEIGHTS),
        ({"rerank": None, "rerank_top_k": 5}, "rerank_top_k and retriever_weight need rerank, which is not given"),
        ({"rerank": None, "retriever_weight": float("nan")}, "retriever_weight need rerank, which is not given"),
    ],
)
def test_rerankers_that_cannot_be(choices, message, models):
    with pytest.raises(LassError, match=message):
        LassPredictor(models[0], BI_ENCODER, **{"rerank": LassPredictor(models[1], CROSS_ENCODER), **choices})


# The predictor


def test_predictions_of_a_bi_encoder_are_the_best_of_all_scores(models, tmp_path):
    predictor = LassPredictor(models[0], BI_ENCODER, "float32", index_folder=tmp_path)
    for question in ({"head": "cat", "relation": "eats"}, {"relation": "eats", "tail": "food"}):
        answers = predictor.predict(**question, top_k=4, exclude_known=False)
        slot = 2 if "head" in question else 0
        given = [(question.get("head", name), "eats", question.get("tail", name)) for name in GRAPH.entities.ids]
        triplets = np.array([[GRAPH.entities.find(h), 1, GRAPH.entities.find(t)] for h, _, t in given])
        scores = predictor.scorer.score(triplets, slot)
        best = np.argsort(-scores, kind="stable")[:4]
        assert [answer.id for answer in answers] == [GRAPH.entities.ids[number] for number in best]
        np.testing.assert_allclose([answer.score for answer in answers], scores[best], rtol=1e-5)
    assert list(tmp_path.rglob("*.safetensors"))


def test_predictions_for_a_text_that_is_new(models):
    predictor = LassPredictor(models[0], BI_ENCODER, "float32")
    new = {"text": "a small loyal animal"}
    answers = predictor.predict(head=new, relation="eats", top_k=10)
    by_pairs = predictor.predict(head=new, relation="eats", top_k=10, candidates=GRAPH.entities.ids)
    assert [answer.id for answer in answers] == [answer.id for answer in by_pairs]
    np.testing.assert_allclose([a.score for a in answers], [a.score for a in by_pairs], rtol=1e-4)
    chosen = predictor.predict(head="cat", relation="eats", candidates=[new, "milk", "food"])
    assert {answer.id for answer in chosen} <= {"a small loyal animal", "milk", "food"}
    assert len(chosen) == 1  # milk and food are known


@pytest.mark.parametrize("candidates", [[], (), "milk"])
def test_candidates_that_are_no_list_of_names(candidates, models):
    with pytest.raises(LassError, match="expected a list of one name or more"):
        LassPredictor(models[0], BI_ENCODER).predict(head="cat", relation="eats", candidates=candidates)


@pytest.mark.parametrize("retriever_weight", [0.0, 0.7])
def test_predictions_are_reranked(retriever_weight, models):
    plain = LassPredictor(models[0], BI_ENCODER, "float32")
    cross_encoder = LassPredictor(models[1], CROSS_ENCODER, "float32")
    predictor = LassPredictor(
        models[0], BI_ENCODER, "float32", rerank=cross_encoder, rerank_top_k=5, retriever_weight=retriever_weight
    )
    question = {"head": "dog", "relation": "eats"}
    first = plain.predict(**question, top_k=5)
    answers = predictor.predict(**question, top_k=3)
    expected = cross_encoder.score([("dog", "eats", answer.id) for answer in first])
    expected = expected + retriever_weight * np.array([answer.score for answer in first])
    order = np.argsort(-expected)[:3]
    assert [answer.id for answer in answers] == [first[place].id for place in order]
    np.testing.assert_allclose([answer.score for answer in answers], expected[order], rtol=1e-5)


def test_answers_below_the_reranked_ones_keep_their_order_and_score(models):
    plain = LassPredictor(models[0], BI_ENCODER, "float32")
    cross_encoder = LassPredictor(models[1], CROSS_ENCODER, "float32")
    predictor = LassPredictor(models[0], BI_ENCODER, "float32", rerank=cross_encoder, rerank_top_k=3)
    question = {"head": "dog", "relation": "eats"}
    first, answers = plain.predict(**question, top_k=6), predictor.predict(**question, top_k=6)
    assert answers[3:] == first[3:]
    assert {answer.id for answer in answers[:3]} == {answer.id for answer in first[:3]}
    np.testing.assert_allclose(
        [answer.score for answer in answers[:3]],
        sorted(cross_encoder.score([("dog", "eats", answer.id) for answer in first[:3]]), reverse=True),
        rtol=1e-5,
    )
    assert predictor.predict(**question, top_k=2) == answers[:2]
