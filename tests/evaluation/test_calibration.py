"""The threshold and the Platt scaling of a model: fitted on validation, saved with it, gone when its weights change."""

import json
import os

import numpy as np
import pytest
import torch
from helpers.tiny import TRAIN, VALIDATION, make_model, make_processor, write_graph
from helpers.trainings import trainer_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lass_hf import (
    KnowledgeGraph,
    LassConfig,
    LassForKGCompletion,
    LassPredictor,
    evaluate_triplet_classification,
    fit_calibration,
)
from lass_hf.cli.commands import main
from lass_hf.core.errors import GraphError, LassError, ModelError
from lass_hf.evaluation.calibration import Calibration, keep_calibration
from lass_hf.evaluation.platt_scaling import PlattScaling
from lass_hf.utils.fingerprints import config_fingerprint, model_fingerprint

CALIBRATION = Calibration(1.5, PlattScaling(2.0, -3.0))


def with_calibration(model):
    model.config.calibration = CALIBRATION.to_dict()
    return model


def scores_of(model, processor, graph, split):
    """By the model's own forward pass, in the order of the split: float64."""
    entities, relations = graph.entities.texts, graph.relations.texts
    texts = [(entities[h], relations[r], entities[t]) for h, r, t in graph[split].triplets.tolist()]
    with torch.no_grad():
        return model(**processor(texts)).scores.double().numpy()


def most_likely(scores, labels):
    """Slope and intercept of Platt (1999), by another solver than the package's."""
    true, false = (labels == 1).sum(), (labels == 0).sum()
    targets = np.where(labels == 1, (true + 1) / (true + 2), 1 / (false + 2))

    def loss(parameters):
        logits = parameters[0] * (scores - scores.mean()) + parameters[1]
        return (np.logaddexp(0, -logits) * targets + np.logaddexp(0, logits) * (1 - targets)).sum()

    slope, centred = minimize(loss, [0.1, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    return slope, centred - slope * scores.mean()


# Fitting


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_a_calibration_is_fitted_on_validation(architecture, labeled_graph):
    model, processor = make_model(architecture=architecture), make_processor(labeled_graph, architecture=architecture)
    calibration = fit_calibration(model, processor, labeled_graph, dtype="float32", quiet=True)
    scores, labels = scores_of(model, processor, labeled_graph, "validation"), labeled_graph["validation"].labels
    slope, intercept = most_likely(scores, labels)
    assert calibration.platt.slope == pytest.approx(slope, rel=1e-2, abs=1e-3)
    assert calibration.platt(scores) == pytest.approx(1 / (1 + np.exp(-slope * scores - intercept)), abs=1e-3)
    cuts = [scores.min() - 1, *scores]
    right = max(((scores > cut) == (labels == 1)).mean() for cut in cuts)
    assert ((scores > calibration.threshold) == (labels == 1)).mean() == right
    assert model.config.calibration == calibration.to_dict()
    assert Calibration.of(model) == calibration


@given(
    rows=st.lists(st.tuples(st.floats(-50, 50, width=32), st.integers(0, 1)), min_size=2, max_size=30),
    more=st.lists(st.floats(-50, 50), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_labels_and_probabilities_rise_with_the_score_where_the_slope_does(rows, more):
    scores, labels = np.array([row[0] for row in rows], dtype=np.float32), np.array([row[1] for row in rows])
    calibration = Calibration.fit(scores, labels)
    labels, probabilities = (values.tolist() for values in calibration(np.sort(np.array(more))))
    assert all(0 <= probability <= 1 for probability in probabilities)
    assert probabilities == sorted(probabilities, reverse=calibration.platt.slope < 0)
    assert labels == sorted(labels)  # False before True


def test_a_graph_without_labels_is_refused_and_leaves_the_model_as_it_is(graph):
    model = with_calibration(make_model())
    with pytest.raises(GraphError, match="the validation split has no false triplet"):
        fit_calibration(model, make_processor(graph), graph, quiet=True)
    assert Calibration.of(model) == CALIBRATION


def test_evaluation_uses_the_same_threshold_and_measures_the_probabilities(labeled_graph):
    model, processor = make_model(), make_processor(labeled_graph)
    result = evaluate_triplet_classification(model, processor, labeled_graph, dtype="float32", quiet=True)
    calibration = fit_calibration(model, processor, labeled_graph, dtype="float32", quiet=True)
    assert result.calibration == calibration
    assert result.threshold == calibration.threshold
    scores, labels = scores_of(model, processor, labeled_graph, "test"), labeled_graph["test"].labels
    slope, intercept = most_likely(
        scores_of(model, processor, labeled_graph, "validation"), labeled_graph["validation"].labels
    )
    claimed = 1 / (1 + np.exp(-slope * scores - intercept))
    bins = np.minimum((claimed * 10).astype(int), 9)
    error = sum(abs(claimed[bins == number].sum() - labels[bins == number].sum()) for number in range(10))
    assert result.metrics["ece_platt"] == pytest.approx(error / len(labels), abs=2e-3)


# In the configuration


def test_a_calibration_travels_with_the_model_and_changes_no_fingerprint(tmp_path):
    plain, model = make_model(), with_calibration(make_model())
    assert config_fingerprint(model.config) == config_fingerprint(plain.config)
    assert model_fingerprint(model) == model_fingerprint(plain)
    model.save_pretrained(tmp_path)
    assert Calibration.of(LassForKGCompletion.from_pretrained(tmp_path)) == CALIBRATION
    assert Calibration.of(plain) is None


def test_a_calibration_is_written_into_a_saved_model_and_nothing_else(tmp_path):
    make_model().save_pretrained(tmp_path)
    before = json.loads((tmp_path / "config.json").read_text())
    files = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != "config.json"}
    keep_calibration(tmp_path, CALIBRATION)
    assert Calibration.of(LassForKGCompletion.from_pretrained(tmp_path)) == CALIBRATION
    after = json.loads((tmp_path / "config.json").read_text())
    assert after == {**before, "calibration": CALIBRATION.to_dict()}
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != "config.json"} == files


@pytest.mark.parametrize("calibration", [{}, {"threshold": 1.0}, {**CALIBRATION.to_dict(), "more": 1.0}])
def test_a_configuration_with_half_a_calibration_is_refused(calibration):
    with pytest.raises(LassError, match="expected None, or threshold, slope, intercept"):
        LassConfig(encoder_config={"model_type": "bert"}, calibration=calibration)


@pytest.mark.parametrize("calibration", [{"threshold": "high"}, 5])
def test_a_folder_with_what_is_no_calibration_is_refused(calibration, tmp_path):
    make_model().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "calibration": calibration}))
    with pytest.raises(ModelError, match="calibration"):
        LassForKGCompletion.from_pretrained(tmp_path)


def test_a_predictor_keeps_the_calibration_of_the_weights_that_it_has(labeled_graph):
    model = with_calibration(make_model())
    predictor = LassPredictor(model, make_processor(labeled_graph))
    model.config.calibration = None
    assert predictor.calibration == CALIBRATION
    assert "label" not in LassPredictor(model, make_processor(labeled_graph)).classify([TRAIN[0]])[0]
    assert predictor.classify([TRAIN[0]])[0]["label"] in ("true", "false")


# Training


def trained(folder, graph, model, architecture="cross-encoder", **choices):
    choices = {"learning_rate": 1e-2, "per_device_train_batch_size": 7, **choices}
    trainer = trainer_of(folder, graph, architecture, model, **choices)
    trainer.train()
    return trainer


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_a_training_ends_with_the_calibration_of_its_weights(architecture, tmp_path, labeled_graph):
    model = with_calibration(make_model(architecture=architecture))
    trained(tmp_path, labeled_graph, model, architecture).save_model()
    expected = Calibration.of(model)
    assert expected is not None
    assert expected != CALIBRATION
    loaded = LassForKGCompletion.from_pretrained(tmp_path)
    assert Calibration.of(loaded) == expected
    again = fit_calibration(loaded, make_processor(labeled_graph, architecture=architecture), labeled_graph, quiet=True)
    assert again.threshold == pytest.approx(expected.threshold, abs=1e-3)


def test_a_training_without_labels_leaves_no_calibration(tmp_path, graph):
    model = with_calibration(make_model())
    trained(tmp_path, graph, model).save_model()
    assert Calibration.of(model) is None
    assert Calibration.of(LassForKGCompletion.from_pretrained(tmp_path)) is None


def test_a_checkpoint_on_the_way_has_no_calibration(tmp_path, labeled_graph):
    trained(tmp_path, labeled_graph, with_calibration(make_model()), save_strategy="steps", save_steps=1)
    first, last = (LassForKGCompletion.from_pretrained(tmp_path / f"checkpoint-{step}") for step in (1, 2))
    assert Calibration.of(first) is None
    assert Calibration.of(last) is None  # it was saved before the training ended


def test_the_calibration_is_fitted_to_the_weights_of_the_best_checkpoint(tmp_path, labeled_graph):
    best = {"load_best_model_at_end": True, "metric_for_best_model": "accuracy", "greater_is_better": False}
    steps = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    trainer = trained(tmp_path, labeled_graph, make_model(), num_train_epochs=2, **best, **steps)
    found = Calibration.of(trainer.model)
    again = LassForKGCompletion.from_pretrained(trainer.state.best_model_checkpoint)
    expected = fit_calibration(again, make_processor(labeled_graph), labeled_graph, quiet=True)
    assert found.threshold == pytest.approx(expected.threshold, abs=1e-5)


def test_a_model_from_a_trained_ones_encoder_has_no_calibration(tmp_path):
    with_calibration(make_model()).save_pretrained(tmp_path)
    assert Calibration.of(LassForKGCompletion.from_encoder(str(tmp_path))) is None


# The command line


@pytest.fixture
def classified(tmp_path, labeled_graph):
    """Folders of a model and of its graph."""
    rows = {
        name: [
            (ids[h], labeled_graph.relations.ids[r], ids[t], str(label))
            for (h, r, t), label in zip(split.triplets.tolist(), split.labels.tolist(), strict=True)
        ]
        for name, split in labeled_graph.splits.items()
        if split.labels is not None
        for ids in [labeled_graph.entities.ids]
    }
    graph = write_graph(tmp_path / "graph", validation=rows["validation"], test=rows["test"])
    make_model().save_pretrained(tmp_path / "model")
    make_processor(KnowledgeGraph.from_directory(graph)).save_pretrained(tmp_path / "model")
    return tmp_path / "model", graph


def classify(model, graph, *more):
    return main(["classify", "--model", str(model), "--graph", str(graph), "--quiet", *map(str, more)])


def test_classify_keeps_the_calibration_in_the_models_folder(classified, tmp_path):
    model, graph = classified
    file = tmp_path / "classify.json"
    assert classify(model, graph, "--json", file, "--dtype", "float32") == 0
    content = json.loads(file.read_text())
    calibration = Calibration.of(LassForKGCompletion.from_pretrained(model))
    assert calibration.threshold == content["threshold"]
    assert calibration.to_dict() == content["calibration"]
    assert 0 <= content["metrics"]["ece_platt"] <= 1
    judged = LassPredictor.from_pretrained(str(model), "float32").classify([tuple(VALIDATION[0])])
    assert set(judged[0]) == {"score", "known", "label", "probability"}


def test_classify_on_another_graph_leaves_the_models_calibration(classified, tmp_path):
    model, _ = classified
    keep_calibration(model, CALIBRATION)
    rows = [("a", "eats", "b", "1"), ("b", "eats", "a", "-1")]
    other = write_graph(tmp_path / "other", [("a", "eats", "b")], rows, rows, entity_text=None)
    assert classify(model, other) == 0
    assert Calibration.of(LassForKGCompletion.from_pretrained(model)) == CALIBRATION


def test_classify_leaves_a_folder_that_cannot_be_written(classified, monkeypatch):
    model, graph = classified
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert classify(model, graph) == 0
    assert Calibration.of(LassForKGCompletion.from_pretrained(model)) is None
