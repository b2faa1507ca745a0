"""`LassTrainer`: the Hugging Face Trainer with the loss of LASS, its negatives, and ranking as evaluation."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer
from transformers.trainer_utils import EvalLoopOutput, HubStrategy
from transformers.utils import CONFIG_NAME
from transformers.utils.hub import PushInProgress

from ..core.errors import LassError, NonFiniteError, library_errors
from ..core.knowledge_graph import GraphSplit
from ..core.processing_lass import LassProcessor
from ..core.saved_files import WEIGHT_FILES, name_files, replacing
from ..hub.card_files import CARD_FILE
from ..utils.eager_attention import eager_attention
from ..utils.memory import memory_errors
from .callbacks import CalibrationCallback, EpochCallback, ModelCardCallback, ThroughputCallback
from .checkpoints import (
    begin_checkpoint,
    check_adapter,
    check_checkpoint,
    check_same_adapter,
    is_adapted,
    name_states,
    saving,
)
from .data_collators import warn_of_indistinct_names
from .hub_upload import make_repository, upload_checkpoint_in_background, upload_output
from .objectives import OBJECTIVES, Objective
from .samplers import NeighborhoodSampler, SharedBatches
from .split_evaluation import evaluate_split
from .training_args import LassTrainingArguments, check_trained_weights

METADATA = ("language", "license", "tags", "model_name", "finetuned_from", "tasks", "dataset_tags", "dataset")
# No process holds the whole model, so all must call the encoder equally often.
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA)


class LassTrainer(Trainer):
    """Trains a `LassForKGCompletion` on a split of a graph, and evaluates it by ranking or classification.

    The loss is a mean over the positives of the global, accumulated batch, whatever the number of processes, also in
    the last batch of an epoch; only a batch with fewer triplets than processes counts some of them twice. For a
    bi-encoder, the candidates of the loss are those of the batch, of all processes and of one accumulation step. There,
    and with the softmax loss, false triplets are not trained on.

    `evaluate()` returns `eval_loss` and, for a split without labels, the filtered ranking metrics of
    `evaluate_link_prediction` (`eval_mrr`, ..., of `args.eval_triplets` seeded triplets if set). For a split with false
    triplets it returns `eval_accuracy` and its relatives, at the best threshold of that very split, and the mean binary
    cross-entropy as `eval_loss`. It works without a train dataset, and with a dict of splits.

    `compute_metrics` returns further metrics from an `EvalPrediction`. For a ranking, `predictions` are the realistic
    ranks and `label_ids` the numbers of candidates; for a classification, the scores and the labels (1 / 0).
    `compute_loss_func(outputs, labels, num_items_in_batch=...)` is a loss of your own for a cross-encoder, where
    `outputs.scores` are the scores of the batch.

    Args:
        model: The model, or `peft.get_peft_model(model, ...)` of it, of which the adapter is saved.
        args: `LassTrainingArguments`.
        data_collator: A collator of your own; None to make the one of the model's architecture from `args`.
        train_dataset: A split of a `KnowledgeGraph`, such as `graph["train"]`.
        eval_dataset: A split of the same graph, or a dict of splits.
        processing_class: The model's `LassProcessor`. The graph that is trained on becomes its graph, which is saved.
        run_metadata: Graph, recipe and choices of the run for the model card; `lass-hf train` passes it.
        **kwargs: Other arguments of transformers' Trainer, such as `compute_metrics` and `callbacks`.

    Raises:
        LassError: The processor, a split or an argument does not fit.
    """

    args: LassTrainingArguments
    processing_class: LassProcessor
    hub_model_id: Any  # the repository's whole name, once it is made
    push_in_progress: Any

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
        for split in (train_dataset, *(eval_dataset.values() if isinstance(eval_dataset, dict) else [eval_dataset])):
            _check_split(split)
        if args.label_smoothing_factor:
            raise LassError(
                f"label_smoothing_factor={args.label_smoothing_factor} has no meaning for the losses of LASS, which "
                "compare scores and no classes; leave it at 0"
            )
        self.objective: Objective = OBJECTIVES[processor.architecture](processor, args, kwargs.get("compute_loss_func"))
        if model is not None:
            processor.check_fit(model)
            check_adapter(model)
        self.objective.check()  # before the Trainer makes a repository on the hub
        if train_dataset is not None:
            train_dataset = self.objective.training_split(train_dataset)
            processor.graph = train_dataset.graph
            warn_of_indistinct_names(processor, train_dataset.graph)
        self._own_collator = None  # replaced by one of the arguments as they are when a training begins
        if data_collator is None and processor.graph is not None:
            data_collator = self._own_collator = self.objective.make_collator(processor.graph)
        self.throughput, self.card = ThroughputCallback(), ModelCardCallback(run_metadata)
        super().__init__(model, args, data_collator, train_dataset, eval_dataset, **kwargs)
        self.loss_is_scaled_for_ga = True  # compute_loss divides by the whole accumulated batch
        processor.check_fit(self.model)  # one that `model_init` made
        check_adapter(self.model)
        check_trained_weights(self.model, args)  # type: ignore[arg-type] # it is a module
        for callback in (self.throughput, self.card, CalibrationCallback(), EpochCallback()):
            self.add_callback(callback)

    # Batches

    def get_train_dataloader(self) -> DataLoader:
        """Returns the data loader of a training, with a collator by the arguments as they are now.

        Several processes share the last triplets of an epoch, for which accelerate would repeat its first ones.
        """
        if self._own_collator is not None and self.data_collator is self._own_collator:
            self.data_collator = self._own_collator = self.objective.make_collator(self._graph)
        dataloader = super().get_train_dataloader()
        shard = dataloader.batch_sampler
        if isinstance(shard, BatchSamplerShard) and not shard.split_batches:
            shard.batch_sampler = SharedBatches(shard.batch_sampler, shard.num_processes)
            shard.even_batches = False  # they are even
            shard.sampler = shard.batch_sampler.sampler  # where a resumed epoch, whose batches are wrapped, looks
        return dataloader

    def _get_train_sampler(self, train_dataset=None):
        """Returns a sampler of blocks of neighbors if `args.neighborhood_size` is above 1, else the Trainer's own."""
        split = self.train_dataset if train_dataset is None else train_dataset
        if self.args.neighborhood_size == 1 or split is None:
            return super()._get_train_sampler(train_dataset)
        return NeighborhoodSampler(split.triplets, self.args.neighborhood_size, self.args.seed)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Returns batches, and the number of positives (or triplets) of the global, accumulated batch."""
        self.throughput.begin_step()
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, None
        labels = torch.cat([batch["labels"] for batch in batches])
        counts = torch.stack([(labels == 1).sum(), torch.tensor(labels.numel())])
        counts = self.accelerator.gather(counts[None].to(device)).sum(0)
        self.throughput.add(counts)
        return batches, counts[0 if self.objective.mean_over == "positives" else 1].clamp(min=1)

    # Steps

    def train(self, *args, **kwargs):
        """Trains, as the Trainer does.

        Raises:
            LassError: Memory is short; the line says what to lower.
        """
        hint = (
            f"lower per_device_train_batch_size ({self.args.per_device_train_batch_size}; more "
            f"gradient_accumulation_steps keep a step as large) or max_length ({self.processing_class.max_length}), "
            "or turn on gradient_checkpointing or bf16"
        )
        with memory_errors("training", hint):
            return super().train(*args, **kwargs)

    def create_optimizer(self, *args, **kwargs):
        """Makes the optimizer.

        Raises:
            LassError: No weight is trained.
        """
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise LassError(
                "no weight of the model is trained: load its adapter with is_trainable=True, or call "
                "model.requires_grad_(True) to train all of them"
            )
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
        model_inputs, loss_inputs = self.objective.split_batch(inputs)
        sharded = self.accelerator.distributed_type in SHARDED
        if (
            sharded or self.args.n_gpu > 1 or self.args.torch_compile
        ):  # DataParallel cuts batches, compile wants a shape
            model_inputs.pop("length_buckets", None)
        outputs = model(**model_inputs, return_dict=True)
        unwrapped, graph = self.accelerator.unwrap_model(model), self._graph
        loss = self.objective.loss(unwrapped, outputs, loss_inputs, graph, self.data_collator, num_items_in_batch)
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
        _check_split(split)
        if self.train_dataset is not None and split.graph is not self._graph:
            raise LassError(
                "LassTrainer evaluates on splits of the graph that it trains on; for another graph use "
                "evaluate_link_prediction"
            )
        found = evaluate_split(
            self.accelerator.unwrap_model(self.model),
            split,
            self.objective,
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

    # Files

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves model, processor and card into a folder, by default the output folder.

        Raises:
            LassError: The disk is full, or the folder cannot be written.
        """
        with saving(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model, trial):
        with saving(self.args.output_dir):
            if self.args.should_save:
                begin_checkpoint(self._get_output_dir(trial), self.state.global_step)
            super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # The Trainer's state, with which a checkpoint is whole, comes last.
        if self.args.should_save:
            name_states(Path(output_dir))

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = output_dir or str(self.args.output_dir)
        if not self.args.should_save:
            super()._save(folder, state_dict)
            return
        with replacing(folder) as beside:
            super()._save(str(beside), state_dict)
            if is_adapted(self.model):  # PEFT saves no configuration, and a card of its own.
                (beside / CARD_FILE).unlink(missing_ok=True)
                self.model.config.save_pretrained(beside)  # type: ignore[union-attr, operator]
                name_files(beside, CONFIG_NAME, WEIGHT_FILES)
        self.card.write(folder, self)

    def create_model_card(self, **metadata: Any) -> None:  # type: ignore[override]
        """Writes the model card of the output folder again, with metadata for the hub, which stays in later cards.

        Args:
            **metadata: language, license, tags, model_name, finetuned_from, tasks, dataset_tags (names on the hub) or
                dataset (the graph's name).

        Raises:
            LassError: There is metadata of another name.
        """
        if unknown := [name for name in metadata if name not in METADATA]:
            raise LassError(f"{unknown[0]}={metadata[unknown[0]]!r} for a model card; expected {', '.join(METADATA)}")
        if self.is_world_process_zero():
            self.card.write(str(self.args.output_dir), self, metadata)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """Loads the weights of a checkpoint of this model and graph."""
        folder = Path(resume_from_checkpoint)
        check_checkpoint(folder, self.model.config, self.processing_class)
        check_same_adapter(folder, self.model)
        with library_errors(f"{folder}: its weights cannot be loaded", kind=LassError):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint):
        with library_errors(f"{checkpoint}: its optimizer cannot be loaded", kind=LassError):
            super()._load_optimizer_and_scheduler(checkpoint)

    # The hub

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Makes the hub repository before the training begins, so that a wrong token is found before its end."""
        if self.is_world_process_zero():
            self.hub_model_id, self.push_in_progress = make_repository(self.args, token, private), None

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **metadata: Any,
    ):
        """Saves model, processor and card into the output folder, and uploads them.

        Args:
            commit_message: Message of the commit.
            blocking: Whether to wait for the end of the upload.
            token: Token of the hub; None for `args.hub_token`.
            revision: Branch; None for `args.hub_revision`.
            private: Whether a new repository is private.
            **metadata: See `create_model_card`.

        Returns:
            A `CommitInfo`, or a `Future` if not `blocking`.

        Raises:
            HubError: The hub refuses, or the connection breaks off. What was saved stays, and another call completes
                the push.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        metadata.setdefault("model_name", self.hub_model_id.rpartition("/")[2])
        self.create_model_card(**metadata)
        self._finish_current_push()
        pushed = upload_output(self.args, self.hub_model_id, str(commit_message), token, revision, blocking)
        if not blocking:
            self.push_in_progress = PushInProgress([pushed])  # type: ignore[arg-type] # it takes a list
        return pushed

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Uploads a checkpoint in the background, according to `hub_strategy`."""
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        running = None if self.push_in_progress is None or self.push_in_progress.is_done() else self.push_in_progress
        if running is not None and not self.args.hub_always_push:
            return
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        self.push_in_progress = upload_checkpoint_in_background(
            self.args, self.hub_model_id, checkpoint_folder, self.state.global_step, running
        )


def _check_split(split: Any) -> None:
    if split is not None and not isinstance(split, GraphSplit):
        raise LassError(
            f"LassTrainer trains on splits of a KnowledgeGraph, such as graph['train']; got {type(split).__name__}"
        )
