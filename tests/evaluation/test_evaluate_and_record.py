"""One evaluation with all its records: the same keys for every task, the card, and what is refused."""

import json
import os
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import make_model, make_processor

import lass_hf.evaluation.evaluate_and_record as record_module
from lass_hf import (
    EvaluationArguments,
    GraphError,
    KnowledgeGraph,
    LassError,
    Reranker,
    check_evaluation,
    evaluate_and_record,
)
from lass_hf.hub.card_files import model_card_data, read_card_data, write_card

COMMON = ["metrics", "num_processes", "task", "protocol", "graph", "split", "limit", "seed", "dtype", "seconds"]
COMMON += ["command", "model", "fingerprint", "training", "ranking_weights", "evidence", "versions", "machine"]
COMMON += ["git_commit", "graph_fingerprint", "graph_texts_fingerprint"]


@pytest.fixture
def saved(labeled_graph, tmp_path):
    """Gives a model of an architecture, its processor and its folder, which has a card."""

    def save(architecture="cross-encoder"):
        model = make_model(architecture=architecture)
        processor = make_processor(labeled_graph, architecture=architecture)
        folder = tmp_path / architecture
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        write_card(folder, {**model_card_data(model, processor), "training": None, "evaluations": []}, labeled_graph)
        return model, processor, str(folder)

    return save


def record(task, saved, graph, file=None, **choices):
    model, processor, folder = saved
    choices = {"folder": folder, "graph_name": "data/animals", "quiet": True, **choices}
    return evaluate_and_record(task, model, processor, graph, file=file, **choices)


@pytest.mark.parametrize(
    ("task", "own"),
    [
        ("link_prediction", {"by_relation", "by_category", "unseen", "ranks"}),
        ("relation_prediction", {"by_relation", "by_category", "unseen", "ranks"}),
        ("triplet_classification", {"threshold", "calibration", "relation_thresholds", "scores"}),
    ],
)
def test_every_task_writes_the_same_keys_and_its_own(task, own, saved, labeled_graph, tmp_path):
    file = tmp_path / "results.json"
    model = saved()
    result = record(task, model, labeled_graph, file)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content.keys() == {"format", *COMMON, *own}
    assert (content["task"], content["graph"], content["model"]) == (task, "animals", model[2])
    assert content["metrics"] == result.metrics
    (evaluation,) = read_card_data(model[2])["evaluations"]
    assert evaluation["task"] == task.replace("_", " ")
    assert not list(tmp_path.rglob("*.progress"))


def test_the_progress_is_in_the_model_where_results_go_into_a_device(saved, labeled_graph, tmp_path, monkeypatch):
    model, folders = saved(), []
    monkeypatch.setattr(record_module, "remove_progress", folders.append)
    (tmp_path / "device").symlink_to(os.devnull)
    record("relation_prediction", model, labeled_graph, tmp_path / "device")
    assert folders == [Path(model[2], "relation_prediction-test.progress")]


def test_a_reranking_is_on_the_cards_of_both_models(saved, labeled_graph, tmp_path):
    retriever, reranker = saved("bi-encoder"), saved()
    second = Reranker(reranker[2], *reranker[:2], top_k=4, retriever_weight=0.5)
    record("link_prediction", retriever, labeled_graph, tmp_path / "results.json", reranker=second)
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert (content["rerank"], content["top_k"], content["retriever_weight"]) == (reranker[2], 4, 0.5)
    tasks = [[one["task"] for one in read_card_data(model[2])["evaluations"]] for model in (retriever, reranker)]
    assert tasks == [["link prediction", "reranked link prediction"], ["reranked link prediction"]]


def test_a_model_without_a_folder_keeps_no_vectors(labeled_graph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_model(architecture="bi-encoder"), make_processor(labeled_graph, architecture="bi-encoder"), None
    record("link_prediction", model, labeled_graph)
    assert not list(tmp_path.iterdir())


def test_an_evaluation_by_other_weights_leaves_the_card(saved, labeled_graph):
    model = saved()
    record("link_prediction", model, labeled_graph, on_card=False)
    assert read_card_data(model[2])["evaluations"] == []


def test_a_calibration_is_on_the_card_without_an_evaluation_too(saved, labeled_graph):
    model = saved()
    result = record("triplet_classification", model, labeled_graph, evidence="frequency")
    assert read_card_data(model[2])["evaluations"] == []
    text = Path(model[2], "README.md").read_text(encoding="utf-8")
    assert f"true above the score {result.text.threshold:.4f}" in text


def test_a_limit_that_leaves_nothing_out_is_not_recorded(saved, labeled_graph, tmp_path):
    model, count = saved(), len(labeled_graph["test"].positives)
    for limit, expected in ((count, None), (count - 1, count - 1)):
        record("link_prediction", model, labeled_graph, tmp_path / "results.json", limit=limit)
        assert json.loads((tmp_path / "results.json").read_text())["limit"] == expected


@pytest.mark.parametrize("damaged", ["bi-encoder", "cross-encoder"])
def test_a_damaged_training_json_is_refused_before_the_work(damaged, saved, labeled_graph, tmp_path, monkeypatch):
    retriever, reranker = saved("bi-encoder"), saved()
    (tmp_path / damaged / "training.json").write_text('{"metrics": {"tr', encoding="utf-8")
    started = []
    monkeypatch.setattr(record_module, "evaluate_reranking", lambda *given, **choices: started.append(given))
    with pytest.raises(LassError, match=r"training\.json"):
        record("link_prediction", retriever, labeled_graph, reranker=Reranker(reranker[2], *reranker[:2], top_k=4))
    assert started == []


@pytest.mark.parametrize(("labels", "error"), [(None, "no split 'validation'"), ((0, 0), "validation .* no true")])
def test_an_ablation_without_a_split_to_fit_on_is_refused_before_the_work(labels, error, graph, monkeypatch):
    train, some = graph["train"].triplets, graph["validation"].triplets[:2]
    splits = {"train": (train, None), "test": (graph["test"].triplets, None)}
    if labels is not None:
        splits["validation"] = (some, np.array(labels, dtype=np.int8))
    other = KnowledgeGraph(graph.entities, graph.relations, splits)
    for name in ("choose_evidence", "evaluate_link_prediction"):
        monkeypatch.setattr(record_module, name, None)
    with pytest.raises(GraphError, match=error):
        record("link_prediction", (None, None, None), other, evidence="frequency,rules", with_ablation=True)


@pytest.mark.parametrize("choice", [{"limit": 0}, {"seed": 1.5}, {"split": "validation"}, {"depth": 4}], ids=str)
def test_what_cannot_be_ranked_is_refused_before_evidence_is_found(choice, saved, graph, monkeypatch):
    splits = {name: (split.triplets, split.labels) for name, split in graph.splits.items()}
    false = graph["validation"].triplets, np.zeros(len(graph["validation"]), np.int8)
    other = KnowledgeGraph(graph.entities, graph.relations, {**splits, "validation": false})
    monkeypatch.setattr(record_module, "choose_evidence", None)
    model = (None, None, None)
    if depth := choice.get("depth"):
        model, reranker = saved("bi-encoder"), saved()
        choice = {"reranker": Reranker(reranker[2], *reranker[:2], top_k=depth)}
    with pytest.raises(LassError):
        record("link_prediction", model, other, evidence="rules", **choice)


@pytest.mark.parametrize("task", ["link_prediction", "relation_prediction", "triplet_classification"])
def test_results_that_cannot_be_written_are_refused_before_the_work(task, saved, labeled_graph, tmp_path, monkeypatch):
    model, processor, folder = saved()
    for name in ("choose_evidence", "_evaluate_model"):
        monkeypatch.setattr(record_module, name, None)
    for given, choices, message in (
        ((model, processor), {"file": tmp_path}, "cannot be written"),
        ((model, processor), {"graph_name": None}, "graph_name=None; expected the folder or the name"),
        ((model, None), {}, "model and processor belong together"),
    ):
        with pytest.raises(LassError, match=message):
            record(task, (*given, folder), labeled_graph, **choices)


def test_an_unknown_task_is_refused(saved, labeled_graph):
    with pytest.raises(LassError, match="task='ranking'; expected one of link_prediction"):
        record("ranking", saved(), labeled_graph)


@pytest.mark.parametrize(
    ("task", "choices"),
    [
        ("triplet_classification", {"limit": 3}),
        ("triplet_classification", {"with_ablation": True}),
        ("relation_prediction", {"with_ablation": True}),
        ("relation_prediction", {"evidence": "rules"}),
        ("relation_prediction", {"reranker": Reranker("r", None, None)}),
    ],
)
def test_what_a_task_has_no_use_for_is_refused(task, choices, saved, labeled_graph):
    with pytest.raises(LassError, match=f"{next(iter(choices))} changes nothing for task='{task}'; leave it out"):
        record(task, saved(), labeled_graph, **choices)


def test_a_reranker_needs_a_model(labeled_graph):
    with pytest.raises(LassError, match="reranker needs a model"):
        record("link_prediction", (None, None, None), labeled_graph, reranker=Reranker("r", None, None))


@pytest.mark.parametrize(
    ("choices", "name"),
    [({}, "t"), ({"split": "validation"}, "t-validation"), ({"limit": 3}, "t-3")],
)
def test_results_of_other_triplets_have_files_of_their_own(choices, name):
    assert EvaluationArguments(**choices).results_file("t", "out") == f"out/{name}.json"


def test_what_cannot_be_evaluated_is_refused_before_a_training(graph, tmp_path):
    check_evaluation("link_prediction", graph, "test", tmp_path / "results.json")
    for task, split, error in (
        ("link_prediction", "dev", "no split 'dev'"),
        ("triplet_classification", "test", "no false triplet"),
    ):
        with pytest.raises(GraphError, match=error):
            check_evaluation(task, graph, split, tmp_path / "results.json")
    with pytest.raises(LassError, match="cannot be written"):
        check_evaluation("link_prediction", graph, "test", tmp_path)


def test_every_argument_is_documented():
    documented = evaluate_and_record.__doc__.split("Args:")[1].split("Returns:")[0]
    assert all(f"        {name}: " in documented for name in signature(evaluate_and_record).parameters)
