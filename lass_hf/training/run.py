"""One training from its arguments: graph, processor, model, trainer; for `lass-hf train` and the example scripts."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from ..core.configuration_lass import RANKING_CHOICES
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
from ..utils.result_files import read_results, write_results
from .checkpoints import find_checkpoint
from .data_collators import KGDataCollator
from .hard_negatives import mine_negatives
from .recipes import TrainArguments
from .run_metadata import record
from .trainer import LassTrainer
from .training_args import LassTrainingArguments

TRAINING_FILE = "training.json"
# Arguments that mean something only with another one.
NEEDED = {"scale": "normalize", "learn_scale": "normalize", "num_mined": "retriever", "mining_depth": "retriever"}
OF_JOINT = ("num_negatives", "corruption", "replacement", "pseudo_typed")
RECORDED = ("graph", "graph_fingerprint", "graph_texts_fingerprint", "recipe", "changed", "seed", "bf16", "choices")


def train(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph | None = None
) -> LassTrainer:
    """Trains and saves a model into `training.output_dir`; its trainer holds model, processor and log.

    `graph`: the graph to train on, when it is not simply the one that `arguments.graph` names. Raises LassError for
    arguments that do not fit, before the training begins.
    """
    if training.max_steps <= 0 and not training.num_train_epochs > 0:
        raise LassError(
            f"num_train_epochs={training.num_train_epochs}; expected a number above 0, or max_steps of 1 or more"
        )
    output_dir = Path(training.output_dir or "trainer_output")
    output_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(output_dir, os.W_OK):
        raise LassError(f"{output_dir}: cannot be written; choose another --output_dir")
    _check_needed(arguments, training)
    if arguments.quiet:
        quieten()
        training.disable_tqdm = True
    graph = graph or load_graph(arguments.graph, long_text=arguments.long_text)
    processor = LassProcessor.from_encoder(
        arguments.encoder,
        graph=graph,
        separators=arguments.separators,
        max_length=arguments.max_length,
        architecture=arguments.architecture,
        inverse=arguments.inverse,
    )
    model = LassForKGCompletion.from_encoder(
        arguments.encoder,
        margin=arguments.margin,
        distance_scale=arguments.distance_scale,
        dropout=arguments.dropout,
        architecture=arguments.architecture,
        normalize=arguments.normalize,
        scale=arguments.scale,
        learn_scale=arguments.learn_scale,
        self_match_weight=arguments.self_match_weight,
        neighbor_weight=arguments.neighbor_weight,
        frequency_weight=arguments.frequency_weight,
    )
    train_dataset = graph["train"].sample(arguments.fraction, training.seed)
    collator = None if arguments.retriever is None else _mining_collator(arguments, training, processor, train_dataset)
    checkpoint = None
    about = record(arguments, training, graph)
    if training.resume_from_checkpoint is not None:
        checkpoint = find_checkpoint(training.resume_from_checkpoint, output_dir)
        if checkpoint is None and training.process_index == 0:
            print(f"lass-hf: {output_dir} has no whole checkpoint; training from the start", file=sys.stderr)
        if checkpoint is not None:
            _check_same(checkpoint, about)
    processes().wait_for_everyone()
    about["resumed"] = checkpoint is not None  # its run time is then that of the rest
    named = arguments.graph in EMBEDDED or not Path(arguments.graph).is_dir()  # so others can load it by that name, too
    try:
        trainer = LassTrainer(
            model=model,
            args=training,
            data_collator=collator,
            processing_class=processor,
            train_dataset=train_dataset,
            eval_dataset=graph.splits.get("validation"),
            run_metadata={**about, "load_graph": arguments.graph if named else None},
        )
        trainer.create_optimizer_and_scheduler(num_training_steps=1)  # only to see that their arguments are right
    except (ValueError, TypeError) as error:  # such as an eval_strategy without a validation split
        raise LassError(first_line(error)) from error
    trainer.optimizer = trainer.lr_scheduler = None
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


def _mining_collator(
    arguments: TrainArguments, training: LassTrainingArguments, processor: LassProcessor, split: GraphSplit
) -> KGDataCollator:
    """A collator that also draws from what the retriever takes for answers."""
    if arguments.architecture != "cross-encoder":
        raise LassError("--retriever is for the cross-encoder: the bi-encoder has the candidates of its batch")
    if arguments.mining_depth < 1:
        raise LassError(f"mining_depth={arguments.mining_depth}; expected 1 or more")
    folder, graph = str(arguments.retriever), split.graph
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
    return KGDataCollator(processor, graph, **training.sampling(), hard_negatives=mined, num_mined=arguments.num_mined)


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


def training_of(folder: str | Path) -> dict[str, Any] | None:
    """What `train` recorded of the training that made the model in `folder`; None where none ended."""
    file = Path(folder, TRAINING_FILE)
    if not file.is_file():
        return None
    made = read_results(file)
    if not made["metrics"]:  # it has not ended
        return None
    how = ("command", "resumed", "metrics", "num_processes", "machine", "versions", "git_commit")
    return {name: made.get(name) for name in (*RECORDED, *how)}


def trained_model(
    arguments: TrainArguments, training: LassTrainingArguments, graph: KnowledgeGraph, folder: str | None = None
) -> tuple[LassForKGCompletion, LassProcessor, dict[str, Any]]:
    """A model, its processor, and what it was made of: trained now, or by an earlier `train` into `folder`.

    Raises LassError for a folder of a training on another graph, or on other texts of it.
    """
    if folder is None:
        train(arguments, training, graph)
        folder = str(training.output_dir)
    made = training_of(folder)
    if made is None:
        raise LassError(f"{folder}: no {TRAINING_FILE} of a training that ended; expected the folder of one that did")
    model = LassForKGCompletion.from_pretrained(folder).to(processes().device)
    about = {name: made.pop(name) for name in RECORDED}
    weights = {name: getattr(model.config, name) for name in RANKING_CHOICES}
    kept = {name: weight for name, weight in weights.items() if weight != about["choices"].get(name, 0)}  # since then
    about |= {name: {**about[name], **kept} for name in ("choices", "changed")}
    if about["graph_fingerprint"] != graph_fingerprint(graph):
        raise LassError(
            f"{folder}: trained on {about['graph']}, whose names or triplets are not those of {arguments.graph}"
        )
    processor = LassProcessor.from_pretrained(folder)
    if texts_fingerprint(processor.token_store()) != texts_fingerprint(processor.token_store(graph)):
        raise LassError(
            f"{folder}: trained on other texts than those of {arguments.graph}, with --long_text "
            f"{about['choices']['long_text']}; evaluate it with the same"
        )
    return model, processor, {**about, "training": made}
