"""Triplet classification (Table 2 of the paper): train, fit a threshold on validation, classify the test split.

    python examples/run_triplet_classification.py examples/recipes/wn11_minilm.yaml --graph DIR [--json FILE]
    accelerate launch examples/run_triplet_classification.py ...       # the same on several GPUs

Takes every argument of `lass-hf train`; flags override the recipe. Writes the model and triplet_classification.json to
--output_dir (runs/RECIPE). A training that was killed continues with --resume_from_checkpoint last; --model OUTPUT_DIR
classifies without training again.
"""

import sys
from pathlib import Path

from lass_hf import (
    EvaluationArguments,
    check_evaluation,
    evaluate_and_record,
    load_trained_model,
    load_training_graph,
    parse_script,
    run_program,
    train,
)

TASK = "triplet_classification"


def main() -> None:
    # The choices: those of a recipe (a YAML file), which flags override.
    arguments, training, evaluation = parse_script(EvaluationArguments)
    file = arguments.json or evaluation.results_file(TASK, training.output_dir)

    # The graph: entities, relations and triplets as integers, with a text for each entity and relation.
    graph = load_training_graph(arguments, training.seed)
    # An error now rather than after the training.
    check_evaluation(TASK, graph, evaluation.split, file, evaluation.limit)

    # run_link_prediction.py shows the steps of this: processor, model, collator and trainer.
    if evaluation.model is None:
        train(arguments, training, graph)

    # The evaluation is evaluate_triplet_classification(model, processor, graph): a triplet is called true when its
    # score is above a threshold, the one with the highest accuracy on the validation split. The figures are written to
    # the results file and to the model's card, the threshold into the model's configuration.
    folder = evaluation.model or training.output_dir
    model, processor = load_trained_model(folder, graph)
    evaluate_and_record(
        TASK,
        model,
        processor,
        graph,
        folder=folder,
        graph_name=arguments.graph,
        file=file,
        split=evaluation.split,
        dtype=evaluation.scoring_dtype,
        quiet=arguments.quiet,
    )


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
