"""Scoring all candidates of a few queries: the published recipe, the HF Trainer, a CrossEncoder, and lass-hf.

    python benchmarks/scoring.py --graph DIR [--queries N] [--candidates N] [--json FILE]

All sides score the same sequences, in interleaved rounds of one run; the published recipe is slow, and scores a seeded
part of them. The bfloat16 sides run only if the hardware multiplies bfloat16 natively. The share of the matrix rate
compares two operations per token (without padding) and weight of the encoder's linear layers with the rate of a large
matrix product, measured in the same run.
"""

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import torch
from published import PublishedRecipe
from scipy.stats import spearmanr
from transformers import Trainer, TrainingArguments

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassProcessor, evaluate_link_prediction
from lass_hf.core.encoders import resolve_encoder
from lass_hf.core.token_store import TokenStore
from lass_hf.scoring.triplet_scorer import TripletScorer

CROSS_ENCODER_BATCHES = (16, 32, 64, 128, 256)


def candidate_triplets(graph: KnowledgeGraph, queries: int, candidates: int | None, seed: int) -> np.ndarray:
    """Returns the candidates of seeded test queries, heads and tails in turn: all or a seeded choice; shape (n, 3)."""
    random = np.random.default_rng(seed)
    positives = np.unique(graph["test"].positives, axis=0)
    blocks = []
    for number, triplet in enumerate(random.permutation(positives)[:queries]):
        slot = (0, 2)[number % 2]
        values = graph.candidates[slot]
        if candidates is not None and candidates < len(values):
            values = random.choice(values, candidates, replace=False)
        block = np.repeat(triplet[None], len(values), axis=0)
        block[:, slot] = values
        blocks.append(block)
    return np.concatenate(blocks)


def trainer_side(model: LassForKGCompletion, store: TokenStore, triplets: np.ndarray, bf16: bool) -> Callable[[], int]:
    """Returns a run of `Trainer.predict` over tokenized sequences, with each batch padded to its longest one."""
    padded = store.assemble(triplets)
    lengths = padded["attention_mask"].sum(1).tolist()
    names = ("input_ids", "attention_mask", "segment_ids")
    items = [{name: padded[name][row, :length] for name in names} for row, length in enumerate(lengths)]

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {
            name: torch.nn.utils.rnn.pad_sequence([item[name] for item in batch], batch_first=True) for name in names
        }

    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        per_device_eval_batch_size=64,
        bf16_full_eval=bf16,
        use_cpu=common.device().type == "cpu",
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
    )
    trainer = Trainer(model=copy.deepcopy(model), args=arguments, data_collator=collate)
    unused = ["head_embeddings", "relation_embeddings", "tail_embeddings"]

    def run() -> int:
        trainer.predict(items, ignore_keys=unused)  # type: ignore[arg-type]
        return len(items)

    return run


def cross_encoder_side(arguments, graph: KnowledgeGraph, triplets: np.ndarray, dtype: torch.dtype):
    """Returns a run of sentence-transformers' CrossEncoder at its best batch size; None if it is not installed."""
    try:
        from sentence_transformers import CrossEncoder
    except ImportError:
        print("no CrossEncoder: to compare with it, pip install sentence-transformers", file=sys.stderr)
        return None
    model = CrossEncoder(
        resolve_encoder(arguments.encoder),
        num_labels=1,
        device=common.device().type,
        model_kwargs={"dtype": dtype},
        max_length=512,
    )
    separator = f" {model.tokenizer.sep_token} "
    entity, relation = graph.entities.texts, graph.relations.texts
    pairs = [(entity[h], relation[r] + separator + entity[t]) for h, r, t in triplets.tolist()]
    by_length = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    # CrossEncoder sorts by length, so pairs of similar length represent the whole run.
    part = by_length[len(pairs) // 2 :][:512]
    model.predict(part[:64], show_progress_bar=False)
    seconds = {}
    for size in CROSS_ENCODER_BATCHES:
        start = time.perf_counter()
        model.predict(part, batch_size=size, show_progress_bar=False)
        seconds[size] = time.perf_counter() - start
    best = min(seconds, key=lambda size: seconds[size])
    print(f"CrossEncoder {dtype}: best batch size {best}", file=sys.stderr)

    def run() -> int:
        model.predict(pairs, batch_size=best, show_progress_bar=False)
        return len(pairs)

    return run


def measure_agreement(model: LassForKGCompletion, store: TokenStore, triplets: np.ndarray) -> dict[str, float]:
    """Compares bfloat16 scores with float32 scores."""
    exact, approximate = (TripletScorer(model, store, dtype).score(triplets) for dtype in ("float32", "bfloat16"))
    return {
        "triplets": len(triplets),
        "spearman": float(spearmanr(exact, approximate).statistic),
        "largest_difference": float(np.abs(exact - approximate).max()),
        "standard_deviation_of_scores": float(exact.std()),
    }


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=24)
    parser.add_argument(
        "--candidates", type=int, metavar="N", help="score a seeded choice of N for each query (default: all)"
    )
    parser.add_argument(
        "--published", type=int, default=48, metavar="N", help="number of triplets that the published recipe scores"
    )
    parser.add_argument("--model", metavar="DIR", help="trained model for the comparison of bfloat16 with float32")
    parser.add_argument(
        "--ranked", type=int, default=4, help="number of test triplets that --model ranks in both precisions"
    )
    arguments = parser.parse_args()
    graph, model = common.load(arguments)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph)
    start = time.perf_counter()
    store = processor.token_store()
    tokenizing = time.perf_counter() - start
    triplets = candidate_triplets(graph, arguments.queries, arguments.candidates, arguments.seed)
    few = np.random.default_rng(arguments.seed).permutation(triplets)[: arguments.published]
    tokens = store.lengths(triplets).mean()
    published = PublishedRecipe(arguments.encoder, graph, common.device())
    dtypes = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if common.native_bfloat16() else {})
    if len(dtypes) == 1:
        print("this hardware does not multiply bfloat16 natively: float32 only", file=sys.stderr)

    def make_side(score: Callable[[np.ndarray], Any], triplets: np.ndarray) -> Callable[[], int]:
        return lambda: len(score(triplets))

    sides: dict[str, Callable[[], int]] = {"published recipe float32": make_side(published.score, few)}
    for name, dtype in dtypes.items():
        sides[f"HF Trainer {name}"] = trainer_side(model, store, triplets, dtype == torch.bfloat16)
        if cross_encoder := cross_encoder_side(arguments, graph, triplets, dtype):
            sides[f"CrossEncoder {name}"] = cross_encoder
        scorer = TripletScorer(model, store, name)
        scorer.score(triplets[:500])
        sides[f"lass-hf {name}"] = make_side(scorer.score, triplets)
    matrix = {name: [common.matrix_rate(dtype)] for name, dtype in dtypes.items()}
    rates = common.run_interleaved(sides, arguments.rounds)
    for name, dtype in dtypes.items():
        matrix[name].append(common.matrix_rate(dtype))
    best = f"lass-hf {list(dtypes)[-1]}"
    work = common.flop_per_token(model) * tokens
    rows = [
        {
            "side": name,
            "triplets/s": statistics.median(rate),
            f"{best} is faster by": common.format_ratio(rates, best, name),
            "share of matrix rate": statistics.median(rate) * work / max(matrix[name.split()[-1]]),
        }
        for name, rate in rates.items()
    ]
    print(f"{len(triplets)} triplets, {tokens:.1f} tokens each; the graph tokenized once in {tokenizing:.2f} s")
    common.print_table(rows)
    difference = float(np.abs(published.score(few) - TripletScorer(model, store, "float32").score(few)).max())
    print(f"largest difference of scores, published recipe and lass-hf in float32: {difference:.1e}")
    trained = LassForKGCompletion.from_pretrained(arguments.model) if arguments.model else model
    trained.to(common.device())  # type: ignore[arg-type]
    close = measure_agreement(trained, store, np.random.default_rng(1).permutation(triplets)[:500])
    if arguments.model:
        for name in ("float32", "bfloat16"):
            metrics = evaluate_link_prediction(trained, processor, graph, limit=arguments.ranked, dtype=name).metrics
            close |= {f"{name}_{metric}": metrics[metric] for metric in ("mrr", "hits@1", "hits@10")}
    print("bfloat16 and float32: " + ", ".join(f"{key} {value:.4g}" for key, value in close.items()))
    common.finish(
        arguments,
        {
            "triplets": len(triplets),
            "mean_tokens": float(tokens),
            "seconds_tokenizing": tokenizing,
            "sides": rows,
            "triplets_per_second": rates,
            "matrix_flop_per_second": matrix,
            "difference_from_published": difference,
            "bfloat16_agreement": {"model": arguments.model or arguments.encoder, **close},
        },
    )


if __name__ == "__main__":
    main()
