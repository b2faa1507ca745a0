"""One training from its arguments: graph, processor, model, trainer; for `lass-hf train` and the example scripts."""

import os
import sys
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from .builders import load_graph
from .errors import LassError, first_line
from .knowledge_graph import KnowledgeGraph
from .modeling import LassForKGCompletion
from .processing import LassProcessor
from .recipes import TrainArguments, record
from .results import read_results, write_results
from .terminal import processes, quieten
from .trainer import LassTrainer, find_checkpoint
from .training_args import LassTrainingArguments

TRAINING_FILE = "training.json"
RECORDED = ("graph", "recipe", "seed", "bf16", "choices")


def train(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph | None = None
) -> LassTrainer:
    """Trains and saves a model into `training.output_dir`; its trainer holds model, processor and log.

    `graph`: the graph to train on, when it is not simply the one that `arguments.graph` names. Raises LassError for
    arguments that do not fit, before the training begins.
    """
    output_dir = Path(training.output_dir or "trainer_output")
    output_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(output_dir, os.W_OK):
        raise LassError(f"{output_dir}: cannot be written; choose another --output_dir")
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True
    graph = graph or load_graph(arguments.graph, long_text=arguments.long_text)
    processor = LassProcessor.from_encoder(
        arguments.encoder, graph=graph, separators=arguments.separators, max_length=arguments.max_length
    )
    model = LassForKGCompletion.from_encoder(
        arguments.encoder,
        margin=arguments.margin,
        distance_scale=arguments.distance_scale,
        dropout=arguments.dropout,
    )
    checkpoint = None
    if training.resume_from_checkpoint is not None:
        checkpoint = find_checkpoint(training.resume_from_checkpoint, output_dir)
        if checkpoint is None and training.process_index == 0:
            print(f"lass-hf: {output_dir} has no whole checkpoint; training from the start", file=sys.stderr)
    try:
        trainer = LassTrainer(
            model=model,
            args=training,
            processing_class=processor,
            train_dataset=graph["train"],
            eval_dataset=graph.splits.get("validation"),
        )
        trainer.create_optimizer_and_scheduler(num_training_steps=1)  # only to see that their arguments are right
    except (ValueError, TypeError) as error:  # such as an eval_strategy without a validation split
        raise LassError(first_line(error)) from error
    trainer.optimizer = trainer.lr_scheduler = None
    if arguments.quiet:
        trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    if trainer.is_world_process_zero():
        log = trainer.state.log_history
        write_results(output_dir / TRAINING_FILE, log[-1], task="training", **record(arguments, training), log=log)
    trainer.accelerator.wait_for_everyone()  # what comes next may read the folder
    return trainer


def training_of(folder: str | Path) -> dict[str, Any] | None:
    """What `train` recorded of the training whose model is in `folder`, without its log; None where it did not."""
    file = Path(folder, TRAINING_FILE)
    if not file.is_file():
        return None
    made = read_results(file)
    how = ("command", "metrics", "num_processes", "machine", "versions", "git_commit")
    return {name: made[name] for name in (*RECORDED, *how)}


def trained_model(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph, folder: str | None = None
) -> tuple[LassForKGCompletion, LassProcessor, dict[str, Any]]:
    """A model, its processor, and what it was made of: trained now, or by an earlier `train` into `folder`."""
    if folder is None:
        train(arguments, training, graph)
        folder = str(training.output_dir)
    made = training_of(folder)
    if made is None:
        raise LassError(f"{folder}: no {TRAINING_FILE} in it; expected the output folder of an earlier training")
    model = LassForKGCompletion.from_pretrained(folder).to(processes().device)
    about = {name: made.pop(name) for name in RECORDED}
    return model, LassProcessor.from_pretrained(folder), {**about, "training": made}
