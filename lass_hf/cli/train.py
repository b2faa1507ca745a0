"""`lass-hf train`: a recipe and flags in, a trained and saved model out."""

from collections.abc import Sequence
from dataclasses import asdict

from ..utils.console import check_writable, report

HELP = "train a model on a graph"


def run(argv: Sequence[str]) -> None:
    """Trains a model.

    Args:
        argv: the command line behind `lass-hf train`. Its parser is made from dataclasses and the recipe, so this
            subcommand has no `add_arguments`.
    """
    from ..training.recipes import parse_training
    from ..training.run import train

    arguments, training = parse_training(argv)
    if arguments.json:
        check_writable(arguments.json)
    done = train(arguments, training)
    trainer = done.trainer
    graph = trainer.train_dataset.graph  # type: ignore[union-attr]
    log = trainer.state.log_history
    every = {**training.to_dict(), **asdict(arguments)}
    report(arguments.json, log[-1], task="training", **done.metadata, arguments=every, log=log)
    if trainer.is_world_process_zero():
        models = f"--model {training.output_dir}"
        if arguments.retriever:
            models = f"--model {arguments.retriever} --rerank {training.output_dir}"
        following = f"evaluate {models} --graph {arguments.graph}" if "test" in graph else "predict --help"
        print(f"saved {training.output_dir}; next: lass-hf {following}")
