"""One training from its arguments: graph, processor, model, trainer; for `lass-hf train` and the example scripts."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from ..core.choices import ModelChoices, SequenceChoices, check
from ..core.errors import LassError, first_line
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..graphs.loading import load_graph
from ..scoring.index_building import INDEX_FOLDER, index_folder_of
from ..scoring.triplet_scorer import TripletScorer
from ..utils.console import quieten
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, texts_fingerprint
from ..utils.result_files import read_results, write_results
from .checkpoints import find_checkpoint
from .data_collators import KGDataCollator
from .hard_negatives import mine_negatives
from .recipes import TrainArguments
from .run_metadata import run_metadata
from .trainer import LassTrainer
from .training_args import LassTrainingArguments

TRAINING_FILE = "training.json"
# What is recorded of how a training ran, besides what it trained.
OUTCOME = ("command", "resumed", "metrics", "num_processes", "machine", "versions", "git_commit")


@dataclass
class TrainingRun:
    """A training that ended.

    Attributes:
        trainer: holds the model, the processor and the log.
        metadata: what identifies the training, as `run_metadata` returns it, and whether it was resumed.
    """

    trainer: LassTrainer
    metadata: dict[str, Any]


def train(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph | None = None
) -> TrainingRun:
    """Trains a model and saves it into `training.output_dir`.

    Args:
        arguments: encoder, graph and the choices of model and sequences.
        training: the training arguments.
        graph: the graph to train on, when it is not simply the one that `arguments.graph` names.

    Raises:
        LassError: arguments do not fit; this is so before the training begins.
    """
    output_dir = _checked_output_dir(arguments, training)
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True
    graph = graph or load_graph(arguments.graph, long_text=arguments.long_text)
    processor = LassProcessor.from_encoder(
        arguments.encoder, graph, architecture=arguments.architecture, **arguments.chosen(SequenceChoices)
    )
    model = LassForKGCompletion.from_encoder(
        arguments.encoder, dropout=arguments.dropout, **arguments.chosen(ModelChoices)
    )
    train_dataset = graph["train"].sample(arguments.fraction, training.seed)
    collator = None if arguments.retriever is None else _mining_collator(arguments, training, processor, train_dataset)
    metadata = run_metadata(arguments, training, graph)
    checkpoint = None
    if training.resume_from_checkpoint is not None:
        checkpoint = find_checkpoint(training.resume_from_checkpoint, output_dir)
        if checkpoint is None and training.process_index == 0:
            print(f"lass-hf: {output_dir} has no whole checkpoint; training from the start", file=sys.stderr)
        if checkpoint is not None:
            _check_same(checkpoint, metadata)
    processes().wait_for_everyone()
    metadata["resumed"] = checkpoint is not None  # The run time is then that of the rest.
    try:
        trainer = LassTrainer(
            model=model,
            args=training,
            data_collator=collator,
            processing_class=processor,
            train_dataset=train_dataset,
            eval_dataset=graph.splits.get("validation"),
            run_metadata=metadata,
        )
        # transformers checks the arguments of optimizer and schedule only by making them; the training makes its own.
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
    except (ValueError, TypeError) as error:  # such as an eval_strategy without a validation split
        raise LassError(first_line(error)) from error
    trainer.optimizer = trainer.lr_scheduler = None
    if arguments.quiet:
        trainer.remove_callback(PrinterCallback)
    file = output_dir / TRAINING_FILE
    begins = checkpoint is None or Path(checkpoint).parent.resolve() != output_dir.resolve()
    if begins and trainer.is_world_process_zero():
        write_results(file, {}, task="training", **metadata)  # A resumed training is compared with this.
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        shutil.rmtree(output_dir / INDEX_FOLDER, ignore_errors=True)  # It is the index of the folder's earlier model.
    trainer.save_model(_internal_call=True)  # A push may fail, so everything is saved before.
    if trainer.is_world_process_zero():
        log = trainer.state.log_history
        write_results(file, log[-1], task="training", **metadata, log=log)
    if training.push_to_hub:
        trainer.push_to_hub()
    trainer.accelerator.wait_for_everyone()  # What comes next may read the folder.
    return TrainingRun(trainer, metadata)


def _checked_output_dir(arguments: TrainArguments, training: LassTrainingArguments) -> Path:
    """Returns the output folder, which can be written, after checking arguments that depend on each other."""
    if training.max_steps <= 0 and not training.num_train_epochs > 0:
        raise LassError(
            f"num_train_epochs={training.num_train_epochs}; expected a number above 0, or max_steps of 1 or more"
        )
    check(training, arguments.architecture)
    if arguments.retriever is not None and arguments.num_mined > training.num_negatives:
        raise LassError(f"num_mined={arguments.num_mined}; expected 1 to num_negatives, {training.num_negatives}")
    output_dir = Path(training.output_dir or "trainer_output")
    output_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(output_dir, os.W_OK):
        raise LassError(f"{output_dir}: cannot be written; choose another --output_dir")
    return output_dir


def _mining_collator(
    arguments: TrainArguments, training: LassTrainingArguments, processor: LassProcessor, split: GraphSplit
) -> KGDataCollator:
    """Returns a collator that also draws negatives from the retriever's best wrong answers."""
    folder, graph = str(arguments.retriever), split.graph
    model = LassForKGCompletion.from_pretrained(folder).to(processes().device)
    if model.config.architecture != "bi-encoder":
        raise LassError(f"--retriever {folder}: a cross-encoder; expected a bi-encoder")
    of_retriever = LassProcessor.from_pretrained(folder)
    scorer = TripletScorer(model, of_retriever.token_store(graph))
    kept = index_folder_of(folder, of_retriever.graph, graph)
    mined = mine_negatives(scorer, split, arguments.mining_depth, kept, arguments.quiet)
    return KGDataCollator(processor, graph, **training.sampling(), hard_negatives=mined, num_mined=arguments.num_mined)


def _check_same(checkpoint: str, metadata: dict[str, Any]) -> None:
    """Refuses to resume with other choices than those that the checkpoint's training began with."""
    file = Path(checkpoint).parent / TRAINING_FILE
    if not file.is_file():
        return
    before = read_results(file)
    if before["graph_fingerprint"] != metadata["graph_fingerprint"]:
        raise LassError(f"{checkpoint}: the checkpoint of a training on another graph, {before['graph']}")
    old, new = ({"seed": run["seed"], **run["choices"]} for run in (before, metadata))
    if different := [name for name in {**old, **new} if old.get(name) != new.get(name)]:
        name = different[0]
        raise LassError(
            f"{checkpoint}: of a training with {name}={old.get(name)!r}, and this is one with {new.get(name)!r}; "
            "resume with the same arguments, or begin another training in another --output_dir"
        )


def training_of(folder: str | Path) -> dict[str, Any] | None:
    """Returns what is recorded of the training that made the model in `folder`: its metadata and its outcome.

    Returns:
        Plain values by name, without the log; None where no training ended.
    """
    file = Path(folder, TRAINING_FILE)
    if not file.is_file():
        return None
    made = read_results(file)
    of_file = ("format", "task", "seconds", "log")  # An evaluation's results file, which this goes into, has its own.
    return {name: made[name] for name in made if name not in of_file} if made["metrics"] else None


def trained_model(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph, folder: str | None = None
) -> tuple[LassForKGCompletion, LassProcessor, dict[str, Any]]:
    """Returns a model that is trained now, or was trained by `train` before.

    Args:
        arguments: as in `train`.
        training: as in `train`.
        graph: the graph to train on, or that an earlier training was on.
        folder: of the earlier training; None to train now.

    Returns:
        The model, its processor, and its run metadata with the outcome under "training".

    Raises:
        LassError: no training ended in the folder, or one on another graph, or on other texts of it.
    """
    if folder is None:
        train(arguments, training, graph)
        folder = str(training.output_dir)
    metadata = training_of(folder)
    if metadata is None:
        raise LassError(f"{folder}: no {TRAINING_FILE} of a training that ended; expected the folder of one that did")
    outcome = {name: metadata.pop(name, None) for name in OUTCOME}
    model = LassForKGCompletion.from_pretrained(folder).to(processes().device)
    before = metadata["choices"]
    weights = model.config.ranking_weights.items()
    kept = {name: weight for name, weight in weights if weight != before.get(name, 0)}  # chosen after the training
    metadata |= {name: {**metadata[name], **kept} for name in ("choices", "changed")}
    if metadata["graph_fingerprint"] != graph_fingerprint(graph):
        raise LassError(
            f"{folder}: trained on {metadata['graph']}, whose names or triplets are not those of {arguments.graph}"
        )
    processor = LassProcessor.from_pretrained(folder)
    if texts_fingerprint(processor.token_store()) != texts_fingerprint(processor.token_store(graph)):
        raise LassError(
            f"{folder}: trained on other texts than those of {arguments.graph}, with --long_text "
            f"{before['long_text']}; evaluate it with the same"
        )
    return model, processor, {**metadata, "training": outcome}
