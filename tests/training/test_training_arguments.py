"""Every argument of the Trainer is done, or refused in one line before the first step."""

from dataclasses import fields
from math import inf, nan

import pytest
from helpers.tiny import make_model, make_processor, one_line
from helpers.trainings import make_trainer, plain_arguments, trainer_of
from transformers import TrainingArguments

from lass_hf import LassTrainer
from lass_hf.core.errors import LassError
from lass_hf.training.training_args import NO_EFFECT

# The Trainer, Accelerate or the hub's client do what these say. A new one of transformers belongs here or is refused.
DONE = {
    *("output_dir", "per_device_train_batch_size", "num_train_epochs", "max_steps", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "max_grad_norm", "weight_decay"),
    *("optim", "optim_args", "optim_target_modules", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *(
        "bf16",
        "fp16",
        "tf32",
        "torch_compile",
        "torch_compile_backend",
        "torch_compile_mode",
        "torch_empty_cache_steps",
    ),
    *("activation_checkpointing", "activation_checkpointing_kwargs", "neftune_noise_alpha", "auto_find_batch_size"),
    "torch_empty_cache_steps",
    *("gradient_checkpointing", "gradient_checkpointing_kwargs", "use_liger_kernel", "liger_kernel_config"),
    *("logging_strategy", "logging_steps", "logging_first_step", "log_on_each_node", "logging_nan_inf_filter"),
    *("include_num_input_tokens_seen", "log_level", "log_level_replica", "disable_tqdm", "skip_memory_metrics"),
    *("report_to", "run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
    *("eval_strategy", "eval_steps", "eval_delay", "eval_on_start"),
    *("save_strategy", "save_steps", "save_total_limit", "save_only_model", "save_on_each_node"),
    *("enable_jit_checkpoint", "resume_from_checkpoint", "restore_callback_states_from_checkpoint", "ignore_data_skip"),
    *("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push"),
    *("hub_revision", "load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
    *("full_determinism", "seed", "data_seed", "use_cpu", "train_sampling_strategy", "debug"),
    *("dataloader_drop_last", "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers"),
    *("dataloader_prefetch_factor", "dataloader_multiprocessing_context", "dataloader_in_order"),
    *("accelerator_config", "parallelism_config", "fsdp", "fsdp_config", "deepspeed", "local_rank"),
    *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph"),
    *("ddp_backend", "ddp_timeout"),
    *("do_train", "do_eval", "do_predict"),  # for scripts; `lass-hf train` refuses the latter two
}

# Refused where the arguments are made.
WRONG = [
    *(("per_device_train_batch_size", value) for value in (0, -1, 2.5, "x", True)),
    *(("gradient_accumulation_steps", value) for value in (0, 1.5)),
    *(("num_train_epochs", value) for value in (0, -1, nan, inf)),
    *(("max_steps", value) for value in (0, -2, 1.5, nan)),
    *(("learning_rate", value) for value in (nan, inf, -1.0, "1e-3")),
    *((name, value) for name in ("weight_decay", "adam_epsilon", "max_grad_norm") for value in (nan, inf, -1.0)),
    *((name, value) for name in ("warmup_steps", "eval_delay", "neftune_noise_alpha") for value in (nan, inf, -1)),
    *((name, value) for name in ("adam_beta1", "adam_beta2") for value in (nan, 1.0, -1.0)),
    *((name, value) for name in ("seed", "data_seed") for value in (-1, 2**32, 1.5)),
    *((name, value) for name in ("logging_steps", "eval_steps", "save_steps") for value in (0, -1, nan, inf)),
    *((name, value) for name in ("save_total_limit", "torch_empty_cache_steps", "eval_triplets") for value in (0, -1)),
    *(("dataloader_num_workers", value) for value in (-1, 1.5)),
    *((name, value) for name in ("num_negatives", "neighborhood_size") for value in (0, 2.5, 2.0, "3", True)),
    *((name, "no") for name in ("replacement", "pseudo_typed", "dataloader_drop_last", "push_to_hub")),
    *(("dataloader_prefetch_factor", value) for value in (0, -1)),
    *((name, -1) for name in ("ddp_timeout", "ddp_bucket_cap_mb")),
    *((name, "nope") for name in ("lr_scheduler_type", "optim", "logging_strategy", "eval_strategy", "save_strategy")),
    *((name, "nope") for name in ("hub_strategy", "log_level", "debug", "include_num_input_tokens_seen")),
    *((name, "nope") for name in ("dataloader_multiprocessing_context", "hub_include_graph", "loss", "corruption")),
    *(("train_sampling_strategy", value) for value in ("nope", "group_by_length", "batch_rebalance")),
    *(("lr_scheduler_kwargs", value) for value in ("{", "[")),
    ("optim_target_modules", "all-linear"),
    ("fp16", True),  # on a CPU
    ("metric_for_best_model", "nope"),
    ("load_best_model_at_end", True),  # without evaluations, as the next one
    ("save_strategy", "best"),
    ("accelerator_config", {"nope": 1}),
]

# Refused by the Trainer when it is made.
WRONG_HERE = [
    {"report_to": "nope"},
    {"report_to": "wandb"},
    {"eval_strategy": "epoch", "save_strategy": "best"},
    {"metric_for_best_model": "accuracy"},
    {"dataloader_drop_last": True, "per_device_train_batch_size": 15},
    {"fsdp": True},
    {"parallelism_config": 1},
    {"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"num_cycles": 2}},
    {"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"num_cycles": 2}},
    {"lr_scheduler_type": "constant", "warmup_steps": 0.1},
    {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch", "warmup_steps": 2},
    {"lr_scheduler_type": "greedy", "eval_strategy": "epoch", "warmup_steps": 2},
    {"eval_steps": 2},
    {"eval_steps": 2, "eval_strategy": "epoch"},
    {"eval_delay": 2},
    {"data_seed": 7, "train_sampling_strategy": "sequential"},
    {"optim": "sgd", "optim_args": "nope"},
    {"optim": "sgd", "optim_args": "momentum=.9, weight_decay=.1"},  # The weight decay of the Trainer would hold.
    {"optim": "adamw_torch", "optim_args": "momentum=.9"},
    *({"optim": "sgd", "optim_args": f"momentum={value}"} for value in ("abc", "", "1=2", "nan")),
    {"optim": "sgd", "optim_args": "momentum=.9, nesterov=on"},  # The Trainer would take it for false.
    {"optim": "rmsprop", "optim_args": "centered=2"},
    {"optim": "adafactor", "adam_beta1": 0.8},
    {"optim": "sgd", "adam_epsilon": 1e-6},
    {"optim": "galore_adamw_8bit_layerwise", "optim_target_modules": "all-linear", "adam_beta2": 0.9},
    *({"optim": name, "adam_beta2": 0.9} for name in ("grokadamw", "schedule_free_sgd", "rmsprop_bnb")),
]

# Refused when a training begins, before the first batch.
WRONG_NOW = [
    {"optim": "adamw_bnb_8bit"},
    {"optim": "schedule_free_adamw"},
    {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"nope": 1}},
    {"lr_scheduler_type": "cosine_with_min_lr"},
    {"torch_compile_mode": "nope"},
    {"dataloader_persistent_workers": True},
    {"use_liger_kernel": True},
    {"resume_from_checkpoint": "nope"},
]


def test_each_argument_of_transformers_is_done_or_refused():
    known = DONE | NO_EFFECT.keys() | {"remove_unused_columns"}
    assert {one.name for one in fields(TrainingArguments)} == known


@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_a_wrong_argument_is_one_line_where_it_is_made(name, value, tmp_path):
    more = {"dataloader_num_workers": 1} if name == "dataloader_prefetch_factor" else {}
    with pytest.raises(LassError) as error:
        plain_arguments(tmp_path, **more, **{name: value})
    one_line(error)


@pytest.mark.parametrize("name", NO_EFFECT)
def test_an_argument_without_effect_is_refused(name, tmp_path):
    default = TrainingArguments.__dataclass_fields__[name].default
    given = not default if isinstance(default, bool) else 3 if default is None or isinstance(default, int) else ["x"]
    with pytest.raises(LassError) as error:
        plain_arguments(tmp_path, **{name: given})
    one_line(error, f"{name}={given!r} would change nothing", "leave it out")


@pytest.mark.parametrize("wrong", WRONG_HERE, ids=str)
def test_what_does_not_fit_the_trainer_is_one_line_before_a_repository_is_made(wrong, tmp_path, graph, monkeypatch):
    monkeypatch.setattr(LassTrainer, "init_hf_repo", lambda *_, **__: pytest.fail("a repository was made"))
    with pytest.raises(LassError) as error:
        trainer_of(tmp_path, graph, push_to_hub=True, **wrong)
    one_line(error)


@pytest.mark.parametrize("wrong", WRONG_NOW, ids=str)
def test_what_cannot_begin_is_one_line_before_the_first_step(wrong, tmp_path, graph, monkeypatch):
    monkeypatch.setattr(LassTrainer, "training_step", lambda *_: pytest.fail("a step was made"))
    trainer = trainer_of(tmp_path, graph, save_strategy="steps", **wrong)
    with pytest.raises(LassError) as error:
        trainer.train()
    one_line(error)
    assert not list(tmp_path.iterdir())


def test_a_mistake_in_a_step_is_no_wrong_argument(tmp_path, graph, processor):
    """It keeps its class, and the command line shows its traceback."""

    def mistaken(outputs, labels, num_items_in_batch=None):
        return outputs.scores.sum() / {}["nothing"]

    args = plain_arguments(tmp_path)
    own = {"train_dataset": graph["train"], "compute_loss_func": mistaken}
    with pytest.raises(KeyError):
        LassTrainer(model=make_model(), args=args, processing_class=processor, **own).train()


def test_what_an_optimizer_gets_is_told_where_it_is_wrong(tmp_path):
    for given, told in (
        ("momentum=1=2", "momentum=1=2; expected a finite number"),
        ("momentum=.9,nesterov=on", "nesterov=on; expected true or false"),
    ):
        with pytest.raises(LassError) as error:
            plain_arguments(tmp_path, optim_args=given)
        one_line(error, f"optim_args={given!r}: {told}")
    plain_arguments(tmp_path, optim_args="momentum = 9e-1, nesterov=Yes")


@pytest.mark.parametrize("optimizer", ["schedule_free_adamw", "schedule_free_sgd"])
def test_an_optimizer_without_a_schedule_warms_up_by_itself(optimizer, tmp_path):
    assert plain_arguments(tmp_path, optim=optimizer, lr_scheduler_type="constant", warmup_steps=3).warmup_steps == 3


def test_arguments_are_checked_again_when_a_training_begins(tmp_path, graph):
    trainer = make_trainer(tmp_path, graph, make_processor(graph))
    trainer.args.learning_rate = nan
    with pytest.raises(LassError, match="learning_rate=nan"):
        trainer.train()


@pytest.mark.parametrize("flag", ["--do_eval", "--do_predict"])
def test_the_command_line_does_not_ignore_what_it_does_not_do(flag, graph_folder, tmp_path, bad_input):
    line = bad_input("train", "--graph", graph_folder, "--encoder", "nowhere", "--output_dir", tmp_path, flag)
    assert "evaluate the trained model with lass-hf evaluate" in line
