"""The operators that take most of the time of scoring and of a training step, by torch.profiler.

    python benchmarks/where_time_goes.py --graph DIR [--json FILE]

The figures are each operator's own time in percent of that of all operators (on an accelerator: of all kernels).
"""

from collections.abc import Callable
from typing import Any

import common
import numpy as np
import torch
from scoring import candidate_triplets
from torch.profiler import ProfilerActivity, profile

from lass_hf import KGDataCollator, LassProcessor
from lass_hf.scoring.triplet_scorer import TripletScorer

SHOWN = 10


def profile_operators(run: Callable[[], Any]) -> dict[str, float]:
    """Returns the operators with the most own time, in percent; calls `run` once before, to warm up."""
    run()
    accelerated = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CUDA if accelerated else ProfilerActivity.CPU]) as measured:
        run()
        common.synchronize()
    times = {
        event.key: event.self_device_time_total if accelerated else event.self_cpu_time_total
        for event in measured.key_averages()
    }
    largest = sorted(times, key=lambda name: -times[name])[:SHOWN]
    return {name: 100 * times[name] / sum(times.values()) for name in largest}


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--triplets", type=int, default=2000)
    arguments = parser.parse_args()
    graph, model = common.load(arguments)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph)
    triplets = candidate_triplets(graph, 24, -(-arguments.triplets // 24), arguments.seed)
    scorer = TripletScorer(model, processor.token_store())
    collate, split = KGDataCollator(processor, graph), graph["train"]
    rows = np.random.default_rng(arguments.seed).choice(len(split), 16)
    batch = collate([split[row] for row in rows])
    inputs = {name: value.to(common.device()) if torch.is_tensor(value) else value for name, value in batch.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        model.train()
        with torch.autocast(common.device().type, torch.bfloat16, enabled=common.native_bfloat16()):
            loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    results = {"scoring": profile_operators(lambda: scorer.score(triplets)), "training step": profile_operators(step)}
    for name, parts in results.items():
        print(f"{name}:")
        common.print_table([{"operator": operator, "percent": part} for operator, part in parts.items()])
    common.finish(arguments, {"percent_of_time": results})


if __name__ == "__main__":
    main()
