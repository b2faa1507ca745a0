"""The Trainer's callbacks: epoch and queue of the negatives, throughput, calibration, and the model card."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ..core.encoders import encoder_name
from ..core.errors import GraphError
from ..evaluation.calibration import fit_calibration, labeled_split
from ..hub.card_files import merge_evaluation, model_card_data, read_card_data, write_card
from ..utils.environment import machine, versions
from .objectives import Objective
from .run_metadata import describe_run


class EpochCallback(TrainerCallback):
    """Gives the collator the epoch, whose negatives it draws; after a resume too."""

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        if hasattr(train_dataloader.collate_fn, "set_epoch"):
            train_dataloader.collate_fn.set_epoch(int(state.epoch or 0))


class QueueCallback(TrainerCallback):
    """Drops the negatives of earlier batches when a training begins, and before each step but those of its last third.

    Before, the learning rate is so high that the encoder moves away fast from the vectors that it has made.

    Args:
        objective: The `Objective` of the training.
    """

    def __init__(self, objective: Objective):
        self.objective = objective

    def on_train_begin(self, args, state, control, **kwargs):
        self.objective.forget_batches()

    def on_step_begin(self, args, state, control, **kwargs):
        if 3 * state.global_step < 2 * state.max_steps:
            self.objective.forget_batches()


class ThroughputCallback(TrainerCallback):
    """Counts positives, triplets and seconds of training steps, from the first batch to the optimizer's step.

    Evaluations and saving are left out.
    """

    def __init__(self):
        self._reset()

    def _reset(self) -> None:
        self._counts, self._seconds = torch.zeros(2, dtype=torch.int64), 0.0
        self._logged, self._step_started = (self._counts, 0.0), 0.0

    def begin_step(self) -> None:
        """Starts the clock of a step."""
        self._step_started = time.perf_counter()

    def add(self, counts: torch.Tensor) -> None:
        """Adds the positives and the triplets of a global batch, int64 of shape (2,), on any device."""
        self._counts = self._counts.to(counts.device) + counts

    def on_step_end(self, args, state, control, **kwargs):
        self._seconds += time.perf_counter() - self._step_started

    def on_train_begin(self, args, state, control, **kwargs):
        self._reset()

    def since_last_log(self) -> dict[str, float]:
        """Returns the rates since the last call."""
        counts, seconds = self._logged
        self._logged = (self._counts, self._seconds)
        return _rates(self._counts - counts.to(self._counts.device), self._seconds - seconds)

    def of_training(self) -> dict[str, float]:
        """Returns the rates of the whole training, with `train_` before their names."""
        return {f"train_{name}": value for name, value in _rates(self._counts, self._seconds).items()}


def _rates(counts: torch.Tensor, seconds: float) -> dict[str, float]:
    if not seconds:
        return {}
    names = ("positives_per_second", "triplets_per_second")
    return {name: round(count / seconds, 3) for name, count in zip(names, counts.tolist(), strict=True)}


class CalibrationCallback(TrainerCallback):
    """Drops the model's calibration when a training begins, and fits one when it ends, if the graph has labels."""

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        model.config.calibration = None

    def on_train_end(self, args, state, control, model=None, processing_class=None, **kwargs):
        try:
            labeled_split(processing_class.graph, "validation")
        except GraphError:
            return
        fit_calibration(model, processing_class, processing_class.graph, quiet=args.disable_tqdm)


class ModelCardCallback(TrainerCallback):
    """Collects the data of a model card: the training, and the evaluations of the weights that are saved.

    Args:
        run_metadata: Graph, recipe and choices of the run, as `collect_run_metadata` makes them; None to make them
            from the Trainer's model, processor and arguments.
    """

    def __init__(self, run_metadata: Mapping[str, Any] | None = None):
        self.run_metadata = run_metadata
        self._evaluations: list[Mapping[str, Any]] = []  # of the weights at `_evaluated_step`
        self._evaluated_step, self._best_step = 0, None
        self._first_step = 0  # of the training: that of the checkpoint from which it went on

    def on_train_begin(self, args, state, control, **kwargs):
        """Forgets earlier evaluations: the training changes the weights, and its steps count from 0 again."""
        self._evaluations, self._evaluated_step, self._best_step = [], 0, None
        self._first_step = state.global_step

    def on_train_end(self, args, state, control, **kwargs):
        """Takes over the evaluations of the best checkpoint, if its weights were loaded."""
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._best_step = state.best_global_step
            self._evaluations = read_card_data(str(state.best_model_checkpoint)).get("evaluations", [])
            self._evaluated_step = state.global_step

    def record(self, evaluation: Mapping[str, Any], step: int) -> None:
        """Keeps an evaluation of the weights at a step."""
        before = self._evaluations if self._evaluated_step == step else []
        self._evaluations, self._evaluated_step = merge_evaluation(before, evaluation), step

    def write(self, folder: str | Path, trainer: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Writes the card of the model that a trainer has saved into a folder.

        After a training that went on from its last step, a card of the same weights keeps what it says of the training,
        and its evaluations.

        Args:
            folder: The folder.
            trainer: The `LassTrainer`.
            metadata: Metadata for the hub, see `LassTrainer.create_model_card`.
        """
        step = trainer.state.global_step
        kept = read_card_data(folder) if 0 < step == self._first_step else {}
        evaluations = kept.get("evaluations", [])
        for evaluation in self._evaluations if self._evaluated_step == step else []:
            evaluations = merge_evaluation(evaluations, evaluation)
        card_data = {
            **model_card_data(trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class),
            "training": kept.get("training") or self._training_data(trainer),
            "evaluations": evaluations,
        }
        write_card(str(folder), card_data, trainer.processing_class.graph, metadata)

    def _training_data(self, trainer: Any) -> dict[str, Any]:
        """Returns the data of the training so far, with folders of this machine by their last part only."""
        state, args = trainer.state, trainer.args
        run = describe_run(trainer)
        end: dict[str, Any] = next((entry for entry in reversed(state.log_history) if "train_runtime" in entry), {})
        choices = {name: _without_folder(value) for name, value in run["choices"].items()}
        names = ("graph", "load_graph", "recipe", "changed", "held_out", "decisions", "seed", "bf16")
        return {
            **{name: run.get(name) for name in names},
            "dtype": str(trainer.accelerator.unwrap_model(trainer.model).dtype).removeprefix("torch."),
            "choices": choices | {"encoder": encoder_name(str(run["choices"]["encoder"]))},
            "examples": 0 if trainer.train_dataset is None else len(trainer.train_dataset),
            "step": state.global_step,
            "epoch": state.epoch or 0.0,
            "best_step": self._best_step,
            "seconds": end.get("train_runtime"),
            "positives_per_second": end.get("train_positives_per_second"),
            "triplets_per_second": end.get("train_triplets_per_second"),
            "resumed": run["resumed"],
            "resumes": run["resumes"],
            "hardware": _hardware(args.world_size, args.device),
            "versions": versions(),
        }


def _hardware(num_processes: int, device: torch.device) -> str:
    here = machine()
    cpu = f"{here['cpu'] or 'CPU'}, {here['cores']} cores, {here['threads']} threads"
    return f"{num_processes} x {cpu if device.type == 'cpu' else here['accelerator'] or device}"


def _without_folder(value: Any) -> Any:
    """Returns the last part of an absolute path, and any other value as it is."""
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
