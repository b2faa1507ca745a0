"""Trackers get ranking metrics and throughput, in the log and in a real TensorBoard's files."""

import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.trainings import trainer_of
from transformers import TrainerCallback

from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import scorer_from_triplets
from lass_hf.training.callbacks import ThroughputCallback

POSITIVES, NEGATIVES = 14, 6  # of the graph's training split; of each positive


class Tracker(TrainerCallback):
    """Takes notes as the callbacks of trackers do."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append(dict(logs))


def tracked(folder, graph, architecture="cross-encoder", **choices):
    """A training of four steps that is evaluated after each epoch."""
    steps = {"num_train_epochs": 2, "per_device_train_batch_size": 7, "eval_strategy": "epoch"}
    return trainer_of(folder, graph, architecture, **{**steps, **choices})


def clock(monkeypatch, seconds):
    """Every look at the clock is `seconds` after the one before."""
    now = itertools.count(step=seconds)
    monkeypatch.setattr("lass_hf.training.callbacks.time", SimpleNamespace(perf_counter=lambda: next(now)))
    monkeypatch.setattr("lass_hf.training.split_evaluation.time", SimpleNamespace(perf_counter=lambda: next(now)))


def test_trackers_get_ranking_metrics_and_throughput(tmp_path, graph):
    tracker = Tracker()
    trainer = tracked(tmp_path, graph, callbacks=[tracker])
    output = trainer.train()
    told = [{name: value for name, value in entry.items() if name != "step"} for entry in trainer.state.log_history]
    assert tracker.logs == told
    steps = [logs for logs in tracker.logs if "loss" in logs]
    assert len(steps) == 4
    assert all(logs["positives_per_second"] > 0 for logs in steps)
    evaluations = [logs for logs in tracker.logs if "eval_mrr" in logs]
    assert len(evaluations) == 2
    for logs in evaluations:
        assert {"eval_mr", "eval_hits@1", "eval_hits@10", "eval_head_mrr", "eval_amri"} <= set(logs)
        assert logs["eval_triplets_per_second"] > 0
        assert all(isinstance(value, (int, float)) for value in logs.values())  # others are dropped by trackers
    assert output.metrics["train_triplets_per_second"] == tracker.logs[-1]["train_triplets_per_second"] > 0


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_trackers_get_what_went_through_the_model_in_the_time_of_the_steps(
    architecture, accumulation, tmp_path, graph, monkeypatch
):
    tracker = Tracker()
    choices = {"eval_strategy": "steps", "eval_steps": 1, "gradient_accumulation_steps": accumulation}
    trainer = tracked(tmp_path, graph, architecture, callbacks=[tracker], **choices)
    clock(monkeypatch, 0.5)  # a step takes one look to the next: evaluations take time, too, and are not counted
    trainer.train()
    positives = 7 * accumulation / 0.5
    triplets = positives * (1 + NEGATIVES) if architecture == "cross-encoder" else positives
    steps = [logs for logs in tracker.logs if "loss" in logs]
    assert len(steps) == 4 // accumulation
    for logs in steps:
        assert (logs["positives_per_second"], logs["triplets_per_second"]) == (positives, triplets)
    whole = tracker.logs[-1]
    assert (whole["train_positives_per_second"], whole["train_triplets_per_second"]) == (positives, triplets)


def test_trackers_get_the_rate_at_which_triplets_were_scored(tmp_path, graph, monkeypatch):
    trainer = tracked(tmp_path, graph)
    scored = []

    def count(triplets, slot, bar):
        scored.append(len(triplets))
        return np.zeros(len(triplets), dtype=np.float32)

    result = rank_split(scorer_from_triplets(count), graph["validation"], quiet=True)
    assert result.num_scored == sum(scored)
    clock(monkeypatch, 0.5)
    assert trainer.evaluate()["eval_triplets_per_second"] == sum(scored) / 0.5


def test_trackers_get_the_rate_of_classification_too(tmp_path, labeled_graph, monkeypatch):
    trainer = tracked(tmp_path, labeled_graph)
    clock(monkeypatch, 0.5)
    metrics = trainer.evaluate()
    assert metrics["eval_triplets_per_second"] == len(labeled_graph["validation"]) / 0.5
    assert "eval_accuracy" in metrics


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_number_of_scored_triplets_counts_equal_queries_once(split, graph):
    scored = []

    def count(triplets, slot, bar):
        scored.append(len(triplets))
        return np.zeros(len(triplets), dtype=np.float32)

    for slots in ((0, 2), (1,)):
        scored.clear()
        assert rank_split(scorer_from_triplets(count), graph[split], slots, quiet=True).num_scored == sum(scored)


def test_samples_of_the_trainers_own_rates_are_positives(tmp_path, graph):
    trainer = tracked(tmp_path, graph, eval_triplets=2)
    metrics = trainer.train().metrics
    assert metrics["train_samples_per_second"] * metrics["train_runtime"] == pytest.approx(2 * POSITIVES, rel=0.01)
    metrics = trainer.evaluate()
    assert metrics["eval_samples_per_second"] * metrics["eval_runtime"] == pytest.approx(2, rel=0.01)


def test_throughput_is_empty_before_the_first_step():
    throughput = ThroughputCallback()
    assert throughput.since_last_log() == throughput.of_training() == {}
    throughput.begin_step()
    throughput.add(torch.tensor([2, 6]))
    while throughput.of_training() == {}:  # a clock may stand still
        throughput.on_step_end(None, None, None)
        time.perf_counter()
    rates = throughput.since_last_log()
    assert rates["triplets_per_second"] == pytest.approx(3 * rates["positives_per_second"], rel=1e-3)
    assert throughput.since_last_log() == {}


def test_tensorboard_of_trackers_has_every_metric_by_its_name(tmp_path, graph, monkeypatch):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    trainer = tracked(tmp_path / "out", graph, report_to="tensorboard")
    trainer.train()
    board = event_accumulator.EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    names = {"eval/mrr", "eval/hits@10", "eval/triplets_per_second", "train/triplets_per_second", "train/loss"}
    assert names <= set(board.Tags()["scalars"])
    expected = [(entry["step"], entry["eval_hits@10"]) for entry in trainer.state.log_history if "eval_mrr" in entry]
    found = [(event.step, event.value) for event in board.Scalars("eval/hits@10")]
    assert found == [(step, pytest.approx(value)) for step, value in expected]
