"""The Trainer as users of transformers use it: evaluation alone, several splits, metrics and losses of their own."""

import numpy as np
import pytest
import torch
from helpers.tiny import make_model, make_processor, one_line
from helpers.trainings import losses_of, make_trainer, plain_arguments, trainer_of
from transformers import TrainingArguments

from lass_hf import (
    InBatchCollator,
    KGDataCollator,
    LassTrainer,
    TrainArguments,
    collect_run_metadata,
    evaluate_link_prediction,
    train_and_record,
)
from lass_hf.core.errors import LassError
from lass_hf.scoring.triplet_scorer import TripletScorer


def evaluating(folder, graph, architecture="cross-encoder", **choices):
    """A trainer without a train dataset."""
    return LassTrainer(
        model=make_model(architecture=architecture),
        args=choices.pop("args", None) or plain_arguments(folder, architecture),
        processing_class=make_processor(graph, architecture=architecture),
        **choices,
    )


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
@pytest.mark.parametrize("processor_has_graph", [True, False])
def test_a_split_is_evaluated_without_a_training_split(architecture, processor_has_graph, tmp_path, graph):
    trainer = evaluating(tmp_path, graph if processor_has_graph else None, architecture)
    metrics = trainer.evaluate(graph["test"])
    processor = make_processor(graph, architecture=architecture)
    expected = evaluate_link_prediction(trainer.model, processor, graph, quiet=True).metrics
    assert metrics["eval_mrr"] == expected["mrr"]
    assert np.isfinite(metrics["eval_loss"])


def test_several_splits_are_evaluated_under_their_names(tmp_path, graph):
    splits = {"later": graph["test"], "now": graph["validation"]}
    trainer = evaluating(tmp_path, graph, eval_dataset=splits)
    metrics = trainer.evaluate()
    for name, split in splits.items():
        alone = trainer.evaluate(split)
        assert metrics[f"eval_{name}_mrr"] == alone["eval_mrr"]
        assert metrics[f"eval_{name}_loss"] == alone["eval_loss"]
    assert trainer.evaluate({"x": graph["test"]})["eval_x_mrr"] == metrics["eval_later_mrr"]


def test_the_loss_of_an_evaluation_is_that_with_a_training_split(tmp_path, graph):
    training = trainer_of(tmp_path, graph)
    assert evaluating(tmp_path, graph).evaluate(graph["test"])["eval_loss"] == pytest.approx(
        training.evaluate(graph["test"])["eval_loss"], rel=1e-6
    )


def test_metrics_of_ones_own_get_ranks_and_candidates(tmp_path, graph):
    given = []

    def share_of_best(prediction):
        given.append(prediction)
        return {"best": float(np.mean(prediction.predictions <= 1))}

    metrics = evaluating(tmp_path, graph, compute_metrics=share_of_best).evaluate(graph["test"])
    assert metrics["eval_best"] == metrics["eval_hits@1"]
    assert np.mean(1 / given[0].predictions) == pytest.approx(metrics["eval_mrr"])
    assert (given[0].label_ids >= given[0].predictions).all()


def test_metrics_of_ones_own_get_scores_and_labels(tmp_path, labeled_graph):
    metrics = evaluating(
        tmp_path, labeled_graph, compute_metrics=lambda prediction: {"true": int((prediction.label_ids == 1).sum())}
    ).evaluate(labeled_graph["test"])
    assert metrics["eval_true"] == 3
    assert "eval_accuracy" in metrics


def test_a_loss_of_ones_own_is_the_loss_of_the_training(tmp_path, graph, processor):
    def hinge(outputs, labels, num_items_in_batch=None):
        signs = 2.0 * labels - 1
        return torch.relu(1 - signs * outputs.scores).sum() / (num_items_in_batch or 1)

    batches = []
    choices = {"train_dataset": graph["train"], "eval_dataset": graph["validation"], "compute_loss_func": hinge}
    args = plain_arguments(tmp_path, learning_rate=0.0)
    trainer = LassTrainer(model=make_model(), args=args, processing_class=processor, **choices)
    collate = trainer.data_collator
    trainer.data_collator = lambda features: batches.append(collate(features)) or collate(features)
    trainer.train()
    expected = []
    for batch in batches:
        labels = batch.pop("labels").numpy()
        batch.pop("groups")
        with torch.no_grad():
            scores = make_model()(**batch).scores.double().numpy()
        expected.append(float(np.maximum(0, 1 - (2 * labels - 1) * scores).sum() / (labels == 1).sum()))
    assert losses_of(trainer) == pytest.approx(expected, rel=1e-4)
    triplets, labels = collate.with_negatives(graph["validation"].triplets)
    scores = TripletScorer(trainer.model, processor.token_store(), "float32").score(triplets)
    by_hand = np.maximum(0, 1 - (2.0 * labels - 1) * scores).sum()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(by_hand, rel=1e-4)


def test_the_loss_of_another_graph_is_drawn_from_that_graph(tmp_path, graph, dense_graph):
    """The trainer's collator was made for the processor's own graph, which is smaller."""
    alone = evaluating(tmp_path, dense_graph).evaluate(dense_graph["test"])
    assert evaluating(tmp_path, graph).evaluate(dense_graph["test"])["eval_loss"] == alone["eval_loss"]


def test_a_training_that_cannot_begin_makes_no_repository(tmp_path, graph, monkeypatch):
    monkeypatch.setattr(LassTrainer, "init_hf_repo", lambda *_, **__: pytest.fail("a repository was made"))
    with pytest.raises(LassError, match="loss='mean_bce' with a bi-encoder"):
        trainer_of(tmp_path, graph, "bi-encoder", loss="mean_bce", push_to_hub=True)


@pytest.mark.parametrize("with_schedule", [False, True])
def test_an_optimizer_of_ones_own_is_that_of_a_recorded_training(with_schedule, tmp_path, graph, processor):
    steps = []

    class Counting(torch.optim.SGD):
        def step(self, closure=None):
            steps.append(self.param_groups[0]["lr"])
            return super().step(closure)

    model = make_model()
    optimizer = Counting(model.parameters(), lr=0.25)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=100) if with_schedule else None
    training = plain_arguments(tmp_path, max_steps=2)
    trainer = LassTrainer(
        model=model,
        args=training,
        processing_class=processor,
        train_dataset=graph["train"],
        optimizers=(optimizer, schedule),
        run_metadata=collect_run_metadata(TrainArguments(graph="animals", encoder="tiny"), training, graph),
    )
    train_and_record(trainer)
    assert steps == [0.125 if with_schedule else 0.25] * 2


def test_arguments_of_an_optimizer_that_cannot_be_made_end_before_the_training(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, lr_scheduler_type="cosine_warmup_with_min_lr")
    trainer.card.run_metadata = {"graph": "animals", "seed": 42, "choices": {}}
    with pytest.raises(LassError):
        train_and_record(trainer)
    assert not list(tmp_path.glob("training.json"))


def test_arguments_that_would_be_ignored_are_refused(tmp_path, graph):
    with pytest.raises(LassError) as error:
        trainer_of(tmp_path, graph, label_smoothing_factor=0.1)
    one_line(error, "label_smoothing_factor=0.1", "compare scores and no classes")
    for architecture, choice in (("bi-encoder", {"num_negatives": 9}), ("cross-encoder", {"neighborhood_size": 3})):
        with pytest.raises(LassError) as error:
            trainer_of(tmp_path, graph, architecture, **choice)
        one_line(error, f"{next(iter(choice))}={next(iter(choice.values()))}", "needs architecture=")
    with pytest.raises(LassError, match=r"args=TrainingArguments\(...\); expected LassTrainingArguments"):
        evaluating(tmp_path, graph, args=TrainingArguments(str(tmp_path), use_cpu=True))
    with pytest.raises(LassError, match="remove_unused_columns=True"):
        trainer_of(tmp_path, graph, remove_unused_columns=True)
    with pytest.raises(LassError) as error:
        evaluating(tmp_path, graph, "bi-encoder", compute_loss_func=lambda *_, **__: None)
    one_line(error, "compute_loss_func is for a cross-encoder")
    with pytest.raises(LassError) as error:
        evaluating(tmp_path, graph).evaluate([{"head": 0, "relation": 0, "tail": 1}])
    one_line(error, "splits of a KnowledgeGraph", "list")


def test_a_trainer_of_one_graph_refuses_the_split_of_another(tmp_path, graph, labeled_graph):
    with pytest.raises(LassError, match="splits of the graph that it trains on"):
        trainer_of(tmp_path, graph).evaluate(labeled_graph["test"])


@pytest.mark.parametrize("kind", [KGDataCollator, InBatchCollator])
def test_a_trainer_of_one_graph_refuses_the_collator_of_another(kind, tmp_path, graph, dense_graph):
    architecture = "cross-encoder" if kind is KGDataCollator else "bi-encoder"
    processor = make_processor(dense_graph, architecture=architecture)
    for collator in (kind(processor), kind(processor, dense_graph)):
        with pytest.raises(LassError) as error:
            trainer_of(tmp_path, graph, architecture, data_collator=collator)
        one_line(error, f"{kind.__name__}(...) of another graph", "the graph of train_dataset")
    trainer_of(tmp_path, graph, architecture, data_collator=kind(processor, graph)).train()


def test_the_collator_of_another_architecture_is_refused(tmp_path, graph):
    for collator, architecture in ((KGDataCollator, "cross-encoder"), (InBatchCollator, "bi-encoder")):
        other = {"cross-encoder": "bi-encoder", "bi-encoder": "cross-encoder"}[architecture]
        made = collator(make_processor(graph, architecture=architecture))
        with pytest.raises(LassError) as error:
            trainer_of(tmp_path, graph, other, data_collator=made)
        one_line(error, f"{collator.__name__}(...) with a {other}; expected a ")


@pytest.mark.parametrize(
    ("architecture", "choices", "dropped", "told"),
    [
        ("cross-encoder", {"loss": "softmax"}, "groups", "loss='softmax' needs labels, groups, as in a batch of KGD"),
        ("cross-encoder", {"loss": "mean_bce"}, "labels", "loss='mean_bce' needs labels, as in a batch of KGData"),
        ("bi-encoder", {}, "candidate_rows", "query_rows, candidates, candidate_rows, as in a batch of InBatch"),
    ],
)
def test_a_batch_that_lacks_what_the_loss_needs_is_named(architecture, choices, dropped, told, tmp_path, graph):
    processor = make_processor(graph, architecture=architecture)
    makes = (KGDataCollator if architecture == "cross-encoder" else InBatchCollator)(processor)

    class Lacking:
        def __call__(self, part):
            return {name: value for name, value in makes(part).items() if name != dropped}

    trainer = trainer_of(tmp_path, graph, architecture, data_collator=Lacking(), **choices)
    with pytest.raises(LassError) as error:
        trainer.train()
    one_line(error, f"a batch of Lacking has no {dropped!r}; ", told)
