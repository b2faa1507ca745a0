"""`LassTrainer`: the Hugging Face Trainer with the loss of LASS, its negatives, and ranking as evaluation."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import DistributedType
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import DataLoader
from transformers import EvalPrediction, set_seed
from transformers.trainer_utils import EvalLoopOutput, HPSearchBackend

from ..core.errors import LassError, NonFiniteError
from ..core.knowledge_graph import GraphSplit
from ..core.processing_lass import LassProcessor
from ..scoring.output_folders import only_writer
from ..utils.eager_attention import eager_attention
from ..utils.memory import is_out_of_memory
from .callbacks import CalibrationCallback, EpochCallback, ModelCardCallback, QueueCallback, ThroughputCallback
from .checkpoints import check_adapter, find_checkpoint
from .data_collators import warn_of_indistinct_names
from .objectives import OBJECTIVES, Objective
from .output_folder import TrainingIdentity, identify, warn
from .run_metadata import describe_run
from .samplers import NeighborhoodSampler, share_last_batch
from .split_evaluation import check_metric, check_split, evaluate_split
from .trainer_files import FilesTrainer
from .training_args import (
    LassTrainingArguments,
    check_any_trained,
    check_searchable,
    check_trained_weights,
    memory_error,
    told_in_one_line,
)

# No process holds the whole model, so all must call the encoder equally often.
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA)


class LassTrainer(FilesTrainer):
    """Trains a `LassForKGCompletion` on a split of a graph, and evaluates it by ranking or classification.

    The loss is a mean over the positives of the global, accumulated batch, whatever the number of processes, also in
    the last batch of an epoch; only a batch with fewer triplets than processes counts some of them twice. For a
    bi-encoder, the candidates of the loss are those of the batch, of all processes and of one accumulation step, and
    those of `args.queue_size`. False triplets of the training split count as `training/objectives.py` says; the mean
    stays one over positives.

    `evaluate()` returns `eval_loss` and, for a split without labels, the filtered ranking metrics of
    `evaluate_link_prediction` (`eval_mrr`, ...). For a split with false triplets it returns `eval_accuracy` and its
    relatives, at the best threshold of that very split, and the mean binary cross-entropy as `eval_loss`. Either is of
    `args.eval_triplets` seeded triplets if set. It works without a train dataset, and with a dict of splits.

    `compute_metrics` returns further metrics from an `EvalPrediction`. For a ranking, `predictions` are the realistic
    ranks and `label_ids` the numbers of candidates; for a classification, the scores and the labels (1 / 0).
    `compute_loss_func(outputs, labels, num_items_in_batch=...)` is a loss of your own for a cross-encoder, where
    `outputs.scores` are the scores of the batch.

    One training at a time writes into `args.output_dir`. A checkpoint is resumed by its own training only.

    Args:
        model: The model, or `peft.get_peft_model(model, ...)` of it, of which the adapter is saved.
        args: `LassTrainingArguments`.
        data_collator: A collator of your own; None to make the one of the model's architecture from `args`.
        train_dataset: A split of a `KnowledgeGraph`, such as `graph["train"]`.
        eval_dataset: A split of the same graph, or a dict of splits.
        processing_class: The model's `LassProcessor`. The graph that is trained on becomes its graph, which is saved.
        run_metadata: Graph, recipe and choices of the run for the model card; `lass-hf train` passes it.
        **kwargs: Other arguments of transformers' Trainer, such as `compute_metrics` and `callbacks`.

    Attributes:
        training_objective: The `Objective` of the model's architecture.
        resumes: For each time that the training was resumed, the `step`, and what was `changed`: values before and now.

    Raises:
        LassError: The processor, a split or an argument does not fit.
    """

    args: LassTrainingArguments
    processing_class: LassProcessor

    def __init__(
        self,
        model=None,
        args=None,
        data_collator=None,
        train_dataset=None,
        eval_dataset=None,
        *,
        run_metadata: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        args = args or LassTrainingArguments()
        if not isinstance(args, LassTrainingArguments):
            raise LassError(
                f"args={type(args).__name__}(...); expected LassTrainingArguments, which has the choices of LASS too"
            )
        processor = kwargs.get("processing_class")
        if not isinstance(processor, LassProcessor):
            raise LassError(
                "LassTrainer needs processing_class=LassProcessor.from_encoder(...): it makes the sequences, and is "
                "saved with the model"
            )
        named = eval_dataset if isinstance(eval_dataset, dict) else {"": eval_dataset}
        splits = {name and f"{name}_": split for name, split in named.items() if split is not None}
        for split in (train_dataset, *splits.values()):
            check_split(split)
        if kwargs.get("compute_metrics") is None:
            check_metric(args.metric_for_best_model, splits)
        objective: Any = OBJECTIVES[processor.architecture]
        self.training_objective: Objective = objective(processor, args, kwargs.get("compute_loss_func"))
        if model is not None:
            processor.check_fit(model)
            check_adapter(model)
        self.training_objective.check()  # before the Trainer makes a repository on the hub
        if train_dataset is not None:
            args.check_batches(train_dataset)
            self.training_objective.check_collator(data_collator, train_dataset.graph)
            processor.graph = train_dataset.graph
            warn_of_indistinct_names(processor, train_dataset.graph)
        self._own_collator = None  # replaced by one of the arguments as they are when a training begins
        if data_collator is None and processor.graph is not None:
            data_collator = self._own_collator = self.training_objective.make_collator(processor.graph)
        self.own_optimizers = kwargs.get("optimizers", (None, None))
        self.throughput, self.card = ThroughputCallback(), ModelCardCallback(run_metadata)
        with told_in_one_line():
            super().__init__(model, args, data_collator, train_dataset, eval_dataset, **kwargs)
        self.loss_is_scaled_for_ga = True  # compute_loss divides by the whole accumulated batch
        processor.check_fit(self.model)  # one that `model_init` made
        check_adapter(self.model)
        check_trained_weights(self.model, args)  # type: ignore[arg-type] # it is a module
        self._has_begun = False  # whether a first batch was made
        self._checkpoint: str | None = None  # from which the training goes on
        self._identity = TrainingIdentity()
        own = EpochCallback(), QueueCallback(self.training_objective), CalibrationCallback()
        for callback in (self.throughput, self.card, *own, self._identity):
            self.add_callback(callback)

    # The training as a whole

    def train(self, resume_from_checkpoint=None, trial=None, ignore_keys_for_eval=None):
        """Trains the model. Nothing is written before all arguments, the output folder and the checkpoint are checked.

        Args:
            resume_from_checkpoint: The folder of a checkpoint of this training; True for the newest whole one in the
                output folder; "last" for the same, or a new beginning if there is none. None:
                `args.resume_from_checkpoint`; False to begin anyway.
            trial: The trial of a hyperparameter search.
            ignore_keys_for_eval: Not used.

        Returns:
            transformers' `TrainOutput`.

        Raises:
            LassError: An argument does not fit, another training writes into the output folder, or the checkpoint, or
                another one in the output folder, is of another training. Or memory is short.
        """
        if self.train_dataset is None:
            raise LassError('train() needs a training split: LassTrainer(..., train_dataset=graph["train"])')
        folder, name = self._get_output_dir(trial), resume_from_checkpoint
        name = self.args.resume_from_checkpoint if name is None else name
        with only_writer(str(self.args.output_dir), "--output_dir"):
            self._checkpoint = find_checkpoint(name, folder) if name else None
            if name and self._checkpoint is None:
                warn(f"{folder} has no whole checkpoint; training from the start")
            self._train_batch_size = self.args.train_batch_size  # The argument, or what was found, may have changed.
            self._has_begun = False
            try:
                return super().train(self._checkpoint, trial, ignore_keys_for_eval)
            except Exception as error:
                if is_out_of_memory(error):
                    raise memory_error(error, self.args, self.processing_class) from error
                if self._has_begun:
                    raise
                with told_in_one_line():  # Arguments of optimizer, schedule, data loader, torch.compile, ...
                    raise

    @property
    def resumes(self) -> list[Mapping[str, Any]]:
        """For each time that the training was resumed, the `step`, and what was `changed`: values before and now."""
        return self._identity.resumes

    def hyperparameter_search(self, hp_space=None, compute_objective=None, n_trials=20, direction=None, **kwargs):
        """Trains with the values of several trials; each is the training with these arguments, its seed included.

        Args:
            hp_space: Returns the values of a trial, by the names of arguments in `SEARCHABLE`.
            compute_objective: Returns the figure to compare trials by, from the metrics of an evaluation; None for
                `args.metric_for_best_model`. transformers would add up all metrics.
            n_trials: The number of trials.
            direction: "minimize" or "maximize"; None for what `args.greater_is_better` says of that metric, or else
                "minimize".
            **kwargs: Other arguments of transformers' method, such as `backend`.

        Returns:
            transformers' `BestRun`.

        Raises:
            LassError: There is nothing to compare trials by, or an argument that a search cannot vary.
        """
        if compute_objective is None:
            if (metric := self.args.metric_for_best_model) is None:
                raise LassError(
                    'hyperparameter_search has nothing to compare trials by; give metric_for_best_model="mrr" to the '
                    "arguments, or compute_objective"
                )
            direction = direction or ("maximize" if self.args.greater_is_better else "minimize")
            compute_objective = lambda metrics: metrics[f"eval_{metric.removeprefix('eval_')}"]  # noqa: E731
        return super().hyperparameter_search(hp_space, compute_objective, n_trials, direction or "minimize", **kwargs)

    def call_model_init(self, trial=None):
        """Makes the model; that of a trial with the trial's arguments and seed.

        Raises:
            LassError: The trial has an argument that a search cannot vary, or a value that is not allowed.
        """
        if trial is not None and self.hp_search_backend is not None:
            values = self.hp_space(trial) if self.hp_search_backend == HPSearchBackend.OPTUNA else trial
            check_searchable(values)
            super()._hp_search_setup(trial)
            self.args.check_taken(values)
            set_seed(self.args.seed)
        return super().call_model_init(trial)

    def _hp_search_setup(self, trial):
        """Takes over the arguments as they are now, and a trial's, and checks what must fit before the first step.

        The model is made by now. The collator is made here, because the identity tells which negatives it draws.
        """
        super()._hp_search_setup(trial)
        self.args.check()
        self.training_objective.check()
        self.args.check_batches(self.train_dataset)
        if self._own_collator is not None and self.data_collator is self._own_collator:
            self.data_collator = self._own_collator = self.training_objective.make_collator(self._graph)
        identity = identify(self.model, self.train_dataset, describe_run(self))
        if replaced := self._identity.begin(identity, self._get_output_dir(trial), self._checkpoint):
            warn(replaced)
        self.accelerator.wait_for_everyone()  # All have read the folder before the first writes there.

    def _init_training_state(self, max_steps, num_update_steps_per_epoch, num_train_epochs, *args):
        begun = super()._init_training_state(max_steps, num_update_steps_per_epoch, num_train_epochs, *args)
        if self.state.global_step > max_steps:
            raise LassError(
                f"{self._checkpoint}: it is that of step {self.state.global_step}, and the training has {max_steps} "
                "steps; expected an earlier checkpoint, or a longer training"
            )
        if self.state.global_step == max_steps:  # In mid-epoch the Trainer would make one step more.
            return num_train_epochs, 0
        return begun

    def _load_callback_state(self):
        """Restores callbacks if that was asked for, but not the identity, which is by now that of this training."""
        super()._load_callback_state()
        self.remove_callback(TrainingIdentity)
        self.add_callback(self._identity)

    def _update_auto_batch_size(self, batch_size):
        if batch_size != self._train_batch_size and self.state.global_step > self._initial_global_step:
            # transformers would begin anew with trained weights, and beside the checkpoints of larger batches.
            raise LassError(
                f"the memory was too small for a batch of {self._train_batch_size} at step {self.state.global_step}, "
                f"when weights had changed; begin anew with per_device_train_batch_size={batch_size}"
            )
        super()._update_auto_batch_size(batch_size)

    # Batches

    def get_train_dataloader(self) -> DataLoader:
        """Returns the data loader of a training.

        Several processes share the last triplets of an epoch, for which accelerate would repeat its first ones.
        """
        dataloader = super().get_train_dataloader()
        if isinstance(dataloader.batch_sampler, BatchSamplerShard):
            share_last_batch(dataloader.batch_sampler)
        return dataloader

    def _get_train_sampler(self, train_dataset=None):
        """Returns a sampler of blocks of neighbors if `args.neighborhood_size` is above 1, else the Trainer's own."""
        split = self.train_dataset if train_dataset is None else train_dataset
        if self.args.neighborhood_size == 1 or split is None:
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        return NeighborhoodSampler(split.triplets, self.args.neighborhood_size, seed)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Returns batches, and the number of positives (or triplets) of the global, accumulated batch."""
        self._has_begun = True
        self.throughput.begin_step()
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        for batch in batches:
            self.training_objective.check_batch(batch, self.data_collator)
        labels = torch.cat([batch["labels"] for batch in batches])
        counts = torch.stack([(labels == 1).sum(), labels.new_tensor(labels.numel())])
        counts = self.accelerator.gather(counts[None].to(device)).sum(0)
        self.throughput.add(counts)
        return batches, counts[0 if self.training_objective.mean_over == "positives" else 1].clamp(min=1)

    # Steps

    def create_optimizer(self, *args, **kwargs):
        """Makes the optimizer.

        Raises:
            LassError: No weight is trained.
        """
        check_any_trained(self.model)
        return super().create_optimizer(*args, **kwargs)

    def training_step(self, *args, **kwargs):
        """Makes a training step; on a CPU with eager attention, whose backward pass over short sequences is faster."""
        encoder = self.accelerator.unwrap_model(self.model).encoder
        eager = self.args.device.type == "cpu" and encoder.config._attn_implementation == "sdpa"
        with eager_attention(encoder) if eager else nullcontext():
            return super().training_step(*args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Returns the loss that `args.loss` names, or that of `compute_loss_func`, in float32.

        Raises:
            NonFiniteError: The loss is NaN or infinite.
        """
        model_inputs, loss_inputs = self.training_objective.split_batch(inputs)
        # DataParallel cuts batches, compile wants a shape.
        if self.accelerator.distributed_type in SHARDED or self.args.n_gpu > 1 or self.args.torch_compile:
            model_inputs.pop("length_buckets", None)
        if self.args.gradient_cache_tokens:
            model_inputs = self.training_objective.in_parts(model_inputs)
        outputs = model(**model_inputs, return_dict=True)
        unwrapped, graph = self.accelerator.unwrap_model(model), self._graph
        made = unwrapped, outputs, loss_inputs, graph, self.data_collator
        loss = self.training_objective.loss(*made, num_items_in_batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(
                f"the loss became {loss.item()} at step {self.state.global_step}: lower the learning rate "
                f"({self.args.learning_rate}), or train in float32 (--bf16 false); checkpoints in "
                f"{self.args.output_dir} are as they were"
            )
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes
        return (loss, outputs) if return_outputs else loss

    @property
    def _graph(self) -> Any:
        """The graph that is trained on, or else the processor's."""
        split: Any = self.train_dataset
        return self.processing_class.graph if split is None else split.graph

    # Evaluation

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluates the split that is the data loader's dataset, through the scoring engine.

        Raises:
            LassError: The dataset is no split, or a split of another graph than the one that is trained on.
        """
        split: GraphSplit = dataloader.dataset  # type: ignore[assignment]
        check_split(split)
        if self.train_dataset is not None and split.graph is not self._graph:
            raise LassError(
                "LassTrainer evaluates on splits of the graph that it trains on; for another graph use "
                "evaluate_link_prediction"
            )
        found = evaluate_split(
            self.accelerator.unwrap_model(self.model),
            split,
            self.training_objective,
            self.data_collator,
            graph_name=(self.card.run_metadata or {}).get("graph"),
        )
        self.card.record(found.card_data, self.state.global_step)
        metrics = found.metrics
        if self.compute_metrics is not None:
            given = EvalPrediction(predictions=found.predictions, label_ids=found.label_ids)
            metrics = metrics | self.compute_metrics(given)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(found.predictions, found.label_ids, metrics, found.num_samples)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs also the positives, and the triplets with their negatives, that all processes trained on in a second.

        The last log has the rates of the whole training: `train_positives_per_second`, `train_triplets_per_second`.
        """
        if "loss" in logs:
            logs.update(self.throughput.since_last_log())
        elif "train_runtime" in logs:
            logs.update(self.throughput.of_training())
        super().log(logs, start_time)
