"""LassPredictor: names in, ranked predictions out."""

import inspect
import math
import re

import numpy as np
import pytest
import torch
from helpers.tiny import (
    ENTITY_TEXT,
    RELATION_TEXT,
    TEST,
    TRAIN,
    VALIDATION,
    make_graph,
    make_model,
    wordpiece_tokenizer,
)

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassPredictor, LassProcessor
from lass_hf.core.errors import LassError, ModelError, UnknownNameError

KNOWN = [*TRAIN, *VALIDATION, *TEST]
QUERIES = [
    {"relation": "is_a", "tail": "animal"},
    {"head": "cat", "tail": "food"},
    {"head": "cat", "relation": "eats"},
]


@pytest.fixture
def predictor(model, processor):
    return LassPredictor(model, processor, dtype="float32")


def processor_for(graph):
    processor = LassProcessor(wordpiece_tokenizer())
    processor.graph = graph
    return processor


def slot_of(query):
    return next(slot for slot in ("head", "relation", "tail") if slot not in query)


def filled(query, prediction):
    """The triplet of ids that a prediction makes."""
    return tuple({**query, slot_of(query): prediction}[slot] for slot in ("head", "relation", "tail"))


def one_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# Scores


def test_scores_are_those_of_the_texts_in_the_given_order(predictor, model, processor):
    triplets = [KNOWN[5], KNOWN[0], ("house", "eats", "house"), KNOWN[5]]
    texts = [(ENTITY_TEXT[head], RELATION_TEXT[relation], ENTITY_TEXT[tail]) for head, relation, tail in triplets]
    with torch.no_grad():
        expected = model(**processor(texts)).scores.numpy()
    scores = predictor.score(triplets)
    assert scores.dtype == np.float32
    assert scores.shape == (4,)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    assert scores[0] == scores[3]


def test_no_triplets_give_no_scores(predictor):
    assert predictor.score([]).shape == (0,)


def test_names_may_be_ids_or_texts(predictor):
    by_id = predictor.score([("cat", "eats", "cheese")])
    by_text = predictor.score([("cat, a small animal that purrs", "eats", "cheese, food made of milk")])
    mixed = predictor.score([("cat", "eats", "cheese, food made of milk")])
    assert by_id == by_text == mixed


def test_relation_may_be_named_by_its_text(predictor):
    assert predictor.score([("cat", "lives in", "house")]) == predictor.score([("cat", "lives_in", "house")])


def test_id_wins_over_another_entitys_text(model):
    graph = KnowledgeGraph.from_triplets(
        [("a", "r", "b"), ("b", "r", "c")], entity_text={"a": "b", "b": "garden", "c": "milk"}
    )
    predictor = LassPredictor(model, processor_for(graph), dtype="float32")
    garden, letter = predictor.score([({"text": "garden"}, "r", "c"), ({"text": "b"}, "r", "c")])
    assert garden != letter
    assert predictor.score([("b", "r", "c")])[0] == pytest.approx(garden, rel=1e-5)


# Ranked predictions


@pytest.mark.parametrize("query", QUERIES, ids=slot_of)
def test_predictions_are_all_candidates_ordered_by_score(query, predictor):
    predictions = predictor.predict(**query, top_k=100, exclude_known=False)
    vocabulary = RELATION_TEXT if slot_of(query) == "relation" else ENTITY_TEXT
    assert sorted(prediction.id for prediction in predictions) == sorted(vocabulary)
    assert [prediction.text for prediction in predictions] == [vocabulary[prediction.id] for prediction in predictions]
    scores = [prediction.score for prediction in predictions]
    assert scores == sorted(scores, reverse=True)
    expected = predictor.score([filled(query, prediction.id) for prediction in predictions])
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("query", QUERIES, ids=slot_of)
def test_known_predictions_of_any_split_are_marked(query, predictor):
    predictions = predictor.predict(**query, top_k=100, exclude_known=False)
    known = {prediction.id for prediction in predictions if prediction.known}
    assert known == {prediction.id for prediction in predictions if filled(query, prediction.id) in KNOWN}
    assert known


@pytest.mark.parametrize("query", QUERIES, ids=slot_of)
def test_known_predictions_are_left_out_by_default(query, predictor):
    every = predictor.predict(**query, top_k=100, exclude_known=False)
    predictions = predictor.predict(**query, top_k=100)
    assert [prediction.id for prediction in predictions] == [
        prediction.id for prediction in every if not prediction.known
    ]
    assert not any(prediction.known for prediction in predictions)
    expected = [prediction.score for prediction in every if not prediction.known]
    np.testing.assert_allclose([prediction.score for prediction in predictions], expected, rtol=1e-5, atol=1e-5)


def test_top_k_is_the_beginning_of_the_ranking(predictor):
    every = predictor.predict(head="cat", relation="eats", top_k=100)
    assert predictor.predict(head="cat", relation="eats", top_k=3) == every[:3]
    assert len(predictor.predict(head="cat", relation="eats", top_k=1)) == 1


def test_ten_predictions_at_most_by_default(predictor):
    assert inspect.signature(predictor.predict).parameters["top_k"].default == 10
    assert len(predictor.predict(head="house", relation="eats")) == 10


def test_prediction_unpacks_into_id_text_score_known(predictor):
    name, text, score, known = predictor.predict(head="cat", relation="is_a", top_k=1)[0]
    assert ENTITY_TEXT[name] == text
    assert math.isfinite(score)
    assert type(score) is float
    assert known is False


def test_tied_predictions_keep_the_order_of_the_graph(model):
    texts = {"a": "house", "b": "milk", "c": "milk", "d": "milk"}
    graph = KnowledgeGraph.from_triplets([("a", "r", "b"), ("c", "r", "d")], entity_text=texts)
    predictions = LassPredictor(model, processor_for(graph)).predict(head="a", relation="r", exclude_known=False)
    assert [prediction.id for prediction in predictions if prediction.text == "milk"] == ["b", "c", "d"]
    assert len({prediction.score for prediction in predictions if prediction.text == "milk"}) == 1


def test_query_whose_predictions_are_all_known_has_none(model):
    graph = KnowledgeGraph.from_triplets([("a", "r", "a"), ("a", "r", "b")])
    predictor = LassPredictor(model, processor_for(graph))
    assert predictor.predict(head="a", relation="r") == []
    assert len(predictor.predict(head="a", relation="r", exclude_known=False)) == 2


def test_false_triplets_are_not_known(model, labeled_graph):
    predictor = LassPredictor(model, processor_for(labeled_graph))
    predictions = predictor.predict(head="food", relation="eats", top_k=100, exclude_known=False)
    assert {prediction.id: prediction.known for prediction in predictions}["cat"] is False


def test_progress_bar_is_silent_unless_asked_for(predictor, capsys):
    predictor.predict(head="cat", relation="eats")
    assert capsys.readouterr().err == ""
    predictor.predict(head="cat", relation="eats", quiet=False)
    assert "scoring tails" in capsys.readouterr().err


# Entities that are new to the graph

NEW = "cheese house, a building that purrs"


@pytest.fixture
def larger(model):
    """A predictor whose graph has the new entity."""
    graph = KnowledgeGraph.from_triplets(
        TRAIN, VALIDATION, TEST, entity_text={**ENTITY_TEXT, "new": NEW}, relation_text=RELATION_TEXT
    )
    return LassPredictor(model, processor_for(graph), dtype="float32")


@pytest.mark.parametrize("dtype", ["float32", "auto", "bfloat16"])
def test_new_entity_scores_like_one_of_the_graph(dtype, model, processor, larger):
    predictor = LassPredictor(model, processor, dtype=dtype)
    larger = LassPredictor(model, larger.processor, dtype=dtype)
    scores = predictor.score([({"text": NEW}, "eats", "milk"), ("cat", "is_a", {"text": NEW}), ("cat", "eats", "milk")])
    expected = larger.score([("new", "eats", "milk"), ("cat", "is_a", "new"), ("cat", "eats", "milk")])
    np.testing.assert_array_equal(scores, expected)


def test_new_entities_may_stand_in_several_triplets_and_slots(predictor, larger):
    other = {"text": "milk garden"}
    scores = predictor.score([({"text": NEW}, "eats", other), (other, "eats", {"text": NEW})])
    assert scores[0] != scores[1]
    alone = [predictor.score([({"text": NEW}, "eats", other)]), predictor.score([(other, "eats", {"text": NEW})])]
    np.testing.assert_allclose(scores, np.concatenate(alone), rtol=1e-5, atol=1e-5)
    expected = larger.score([("new", "eats", other), (other, "eats", "new")])
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_new_entity_with_the_text_of_a_known_one_scores_like_it(predictor):
    scores = predictor.score([({"text": ENTITY_TEXT["cat"]}, "eats", "milk"), ("cat", "eats", "milk")])
    assert scores[0] == scores[1]


@pytest.mark.parametrize("slot", ["head", "tail"])
def test_predictions_for_a_new_entity_are_those_of_a_graph_that_has_it(slot, predictor, larger):
    predictions = predictor.predict(**{slot: {"text": NEW}}, relation="eats", top_k=100)
    expected = larger.predict(**{slot: "new"}, relation="eats", top_k=100)
    expected = [prediction for prediction in expected if prediction.id != "new"]
    assert [prediction.id for prediction in predictions] == [prediction.id for prediction in expected]
    np.testing.assert_allclose([a.score for a in predictions], [a.score for a in expected], rtol=1e-5, atol=1e-5)


def test_relation_between_two_new_entities_is_predicted(predictor):
    predictions = predictor.predict(head={"text": NEW}, tail={"text": "milk garden"})
    assert sorted(prediction.id for prediction in predictions) == sorted(RELATION_TEXT)
    assert not any(prediction.known for prediction in predictions)


def test_new_entities_are_not_kept(predictor, graph):
    predictor.score([({"text": NEW}, "eats", "milk")])
    assert graph.num_entities == 10
    with pytest.raises(UnknownNameError):
        predictor.score([(NEW, "eats", "milk")])


def test_new_entity_is_scored_by_a_float16_model(processor, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # "auto" uses the model as loaded
    predictor = LassPredictor(make_model().half(), processor)
    scores = predictor.score([({"text": ENTITY_TEXT["cat"]}, "eats", "milk")])
    np.testing.assert_allclose(scores, predictor.score([("cat", "eats", "milk")]))


# Bad queries


def test_unknown_name_gives_the_closest_matches(predictor):
    with pytest.raises(UnknownNameError, match=r"'mousse'.*entities.*did you mean 'mouse'") as error:
        predictor.predict(head="mousse", relation="eats")
    one_line(error)


def test_unknown_relation_gives_the_closest_matches(predictor):
    with pytest.raises(UnknownNameError, match=r"'lives_on'.*relations.*'lives_in'") as error:
        predictor.score([("cat", "lives_on", "house")])
    one_line(error)


def test_unknown_name_like_no_other_says_so(predictor):
    with pytest.raises(
        UnknownNameError, match=r"'zzzzqqqq' is not an id or text of the graph's 10 entities; they are .*'cat'"
    ):
        predictor.score([("zzzzqqqq", "eats", "house")])


def test_entity_name_is_no_relation_name(predictor):
    with pytest.raises(UnknownNameError, match=r"'cat'.*relations"):
        predictor.score([("cat", "cat", "house")])


def test_ambiguous_text_lists_its_ids(model):
    texts = {"m1": "milk", "m2": "milk", "c": "cheese"}
    graph = KnowledgeGraph.from_triplets([("m1", "r", "c"), ("m2", "r", "c")], entity_text=texts)
    predictor = LassPredictor(model, processor_for(graph))
    with pytest.raises(UnknownNameError, match="2 entities have the text 'milk': m1, m2") as error:
        predictor.score([("milk", "r", "c")])
    one_line(error)
    assert predictor.score([("m2", "r", "c")]).shape == (1,)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"head": "cat"},
        {"relation": "eats"},
        {"head": "cat", "relation": "eats", "tail": "milk"},
    ],
)
def test_predict_needs_two_slots(query, predictor):
    with pytest.raises(LassError, match="exactly two of head, relation and tail") as error:
        predictor.predict(**query)
    one_line(error)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(top_k, predictor):
    with pytest.raises(LassError, match=f"top_k={top_k}"):
        predictor.predict(head="cat", relation="eats", top_k=top_k)


@pytest.mark.parametrize("triplet", [("cat", "eats"), ("cat", "eats", "milk", "1"), "cat"])
def test_item_that_is_no_triplet_is_named(triplet, predictor):
    with pytest.raises(LassError, match=f"item 1 is {re.escape(repr(triplet))}; expected") as error:
        predictor.score([("cat", "eats", "milk"), triplet])
    one_line(error)


@pytest.mark.parametrize(
    "name", [{"text": ""}, {"text": "  "}, {"id": "cat"}, {"text": "cat", "id": "cat"}, {}, 5, {"text": None}]
)
def test_name_that_is_none_is_refused(name, predictor):
    with pytest.raises(LassError, match=r"head=.*expected a name") as error:
        predictor.score([(name, "eats", "milk")])
    one_line(error)


def test_relation_cannot_be_new(predictor):
    with pytest.raises(LassError, match="relation="):
        predictor.predict(head="cat", relation={"text": "adores"})


# Construction


def test_processor_without_graph_is_refused(model):
    with pytest.raises(LassError, match=r"no graph.*processor\.graph") as error:
        LassPredictor(model, LassProcessor(wordpiece_tokenizer()))
    one_line(error)


def test_predictor_loads_from_a_saved_folder(model_folder, predictor):
    loaded = LassPredictor.from_pretrained(model_folder, dtype="float32")
    np.testing.assert_array_equal(loaded.score(KNOWN), predictor.score(KNOWN))
    for query in QUERIES:
        assert loaded.predict(**query) == predictor.predict(**query)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_predictor_from_a_folder_scores_in_the_given_dtype(dtype, model_folder):
    predictor = LassPredictor.from_pretrained(model_folder, dtype=dtype)
    assert predictor.scorer.model.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("dtype", ["float64", "half"])
def test_unknown_dtype_is_refused(dtype, model, processor):
    with pytest.raises(LassError, match="expected one of auto, float32, bfloat16"):
        LassPredictor(model, processor, dtype=dtype)


def test_folder_saved_with_the_vocabulary_only_knows_no_triplet(tmp_path, processor):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="vocabulary")
    predictions = LassPredictor.from_pretrained(str(tmp_path)).predict(head="cat", relation="eats", top_k=100)
    assert sorted(prediction.id for prediction in predictions) == sorted(ENTITY_TEXT)
    assert not any(prediction.known for prediction in predictions)


def test_folder_saved_without_graph_is_refused(tmp_path, processor):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="none")
    with pytest.raises(LassError, match="no graph"):
        LassPredictor.from_pretrained(str(tmp_path))


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError) as error:
        LassPredictor.from_pretrained(str(tmp_path))
    assert str(tmp_path) in one_line(error)


def test_bare_encoder_folder_is_refused_and_from_encoder_named(encoder_folder):
    with pytest.raises(ModelError, match="from_encoder") as error:
        LassPredictor.from_pretrained(encoder_folder)
    assert encoder_folder in one_line(error)


def test_graph_can_be_set_on_a_loaded_processor(tmp_path, processor, predictor):
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path, include_graph="none")
    loaded = LassProcessor.from_pretrained(tmp_path)
    loaded.graph = make_graph()
    model = LassForKGCompletion.from_pretrained(tmp_path)
    np.testing.assert_array_equal(LassPredictor(model, loaded, "float32").score(KNOWN), predictor.score(KNOWN))
