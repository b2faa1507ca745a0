"""LassTrainer's evaluation: ranks, accuracy, the best model; and what is kept of a training."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import TRAIN, VALIDATION, make_graph, make_model, make_processor, one_line, wordpiece_tokenizer
from helpers.trainings import assert_equal, expected_loss, losses_of, make_trainer, parameters_of, plain_arguments
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, TrainerCallback

from lass_hf import (
    KnowledgeGraph,
    LassPredictor,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    evaluate_link_prediction,
    evaluate_triplet_classification,
)
from lass_hf.core.errors import LassError
from lass_hf.training.split_evaluation import check_metric


def test_evaluate_gives_the_loss_and_the_metrics_of_link_prediction(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    metrics = trainer.evaluate()
    assert {"eval_loss", "eval_mr", "eval_mrr", "eval_hits@1", "eval_hits@3", "eval_hits@10", "eval_amri"} <= {*metrics}
    result = evaluate_link_prediction(make_model(), processor, graph, split="validation", quiet=True)
    assert {name: metrics[f"eval_{name}"] for name in result.metrics} == result.metrics


@pytest.mark.parametrize("loss", ["negative_sampling", "softmax"])
def test_evaluation_loss_is_that_of_the_equation_on_the_split(loss, tmp_path, graph, processor, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # scores in float32
    trainer = make_trainer(tmp_path, graph, processor, loss=loss)
    batch = trainer.data_collator([graph["validation"][number] for number in range(3)])
    expected = expected_loss(make_model(), batch, loss)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-4)


def test_evaluate_takes_another_split_and_prefix(tmp_path, graph, processor):
    metrics = make_trainer(tmp_path, graph, processor).evaluate(graph["test"], metric_key_prefix="test")
    result = evaluate_link_prediction(make_model(), processor, graph, split="test", quiet=True)
    assert metrics["test_mrr"] == result.metrics["mrr"]
    assert not [name for name in metrics if name.startswith("eval_")]


def test_evaluate_takes_a_dictionary_of_splits(tmp_path, graph, processor):
    splits = {"validation": graph["validation"], "test": graph["test"]}
    metrics = make_trainer(tmp_path, graph, processor, eval_dataset=splits).evaluate()
    for name in splits:
        result = evaluate_link_prediction(make_model(), processor, graph, split=name, quiet=True)
        assert metrics[f"eval_{name}_mrr"] == result.metrics["mrr"]


def test_eval_triplets_ranks_a_seeded_choice(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, eval_triplets=2, seed=7)
    metrics = trainer.evaluate()
    result = evaluate_link_prediction(make_model(), processor, graph, "validation", limit=2, seed=7, quiet=True)
    assert metrics["eval_num_triplets"] == 2
    assert metrics["eval_mrr"] == result.metrics["mrr"]
    assert trainer.evaluate()["eval_loss"] == metrics["eval_loss"]


def test_evaluation_leaves_the_model_in_training_mode_and_unchanged(tmp_path, graph, processor):
    model = make_model().train()
    before = parameters_of(model)
    make_trainer(tmp_path, graph, processor, model).evaluate()
    assert model.training
    assert_equal(parameters_of(model), before)


def test_evaluation_within_training_does_not_change_it(tmp_path, graph, processor):
    with_evaluation, without = (
        make_trainer(tmp_path, graph, processor, num_train_epochs=2, eval_strategy=strategy)
        for strategy in ("epoch", "no")
    )
    with_evaluation.train()
    without.train()
    assert len([entry for entry in with_evaluation.state.log_history if "eval_mrr" in entry]) == 2
    assert_equal(parameters_of(with_evaluation.model), parameters_of(without.model))


def test_evaluation_loss_of_an_unchanged_model_is_the_same_each_epoch(tmp_path, graph, processor):
    trainer = make_trainer(
        tmp_path, graph, processor, learning_rate=0.0, num_train_epochs=3, eval_strategy="epoch", eval_on_start=True
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(losses) == 4
    assert len(set(losses)) == 1


def test_labeled_validation_gives_accuracy(tmp_path, labeled_graph, processor):
    trainer = make_trainer(tmp_path, labeled_graph, processor)
    metrics = trainer.evaluate()
    result = evaluate_triplet_classification(
        make_model(), processor, labeled_graph, split="validation", quiet=True
    ).metrics
    assert {name: metrics[f"eval_{name}"] for name in result} == result
    assert 0.5 <= metrics["eval_accuracy"] <= 1
    assert np.isfinite(metrics["eval_loss"])
    assert "eval_mrr" not in metrics


def test_eval_triplets_classifies_a_seeded_choice(tmp_path, labeled_graph, processor):
    trainer = make_trainer(tmp_path, labeled_graph, processor, eval_triplets=2, seed=7)
    metrics = trainer.evaluate()
    assert metrics["eval_num_triplets"] == 2
    assert "eval_roc_auc" in metrics  # one is true, and one false
    output = trainer.predict(labeled_graph["validation"])
    assert sorted(output.label_ids) == [0, 1]
    assert output.metrics["test_loss"] == metrics["eval_loss"]  # the same choice each time
    trainer.save_model()
    assert "those of 2 of 6 labeled triplets (a seeded choice)." in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_predict_gives_the_metrics_of_a_test_split(tmp_path, graph, processor):
    output = make_trainer(tmp_path, graph, processor).predict(graph["test"])
    result = evaluate_link_prediction(make_model(), processor, graph, split="test", quiet=True)
    assert output.metrics["test_mrr"] == result.metrics["mrr"]
    np.testing.assert_array_equal(output.predictions, result.ranks)


class Forget(TrainerCallback):
    """Ruins the model at the end of the last epoch, before it is evaluated."""

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        if state.epoch >= args.num_train_epochs:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()


def test_best_model_by_mrr_is_loaded_at_the_end(tmp_path, graph, processor):
    best = {"metric_for_best_model": "mrr", "load_best_model_at_end": True}
    strategies = {"eval_strategy": "epoch", "save_strategy": "epoch", "eval_dataset": graph["train"]}
    choices = {"num_train_epochs": 10, "callbacks": [Forget()], "optim": "adamw_torch", "learning_rate": 3e-3}
    trainer = make_trainer(tmp_path, graph, processor, **best, **strategies, **choices)
    trainer.train()
    history = {entry["step"]: entry["eval_mrr"] for entry in trainer.state.log_history if "eval_mrr" in entry}
    assert list(history) == list(range(4, 44, 4))
    assert trainer.state.best_metric == max(history.values()) > history[40]
    folder = Path(trainer.state.best_model_checkpoint)
    assert folder.name == f"checkpoint-{max(history, key=lambda step: history[step])}"
    saved = load_file(folder / "model.safetensors")
    assert_equal(parameters_of(trainer.model), {name: saved[name] for name in parameters_of(trainer.model)})


def test_training_stops_early_when_mrr_does_not_rise(tmp_path, graph, processor):
    best = {"metric_for_best_model": "mrr", "load_best_model_at_end": True}
    strategies = {"eval_strategy": "epoch", "save_strategy": "epoch"}
    choices = {"learning_rate": 0.0, "num_train_epochs": 9}
    stop = EarlyStoppingCallback(early_stopping_patience=2)
    trainer = make_trainer(tmp_path, graph, processor, callbacks=[stop], **best, **strategies, **choices)
    trainer.train()
    assert trainer.state.epoch == 3


def test_evaluation_split_of_another_graph_is_refused(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    with pytest.raises(LassError, match="graph that it trains on"):
        trainer.evaluate(make_graph()["validation"])


def test_a_validation_split_labeled_true_throughout_is_ranked(tmp_path):
    graph = KnowledgeGraph.from_triplets(TRAIN, [(*row, 1) for row in VALIDATION])
    processor = LassProcessor(wordpiece_tokenizer())
    metrics = make_trainer(tmp_path, graph, processor, eval_dataset=graph["validation"]).evaluate()
    assert "eval_mrr" in metrics
    assert "eval_accuracy" not in metrics


# Whether more is better, by hand; None: a count or a rate, which no model is chosen by.
MORE_IS_BETTER = {
    **{"loss": False, "mr": False, "mrr": True, "hits@1": True, "hits@3": True, "hits@10": True, "amri": True},
    **{"accuracy": True, "precision": True, "recall": True, "f1": True, "roc_auc": True, "ece_platt": False},
    **dict.fromkeys(["num_triplets", "num_queries", "tied_queries", "triplets_per_second"]),
    **dict.fromkeys(["runtime", "samples_per_second", "steps_per_second", "epoch"]),
}


@pytest.mark.parametrize("labeled", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_of_each_metric_it_is_known_whether_more_is_better(several, labeled, tmp_path, graph, labeled_graph, processor):
    graph = labeled_graph if labeled else graph
    processor.graph = graph
    splits = {"now": graph["validation"], "later": graph["test"]} if several else graph["validation"]
    trainer = make_trainer(tmp_path, graph, processor, eval_dataset=splits)
    chosen = []
    for metric in trainer.evaluate():
        name = re.sub("^eval_(now_|later_)?(head_|tail_|optimistic_|pessimistic_|per_relation_)?", "", metric)
        for given in {metric, metric.removeprefix("eval_")}:
            if MORE_IS_BETTER[name] is None:
                with pytest.raises(LassError):
                    make_trainer(tmp_path, graph, processor, eval_dataset=splits, metric_for_best_model=given)
            else:
                arguments = plain_arguments(tmp_path, metric_for_best_model=given)
                assert arguments.greater_is_better is MORE_IS_BETTER[name]
                chosen.append(given)
    trainer = make_trainer(tmp_path, graph, processor, eval_dataset=splits, metric_for_best_model=chosen[-1])
    for given in chosen:
        check_metric(given, {f"{name}_": split for name, split in splits.items()} if several else {"": splits})


def test_a_metric_that_no_evaluation_returns_is_refused_before_the_training(tmp_path, graph, processor):
    with pytest.raises(LassError) as error:
        make_trainer(tmp_path, graph, processor, metric_for_best_model="accuracy")
    one_line(error, "metric_for_best_model='accuracy'", "the evaluation returns loss, mr, mrr")
    with pytest.raises(LassError) as error:
        plain_arguments(tmp_path, metric_for_best_model="brier")
    one_line(error, "metric_for_best_model='brier'", "greater_is_better=True or False")
    choices = {"metric_for_best_model": "brier", "greater_is_better": False}
    with pytest.raises(LassError, match="the evaluation returns loss"):
        make_trainer(tmp_path, graph, processor, **choices)
    own = {"compute_metrics": lambda _: {"brier": 0.5}, "eval_dataset": graph["validation"]}
    args = plain_arguments(tmp_path, **choices)
    trainer = LassTrainer(model=make_model(), args=args, processing_class=processor, **own)
    assert trainer.evaluate()["eval_brier"] == 0.5


def test_ranking_a_choice_counts_the_choice_as_samples(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, eval_triplets=1)
    output = trainer.predict(graph["test"])
    assert output.metrics["test_num_triplets"] == 1
    assert len(output.predictions) == 2


# What is kept


def test_processor_without_graph_gets_that_of_the_split(tmp_path):
    graph, processor = make_graph(), LassProcessor(wordpiece_tokenizer())
    make_trainer(tmp_path, graph, processor)
    assert processor.graph is graph


def test_saved_model_answers_questions(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    trainer.train()
    trainer.save_model()
    predictor = LassPredictor.from_pretrained(str(tmp_path), dtype="float32")
    expected = LassPredictor(trainer.model, processor, dtype="float32")
    triplets = [("cat", "eats", "milk"), ("dog", "is_a", "animal")]
    np.testing.assert_array_equal(predictor.score(triplets), expected.score(triplets))
    assert predictor.predict(head="cat", relation="is_a") == expected.predict(head="cat", relation="is_a")
    assert predictor.graph.known.contains(graph["test"].triplets).all()


def test_checkpoints_load_as_models(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, save_strategy="epoch")
    trainer.train()
    predictor = LassPredictor.from_pretrained(str(tmp_path / "checkpoint-4"), dtype="float32")
    expected = LassPredictor(trainer.model, processor, dtype="float32").score([("cat", "eats", "milk")])
    np.testing.assert_array_equal(predictor.score([("cat", "eats", "milk")]), expected)


@pytest.mark.parametrize(
    "choices",
    [
        {"loss": "mean_bce", "corruption": "head_or_tail", "num_negatives": 1},
        {"loss": "mean_bce", "num_negatives": 5, "replacement": True},
    ],
    ids=["classification", "link_prediction"],
)
def test_published_settings_train(choices, tmp_path, graph):
    processor = LassProcessor(wordpiece_tokenizer(), separators=False)
    trainer = make_trainer(tmp_path, graph, processor, num_train_epochs=3, learning_rate=0.5, **choices)
    trainer.train()
    losses = losses_of(trainer)
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def test_negatives_follow_the_arguments(tmp_path, graph, processor):
    choices = {"num_negatives": 3, "corruption": "head_or_tail", "replacement": True, "seed": 11}
    sampler = make_trainer(tmp_path, graph, processor, **choices).data_collator.sampler
    assert {name: getattr(sampler, name) for name in choices} == choices


def test_autocast_is_chosen_by_the_hardware(tmp_path, monkeypatch):
    for capabilities, expected in (({}, False), ({"avx512_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        assert LassTrainingArguments(output_dir=str(tmp_path), use_cpu=True).bf16 is expected


def test_the_graph_that_is_trained_on_is_the_one_that_is_saved(tmp_path, graph):
    processor = make_processor(make_graph())
    make_trainer(tmp_path, graph, processor)
    assert processor.graph is graph
