"""Triplet classification (Table 2 of the paper): train, fix a threshold on validation, classify the test split.

    python examples/run_triplet_classification.py examples/recipes/wn11_minilm.yaml --graph DIR [--json FILE]
    accelerate launch examples/run_triplet_classification.py ...       # the same on several GPUs

Takes every argument of `lass-hf train`; flags override the recipe. Writes the model and triplet_classification.json to
--output_dir. A training that was killed goes on with --resume_from_checkpoint last.
"""

import sys
import time
from pathlib import Path

from evaluation import EvaluateArguments

from lass_hf import evaluate_triplet_classification
from lass_hf.evaluation.calibration import keep_calibration, labeled
from lass_hf.evaluation.result_facts import classification_facts, scored
from lass_hf.evaluation.triplet_classification_metric import TripletClassificationMetric
from lass_hf.graphs.loading import load_graph
from lass_hf.hub.card_files import add_evaluation
from lass_hf.training.recipes import parse_training
from lass_hf.training.run import trained_model
from lass_hf.training.run_metadata import command
from lass_hf.utils.console import check_writable, report, run_program
from lass_hf.utils.distributed import processes


def main() -> None:
    arguments, training, evaluation = parse_training(sys.argv[1:], EvaluateArguments, prog=Path(__file__).name)
    folder = evaluation.model or training.output_dir
    what = "" if evaluation.split == "test" else f"-{evaluation.split}"  # of other triplets: another file
    file = arguments.json or f"{folder}/triplet_classification{what}.json"
    check_writable(file)
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    for split in ("validation", evaluation.split):
        labeled(graph, split)  # an error now rather than after the training
    metric = TripletClassificationMetric()  # before the long work: it wants a place for its cache
    model, processor, about = trained_model(arguments, training, graph, evaluation.model)

    start = time.perf_counter()
    result = evaluate_triplet_classification(
        model, processor, graph, evaluation.split, evaluation.dtype, arguments.quiet
    )
    seconds = time.perf_counter() - start
    metric.add_batch(predictions=result.scores, references=result.labels)
    report(
        file,
        {**result.metrics, **metric.compute(threshold=result.threshold)},
        task="triplet_classification",
        protocol="one threshold, the best on validation",
        split=evaluation.split,
        dtype=evaluation.dtype,
        seconds=round(seconds, 1),
        command=command(),
        relation_thresholds=result.relation_thresholds,
        **about,
    )
    if processes().is_main_process:
        how = scored(arguments.graph, evaluation.dtype, model)
        facts = classification_facts(result.metrics, graph[evaluation.split], "validation", how)
        keep_calibration(folder, result.calibration)
        add_evaluation(folder, facts, processor.graph)
        print(f"results in {file}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
