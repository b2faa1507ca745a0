"""Entities that the model has never seen: train without a share of them, then ask about those alone.

    python examples/run_inductive.py examples/recipes/wn18rr_minilm_bi-encoder.yaml --graph DIR --output_dir OUTPUT_DIR

Takes every argument of `lass-hf train`. Ranks the transductive test split (entities seen in training) and the inductive
one (both entities unseen, all entities are candidates) by the same model; writes --output_dir/inductive.json, and the
graph with the inductive test split as --output_dir/graph, for `lass-hf evaluate --model ... --graph ...`.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lass_hf import (
    LassError,
    check_writable,
    evaluate_link_prediction,
    inductive_split,
    load_trained_model,
    load_training_graph,
    parse_script,
    read_training,
    run_program,
    train,
    write_results,
)


@dataclass
class InductiveArguments:
    share: float = field(default=0.2, metadata={"help": "Share of the entities that training does not see."})
    model: str | None = field(default=None, metadata={"help": "Folder of a model that this script trained before."})
    limit: int | None = field(default=None, metadata={"help": "Rank a seeded choice of this many triplets only."})

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise LassError(f"limit={self.limit}; expected 1 or more")


def main() -> None:
    # The choices: those of a recipe (a YAML file), which flags override.
    arguments, training, inductive = parse_script(InductiveArguments)
    output_dir = Path(training.output_dir)
    file = arguments.json or output_dir / "inductive.json"
    check_writable(file)

    # The graph, cut in two: `seen` lacks a share of the entities; the test triplets of `unseen` are among these.
    graph = load_training_graph(arguments, training.seed)
    seen, unseen = inductive_split(graph, inductive.share, training.seed)
    seen["test"]  # an error now rather than after the training

    # An entity is known by its text, not by a vector of its own, so the model can score entities that come later.
    # run_link_prediction.py shows the steps of the training: processor, model, collator and trainer.
    if inductive.model is None:
        train(arguments, training, seen)

    # The evaluation: both test splits by the same model.
    folder = inductive.model or training.output_dir
    model, processor = load_trained_model(folder, seen)
    metrics: dict[str, float] = {}
    for name, tested in (("transductive", seen), ("inductive", unseen)):
        result = evaluate_link_prediction(model, processor, tested, limit=inductive.limit, quiet=arguments.quiet)
        metrics |= {f"{name}_{key}": value for key, value in result.metrics.items()}
    metrics["mrr_ratio"] = metrics["inductive_mrr"] / metrics["transductive_mrr"]

    if training.process_index == 0:
        unseen.save_dataset(output_dir / "graph")
        write_results(
            file,
            metrics,
            task="inductive_link_prediction",
            protocol="filtered, realistic ranks, both sides; candidates: entities seen in training, inductive: all",
            graph=Path(arguments.graph).resolve().name,
            share=inductive.share,
            limit=inductive.limit,
            model=folder,
            training=read_training(folder),
        )
        for name in ("transductive_mrr", "inductive_mrr", "mrr_ratio"):
            print(f"{name:<16}  {metrics[name]:.4f}")
        print(f"results in {file}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
