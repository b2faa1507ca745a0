"""`lass-hf train`: a recipe and flags in, a trained and saved model out."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING

from ...utils.console import report
from ..json_files import check_json
from ..options import quoted, repeat_options, write_options

if TYPE_CHECKING:
    from ...core.knowledge_graph import KnowledgeGraph

HELP = "train a model on a graph"
USAGE = "lass-hf train [RECIPE] --graph GRAPH [--encoder ENCODER] [--OPTION VALUE ...]"
OTHERS = """and --eval_triplets, --hub_include_graph and every argument of transformers.TrainingArguments, such as
--output_dir, --learning_rate and --num_train_epochs: see
https://huggingface.co/docs/transformers/main_classes/trainer"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lass-hf train` for its help; `run` parses with transformers, whose import takes seconds.

    Args:
        parser: the parser that shows the help.
    """
    from ...core.choices import TrainingChoices
    from ...training.recipes import TrainArguments

    parser.usage, parser.epilog = USAGE, OTHERS
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="YAML file of arguments; flags override it")
    for one in (one for kind in (TrainArguments, TrainingChoices) for one in fields(kind) if one.init):
        default = "" if one.default in (MISSING, None) else f" (default: {one.default})"
        parser.add_argument(f"--{one.name}", help=(one.metadata["help"] + default).replace("%", "%%"))


def run(argv: Sequence[str]) -> None:
    """Trains a model.

    Args:
        argv: the command line behind `lass-hf train`, without `--help`.
    """
    from ...runs.automatic import plan_training, run_plan
    from ...training.checkpoints import find_checkpoint
    from ...training.output_folder import warn

    plan = plan_training(argv)
    arguments, training = plan.arguments, plan.training
    check_json({**vars(arguments), "output_dir": training.output_dir})
    try:
        done = run_plan(plan)
    except KeyboardInterrupt:
        kept = find_checkpoint("last", str(training.output_dir))
        how = f"{kept} is kept, and the same command goes on from there with --resume_from_checkpoint last"
        warn(f"interrupted; {how if kept else 'no checkpoint was written yet'}")
        raise
    trainer = done.trainer
    graph = trainer.train_dataset.graph  # type: ignore[union-attr]
    log = trainer.state.log_history
    every = {**training.to_dict(), **asdict(arguments)}
    report(arguments.json, log[-1], task="training", **done.metadata, arguments=every, log=log)
    if trainer.is_world_process_zero():
        models = write_options(model=training.output_dir)
        if arguments.retriever:
            depth = min(arguments.mining_depth, len(graph.candidates[0]))
            models = write_options(model=arguments.retriever, rerank=training.output_dir, rerank_top_k=depth)
        # What was held out, or decided, is in the saved graph only.
        is_saved = "test" in arguments.held_out or arguments.decisions is not None
        where = "" if is_saved else repeat_options(arguments, "graph", "long_text")
        following = f"evaluate{models}{where}" if "test" in graph else f"predict{models} {_question(graph)}"
        print(f"saved {training.output_dir}; next: lass-hf {following}")


def _question(graph: "KnowledgeGraph") -> str:
    """Returns the options of `predict` for a question that one can ask: head and relation of a triplet."""
    head, relation, _ = next(iter(graph.splits.values())).triplets[0]
    names = (("head", graph.entities.ids[head]), ("relation", graph.relations.ids[relation]))
    return " ".join(f"--{slot}={quoted(name)}" for slot, name in names)
