"""Assembling batches, without a model: triplets per second, and the cost of a training epoch as the graph grows.

    python benchmarks/assembly.py --graph DIR [--json FILE]

The benchmark runs in one process on one core. It first assembles batches of the scoring engine, chunk by chunk as a
ranking does. Then it makes whole epochs of training batches (it samples corrupted triplets and assembles them) over
growing parts of the train split.
"""

import statistics
import time
from typing import Any

import common
import numpy as np
import torch

from lass_hf import KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.core.architectures import CrossEncoder
from lass_hf.core.encoders import OFFLINE_ENCODER
from lass_hf.core.token_store import TokenStore
from lass_hf.scoring.length_buckets import batch_cost, batches_by_length

PARTS = (5_000, 20_000, 80_000, 320_000)
TRIPLETS = 65_536


def assemble_all(store: TokenStore, chunks: list[np.ndarray], budget: int) -> tuple[float, float]:
    """Returns the triplets per second, and the share of padding among the assembled tokens."""
    start = time.perf_counter()
    tokens = 0
    for triplets in chunks:
        for batch in batches_by_length(store.lengths(triplets), batch_cost("cpu"), budget):
            tokens += store.assemble(triplets[batch])["input_ids"].numel()
    seconds = time.perf_counter() - start
    return sum(map(len, chunks)) / seconds, 1 - sum(store.lengths(triplets).sum() for triplets in chunks) / tokens


def training_padding(graph: KnowledgeGraph, processor: LassProcessor, steps: int = 100) -> dict[str, float]:
    """Returns the share of padding in batches of 16 positives, as one padded batch and in length buckets."""
    collate = KGDataCollator(processor, graph)
    split, random = graph["train"], np.random.default_rng(0)
    num_real = num_padded = num_bucketed = 0
    for _ in range(steps):
        batch = collate([split[row] for row in random.choice(len(split), 16)])
        num_real += int(batch["attention_mask"].sum())
        num_padded += batch["input_ids"].numel()
        num_bucketed += sum(rows * longest for rows, _, longest in batch["length_buckets"])
    return {"one padded batch": 1 - num_real / num_padded, "length buckets": 1 - num_real / num_bucketed}


def measure_epoch(graph: KnowledgeGraph, processor: LassProcessor, positives: int, batch: int = 16) -> dict[str, float]:
    """Makes all training batches of an epoch over the first `positives` triplets of a shuffled train split."""
    split = graph["train"].select(np.random.default_rng(0).permutation(len(graph["train"]))[:positives])
    collate = KGDataCollator(processor, graph)
    loader: Any = torch.utils.data.DataLoader(split, batch_size=batch, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    start = time.perf_counter()
    sequences = sum(len(content["labels"]) for content in loader)
    seconds = time.perf_counter() - start
    return {"positives": len(split), "seconds": seconds, "positives/s": len(split) / seconds, "sequences": sequences}


def main() -> None:
    arguments = common.make_parser(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    graph = KnowledgeGraph.from_directory(arguments.graph)
    processor = LassProcessor.from_encoder(arguments.encoder or OFFLINE_ENCODER, graph=graph)
    store = processor.token_store()
    # A ranking scores all tails of a few queries at a time.
    candidates = graph.candidates[2]
    queries = np.random.default_rng(arguments.seed).permutation(graph["test"].triplets)[
        : -(-TRIPLETS // len(candidates))
    ]
    triplets = np.repeat(queries, len(candidates), axis=0)
    triplets[:, 2] = np.tile(candidates, len(queries))
    per_chunk = max(1, CrossEncoder.candidates_per_chunk // len(candidates)) * len(candidates)
    chunks = [triplets[start : start + per_chunk] for start in range(0, len(triplets), per_chunk)]
    rows = []
    for budget in (4096, 65536):
        measured = [assemble_all(store, chunks, budget) for _ in range(arguments.rounds)]
        rate = statistics.median(rate for rate, _ in measured)
        rows.append({"tokens per batch": budget, "triplets/s": rate, "padding": float(measured[0][1])})
    print(f"scoring batches of {store.lengths(triplets).mean():.1f} tokens per triplet:")
    common.print_table(rows)
    parts = sorted({min(part, len(graph["train"])) for part in PARTS})
    epochs = [measure_epoch(graph, processor, part) for part in parts]
    padding = training_padding(graph, processor)
    print(f"padding of training batches: {', '.join(f'{name} {part:.1%}' for name, part in padding.items())}")
    print("an epoch of training batches:")
    common.print_table(epochs)
    common.finish(arguments, {"scoring": rows, "training_padding": padding, "epochs": epochs})


if __name__ == "__main__":
    main()
