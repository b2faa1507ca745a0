"""What is varied, found or replaced takes effect, and the card and the record tell what was done."""

from unittest.mock import patch

import pytest
import torch
from helpers.tiny import make_model, make_processor, one_line
from helpers.trainings import RecordingCollator, assert_equal, losses_of, make_trainer, parameters_of, plain_arguments

from lass_hf import KGDataCollator, LassTrainer
from lass_hf.core.errors import LassError
from lass_hf.hub.card_files import read_card_data
from lass_hf.training.negative_sampling import NegativeSampler
from lass_hf.training.run_metadata import describe_run

# Hyperparameter search

TRIALS = [
    {"num_negatives": 1, "loss": "mean_bce", "learning_rate": 0.02},
    {"num_negatives": 3, "loss": "softmax", "learning_rate": 0.01, "per_device_train_batch_size": 7},
    {"corruption": "tail", "replacement": True, "pseudo_typed": True},
    {"seed": 7},
    {"optim": "adamw_torch", "weight_decay": 0.1, "lr_scheduler_type": "linear", "warmup_steps": 2},
    {"num_train_epochs": 2.0, "gradient_accumulation_steps": 2, "max_grad_norm": 0.5},
]


def searching(folder, graph, **choices) -> LassTrainer:
    """A trainer whose model is drawn at random: its weights depend on the seed."""

    def model_init():
        model = make_model(seed=torch.initial_seed())
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.1
        return model

    return LassTrainer(
        model_init=model_init,
        args=plain_arguments(folder, **choices),
        processing_class=make_processor(graph),
        train_dataset=graph["train"],
        eval_dataset=graph["validation"],
    )


def search(trainer, trials):
    return trainer.hyperparameter_search(
        hp_space=lambda trial: trials[trial.number], n_trials=len(trials), backend="optuna"
    )


def test_each_trial_of_a_search_is_the_training_with_its_values(tmp_path, graph):
    """Bit for bit, also the loss of its evaluation; values of an earlier trial stay, as in transformers."""
    found = []

    class Searched(LassTrainer):
        def evaluate(self, *args, **kwargs):
            metrics = super().evaluate(*args, **kwargs)
            found.append((parameters_of(self.model), losses_of(self), metrics, describe_run(self)))
            return metrics

    trainer = searching(tmp_path, graph, metric_for_best_model="mrr")
    trainer.__class__ = Searched
    assert search(trainer, TRIALS).objective == max(metrics["eval_mrr"] for _, _, metrics, _ in found)
    values = {}
    for trial, (parameters, losses, metrics, run) in zip(TRIALS, found, strict=True):
        values |= trial
        straight = searching(tmp_path, graph, **values)
        straight.train()
        assert losses_of(straight) == losses
        assert_equal(parameters, parameters_of(straight.model))
        assert straight.evaluate()["eval_loss"] == metrics["eval_loss"]
        assert run["choices"] == describe_run(straight)["choices"] | {"metric_for_best_model": "mrr"}
        assert run["seed"] == values.get("seed", 42)


def test_the_best_values_train_the_best_trial_again(tmp_path, graph):
    trainer = searching(tmp_path, graph, metric_for_best_model="mr")
    search(trainer, TRIALS[:2])
    for name, value in TRIALS[0].items():
        setattr(trainer.args, name, value)
    trainer.args.per_device_train_batch_size = 4
    trainer.train()
    straight = searching(tmp_path, graph, **TRIALS[0])
    straight.train()
    assert_equal(parameters_of(trainer.model), parameters_of(straight.model))


def test_a_checkpoint_of_a_trial_is_that_of_the_training_with_its_values(tmp_path, graph):
    """What the trial before drew its negatives by is no part of it."""
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "metric_for_best_model": "mrr"}
    trials = [{"num_negatives": 1, "seed": 7}, {"num_negatives": 3, "seed": 8}]
    search(searching(tmp_path / "search", graph, **saving), trials)
    straight = searching(tmp_path / "straight", graph, **saving, **trials[1])
    straight.train(resume_from_checkpoint=str(tmp_path / "search" / "run-1" / "checkpoint-2"))
    assert straight.state.global_step == 4
    assert [resume["changed"] for resume in straight.resumes] == [{}]


def test_arguments_that_change_before_a_resume_are_compared(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph, make_processor(graph), save_strategy="steps", save_steps=2, max_steps=4)
    trainer.train()
    trainer.args.num_negatives = 1
    with pytest.raises(LassError, match="has num_negatives=2, but num_negatives=1 was given"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ({"margin": 3.0}, ["'margin' in hp_space", "num_negatives", "model_init(trial)"]),
        ({"num_negative": 3}, ["'num_negative' in hp_space"]),
        ({"bf16": True}, ["'bf16' in hp_space"]),
        ({"num_negatives": 2.5}, ["num_negatives=2.5 in hp_space"]),
        ({"num_negatives": 0}, ["num_negatives=0"]),
        ({"loss": "hinge"}, ["loss='hinge'", "negative_sampling"]),
        ({"neighborhood_size": 2}, ["neighborhood_size=2", "bi-encoder"]),
    ],
)
def test_what_a_search_cannot_vary_is_refused(value, parts, tmp_path, graph):
    with pytest.raises(LassError) as error:
        search(searching(tmp_path, graph, metric_for_best_model="loss"), [value])
    one_line(error, *parts)


def test_trials_are_compared_by_a_metric_that_somebody_chose(tmp_path, graph):
    """transformers would add up all metrics: mean rank, reciprocal rank, number of triplets."""
    with pytest.raises(LassError, match="nothing to compare trials by"):
        search(searching(tmp_path, graph), TRIALS)


# The batch size that was found


def short_of_memory(trainer, largest, from_step=0):
    """Makes a trainer run out of memory with batches of more positives, as CUDA says it."""
    original = LassTrainer.training_step

    def step(self, model, inputs, *args, **kwargs):
        if self.state.global_step >= from_step and int(inputs["labels"].sum()) > largest:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return original(self, model, inputs, *args, **kwargs)

    return patch.object(LassTrainer, "training_step", step)


def test_the_batch_size_that_was_found_is_recorded(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph, make_processor(graph), auto_find_batch_size=True)
    with short_of_memory(trainer, 3):
        trainer.train()
    assert trainer.state.global_step == 5  # 14 positives in batches of 3
    trainer.save_model()
    assert read_card_data(tmp_path)["training"]["choices"]["positives_per_step"] == 3
    assert describe_run(trainer)["choices"]["positives_per_step"] == 3
    trainer.train()  # with enough memory
    assert describe_run(trainer)["choices"]["positives_per_step"] == 4


def test_a_smaller_batch_is_refused_when_weights_have_changed(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph, make_processor(graph), auto_find_batch_size=True)
    with short_of_memory(trainer, 3, from_step=2), pytest.raises(LassError) as error:
        trainer.train()
    one_line(error, "a batch of 4 at step 2", "per_device_train_batch_size=3")


# What a user brings


def saved_choices(folder, trainer) -> dict:
    trainer.train()
    trainer.save_model()
    return read_card_data(folder)["training"]["choices"]


def test_negatives_of_a_collator_of_ones_own_are_those_that_it_draws(tmp_path, graph, processor):
    collator = KGDataCollator(processor, graph, num_negatives=1, corruption="tail", replacement=True, seed=7)
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collator)
    choices = saved_choices(tmp_path, trainer)
    assert (choices["num_negatives"], choices["corruption"], choices["replacement"]) == (1, "tail", True)
    assert choices["negative_seed"] == 7
    assert "data_collator" not in choices


def test_a_collator_or_sampler_of_another_class_is_named(tmp_path, graph, processor):
    class Sampler(NegativeSampler):
        pass

    collator = RecordingCollator(processor, graph, num_negatives=1)
    collator.sampler = Sampler(graph, num_negatives=1)
    choices = saved_choices(tmp_path, make_trainer(tmp_path, graph, processor, data_collator=collator))
    assert choices["data_collator"] == "helpers.trainings.RecordingCollator"
    assert choices["negative_sampler"].endswith("Sampler")
    assert choices["num_negatives"] == 1
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| `data_collator` | helpers.trainings.RecordingCollator |" in card


def test_a_card_names_no_negatives_that_a_function_did_not_draw(tmp_path, graph, processor):
    collate = KGDataCollator(processor, graph)
    trainer = make_trainer(tmp_path, graph, processor, data_collator=collate.__call__, loss="mean_bce")
    choices = saved_choices(tmp_path, trainer)
    assert choices["data_collator"] == "lass_hf.training.data_collators.KGDataCollator.__call__"
    assert not {"num_negatives", "corruption", "replacement"} & set(choices)


def test_a_loss_and_an_optimizer_of_ones_own_are_named(tmp_path, graph, processor):
    def hinge(outputs, labels, num_items_in_batch=None):
        return torch.relu(1 - (2.0 * labels - 1) * outputs.scores).mean()

    model = make_model()
    trainer = LassTrainer(
        model=model,
        args=plain_arguments(tmp_path),
        processing_class=processor,
        train_dataset=graph["train"],
        compute_loss_func=hinge,
        optimizers=(torch.optim.SGD(model.parameters(), lr=0.5), None),
    )
    choices = saved_choices(tmp_path, trainer)
    assert choices["loss"].endswith("hinge")
    assert choices["optimizer"] == "torch.optim.sgd.SGD"
    assert not {"learning_rate", "optim", "weight_decay"} & set(choices)
    assert choices["lr_scheduler_type"] == "constant"


def test_the_class_of_an_optimizer_and_its_arguments_are_named(tmp_path, graph, processor):
    def make(**given):
        args = plain_arguments(tmp_path, save_strategy="steps", save_steps=2, weight_decay=0.1, optim="adagrad")
        own = {"optimizer_cls_and_kwargs": (torch.optim.AdamW, given)} if given else {}
        model = make_model()
        return LassTrainer(model=model, args=args, processing_class=processor, train_dataset=graph["train"], **own)

    choices = saved_choices(tmp_path, make(lr=0.5, betas=(0.8, 0.9)))
    assert choices["optimizer"] == "torch.optim.adamw.AdamW"
    assert choices["optimizer_kwargs"] == {"lr": 0.5, "betas": [0.8, 0.9]}
    assert choices["weight_decay"] == 0.1  # that of the Trainer holds
    assert not {"learning_rate", "optim", "adam_epsilon"} & set(choices)
    for other, name in (({"lr": 0.5}, "has optimizer_kwargs="), ({}, "has optimizer=")):
        with pytest.raises(LassError, match=name):
            make(**other).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    make(lr=0.5, betas=(0.8, 0.9)).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_a_schedule_of_ones_own_is_named(tmp_path, graph, processor):
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, betas=(0.8, 0.9))
    trainer = LassTrainer(
        model=model,
        args=plain_arguments(tmp_path, lr_scheduler_type="cosine", warmup_steps=2),
        processing_class=processor,
        train_dataset=graph["train"],
        optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer)),
    )
    choices = saved_choices(tmp_path, trainer)
    assert choices["lr_scheduler"] == "torch.optim.lr_scheduler.ConstantLR"
    assert not {"lr_scheduler_type", "warmup_steps"} & set(choices)
