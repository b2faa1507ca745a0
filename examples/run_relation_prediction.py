"""Relation prediction: train, then rank the relation of every test triplet among all relations.

    python examples/run_relation_prediction.py examples/recipes/umls_minilm.yaml --graph DIR [--json FILE]
    accelerate launch examples/run_relation_prediction.py ...       # the same on several GPUs

Takes every argument of `lass-hf train`; flags override the recipe. Writes the model and relation_prediction.json to
--output_dir. A training that was killed goes on with --resume_from_checkpoint last, a ranking with --model OUTPUT_DIR.
"""

import sys
import time
from pathlib import Path

from lass_hf import evaluate_relation_prediction
from lass_hf.builders import load_graph
from lass_hf.evaluate_modules import LinkPredictionMetric
from lass_hf.ranking_progress import remove_progress
from lass_hf.recipes import EvaluateArguments, command, parse_training
from lass_hf.terminal import check_writable, processes, report, run_program
from lass_hf.training import trained_model


def main() -> None:
    arguments, training, evaluation = parse_training(sys.argv[1:], EvaluateArguments, prog=Path(__file__).name)
    file = arguments.json or f"{training.output_dir}/relation_prediction.json"
    check_writable(file)
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    model, processor, about = trained_model(arguments, training, graph, evaluation.model)

    start = time.perf_counter()
    result = evaluate_relation_prediction(
        model,
        processor,
        graph,
        split=evaluation.split,
        limit=evaluation.limit,
        dtype=evaluation.dtype,
        quiet=arguments.quiet,
        resume_dir=f"{file}.progress",
    )
    seconds = time.perf_counter() - start
    metric = LinkPredictionMetric()
    metric.add_batch(predictions=result.ranks, references=result.num_candidates)
    report(
        file,
        {**result.metrics, **metric.compute()},
        task="relation_prediction",
        protocol="filtered (train + validation + test), realistic ranks, all relations",
        split=evaluation.split,
        limit=evaluation.limit,
        dtype=evaluation.dtype,
        seconds=round(seconds, 1),
        command=command(),
        by_relation=result.by_relation,
        by_category=result.by_category,
        unseen=result.unseen,
        **about,
    )
    if processes().is_main_process:
        remove_progress(Path(f"{file}.progress"))
        print(f"results in {file}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
