"""Low-resource triplet classification (section 3.3 and Figure 2 of the paper): accuracy against the share of train.

    python examples/run_low_resource.py examples/recipes/wn11_minilm.yaml --graph DIR --output_dir runs/wn11_low

Trains one model per fraction, on nested, seeded parts of the training triplets; thresholds from the whole validation
split. Takes every argument of `lass-hf train`. Writes --output_dir/low_resource.json after each fraction, and goes on
with it when it is started again; then the figure, low_resource.png.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lass_hf import evaluate_triplet_classification
from lass_hf.analysis.plots import check_plots, plot_low_resource, to_png
from lass_hf.core.errors import LassError
from lass_hf.evaluation.calibration import labeled
from lass_hf.graphs.loading import load_graph
from lass_hf.training.recipes import parse_training
from lass_hf.training.run import trained_model
from lass_hf.training.run_metadata import run_metadata
from lass_hf.utils.console import check_writable, run_program
from lass_hf.utils.distributed import processes
from lass_hf.utils.result_files import read_results, write_results

TASK = "low_resource"
SAME = (
    "graph_fingerprint",
    "graph_texts_fingerprint",
    "seed",
    "bf16",
    "choices",
)  # what the fractions of one file share


@dataclass
class LowResourceArguments:
    fractions: list[float] = field(
        default_factory=lambda: [0.05, 0.10, 0.15, 0.20, 0.30],
        metadata={"help": "Shares of the training triplets, each more than 0 and at most 1."},
    )


def main() -> None:
    arguments, training, low = parse_training(sys.argv[1:], LowResourceArguments, prog=Path(__file__).name)
    if arguments.fraction != 1:
        raise LassError(f"fraction={arguments.fraction}; expected --fractions, the shares to train on one by one")
    output_dir = Path(training.output_dir)
    file = Path(arguments.json or output_dir / "low_resource.json")
    check_writable(file)
    check_plots()
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    for split in ("validation", "test"):
        labeled(graph, split)
    parts = {fraction: graph.low_resource(fraction, training.seed) for fraction in sorted(low.fractions)}
    about = run_metadata(arguments, training, graph)
    metrics: dict[str, dict[str, float]] = {}
    trainings: dict[str, Any] = {}
    if file.exists():
        before = read_results(file)
        if before.get("task") != TASK or any(before.get(name) != about[name] for name in SAME):
            raise LassError(
                f"{file}: results of other arguments, graph, seed or task; move it, or choose another --output_dir"
            )
        metrics, trainings = before["metrics"], before["trainings"]

    for fraction, part in parts.items():
        if str(fraction) in metrics:
            print(f"{fraction:.0%} of train: done before, accuracy {metrics[str(fraction)]['accuracy']:.4f}")
            continue
        folder = ["--output_dir", str(output_dir / f"{fraction:g}")]
        own_arguments, own_training, _ = parse_training([*sys.argv[1:], *folder], LowResourceArguments)
        start = time.perf_counter()
        model, processor, made = trained_model(own_arguments, own_training, part)
        result = evaluate_triplet_classification(model, processor, graph, quiet=arguments.quiet)
        seconds = round(time.perf_counter() - start, 1)
        trainings[str(fraction)] = made["training"]
        metrics[str(fraction)] = {"train_triplets": len(part["train"]), "seconds": seconds, **result.metrics}
        metrics = dict(sorted(metrics.items(), key=lambda item: float(item[0])))
        if processes().is_main_process:
            protocol = "one threshold, the best on validation"
            write_results(file, metrics, task=TASK, **about, protocol=protocol, trainings=trainings)
            print(f"{fraction:.0%} of train ({len(part['train'])}): accuracy {result.metrics['accuracy']:.4f}")
    if processes().is_main_process:
        line = [float(fraction) for fraction in metrics], [values["accuracy"] for values in metrics.values()]
        figure = plot_low_resource({f"{about['graph']}, {Path(arguments.encoder).name}": line})
        (output_dir / "low_resource.png").write_bytes(to_png(figure))
        print(f"results in {file}, figure in {output_dir / 'low_resource.png'}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
