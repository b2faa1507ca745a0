"""LassTrainer: the loss it minimises and logs, accumulation, resuming, evaluation, and what it keeps."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator, DistributedType
from conftest import ENTITY_TEXT, RELATION_TEXT, TRAIN, VALIDATION, make_graph, make_model, wordpiece_tokenizer
from safetensors.torch import load_file
from transformers import EarlyStoppingCallback, TrainerCallback

from lass_hf import (
    KGDataCollator,
    KnowledgeGraph,
    LassPredictor,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    evaluate_link_prediction,
    evaluate_triplet_classification,
)
from lass_hf.errors import LassError, NonFiniteError

LOSSES = ["negative_sampling", "mean_bce"]


class RecordingCollator(KGDataCollator):
    """Notes each batch with the epoch whose negatives it holds, in the order in which they are made."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def __call__(self, features):
        batch = super().__call__(features)
        self.batches.append((int(self._epoch), batch))
        return batch


class PaddedCollator(RecordingCollator):
    """The same batches, each for one encoder call, padded to its longest sequence."""

    def __call__(self, features):
        return {name: value for name, value in super().__call__(features).items() if name != "micro_batches"}


def make_trainer(folder, graph, processor, model=None, train_dataset=None, eval_dataset=None, **choices):
    """A trainer on 14 positives: float32, plain gradient descent, each step's loss logged, nothing saved."""
    callbacks = choices.pop("callbacks", None)
    collator = choices.pop("data_collator", None)
    defaults = {
        "learning_rate": 0.05,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": False,
        "num_negatives": 2,
    }
    return LassTrainer(
        model=make_model() if model is None else model,
        args=LassTrainingArguments(output_dir=str(folder), **{**defaults, **choices}),
        processing_class=processor,
        train_dataset=graph["train"] if train_dataset is None else train_dataset,
        eval_dataset=graph["validation"] if eval_dataset is None else eval_dataset,
        data_collator=collator,
        callbacks=callbacks,
    )


def losses_of(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def parameters_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def assert_close(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


def assert_equal(found, expected):
    assert_close(found, expected, rtol=0, atol=0)


def expected_loss(model, batch, loss):
    """Eq. 4 (or the mean of binary cross-entropies) of a batch in float64, positive by positive."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        scores = model(**inputs).scores.double().numpy()
    labels = batch["labels"].numpy()
    terms = np.where(labels == 1, np.logaddexp(0, -scores), np.logaddexp(0, scores))
    if loss == "mean_bce":
        return terms.mean()
    return (3 * terms[labels == 1].sum() + terms[labels == 0].sum()) / (labels == 1).sum()


# The loss


@pytest.mark.parametrize("loss", LOSSES)
def test_training_lowers_the_loss(loss, tmp_path, graph, processor):
    choices = {"optim": "adamw_torch", "learning_rate": 3e-3, "max_grad_norm": 1.0, "num_train_epochs": 8}
    trainer = make_trainer(tmp_path, graph, processor, loss=loss, **choices)
    trainer.train()
    losses = losses_of(trainer)
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])


def test_training_ranks_the_training_triplets_better(tmp_path, graph, processor):
    model = make_model()
    before = evaluate_link_prediction(model, processor, graph, split="train", quiet=True).metrics["mrr"]
    choices = {"optim": "adamw_torch", "learning_rate": 3e-3, "max_grad_norm": 1.0, "num_train_epochs": 12}
    make_trainer(tmp_path, graph, processor, model, **choices).train()
    after = evaluate_link_prediction(model, processor, graph, split="train", quiet=True).metrics["mrr"]
    assert after > before + 0.1


@pytest.mark.parametrize("loss", LOSSES)
def test_logged_loss_is_that_of_the_equation(loss, tmp_path, graph, processor):
    collator = RecordingCollator(processor, graph, num_negatives=2)
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, loss=loss, learning_rate=0.0)
    trainer.train()
    expected = [expected_loss(make_model(), batch, loss) for _, batch in collator.batches]
    assert len(expected) == 4
    assert losses_of(trainer) == pytest.approx(expected, rel=1e-4)


def test_positive_of_a_head_or_tail_corruption_counts_once(tmp_path, graph, processor):
    choices = {"corruption": "head_or_tail", "num_negatives": 1}
    collator = RecordingCollator(processor, graph, **choices)
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, learning_rate=0.0, **choices)
    trainer.train()
    _, batch = collator.batches[0]
    # One negative per positive, and each counted once: the sum of both is twice their mean.
    assert losses_of(trainer)[0] == pytest.approx(2 * expected_loss(make_model(), batch, "mean_bce"), rel=1e-4)


def test_compute_loss_gives_outputs_when_asked_for(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    batch = trainer.data_collator([graph["train"][0], graph["train"][1]])
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    assert loss.item() == pytest.approx(expected_loss(trainer.model, batch, "negative_sampling"), rel=1e-4)
    assert outputs.scores.shape == batch["labels"].shape
    assert "labels" in batch


@pytest.mark.parametrize("loss", LOSSES)
def test_micro_batches_train_like_padded_batches(loss, tmp_path, graph, processor):
    trained = []
    for kind in (RecordingCollator, PaddedCollator):
        collator = kind(processor, graph, num_negatives=2)
        choices = {"loss": loss, "num_train_epochs": 3, "optim": "adamw_torch_fused", "adam_epsilon": 1e-2}
        trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, **choices, learning_rate=1e-2)
        trainer.train()
        assert max(len(batch["micro_batches"]) for _, batch in collator.batches) > 1
        trained.append(trainer)
    parts, whole = trained
    assert len(losses_of(parts)) == 12
    assert losses_of(parts) == pytest.approx(losses_of(whole), rel=1e-5)
    assert np.mean(losses_of(parts)[-4:]) < 0.9 * losses_of(parts)[0]
    assert_close(parameters_of(parts.model), parameters_of(whole.model), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("distributed_type", "gpus", "kept"),
    [("NO", 1, True), ("MULTI_GPU", 1, True), ("NO", 2, False), ("FSDP", 1, False), ("DEEPSPEED", 1, False)],
)
def test_sharded_models_encode_a_batch_at_once(distributed_type, gpus, kept, tmp_path, graph, processor, monkeypatch):
    trainer = make_trainer(tmp_path, graph, processor)
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType[distributed_type])
    trainer.args._n_gpu = gpus
    batch = trainer.data_collator([graph["train"][number] for number in range(4)])
    calls = []
    trainer.model.encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    loss = trainer.compute_loss(trainer.model, batch)
    assert len(calls) == (len(batch["micro_batches"]) if kept else 1)
    assert len(batch["micro_batches"]) > 1
    assert loss.item() == pytest.approx(expected_loss(make_model(), batch, "negative_sampling"), rel=1e-5)


def test_the_optimizer_is_fused_adamw_unless_another_is_chosen(tmp_path, graph, processor):
    arguments = LassTrainingArguments(str(tmp_path), report_to="none", bf16=False)
    trainer = make_trainer(tmp_path, graph, processor, optim=arguments.optim)
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is torch.optim.AdamW
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("large", "small", "accumulation"), [(4, 2, 2), (8, 4, 2), (6, 1, 6)])
def test_accumulated_batch_trains_like_a_large_one(loss, large, small, accumulation, tmp_path, graph, processor):
    """14 positives: the last batch of each epoch is smaller, and so may be the last of its parts."""
    one = make_trainer(tmp_path, graph, processor, loss=loss, per_device_train_batch_size=large, num_train_epochs=2)
    choices = {"per_device_train_batch_size": small, "gradient_accumulation_steps": accumulation}
    parts = make_trainer(tmp_path, graph, processor, loss=loss, num_train_epochs=2, **choices)
    one.train()
    parts.train()
    assert one.state.global_step == parts.state.global_step == 2 * math.ceil(14 / large)
    assert losses_of(parts) == pytest.approx(losses_of(one), rel=1e-4)
    assert_close(parameters_of(parts.model), parameters_of(one.model), rtol=1e-4, atol=1e-5)
    start = parameters_of(make_model())
    moved = max((parameters_of(one.model)[name] - start[name]).abs().max().item() for name in start)
    assert moved > 1e-3


def test_accumulation_equals_a_large_batch_after_three_adamw_steps(tmp_path, graph, processor):
    # eps well above rounding: AdamW turns a gradient that is only rounding into a full step.
    choices = {"optim": "adamw_torch", "adam_epsilon": 1e-2, "learning_rate": 1e-2, "max_steps": 3}
    one = make_trainer(tmp_path, graph, processor, **choices)
    parts = make_trainer(
        tmp_path, graph, processor, per_device_train_batch_size=2, gradient_accumulation_steps=2, **choices
    )
    one.train()
    parts.train()
    assert losses_of(parts) == pytest.approx(losses_of(one), rel=1e-4)
    assert_close(parameters_of(parts.model), parameters_of(one.model), rtol=1e-4, atol=1e-5)


def test_training_with_autocast_is_close_to_float32(tmp_path, graph, processor):
    exact, fast = (make_trainer(tmp_path, graph, processor, bf16=bf16) for bf16 in (False, True))
    exact.train()
    fast.train()
    assert losses_of(fast) != losses_of(exact)
    assert losses_of(fast) == pytest.approx(losses_of(exact), rel=0.05)
    assert {parameter.dtype for parameter in fast.model.parameters()} == {torch.float32}


def test_training_split_with_false_triplets_trains_on_them(tmp_path, processor):
    rows = [(*row, "1") for row in TRAIN] + [("food", "eats", "cat", "0"), ("garden", "is_a", "dog", "0")]
    graph = KnowledgeGraph.from_triplets(rows, VALIDATION, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    collator = RecordingCollator(processor, graph, num_negatives=2)
    trainer = make_trainer(
        tmp_path, graph, processor, data_collator=collator, per_device_train_batch_size=16, learning_rate=0.0
    )
    trainer.train()
    ((_, batch),) = collator.batches
    assert int((batch["labels"] == 1).sum()) == 14
    assert losses_of(trainer) == pytest.approx([expected_loss(make_model(), batch, "negative_sampling")], rel=1e-4)


def test_batch_of_false_triplets_only_has_a_finite_loss(tmp_path, processor):
    rows = [(*row, "1") for row in TRAIN[:2]] + [("food", "eats", "cat", "0"), ("garden", "is_a", "dog", "0")]
    graph = KnowledgeGraph.from_triplets(rows, VALIDATION, entity_text=ENTITY_TEXT, relation_text=RELATION_TEXT)
    trainer = make_trainer(tmp_path, graph, processor, per_device_train_batch_size=1)
    trainer.train()
    assert np.isfinite(losses_of(trainer)).all()
    assert len(losses_of(trainer)) == 4


# Resuming


@pytest.mark.parametrize("step", [2, 4, 6])
def test_resumed_training_ends_with_identical_parameters(step, tmp_path, graph, processor):
    """4 steps an epoch: from the middle of the first, from its end, and from the middle of the second; with dropout."""

    def trainer(seed):
        model = make_model(seed=seed)
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.1
        collator = RecordingCollator(processor, graph, num_negatives=2)
        choices = {"optim": "adamw_torch", "learning_rate": 1e-3, "lr_scheduler_type": "linear", "num_train_epochs": 2}
        saving = {"save_strategy": "steps", "save_steps": 2}
        return make_trainer(tmp_path, graph, processor, model, data_collator=collator, **choices, **saving)

    straight, resumed = trainer(seed=0), trainer(seed=9)
    straight.train()
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert resumed.state.global_step == straight.state.global_step == 8
    assert_equal(parameters_of(resumed.model), parameters_of(straight.model))
    assert losses_of(resumed) == losses_of(straight)
    remaining = 8 - step
    for (epoch, batch), (expected_epoch, expected) in zip(
        resumed.data_collator.batches[-remaining:], straight.data_collator.batches[-remaining:], strict=True
    ):
        assert epoch == expected_epoch
        assert torch.equal(batch["input_ids"], expected["input_ids"])


def test_each_epoch_has_its_own_negatives(tmp_path, graph, processor):
    collator = RecordingCollator(processor, graph, num_negatives=2)
    make_trainer(tmp_path, graph, processor, data_collator=collator, num_train_epochs=3).train()
    assert [epoch for epoch, _ in collator.batches] == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("persistent", [False, True])
def test_data_loader_workers_draw_the_negatives_of_their_epoch(persistent, tmp_path, graph, processor):
    choices = {"num_train_epochs": 2, "learning_rate": 0.01}
    plain = make_trainer(tmp_path, graph, processor, **choices)
    workers = {"dataloader_num_workers": 1, "dataloader_persistent_workers": persistent}
    loaded = make_trainer(tmp_path, graph, processor, **workers, **choices)
    plain.train()
    loaded.train()
    assert losses_of(loaded) == losses_of(plain)


# Evaluation


def test_evaluate_gives_the_loss_and_the_metrics_of_link_prediction(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    metrics = trainer.evaluate()
    assert {"eval_loss", "eval_mr", "eval_mrr", "eval_hits@1", "eval_hits@3", "eval_hits@10", "eval_amri"} <= {*metrics}
    result = evaluate_link_prediction(make_model(), processor, graph, split="validation", quiet=True)
    assert {name: metrics[f"eval_{name}"] for name in result.metrics} == result.metrics


def test_evaluation_loss_is_equation_4_on_the_split(tmp_path, graph, processor, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # scores in float32
    trainer = make_trainer(tmp_path, graph, processor)
    batch = KGDataCollator(processor, graph, num_negatives=2)([graph["validation"][number] for number in range(3)])
    expected = expected_loss(make_model(), batch, "negative_sampling")
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


def test_labelled_validation_gives_accuracy(tmp_path, labelled_graph, processor):
    trainer = make_trainer(tmp_path, labelled_graph, processor)
    metrics = trainer.evaluate()
    result = evaluate_triplet_classification(
        make_model(), processor, labelled_graph, split="validation", quiet=True
    ).metrics
    assert {name: metrics[f"eval_{name}"] for name in result} == result
    assert 0.5 <= metrics["eval_accuracy"] <= 1
    assert np.isfinite(metrics["eval_loss"])
    assert "eval_mrr" not in metrics


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


# Errors


def test_nan_loss_stops_training_with_one_line(tmp_path, graph, processor):
    model = make_model()
    with torch.no_grad():
        next(model.parameters())[:] = float("nan")
    with pytest.raises(NonFiniteError, match=r"loss became nan at step 0.*learning rate") as error:
        make_trainer(tmp_path, graph, processor, model).train()
    assert "\n" not in str(error.value)


def test_diverging_training_stops(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, learning_rate=1e30, num_train_epochs=3)
    with pytest.raises(NonFiniteError, match="lower the learning rate"):
        trainer.train()
    assert trainer.state.global_step >= 1


@pytest.mark.parametrize("processor_given", [None, "tokenizer"])
def test_missing_processor_says_how_to_make_one(processor_given, tmp_path, graph):
    wrong = wordpiece_tokenizer() if processor_given else None
    with pytest.raises(LassError, match=re.escape("processing_class=LassProcessor.from_encoder(")) as error:
        make_trainer(tmp_path, graph, wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("which", ["train_dataset", "eval_dataset"])
def test_dataset_that_is_no_split_of_a_graph_is_refused(which, tmp_path, graph, processor):
    rows = [{"head": "cat", "relation": "is_a", "tail": "animal"}]
    with pytest.raises(LassError, match=r"graph\['train'\]; got list") as error:
        make_trainer(tmp_path, graph, processor, **{which: rows})
    assert "\n" not in str(error.value)


def test_whole_graph_as_dataset_is_refused(tmp_path, graph, processor):
    with pytest.raises(LassError, match="got KnowledgeGraph"):
        make_trainer(tmp_path, graph, processor, train_dataset=graph)


def test_training_without_a_dataset_is_refused(tmp_path, processor):
    arguments = LassTrainingArguments(output_dir=str(tmp_path), report_to="none", disable_tqdm=True, bf16=False)
    trainer = LassTrainer(model=make_model(), args=arguments, processing_class=processor)
    with pytest.raises(ValueError, match="train_dataset"):
        trainer.train()


@pytest.mark.parametrize(("name", "value"), [("loss", "hinge"), ("corruption", "relation")])
def test_unknown_choice_is_refused_by_name(name, value, tmp_path):
    with pytest.raises(LassError, match=f"{name}='{value}'; expected one of"):
        LassTrainingArguments(output_dir=str(tmp_path), **{name: value})


def test_number_of_negatives_must_be_positive(tmp_path, graph, processor):
    with pytest.raises(LassError, match="num_negatives=0"):
        make_trainer(tmp_path, graph, processor, num_negatives=0)


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


# One graph, and what counts as better


def test_evaluation_split_of_another_graph_is_refused(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor)
    with pytest.raises(LassError, match="graph that it trains on"):
        trainer.evaluate(make_graph()["validation"])


def test_the_graph_that_is_trained_on_is_the_one_that_is_saved(tmp_path, graph):
    processor = LassProcessor(wordpiece_tokenizer())
    processor.graph = make_graph()
    make_trainer(tmp_path, graph, processor)
    assert processor.graph is graph


def test_a_validation_split_labelled_true_throughout_is_ranked(tmp_path):
    graph = KnowledgeGraph.from_triplets(TRAIN, [(*row, 1) for row in VALIDATION])
    processor = LassProcessor(wordpiece_tokenizer())
    metrics = make_trainer(tmp_path, graph, processor, eval_dataset=graph["validation"]).evaluate()
    assert "eval_mrr" in metrics
    assert "eval_accuracy" not in metrics


@pytest.mark.parametrize(
    ("name", "greater"), [("mr", False), ("eval_head_mr", False), ("mrr", True), ("loss", False), ("accuracy", True)]
)
def test_lower_mean_ranks_are_better(name, greater, tmp_path):
    arguments = LassTrainingArguments(
        str(tmp_path),
        metric_for_best_model=name,
        load_best_model_at_end=True,
        eval_strategy="epoch",
        save_strategy="epoch",
    )
    assert arguments.greater_is_better is greater


def test_ranking_a_choice_counts_the_choice_as_samples(tmp_path, graph, processor):
    trainer = make_trainer(tmp_path, graph, processor, eval_triplets=1)
    output = trainer.predict(graph["test"])
    assert output.metrics["test_num_triplets"] == 1
    assert len(output.predictions) == 2
