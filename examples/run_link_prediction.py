"""Link prediction (Table 4 of the paper): train, then rank every head and tail of the test split among all entities.

    python examples/run_link_prediction.py examples/recipes/umls_minilm.yaml --graph DIR [--json FILE]
    accelerate launch examples/run_link_prediction.py ...       # the same on several GPUs

Takes every argument of `lass-hf train`; flags override the recipe. Writes the model, and its metrics and ranks as
link_prediction.json, to --output_dir (runs/RECIPE). A training that was killed continues with
--resume_from_checkpoint last, a ranking with --model OUTPUT_DIR.
"""

import sys
from pathlib import Path

from lass_hf import (
    EvaluationArguments,
    LassForKGCompletion,
    LassProcessor,
    LassTrainer,
    check_evaluation,
    collect_run_metadata,
    evaluate_and_record,
    files_beside_model,
    load_trained_model,
    load_training_graph,
    make_collator,
    parse_script,
    run_program,
    train_and_record,
)

TASK = "link_prediction"


def main() -> None:
    # The choices: those of a recipe (a YAML file), which flags override.
    arguments, training, evaluation = parse_script(EvaluationArguments)
    file = arguments.json or evaluation.results_file(TASK, training.output_dir)

    # The graph: entities, relations and triplets as integers, with a text for each entity and relation.
    graph = load_training_graph(arguments, training.seed)
    # An error now rather than after the training.
    check_evaluation(TASK, graph, evaluation.split, file, evaluation.limit)

    if evaluation.model is None:
        # The processor turns the texts of a triplet into one sequence of tokens: head, relation, tail.
        processor = LassProcessor.from_encoder(arguments.encoder, graph=graph, **arguments.processor_choices())

        # The model: a pre-trained language model, whose vectors of head, relation and tail give the score of Eq. 1,
        # b - 1/2 ||h + r - t||^2.
        model = LassForKGCompletion.from_encoder(arguments.encoder, **arguments.model_choices())

        # The trainer is that of transformers with the loss of the paper: each true triplet is compared with corrupted
        # ones, which the collator draws. (With --retriever some of these are hard negatives.)
        train_dataset = graph["train"].sample(arguments.fraction, training.seed)
        trainer = LassTrainer(
            model=model,
            args=training,
            data_collator=make_collator(arguments, training, processor, train_dataset),
            processing_class=processor,
            train_dataset=train_dataset,
            eval_dataset=graph.splits.get("validation"),
            run_metadata=collect_run_metadata(arguments, training, graph),
        )
        # trainer.train() and save_model(), with training.json and the ids of the graph's source beside the model; then
        # rules, vectors and other evidence.
        train_and_record(trainer, arguments.evidence, files_beside_model(arguments, graph))

    # The evaluation is evaluate_link_prediction(model, processor, graph): each test triplet asks for its head and for
    # its tail, and all entities are candidates, without the other answers that the graph holds ("filtered"). The
    # figures are written to the results file and to the model's card.
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
        limit=evaluation.limit,
        dtype=evaluation.scoring_dtype,
        quiet=arguments.quiet,
    )


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
