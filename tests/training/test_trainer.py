"""LassTrainer: the loss it minimizes and logs, accumulation, resuming, and what it refuses."""

import gc
import math
import re

import numpy as np
import pytest
import torch
from accelerate import Accelerator, DistributedType
from helpers.tiny import ENTITY_TEXT, RELATION_TEXT, TRAIN, VALIDATION, make_model, wordpiece_tokenizer
from helpers.trainings import (
    RecordingCollator,
    assert_close,
    assert_equal,
    expected_loss,
    losses_of,
    make_trainer,
    parameters_of,
)

from lass_hf import KnowledgeGraph, LassTrainer, LassTrainingArguments, evaluate_link_prediction
from lass_hf.core.errors import LassError, NonFiniteError

LOSSES = ["negative_sampling", "mean_bce", "softmax"]


class PaddedCollator(RecordingCollator):
    """The same batches, each for one encoder call, padded to its longest sequence."""

    def __call__(self, features):
        return {name: value for name, value in super().__call__(features).items() if name != "length_buckets"}


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
def test_length_buckets_train_like_padded_batches(loss, tmp_path, graph, processor):
    trained = []
    for kind in (RecordingCollator, PaddedCollator):
        collator = kind(processor, graph, num_negatives=2)
        choices = {"loss": loss, "num_train_epochs": 3, "optim": "adamw_torch_fused", "adam_epsilon": 1e-2}
        trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, **choices, learning_rate=1e-2)
        trainer.train()
        assert max(len(batch["length_buckets"]) for _, batch in collator.batches) > 1
        trained.append(trainer)
    parts, whole = trained
    assert len(losses_of(parts)) == 12
    assert losses_of(parts) == pytest.approx(losses_of(whole), rel=1e-5)
    assert np.mean(losses_of(parts)[-4:]) < 0.9 * losses_of(parts)[0]
    assert_close(parameters_of(parts.model), parameters_of(whole.model), rtol=1e-4, atol=1e-5)


def test_training_on_a_cpu_attends_eagerly_and_leaves_the_model_as_it_was(tmp_path, graph, processor):
    model, seen = make_model(), set()
    config = model.encoder.config
    assert config._attn_implementation == "sdpa"
    hook = model.encoder.register_forward_pre_hook(
        lambda encoder, *_: seen.add((encoder.training, config._attn_implementation))
    )
    trainer = make_trainer(tmp_path, graph, processor, model, eval_strategy="steps", eval_steps=2)
    trainer.train()
    assert seen == {(True, "eager"), (False, "sdpa")}  # scores are those of the model as it is loaded later
    assert config._attn_implementation == "sdpa"
    hook.remove()
    model.encoder.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train()
    assert config._attn_implementation == "sdpa"


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
    assert len(calls) == (len(batch["length_buckets"]) if kept else 1)
    assert len(batch["length_buckets"]) > 1
    assert loss.item() == pytest.approx(expected_loss(make_model(), batch, "negative_sampling"), rel=1e-5)


def test_the_optimizer_is_fused_adamw_unless_another_is_chosen(tmp_path, graph, processor):
    arguments = LassTrainingArguments(str(tmp_path), report_to="none", bf16=False)
    trainer = make_trainer(tmp_path, graph, processor, optim=arguments.optim)
    optimizer = trainer.create_optimizer()
    assert type(optimizer) is torch.optim.AdamW
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize(
    ("loss", "large", "small", "accumulation"),
    [
        ("negative_sampling", 4, 2, 2),
        ("negative_sampling", 8, 4, 2),
        ("negative_sampling", 6, 1, 6),
        ("mean_bce", 8, 4, 2),
        ("softmax", 8, 4, 2),
    ],
)
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


def test_the_softmax_loss_is_that_of_each_positive_among_its_negatives(tmp_path, graph, processor):
    collator = RecordingCollator(processor, graph, num_negatives=2)
    choices = {"loss": "softmax", "learning_rate": 0.0}
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collator, **choices)
    trainer.train()
    model, expected = make_model(), []
    for _, batch in collator.batches:
        labels, groups = batch.pop("labels"), batch.pop("groups")
        with torch.no_grad():
            logits = model(**batch).scores.double()
        parts = [torch.logsumexp(logits[groups == group], 0) for group in range(int(labels.sum()))]
        expected.append(float(torch.stack(parts).mean() - logits[labels == 1].mean()))
    assert losses_of(trainer) == pytest.approx(expected, rel=1e-4)


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

    def trainer():
        model = make_model()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.1
        collator = RecordingCollator(processor, graph, num_negatives=2)
        choices = {"optim": "adamw_torch", "learning_rate": 1e-3, "lr_scheduler_type": "linear", "num_train_epochs": 2}
        saving = {"save_strategy": "steps", "save_steps": 2}
        return make_trainer(tmp_path, graph, processor, model, data_collator=collator, **choices, **saving)

    straight, resumed = trainer(), trainer()
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
def test_data_loader_workers_draw_the_negatives_of_their_epoch(persistent, tmp_path, graph, processor, monkeypatch):
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)  # an idle worker is waited for so long
    choices = {"num_train_epochs": 2, "learning_rate": 0.01}
    plain = make_trainer(tmp_path, graph, processor, **choices)
    workers = {"dataloader_num_workers": 1, "dataloader_persistent_workers": persistent}
    loaded = make_trainer(tmp_path, graph, processor, **workers, **choices)
    plain.train()
    loaded.train()
    assert losses_of(loaded) == losses_of(plain)
    del loaded
    gc.collect()  # its workers end here, not in a later test


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
