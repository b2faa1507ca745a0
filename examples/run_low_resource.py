"""Low-resource triplet classification (section 3.3 and Figure 2 of the paper): accuracy against the share of train.

    python examples/run_low_resource.py examples/recipes/wn11_minilm.yaml --graph DIR --output_dir runs/wn11_low

Trains one model per fraction, on nested, seeded parts of the training triplets; thresholds from the whole validation
split. Takes every argument of `lass-hf train`. Writes --output_dir/low_resource.json after each fraction, and continues
with it when it is started again; then the figure, low_resource.png.
"""

import copy
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lass_hf import (
    LassError,
    check_evaluation,
    check_plots,
    collect_run_metadata,
    evaluate_triplet_classification,
    load_trained_model,
    load_training_graph,
    parse_script,
    plot_low_resource,
    read_results,
    read_training,
    run_program,
    train,
    write_results,
)

TASK = "low_resource"
# What the fractions of one file share.
SAME = ("graph_fingerprint", "graph_texts_fingerprint", "seed", "bf16", "choices", "evidence_kinds")


@dataclass
class LowResourceArguments:
    fractions: list[float] = field(
        default_factory=lambda: [0.05, 0.10, 0.15, 0.20, 0.30],
        metadata={"help": "Shares of the training triplets, each more than 0 and at most 1."},
    )


def main() -> None:
    # The choices: those of a recipe (a YAML file), which flags override.
    arguments, training, low = parse_script(LowResourceArguments)
    if arguments.fraction != 1:
        raise LassError(f"fraction={arguments.fraction}; expected --fractions, the shares to train on one by one")
    output_dir = Path(training.output_dir)
    file = Path(arguments.json or output_dir / "low_resource.json")
    check_plots()

    # The graph, and a part of it for each fraction: with fewer training triplets, and the same of other splits.
    graph = load_training_graph(arguments, training.seed)
    check_evaluation("triplet_classification", graph, "test", file)  # an error now rather than after a training
    parts = {fraction: graph.low_resource(fraction, training.seed) for fraction in sorted(low.fractions)}

    # What an earlier run of this script has done.
    experiment = {**collect_run_metadata(arguments, training, graph), "evidence_kinds": arguments.evidence}
    metrics: dict[str, dict[str, float]] = {}
    trainings: dict[str, Any] = {}
    if file.exists():
        before = read_results(file)
        if before.get("task") != TASK or any(before["training"].get(name) != experiment[name] for name in SAME):
            raise LassError(
                f"{file}: results of other arguments, graph, seed or task; move it, or choose another --output_dir"
            )
        metrics, trainings = before["metrics"], before["trainings"]

    for fraction, part in parts.items():
        if str(fraction) in metrics:
            print(f"{fraction:.0%} of train: done before, accuracy {metrics[str(fraction)]['accuracy']:.4f}")
            continue
        start = time.perf_counter()

        # run_link_prediction.py shows the steps of the training: processor, model, collator and trainer.
        own_training = copy.copy(training)
        own_training.output_dir = str(output_dir / f"{fraction:g}")
        train(arguments, own_training, part)

        # The evaluation: a threshold from the whole validation split, the accuracy on the test split. Evidence and
        # names of neighbors come from the training triplets of the graph, and so from those of the part alone.
        model, processor = load_trained_model(own_training.output_dir, part)
        result = evaluate_triplet_classification(model, processor, part, quiet=arguments.quiet)
        seconds = round(time.perf_counter() - start, 1)
        trainings[str(fraction)] = read_training(own_training.output_dir)
        metrics[str(fraction)] = {"train_triplets": len(part["train"]), "seconds": seconds, **result.metrics}
        metrics = dict(sorted(metrics.items(), key=lambda item: float(item[0])))
        if training.process_index == 0:
            write_results(
                file,
                metrics,
                task=TASK,
                protocol="one threshold, the best on validation",
                graph=experiment["graph"],
                split="test",
                command=experiment["command"],
                training=experiment,
                trainings=trainings,
            )
            print(f"{fraction:.0%} of train ({len(part['train'])}): accuracy {result.metrics['accuracy']:.4f}")

    if training.process_index == 0:
        line = [float(fraction) for fraction in metrics], [values["accuracy"] for values in metrics.values()]
        figure = plot_low_resource({f"{experiment['graph']}, {Path(arguments.encoder).name}": line})
        figure.savefig(output_dir / "low_resource.png", dpi=144)
        print(f"results in {file}, figure in {output_dir / 'low_resource.png'}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
