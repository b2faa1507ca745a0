"""Putting batches together, without a model: triplets a second, and a training epoch's cost as the graph grows.

    python benchmarks/assembly.py --graph DIR [--json FILE]

One process, one core: candidates to batches of the scoring engine, then whole epochs of training batches (sampling
corrupted triplets, and assembling them) over growing parts of the train split.
"""

import statistics
import time
from typing import Any

import common
import numpy as np
import torch

from lass_hf import KGDataCollator, KnowledgeGraph, LassProcessor
from lass_hf.batching import batches_by_length
from lass_hf.encoders import OFFLINE_ENCODER
from lass_hf.token_store import TokenStore

PARTS = (5_000, 20_000, 80_000, 320_000)
TRIPLETS = 65_536


def assemble_all(store: TokenStore, triplets: np.ndarray, budget: int) -> tuple[float, float]:
    """Triplets a second, and the part of the computed tokens that is padding."""
    start = time.perf_counter()
    tokens = 0
    for batch in batches_by_length(store.lengths(triplets), budget):
        tokens += store.assemble(triplets[batch])["input_ids"].numel()
    return len(triplets) / (time.perf_counter() - start), 1 - store.lengths(triplets).sum() / tokens


def epoch(graph: KnowledgeGraph, processor: LassProcessor, positives: int, batch: int = 16) -> dict[str, float]:
    """A whole epoch of training batches over the first `positives` of a shuffled train split."""
    split = graph["train"].select(np.random.default_rng(0).permutation(len(graph["train"]))[:positives])
    collate = KGDataCollator(processor, graph)
    loader: Any = torch.utils.data.DataLoader(split, batch_size=batch, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    start = time.perf_counter()
    sequences = sum(len(content["labels"]) for content in loader)
    seconds = time.perf_counter() - start
    return {"positives": len(split), "seconds": seconds, "positives/s": len(split) / seconds, "sequences": sequences}


def main() -> None:
    arguments = common.parser(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    graph = KnowledgeGraph.from_directory(arguments.graph)
    processor = LassProcessor.from_encoder(arguments.encoder or OFFLINE_ENCODER, graph=graph)
    store = processor.token_store()
    random = np.random.default_rng(arguments.seed)
    triplets = random.choice(graph["test"].triplets, TRIPLETS)
    triplets[:, 2] = random.choice(graph.candidates[2], TRIPLETS)
    rows = []
    for budget in (4096, 65536):
        measured = [assemble_all(store, triplets, budget) for _ in range(arguments.rounds)]
        rate = statistics.median(rate for rate, _ in measured)
        rows.append({"tokens a batch": budget, "triplets/s": rate, "padding": float(measured[0][1])})
    print(f"scoring batches of {store.lengths(triplets).mean():.1f} tokens a triplet:")
    common.print_table(rows)
    parts = sorted({min(part, len(graph["train"])) for part in PARTS})
    epochs = [epoch(graph, processor, part) for part in parts]
    print("an epoch of training batches:")
    common.print_table(epochs)
    common.finish(arguments, {"scoring": rows, "epochs": epochs})


if __name__ == "__main__":
    main()
