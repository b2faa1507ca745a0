"""transformers.pipeline over saved folders: the predictions of LassPredictor as plain dicts, in every form of input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from helpers.tiny import (
    ENTITY_TEXT,
    RELATION_TEXT,
    TEST,
    TRAIN,
    VALIDATION,
    byte_level_tokenizer,
    make_graph,
    make_model,
    wordpiece_tokenizer,
)
from transformers import BertModel, pipeline

from lass_hf import LassPredictor, LassProcessor, fit_calibration
from lass_hf.core.errors import LassError, ModelError, UnknownNameError
from lass_hf.prediction.kept_tokens import TOKENS_FILE
from lass_hf.scoring.index_building import INDEX_FOLDER
from lass_hf.scoring.triplet_scorer import TripletScorer

ARCHITECTURES = ("cross-encoder", "bi-encoder")
TASKS = ("kg-completion", "triplet-classification")
SLOTS = ("head", "relation", "tail")
KNOWN = [*TRAIN, *VALIDATION, *TEST]
TRIPLETS = [dict(zip(SLOTS, row, strict=True)) for row in [*KNOWN, ("house", "eats", "house"), ("food", "is_a", "dog")]]
NEW = {"text": "cheese house, a building that purrs"}
QUERIES = [
    {"head": "cat", "relation": "eats"},
    {"relation": "is_a", "tail": "animal"},
    {"head": "cat", "tail": "food"},
    {"head": "dog", "relation": "lives_in"},
    {"relation": "eats", "tail": NEW},
    {"head": NEW, "tail": "cat"},
]


def make_both(architecture, tokenizer=None):
    processor = LassProcessor(tokenizer or wordpiece_tokenizer(), architecture=architecture)
    processor.graph = make_graph()
    return make_model(architecture=architecture), processor


def save(folder, architecture, graph=None) -> str:
    """A saved model; with a calibration that was fitted on `graph`."""
    model, processor = make_both(architecture)
    if graph is not None:
        fit_calibration(model, processor, graph, dtype="float32", quiet=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, labeled_graph):
    """Saved models by (architecture, whether a calibration was fitted)."""
    keys = [(architecture, calibrated) for architecture in ARCHITECTURES for calibrated in (False, True)]
    return {
        key: save(tmp_path_factory.mktemp("-".join(map(str, key))), key[0], labeled_graph if key[1] else None)
        for key in keys
    }


@pytest.fixture(scope="module")
def pipes(folders):
    """Pipelines by (task, architecture, calibrated), in float32."""
    return {
        (task, *key): pipeline(task, model=folder, dtype="float32", device="cpu")
        for task in TASKS
        for key, folder in folders.items()
    }


def assert_same(found, expected):
    """Equal dicts, or lists of them, but for rounding."""
    assert json.loads(json.dumps(found)) == found  # plain values only
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == (pytest.approx(value, abs=1e-5) if isinstance(value, float) else value)


# The predictions are those of the predictor


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_completions_are_those_of_the_predictor(architecture, calibrated, folders, pipes):
    predictor = LassPredictor.from_pretrained(folders[architecture, calibrated], dtype="float32")
    found = pipes["kg-completion", architecture, calibrated](QUERIES, top_k=4)
    for query, predictions in zip(QUERIES, found, strict=True):
        expected = [prediction._asdict() for prediction in predictor.predict(**query, top_k=4)]
        assert_same([{name: prediction[name] for name in expected[0]} for prediction in predictions], expected)
        assert all(
            ("label" in prediction, "probability" in prediction) == (calibrated, calibrated)
            for prediction in predictions
        )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_judgements_are_the_predictors_scores(architecture, folders, pipes):
    predictor = LassPredictor.from_pretrained(folders[architecture, False], dtype="float32")
    scores = predictor.score([tuple(triplet.values()) for triplet in TRIPLETS])
    expected = [
        {"score": score, "known": tuple(triplet.values()) in KNOWN}
        for score, triplet in zip(scores.tolist(), TRIPLETS, strict=True)
    ]
    assert_same(pipes["triplet-classification", architecture, False](TRIPLETS), expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_triplet_has_one_label_and_probability_in_both_pipelines(architecture, pipes):
    complete, classify = (pipes[task, architecture, True] for task in TASKS)
    queries = QUERIES[:4]
    predictions = complete(queries, top_k=20, exclude_known=False)
    for query, found in zip(queries, predictions, strict=True):
        open_slot = next(slot for slot in SLOTS if slot not in query)
        judged = classify([{**query, open_slot: prediction["id"]} for prediction in found])
        names = ("known", "label", "probability")
        assert_same(*([{name: row[name] for name in names} for row in rows] for rows in (found, judged)))
        assert {row["label"] for row in judged} <= {"true", "false"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probabilities_and_labels_are_those_of_the_configuration(architecture, pipes):
    pipe = pipes["triplet-classification", architecture, True]
    calibration = pipe.model.config.calibration
    for row in pipe(TRIPLETS):
        assert row["label"] == ("true" if row["score"] > calibration["threshold"] else "false")
        logit = calibration["slope"] * row["score"] + calibration["intercept"]
        assert row["probability"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-9)


# Forms of input


@pytest.mark.parametrize("task", TASKS)
def test_a_dict_gives_a_result_and_a_list_a_list(task, pipes):
    pipe, items = (
        pipes[task, "cross-encoder", True],
        {"kg-completion": QUERIES, "triplet-classification": TRIPLETS}[task],
    )
    every = pipe(items)
    assert isinstance(every, list)
    for item, expected in zip(items[:3], every, strict=False):
        assert_same(pipe(item), expected)
        assert_same(pipe([item]), [expected])
    assert pipe([]) == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_batch_size_changes_nothing(batch_size, architecture, pipes):
    for task, items in zip(TASKS, (QUERIES, TRIPLETS), strict=True):
        pipe = pipes[task, architecture, True]
        assert_same(pipe(items, batch_size=batch_size), pipe(items))


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return len(TRIPLETS)

    def __getitem__(self, place):
        return TRIPLETS[place]


@pytest.mark.parametrize(
    "inputs",
    [
        lambda: (triplet for triplet in TRIPLETS),
        Rows,
        lambda: Dataset.from_list([{**triplet, "label": 1} for triplet in TRIPLETS]),
        lambda: Dataset.from_list(TRIPLETS).to_iterable_dataset(),
    ],
    ids=["generator", "torch dataset", "datasets", "iterable dataset"],
)
def test_generators_and_datasets_give_an_iterator(inputs, pipes):
    pipe = pipes["triplet-classification", "cross-encoder", False]
    found = pipe(inputs())
    assert not isinstance(found, list)
    assert_same(list(found), pipe(TRIPLETS))


def test_an_endless_generator_is_completed_as_it_comes(pipes):
    def endless():
        while True:
            yield TRIPLETS[0]

    found = iter(pipes["triplet-classification", "cross-encoder", False](endless(), batch_size=2))
    assert next(found) == next(found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_list_is_scored_in_few_forward_passes(architecture, pipes, monkeypatch):
    calls = []
    forward = TripletScorer._forward
    monkeypatch.setattr(TripletScorer, "_forward", lambda *given: calls.append(1) or forward(*given))
    pipes["triplet-classification", architecture, False](TRIPLETS)
    assert len(calls) <= 4  # 22 triplets
    calls.clear()
    pipes["kg-completion", architecture, False](QUERIES[:2] + QUERIES[3:5])
    assert len(calls) <= 6  # 4 queries for tails and heads, each with up to 10 candidates


# Parameters


def test_known_predictions_are_left_out_unless_asked_for(pipes):
    pipe = pipes["kg-completion", "cross-encoder", False]
    every = pipe(QUERIES[0], top_k=100, exclude_known=False)
    assert {row["id"] for row in every} == set(ENTITY_TEXT)
    assert {row["id"] for row in every if row["known"]} == {"mouse", "food", "milk"}
    assert_same(pipe(QUERIES[0], top_k=100), [row for row in every if not row["known"]])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_candidates_are_the_only_predictions(architecture, pipes):
    pipe = pipes["kg-completion", architecture, True]
    every = pipe(QUERIES[0], top_k=100, exclude_known=False)
    names = ["garden", "milk", "house, a building to live in", NEW]
    found = pipe([QUERIES[0], QUERIES[1]], candidates=names, exclude_known=False)
    assert [{row["id"] for row in rows} for rows in found] == [{"garden", "milk", "house", NEW["text"]}] * 2
    old = [row for row in found[0] if row["id"] != NEW["text"]]
    assert_same(old, [row for row in every if row["id"] in ("garden", "milk", "house")])
    (new,) = (row for row in found[0] if row["id"] == NEW["text"])
    assert new["text"] == NEW["text"]
    assert new["known"] is False
    (judged,) = pipes["triplet-classification", architecture, True]([{**QUERIES[0], "tail": NEW}])
    assert new["probability"] == pytest.approx(judged["probability"], abs=1e-5)


def test_relations_may_be_restricted_too(pipes):
    found = pipes["kg-completion", "cross-encoder", False](
        {"head": "cat", "tail": "garden"}, candidates=["eats", "lives in"]
    )
    assert [row["id"] for row in found] == ["eats"]  # the other is known
    assert found[0]["text"] == RELATION_TEXT["eats"]


def test_parameters_may_be_given_once_for_all_calls(folders):
    given = {"top_k": 2, "exclude_known": False, "batch_size": 3}
    pipe = pipeline("kg-completion", model=folders["cross-encoder", False], **given)
    assert [len(rows) for rows in pipe(QUERIES)] == [2] * len(QUERIES)
    assert len(pipe(QUERIES[0], top_k=5)) == 5
    assert len(pipe(QUERIES[0])) == 2


def test_ten_predictions_are_given_by_default(pipes):
    assert len(pipes["kg-completion", "cross-encoder", False]({"head": "house", "relation": "eats"})) == 10


# Loading and saving


@pytest.mark.parametrize("task", TASKS)
def test_model_and_processor_may_be_given(task, pipes):
    model, processor = make_both("cross-encoder")
    pipe = pipeline(task, model=model, processor=processor, dtype=torch.float32, device=-1)
    item = {"kg-completion": QUERIES[0], "triplet-classification": TRIPLETS[0]}[task]
    assert_same(pipe(item), pipes[task, "cross-encoder", False](item))


@pytest.mark.parametrize("task", TASKS)
def test_a_path_is_enough(task, folders):
    pipe = pipeline(task, model=Path(folders["cross-encoder", True]))
    item = {"kg-completion": QUERIES[0], "triplet-classification": TRIPLETS[0]}[task]
    assert pipe(item)
    assert pipe.task == task


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", torch.float32, torch.bfloat16])
def test_scores_are_computed_in_the_given_dtype(dtype, folders):
    pipe = pipeline("triplet-classification", model=folders["cross-encoder", False], dtype=dtype)
    assert str(pipe.predictor.scorer.model.dtype) == f"torch.{str(dtype).removeprefix('torch.')}"


def test_a_pipeline_is_saved_with_model_and_processor(tmp_path, pipes):
    pipe = pipes["triplet-classification", "cross-encoder", True]
    pipe.save_pretrained(tmp_path / "saved")
    again = pipeline("triplet-classification", model=str(tmp_path / "saved"), dtype="float32")
    assert_same(again(TRIPLETS), pipe(TRIPLETS))
    config = (tmp_path / "saved" / "config.json").read_text()
    assert "custom_pipelines" not in config  # which transformers would not load without trust_remote_code


def test_a_pipeline_is_pushed_as_a_model_is(pipes, monkeypatch):
    sent = []
    monkeypatch.setattr("lass_hf.hub.upload.push_parts", lambda *given, **more: sent.append((given, more)))
    pipe = pipes["kg-completion", "cross-encoder", False]
    pipe.push_to_hub("user/name", include_graph="full")
    assert sent == [((pipe.model, pipe.processor, None, "user/name"), {"include_graph": "full"})]


def test_a_tokenizer_without_padding_token_will_do(tmp_path):
    tokenizer = byte_level_tokenizer()
    tokenizer.pad_token = None
    model, processor = make_both("cross-encoder", tokenizer)
    pipe = pipeline("triplet-classification", model=model, processor=processor, dtype="float32")
    scores = LassPredictor(model, processor, "float32").score([tuple(triplet.values()) for triplet in TRIPLETS])
    np.testing.assert_allclose([row["score"] for row in pipe(TRIPLETS)], scores, rtol=1e-5)
    assert processor.tokenizer.pad_token_id is None


def test_the_index_in_the_folder_is_used_and_that_of_other_weights_left_alone(tmp_path, monkeypatch):
    folder = save(tmp_path, "bi-encoder")
    expected = LassPredictor.from_pretrained(folder, dtype="float32").predict(**QUERIES[0])
    files = {path: path.read_bytes() for path in Path(folder, INDEX_FOLDER).rglob("*.safetensors")}
    trained = pipeline("kg-completion", model=folder, dtype="float32")
    with torch.no_grad():
        trained.model.encoder.embeddings.word_embeddings.weight.mul_(1.5)
    other = pipeline("kg-completion", model=trained.model, processor=trained.processor, dtype="float32")
    of_others = LassPredictor(trained.model, trained.processor, "float32").predict(**QUERIES[0])
    assert_same(other(QUERIES[0]), [prediction._asdict() for prediction in of_others])
    assert {path: path.read_bytes() for path in files} == files
    monkeypatch.setattr(TripletScorer, "encode_entities", None)  # nothing is to be encoded again
    again = pipeline("kg-completion", model=folder, dtype="float32")
    assert_same(again(QUERIES[0]), [prediction._asdict() for prediction in expected])
    next(path for path in files if path.name != TOKENS_FILE).write_bytes(b"no vectors")
    with pytest.raises(LassError, match="damaged"):
        pipeline("kg-completion", model=folder, dtype="float32")


# Bad input: one line


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("task", "item"),
    [
        *(("kg-completion", item) for item in [{}, {"head": "cat"}, TRIPLETS[0], "cat", 5, ("cat", "eats")]),
        ("kg-completion", {"head": "cat", "relation": None}),
        ("kg-completion", {"head": "cat", "relation": "eats", "question": "?"}),
        *(("triplet-classification", item) for item in [{}, QUERIES[0], "cat", None, ("cat", "eats", "food")]),
        ("triplet-classification", {**TRIPLETS[0], "tial": "cat"}),
    ],
)
def test_an_item_that_cannot_be_is_shown(task, item, batched, pipes):
    good = {"kg-completion": QUERIES[0], "triplet-classification": TRIPLETS[0]}[task]
    with pytest.raises(LassError) as error:
        pipes[task, "cross-encoder", False]([good, item] if batched else item)
    assert "\n" not in str(error.value)
    assert repr(item) in str(error.value)
    assert "two of head, relation and tail" in str(error.value) or "is not a triplet; expected" in str(error.value)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("mousse", UnknownNameError, "did you mean 'mouse'"),
        ({"text": " "}, LassError, "head={'text': ' '}; expected a name"),
        ({"id": "cat"}, LassError, "expected a name"),
        (5, LassError, "head=5; expected a name"),
        (None, LassError, "exactly two|expected a name"),
    ],
)
def test_a_name_that_the_graph_lacks_is_named(name, error, words, pipes):
    for task, item in zip(TASKS, (QUERIES[0], TRIPLETS[0]), strict=True):
        with pytest.raises(error, match=words) as caught:
            pipes[task, "cross-encoder", False]([item, {**item, "head": name}])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"top_k": 0}, "top_k=0; expected 1 or more"),
        ({"top_k": "3"}, "top_k='3'"),
        ({"candidates": []}, r"candidates=\[\]; expected a list"),
        ({"candidates": "cat"}, "candidates='cat'; expected a list"),
        ({"candidates": ["cta"]}, "'cta' is not an id or text"),
        ({"topk": 3}, "topk=3 for a kg-completion pipeline; expected top_k, exclude_known, candidates, batch_size"),
    ],
)
def test_a_bad_parameter_is_named(given, words, pipes):
    with pytest.raises(LassError, match=words):
        pipes["kg-completion", "cross-encoder", False](QUERIES, **given)
    with pytest.raises(LassError, match="for a triplet-classification pipeline; expected batch_size"):
        pipes["triplet-classification", "cross-encoder", False](TRIPLETS, **given)


def test_another_model_is_refused(encoder_folder):
    model = BertModel.from_pretrained(encoder_folder)
    with pytest.raises(LassError, match="a pipeline over BertModel and LassProcessor; expected a trained LassFor"):
        pipeline("kg-completion", model=model, processor=make_both("cross-encoder")[1])


def test_a_folder_without_processor_or_graph_is_refused(tmp_path):
    model, processor = make_both("cross-encoder")
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no processor_config\.json"):
        pipeline("kg-completion", model=str(tmp_path))
    processor.save_pretrained(tmp_path, include_graph="none")
    with pytest.raises(LassError, match="no graph"):
        pipeline("kg-completion", model=str(tmp_path))


def test_a_precision_that_is_not_scored_in_is_refused(folders):
    with pytest.raises(LassError, match="dtype='float16'; expected one of auto, float32, bfloat16"):
        pipeline("kg-completion", model=folders["cross-encoder", False], dtype="float16")
