"""What a training tells: throughput in its log, and so in every tracker; a model card in every folder that it saves.

It is `LassTrainer`'s part that neither trains nor measures.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import TrainerCallback

from ..core.encoders import encoder_name
from ..core.errors import LassError, first_line
from ..core.knowledge_graph import KnowledgeGraph
from ..core.processing_lass import LassProcessor
from ..hub.card_files import merge_evaluation, model_card_data, read_card_data, write_card
from ..utils.environment import machine, versions
from .hub_trainer import HubTrainer
from .run_metadata import record_by_hand

METADATA = ("language", "license", "tags", "model_name", "finetuned_from", "tasks", "dataset_tags", "dataset")


class ReportingTrainer(HubTrainer):
    """A Trainer that logs its throughput and writes model cards."""

    processing_class: LassProcessor
    graph: KnowledgeGraph

    def __init__(self, *args, **kwargs):
        self.throughput = Throughput()
        self.about: Mapping[str, Any] | None = None  # as `record` gives it; made from the arguments when not set
        self.evaluations: list[Mapping[str, Any]] = []  # of the weights as they are at step
        self._evaluated_step, self._best_step = 0, None
        super().__init__(*args, **kwargs)
        self.add_callback(self.throughput)
        self.add_callback(_NewWeights(self.forget))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs also the positives and the triplets (negatives too) that went through the model in a second.

        Of all processes, since the last such log; evaluations and saving are left out. The last log has those of the
        whole training, as `train_positives_per_second` and `train_triplets_per_second`.
        """
        if "loss" in logs:
            logs.update(self.throughput.since_last())
        elif "train_runtime" in logs:
            logs.update({f"train_{name}": value for name, value in self.throughput.of_all().items()})
        super().log(logs, start_time)

    def remember(self, evaluation: Mapping[str, Any]) -> None:
        """Keeps an evaluation for the card of these weights."""
        before = self.evaluations if self._evaluated_step == self.state.global_step else []
        self.evaluations, self._evaluated_step = merge_evaluation(before, evaluation), self.state.global_step

    def forget(self) -> None:
        """Drops what was measured, as a training begins that changes the weights; the steps count from 0 again."""
        self.evaluations, self._evaluated_step, self._best_step = [], 0, None

    def _load_best_model(self):
        super()._load_best_model()
        self._best_step = self.state.best_global_step
        self.evaluations = read_card_data(str(self.state.best_model_checkpoint)).get("evaluations", [])
        self._evaluated_step = self.state.global_step

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Saves the model; raises LassError when the disk does not take it."""
        with _what_a_disk_refuses(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model, trial):
        with _what_a_disk_refuses(self.args.output_dir):
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            self._write_card(output_dir or self.args.output_dir)

    def create_model_card(self, **metadata: Any) -> None:  # type: ignore[override]
        """Writes the model card of the output folder again, with metadata for the hub; that stays in later cards.

        `metadata`: language, license, tags, model_name, finetuned_from, tasks, dataset_tags (names on the hub) or
        dataset (the graph's name). Raises LassError for any other.
        """
        if unknown := [name for name in metadata if name not in METADATA]:
            raise LassError(f"{unknown[0]}={metadata[unknown[0]]!r} for a model card; expected {', '.join(METADATA)}")
        if self.is_world_process_zero():
            self._write_card(self.args.output_dir, metadata)

    def _write_card(self, folder: str | Path | None, metadata: Mapping[str, Any] | None = None) -> None:
        current = self._evaluated_step == self.state.global_step
        facts = {
            **model_card_data(self.accelerator.unwrap_model(self.model), self.processing_class),
            "training": self._facts(),
            "evaluations": self.evaluations if current else [],
        }
        write_card(str(folder), facts, self.processing_class.graph, metadata)

    def _facts(self) -> dict[str, Any]:
        """What is known of the training so far; of places on this machine only their names."""
        state, train_dataset = self.state, self.train_dataset
        about = self.about or record_by_hand(self.model.config, self.processing_class, self.args)  # type: ignore[union-attr,arg-type]
        end = next((entry for entry in reversed(state.log_history) if "train_runtime" in entry), {})
        choices = {name: _public(value) for name, value in about["choices"].items()}
        return {
            **{name: about.get(name) for name in ("graph", "load_graph", "recipe", "changed", "seed", "bf16")},
            "choices": choices | {"encoder": encoder_name(str(about["choices"]["encoder"]))},
            "examples": 0 if train_dataset is None else len(train_dataset),  # type: ignore[arg-type]
            "step": state.global_step,
            "epoch": state.epoch or 0.0,
            "best_step": self._best_step,
            "seconds": end.get("train_runtime"),
            "positives_per_second": end.get("train_positives_per_second"),
            "triplets_per_second": end.get("train_triplets_per_second"),
            "resumed": getattr(self, "_initial_global_step", 0) > 0,
            "hardware": _hardware(self.args.world_size, self.args.device),
            "versions": versions(),
        }


@contextmanager
def _what_a_disk_refuses(folder: str | Path | None) -> Iterator[None]:
    """As an error for people: only OSErrors are, and safetensors and torch raise others."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if type(error) is RuntimeError and "inline_container" not in str(error):  # torch's file writer
            raise
        raise LassError(
            f"{folder}: cannot be saved ({first_line(error)}); make room there, and go on from the last whole "
            "checkpoint with --resume_from_checkpoint last"
        ) from error


def _hardware(num_processes: int, device: torch.device) -> str:
    here = machine()
    cpu = f"{here['cpu'] or 'CPU'}, {here['cores']} cores, {here['threads']} threads"
    return f"{num_processes} x {cpu if device.type == 'cpu' else here['accelerator'] or device}"


def _public(value: Any) -> Any:
    """A choice as others may see it: of an absolute path the last part."""
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else value


class _NewWeights(TrainerCallback):
    """Calls `forget` when a training begins."""

    def __init__(self, forget: Callable[[], None]):
        self._forget = forget

    def on_train_begin(self, args, state, control, **kwargs):
        self._forget()


class Throughput(TrainerCallback):
    """Positives, triplets and seconds of training steps, from the first batch that is drawn to the optimizer's step."""

    def __init__(self):
        self.counts, self.seconds = torch.zeros(2, dtype=torch.int64), 0.0
        self._last, self._started = (self.counts, 0.0), 0.0

    def begin_step(self) -> None:
        self._started = time.perf_counter()

    def add(self, counts: torch.Tensor) -> None:
        """Of the global batch: positives and triplets, shape (2,), on any device."""
        self.counts = self.counts.to(counts.device) + counts

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds += time.perf_counter() - self._started

    def on_train_begin(self, args, state, control, **kwargs):
        self.__init__()

    def since_last(self) -> dict[str, float]:
        """Rates since this was last asked for."""
        counts, seconds = self._last
        self._last = (self.counts, self.seconds)
        return _rates(self.counts - counts.to(self.counts.device), self.seconds - seconds)

    def of_all(self) -> dict[str, float]:
        """Rates of the whole training."""
        return _rates(self.counts, self.seconds)


def _rates(counts: torch.Tensor, seconds: float) -> dict[str, float]:
    if not seconds:
        return {}
    names = ("positives_per_second", "triplets_per_second")
    return {name: round(count / seconds, 3) for name, count in zip(names, counts.tolist(), strict=True)}
