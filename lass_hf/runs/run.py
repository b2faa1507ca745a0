"""One training from its arguments: graph, processor, model, trainer; for `lass-hf train` and the example scripts."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from transformers import PrinterCallback

from ..core.choices import ModelChoices
from ..core.configuration_lass import LassConfig
from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.building import build_evidence, find_lack_of_structure
from ..evidence.evidence_files import EVIDENCE_FOLDER, find_evidence, save_evidence
from ..evidence.report import describe_evidence, report_evidence
from ..graphs.import_files import SOURCE_FILE, find_source_record
from ..hub.card_files import update_card
from ..scoring.index_building import INDEX_FOLDER
from ..scoring.output_folders import only_writer
from ..training.hard_negatives import HardNegatives
from ..training.output_folder import read_ended, warn
from ..training.recipes import TrainArguments, parse_training
from ..training.run_metadata import collect_run_metadata, describe_run
from ..training.trainer import LassTrainer
from ..training.training_args import LassTrainingArguments, check_architecture
from ..utils.atomic_files import write_whole
from ..utils.console import quieten
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, texts_fingerprint
from ..utils.result_files import TRAINING_FILE, read_training, refuse_input_folder, update_results, write_results
from .retriever import load_retriever, make_collator
from .training_graph import load_training_graph

RECIPE_FILE = "recipe.yaml"  # in the folder of a model whose settings were chosen


@dataclass
class TrainingRun:
    """A training that ended.

    Attributes:
        trainer: holds the model, the processor and the log.
        metadata: what identifies the training, as `collect_run_metadata` returns it, and whether it was resumed.
    """

    trainer: LassTrainer
    metadata: dict[str, Any]


def parse_script(*more: Any, argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Parses the command line of a training script, like that of `lass-hf train`.

    Args:
        *more: dataclasses of the script's own arguments.
        argv: the command line; None: the one that runs.

    Returns:
        `TrainArguments`, `LassTrainingArguments`, and an instance of each class in `more`.

    Raises:
        LassError: arguments that cannot be parsed, or do not fit together.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments, training, *others = parse_training(argv, *more, prog=Path(sys.argv[0]).name)
    if arguments.minutes is not None:
        raise LassError("--minutes is for lass-hf train and lass-hf complete, which choose settings; leave it out")
    prepare(arguments, training)
    return arguments, training, *others


def train(
    arguments: TrainArguments,
    training: LassTrainingArguments,
    graph: KnowledgeGraph | None = None,
    recipe: str | None = None,
) -> TrainingRun:
    """Makes graph, processor, model and trainer from arguments, trains the model and saves it.

    Args:
        arguments: encoder, graph and the choices of model and sequences.
        training: the training arguments; the model is saved into `training.output_dir`.
        graph: the graph to train on, when it is not simply the one of `load_training_graph`.
        recipe: the text of a recipe that is saved with the model, when its settings were chosen.

    Returns:
        The trainer and the run metadata.

    Raises:
        LassError: arguments do not fit; this is so before the training begins.
    """
    prepare(arguments, training)
    graph = graph or load_training_graph(arguments, training.seed)
    if arguments.decisions is not None and not arguments.decided:
        raise LassError("decisions and a graph, which may lack them; expected a graph of load_training_graph")
    if arguments.retriever is not None:
        load_retriever(arguments, graph)  # One that does not fit is refused before the work.
    trainer = make_trainer(arguments, training, graph)
    return train_and_record(trainer, arguments.evidence, files_beside_model(arguments, graph, recipe))


def files_beside_model(
    arguments: TrainArguments, graph: KnowledgeGraph, recipe: str | None = None
) -> dict[str, str | None]:
    """Returns the files that are saved with a model, for `train_and_record`, before the training.

    Args:
        arguments: the arguments of the training.
        graph: the graph that is trained on.
        recipe: the text of a recipe, when the settings were chosen.

    Returns:
        The text of each file by its name; None for one that an earlier model may have, and this one has not. By the
        record of the graph's source, predictions of the model go back into the source's form.

    Raises:
        GraphError: the record of the source is damaged, or the source cannot be read any more.
    """
    record = find_source_record(arguments.graph, graph) if processes().is_main_process else None
    return {SOURCE_FILE: record.as_json() if record else None, RECIPE_FILE: recipe}


def make_trainer(
    arguments: TrainArguments,
    training: LassTrainingArguments,
    graph: KnowledgeGraph,
    mined: HardNegatives | None = None,
) -> LassTrainer:
    """Makes processor, model and trainer from arguments.

    Args:
        arguments: encoder and the choices of model and sequences.
        training: the training arguments.
        graph: the graph to train on.
        mined: what `mine_negatives` gave for the training triplets; None to mine now, if there is a retriever.

    Returns:
        The trainer, with the run metadata.

    Raises:
        LassError: arguments do not fit.
    """
    processor = LassProcessor.from_encoder(arguments.encoder, graph, **arguments.processor_choices())
    model = LassForKGCompletion.from_encoder(arguments.encoder, **arguments.model_choices())
    train_dataset = graph["train"].sample(arguments.fraction, training.seed)
    return LassTrainer(
        model=model,
        args=training,
        data_collator=make_collator(arguments, training, processor, train_dataset, mined),
        processing_class=processor,
        train_dataset=train_dataset,
        eval_dataset=graph.splits.get("validation"),
        run_metadata=collect_run_metadata(arguments, training, graph),
    )


def train_and_record(
    trainer: LassTrainer, evidence: str | None = None, files: Mapping[str, str | None] = MappingProxyType({})
) -> TrainingRun:
    """Trains, saves the model, and writes the run metadata beside it, into training.json; then it adds evidence.

    With `resume_from_checkpoint` the training continues from a checkpoint of the same choices and graph. Evidence is
    found in all training triplets of the graph, and fitted to the saved model, which stays as it is. When a training
    that had ended goes on from its last step, the model, its results and its evidence stay, and what lacks is made.

    Args:
        trainer: a trainer with `run_metadata`.
        evidence: kinds of evidence, as in `TrainArguments`.
        files: files that are saved with the model, as `files_beside_model` gives them: their texts by their names; None
            removes one of an earlier model.

    Returns:
        The trainer and its run metadata, with a report of the `evidence`, or None.

    Raises:
        LassError: the trainer has no metadata, the checkpoint is of another training, or arguments do not fit; this is
            so before the training begins.
    """
    training = trainer.args
    file = _output_dir(training) / TRAINING_FILE
    if trainer.card.run_metadata is None:
        raise LassError("the trainer has no run metadata: make it with run_metadata=collect_run_metadata(...)")
    if training.disable_tqdm:
        trainer.remove_callback(PrinterCallback)
    with only_writer(file.parent, "--output_dir"):
        trainer.train()
        ended, quiet, lacks = read_ended(trainer), bool(training.disable_tqdm), True
        metadata: dict[str, Any] = {**describe_run(trainer), "evidence": None}
        trainer.accelerator.wait_for_everyone()  # All have read the folder before the first writes there.
        if ended is None:
            _save(trainer, files)
            _write_training(trainer, metadata, ended)
        else:
            trainer.state.log_history = ended["log"]
            metadata = {name: ended.get(name) for name in metadata}
            made = ",".join((metadata["evidence"] or {"kinds": ["text"]})["kinds"])
            lacks = find_evidence(file.parent) is None or evidence not in (None, made)
            if not quiet:
                warn(f"{file.parent}: this training had ended; the model and its results stay as they are")
        graph, config = trainer.train_dataset.graph, trainer.model.config  # type: ignore[union-attr]
        trainer.accelerator.wait_for_everyone()  # All read the saved model.
        if lacks and _is_evidence_wanted(graph, config, evidence, quiet):
            metadata["evidence"] = add_evidence(file.parent, graph, evidence, training.seed, quiet)
            _write_training(trainer, metadata, ended)
        elif lacks and metadata["evidence"] is not None:
            metadata["evidence"] = None
            if trainer.is_world_process_zero():
                shutil.rmtree(file.parent / EVIDENCE_FOLDER, ignore_errors=True)
            _write_training(trainer, metadata, ended)
        if training.push_to_hub:
            trainer.push_to_hub()
        trainer.accelerator.wait_for_everyone()  # What comes next may read the folder.
    return TrainingRun(trainer, metadata)


def _save(trainer: LassTrainer, files: Mapping[str, str | None]) -> None:
    """Saves the model and the files beside it, in place of an earlier model and what was made of that one."""
    output = _output_dir(trainer.args)
    if trainer.is_world_process_zero():
        (output / TRAINING_FILE).unlink(missing_ok=True)
        for folder in (INDEX_FOLDER, EVIDENCE_FOLDER):
            shutil.rmtree(output / folder, ignore_errors=True)
    trainer.save_model(_internal_call=True)  # A push may fail, so everything is saved before.
    if trainer.is_world_process_zero():
        for name, text in files.items():
            if text is None:
                (output / name).unlink(missing_ok=True)
            else:
                write_whole(output / name, text)


def _write_training(trainer: LassTrainer, metadata: dict[str, Any], ended: Mapping[str, Any] | None) -> None:
    file, log = _output_dir(trainer.args) / TRAINING_FILE, trainer.state.log_history
    if trainer.is_world_process_zero() and ended is not None:
        update_results(file, evidence=metadata["evidence"])
    elif trainer.is_world_process_zero():
        write_results(file, log[-1], task="training", **metadata, log=log)


def _is_evidence_wanted(graph: KnowledgeGraph, config: Any, evidence: str | None, quiet: bool) -> bool:
    """Returns whether more than the text is to count; by default, if candidates are cheap and there is structure."""
    if evidence is not None:
        return evidence != "text"
    if config.architecture != "bi-encoder" or not config.has_query_vector:
        return False
    lack = find_lack_of_structure(graph)
    if lack and not quiet:
        warn(f"{lack}: entities are ranked by their texts alone")
    return not lack


def add_evidence(folder: Path, graph: KnowledgeGraph, evidence: str | None, seed: int, quiet: bool) -> dict[str, Any]:
    """Finds, fits and saves the evidence of a model that was trained. All processes must call this.

    Args:
        folder: The folder of the model.
        graph: The graph that it was trained on, with its splits.
        evidence: Kinds of evidence, as in `TrainArguments`.
        seed: Seed of all random numbers.
        quiet: Whether nothing is shown.

    Returns:
        The report of the evidence, as run metadata have it.
    """
    model, processor = load_trained_model(folder, graph)
    kinds = None if evidence is None else evidence.split(",")
    index = folder / INDEX_FOLDER
    found = build_evidence(graph, model, processor, kinds, seed=seed, quiet=quiet, index_folder=index)
    if processes().is_main_process:
        save_evidence(found, folder / EVIDENCE_FOLDER, graph)
        update_card(folder, processor.graph)
        if not quiet:
            print(*describe_evidence(found), sep="\n")
    return report_evidence(found)


def prepare(arguments: TrainArguments, training: LassTrainingArguments) -> None:
    """Checks arguments that depend on each other and the output folder, and switches output off with `quiet`.

    Args:
        arguments: data and choices.
        training: the training arguments.

    Raises:
        LassError: arguments do not fit together, the output folder is that of the graph, of the encoder or of the
            retriever, or another training writes into it.
    """
    check_arguments(arguments, training)
    refuse_inputs(arguments, _output_dir(training))
    if training.do_predict or (training.do_eval and training.eval_strategy == "no"):
        raise LassError("do_eval and do_predict change nothing: evaluate the trained model with lass-hf evaluate")
    if training.eval_strategy == "no":
        for name in ("metric_for_best_model", "eval_triplets"):
            if getattr(training, name) is not None:
                raise LassError(f"{name} changes nothing without evaluations; give --eval_strategy steps or epoch, too")
    if training.hub_include_graph != "vocabulary" and not training.push_to_hub:
        raise LassError("hub_include_graph changes nothing without a push; give --push_to_hub, too")
    with only_writer(_output_dir(training), "--output_dir"):
        pass  # The training locks the folder again. Who cannot have it hears so before the work.
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True


def refuse_inputs(arguments: TrainArguments, folder: str | Path) -> None:
    """Raises LassError if the output folder is that of the graph, of the encoder or of the retriever."""
    read = {name: getattr(arguments, name) for name in ("graph", "retriever", "encoder")}
    refuse_input_folder(folder, "--output_dir", **read)


def check_arguments(arguments: TrainArguments, training: LassTrainingArguments) -> None:
    """Checks choices that depend on each other, before anything is loaded.

    Args:
        arguments: data and choices.
        training: the training arguments.

    Raises:
        LassError: choices do not fit together.
    """
    check_architecture(training, arguments.architecture)
    LassConfig(**arguments.chosen(ModelChoices))  # A head or score function may not fit the other choices.
    if arguments.retriever is not None and arguments.num_mined > training.num_negatives:
        raise LassError(f"num_mined={arguments.num_mined}; expected 1 to num_negatives, {training.num_negatives}")


def _output_dir(training: LassTrainingArguments) -> Path:
    return Path(training.output_dir or "trainer_output")


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
