"""One training from its arguments to the saved model, for `lass-hf train` and the example scripts."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from ..core.errors import LassError, first_line
from ..core.knowledge_graph import GraphSplit, KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..graphs.loading import EMBEDDED, load_graph
from ..scoring.index_building import INDEX_FOLDER, index_folder_of
from ..scoring.triplet_scorer import TripletScorer
from ..utils.console import quieten
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, texts_fingerprint
from ..utils.result_files import TRAINING_FILE, read_results, read_training, write_results
from .checkpoints import find_checkpoint
from .data_collators import KGDataCollator
from .hard_negatives import mine_negatives
from .recipes import TrainArguments, parse_training
from .run_metadata import describe_training
from .trainer import LassTrainer
from .training_args import LassTrainingArguments

# Arguments that mean something only with another one.
NEEDED = {"scale": "normalize", "learn_scale": "normalize", "num_mined": "retriever", "mining_depth": "retriever"}
OF_JOINT = ("num_negatives", "corruption", "replacement", "pseudo_typed")


def parse_script(*more: Any, argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Parses the command line of a training script, like that of `lass-hf train`.

    Args:
        more: dataclasses of the script's own arguments.
        argv: the command line; None: the one that runs.

    Returns:
        `TrainArguments`, `LassTrainingArguments`, and an instance of each class in `more`.

    Raises:
        LassError: arguments that cannot be parsed, or do not fit together.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments, training, *others = parse_training(argv, *more, prog=Path(sys.argv[0]).name)
    check_arguments(arguments, training)
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True
    return arguments, training, *others


def check_arguments(arguments: TrainArguments, training: LassTrainingArguments) -> None:
    """Refuses arguments that do not fit together, and an output folder that cannot be written; makes that folder.

    Raises:
        LassError: with the argument and what was expected.
    """
    if training.max_steps <= 0 and not training.num_train_epochs > 0:
        raise LassError(
            f"num_train_epochs={training.num_train_epochs}; expected a number above 0, or max_steps of 1 or more"
        )
    output_dir = _output_dir(training)
    output_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(output_dir, os.W_OK):
        raise LassError(f"{output_dir}: cannot be written; choose another --output_dir")
    _check_needed(arguments, training)


def train(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph | None = None
) -> LassTrainer:
    """Makes graph, processor, model and trainer from arguments, trains the model and saves it.

    Args:
        arguments: graph, encoder and the choices of the method.
        training: arguments of the trainer; the model is saved in `training.output_dir`.
        graph: the graph to train on, when it is not simply the one that `arguments.graph` names.

    Returns:
        The trainer, which holds model, processor and log.

    Raises:
        LassError: arguments that do not fit, before the training begins.
    """
    check_arguments(arguments, training)
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True
    graph = graph or load_graph(arguments.graph, long_text=arguments.long_text)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph, **arguments.processor_choices())
    model = LassForKGCompletion.from_encoder(arguments.encoder, **arguments.model_choices())
    train_dataset = graph["train"].sample(arguments.fraction, training.seed)
    collator = make_collator(arguments, training, processor, train_dataset)
    try:
        trainer = LassTrainer(
            model=model,
            args=training,
            data_collator=collator,
            processing_class=processor,
            train_dataset=train_dataset,
            eval_dataset=graph.splits.get("validation"),
        )
    except (ValueError, TypeError) as error:  # such as an eval_strategy without a validation split
        raise LassError(first_line(error)) from error
    return train_and_record(trainer, arguments)


def train_and_record(trainer: LassTrainer, arguments: TrainArguments) -> LassTrainer:
    """Trains, saves the model, and writes the training's metadata beside it, in training.json.

    With `resume_from_checkpoint` the training continues from a checkpoint of the same choices and graph.

    Args:
        trainer: the trainer, made with the choices in `arguments`.
        arguments: graph, encoder and choices, which are recorded.

    Returns:
        The trainer.

    Raises:
        LassError: the checkpoint is of another training, or arguments that do not fit, before the training begins.
    """
    training = trainer.args
    graph: KnowledgeGraph = trainer.train_dataset.graph  # type: ignore[union-attr]
    output_dir = _output_dir(training)
    checkpoint = None
    about = describe_training(arguments, training, graph)
    if training.resume_from_checkpoint is not None:
        checkpoint = find_checkpoint(training.resume_from_checkpoint, output_dir)
        if checkpoint is None and training.process_index == 0:
            print(f"lass-hf: {output_dir} has no whole checkpoint; training from the start", file=sys.stderr)
        if checkpoint is not None:
            _check_same(checkpoint, about)
    processes().wait_for_everyone()
    about["resumed"] = checkpoint is not None  # its run time is then that of the rest
    try:
        trainer.create_optimizer_and_scheduler(num_training_steps=1)  # only to see that their arguments are right
    except (ValueError, TypeError) as error:
        raise LassError(first_line(error)) from error
    trainer.optimizer = trainer.lr_scheduler = None
    named = arguments.graph in EMBEDDED or not Path(arguments.graph).is_dir()  # so others can load it by that name, too
    trainer.about = {**about, "load_graph": arguments.graph if named else None}
    if arguments.quiet:
        trainer.remove_callback(PrinterCallback)
    file = output_dir / TRAINING_FILE
    begins = checkpoint is None or Path(checkpoint).parent.resolve() != output_dir.resolve()
    if begins and trainer.is_world_process_zero():
        write_results(file, {}, task="training", **about)  # what a resumed training must be the same as
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_world_process_zero():
        shutil.rmtree(output_dir / INDEX_FOLDER, ignore_errors=True)  # of the model that is there so far
    trainer.save_model(_internal_call=True)  # a push may fail, so all is here before
    if trainer.is_world_process_zero():
        log = trainer.state.log_history
        write_results(file, log[-1], task="training", **about, log=log)
    if training.push_to_hub:
        trainer.push_to_hub()
    trainer.accelerator.wait_for_everyone()  # what comes next may read the folder
    return trainer


def _output_dir(training: LassTrainingArguments) -> Path:
    return Path(training.output_dir or "trainer_output")


def _check_needed(arguments: TrainArguments, training: LassTrainingArguments) -> None:
    """Refuses arguments that would change nothing."""
    for name in OF_JOINT if arguments.architecture == "bi-encoder" else ():
        if getattr(training, name) != getattr(LassTrainingArguments, name):
            raise LassError(
                f"{name}={getattr(training, name)} is about the cross-encoder; with a bi-encoder the candidates are "
                "those of the batch"
            )
    for name, needs in NEEDED.items():
        if getattr(arguments, name) != getattr(TrainArguments, name) and not getattr(arguments, needs):
            raise LassError(f"{name}={getattr(arguments, name)} is about {needs}, which is not given")


def make_collator(
    arguments: TrainArguments, training: LassTrainingArguments, processor: LassProcessor, split: GraphSplit
) -> KGDataCollator | None:
    """Makes a collator that also draws hard negatives, with the model that `arguments.retriever` names.

    Args:
        arguments: `retriever`, `num_mined` and `mining_depth` say where hard negatives come from, and how many.
        training: says how the other negatives are drawn.
        processor: the processor of the model that is trained.
        split: the training triplets.

    Returns:
        The collator; None without a retriever, which lets `LassTrainer` make its own.

    Raises:
        LassError: arguments that do not fit, or a retriever that is no bi-encoder.
    """
    if arguments.retriever is None:
        return None
    if arguments.architecture != "cross-encoder":
        raise LassError("--retriever is for the cross-encoder: the bi-encoder has the candidates of its batch")
    if arguments.mining_depth < 1:
        raise LassError(f"mining_depth={arguments.mining_depth}; expected 1 or more")
    folder, graph = arguments.retriever, split.graph
    KGDataCollator(processor, graph, **training.sampling())  # only to see that its arguments are right
    if not 1 <= arguments.num_mined <= training.num_negatives:
        raise LassError(f"num_mined={arguments.num_mined}; expected 1 to num_negatives, {training.num_negatives}")
    model = LassForKGCompletion.from_pretrained(folder).to(processes().device)
    if model.config.architecture != "bi-encoder":
        raise LassError(f"--retriever {folder}: a cross-encoder; expected one with a bi-encoder")
    of_retriever = LassProcessor.from_pretrained(folder)
    scorer = TripletScorer(model, of_retriever.token_store(graph))
    kept = index_folder_of(folder, of_retriever.graph, graph)
    mined = mine_negatives(scorer, split, arguments.mining_depth, kept, arguments.quiet)
    return KGDataCollator(processor, graph, **training.sampling(), mined=mined, num_mined=arguments.num_mined)


def _check_same(checkpoint: str, about: dict[str, Any]) -> None:
    """Refuses to go on with other choices than those that the checkpoint's training began with."""
    file = Path(checkpoint).parent / TRAINING_FILE
    if not file.is_file():
        return
    before = read_results(file)
    if before["graph_fingerprint"] != about["graph_fingerprint"]:
        raise LassError(f"{checkpoint}: the checkpoint of a training on another graph, {before['graph']}")
    old, new = ({"seed": content["seed"], **content["choices"]} for content in (before, about))
    if different := [name for name in {**old, **new} if old.get(name) != new.get(name)]:
        name = different[0]
        raise LassError(
            f"{checkpoint}: of a training with {name}={old.get(name)!r}, and this is one with {new.get(name)!r}; "
            "resume with the same arguments, or begin another training in another --output_dir"
        )


def load_trained_model(folder: str | Path, graph: KnowledgeGraph) -> tuple[LassForKGCompletion, LassProcessor]:
    """Loads a model that `train` or `train_and_record` saved, onto this process's device.

    Args:
        folder: the output folder of the training.
        graph: the graph that the model was trained on.

    Returns:
        The model and its processor.

    Raises:
        LassError: no training ended in the folder, or it was on another graph, or on other texts of it.
    """
    training = read_training(folder)
    if training is None:
        raise LassError(f"{folder}: no {TRAINING_FILE} of a training that ended; expected the folder of one that did")
    if training["graph_fingerprint"] != graph_fingerprint(graph):
        raise LassError(
            f"{folder}: trained on {training['graph']}, whose names or triplets are not those of this graph; evaluate "
            "it on the graph that it was trained on"
        )
    processor = LassProcessor.from_pretrained(folder)
    if texts_fingerprint(processor.token_store()) != texts_fingerprint(processor.token_store(graph)):
        raise LassError(
            f"{folder}: trained on other texts than those of this graph, with --long_text "
            f"{training['choices']['long_text']}; evaluate it with the same"
        )
    return LassForKGCompletion.from_pretrained(folder).to(processes().device), processor
