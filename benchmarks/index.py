"""The entity index at size: building, loading, exact search and FAISS; seconds, milliseconds, recall, memory.

    python benchmarks/index.py --folder DIR [--entities N] [--dim K] [--clusters C] [--faiss DESCRIPTION] [--json FILE]

Vectors are seeded random unit vectors, made block by block. They have no neighborhoods, which approximate search lives
on: with --clusters each is a random center plus noise of .7 times its length. The blocks stay in the folder; a second
run loads them. Anonymous memory leaves memory-mapped files out, which the kernel drops when it needs room.
"""

import argparse
import re
import resource
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch

from lass_hf.scoring.entity_index import EntityIndex
from lass_hf.scoring.faiss_index import FaissIndex


class Vectors:
    """Random unit vectors of entities; the same entities, asked for together, get the same vectors."""

    def __init__(self, dim: int, clusters: int, seed: int):
        self.dim, self.clusters, self.seed = dim, clusters, seed
        self.centres = self._normal(np.random.SeedSequence([seed, 0]), clusters)

    def __call__(self, entities: np.ndarray, kind: int = 1) -> torch.Tensor:
        numbers = self._normal(np.random.SeedSequence([self.seed, kind, int(entities[0])]), len(entities))
        if self.clusters:
            random = np.random.default_rng([self.seed, kind, int(entities[0]), 1])
            numbers = self.centres[random.integers(self.clusters, size=len(entities))] + 0.7 * numbers
        return torch.nn.functional.normalize(numbers)

    def _normal(self, seed: np.random.SeedSequence, size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
        return torch.nn.functional.normalize(torch.randn(size, self.dim, generator=generator))


class AnonymousMemory(threading.Thread):
    """Watches this process's anonymous memory; `peak`, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0

    def run(self) -> None:
        while True:
            found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
            self.peak = max(self.peak, int(found[1]) / 1024 if found else 0.0)
            time.sleep(0.02)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def latencies(nearest: Callable[..., object], queries: torch.Tensor, k: int, rounds: int) -> tuple[float, float]:
    """Median milliseconds of a query alone, and of all together."""
    alone = [seconds(lambda row=row: nearest(queries[row : row + 1], k)) for row in range(rounds)]  # type: ignore[misc]
    return 1000 * statistics.median(alone), 1000 * statistics.median(
        seconds(lambda: nearest(queries, k)) for _ in range(rounds)
    )


def choices() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--folder", required=True, metavar="DIR", help="where the index is kept")
    parser.add_argument("--entities", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=0, help="0: no clusters")
    parser.add_argument("--top_k", type=int, default=10)
    parser.add_argument("--faiss", default="IVF2048,PQ48", metavar="DESCRIPTION", help="of FAISS's index; '' for none")
    parser.add_argument("--parameters", default="nprobe=32", help="of FAISS's search")
    parser.add_argument("--rounds", type=int, default=7, help="searches timed; medians are reported")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    return parser.parse_args()


def main() -> None:
    arguments = choices()
    memory = AnonymousMemory()
    memory.start()
    encoded = 0
    vectors = Vectors(arguments.dim, arguments.clusters, arguments.seed)

    def encode(entities: np.ndarray) -> torch.Tensor:
        nonlocal encoded
        encoded += len(entities)
        return vectors(entities)

    def texts(start: int, stop: int) -> str:
        return f"{start}-{stop}"

    model = f"random {arguments.dim} {arguments.clusters} {arguments.seed}"
    about = (arguments.entities, texts, model, arguments.folder)
    queries = vectors(np.arange(64), kind=2)
    rows: list[dict[str, Any]] = []

    def note(what: str, figure: float, unit: str) -> None:
        """Prints a figure at once: the next one may take an hour."""
        rows.append({"what": what, "figure": figure, "unit": unit})
        print(f"{what}: {figure:,.4g} {unit}", flush=True)

    print(f"{arguments.entities:,} vectors, {arguments.dim} dimensions, {arguments.clusters} clusters")
    build = seconds(lambda: EntityIndex.build(encode, *about))
    note(f"{encoded:,} random vectors made and written", build, "s")
    start = time.perf_counter()
    index = EntityIndex.load(arguments.folder, arguments.entities, texts, model)
    note("loaded (memory-mapped)", time.perf_counter() - start, "s")
    first = seconds(lambda: index.nearest(queries[:1], arguments.top_k))
    note("exact: the first query, norms computed", 1000 * first, "ms")
    alone, together = latencies(index.nearest, queries, arguments.top_k, arguments.rounds)
    note("exact: 1 query", alone, "ms")
    note(f"exact: {len(queries)} queries", together, "ms")
    note("peak anonymous memory until here", memory.peak, "MB")
    if arguments.faiss:
        name = f"{arguments.faiss}, {arguments.parameters}"
        start = time.perf_counter()
        approximate = FaissIndex(index, arguments.faiss, arguments.parameters, arguments.seed)
        note(f"{name}: trained and filled", time.perf_counter() - start, "s")
        approximate.nearest(queries, arguments.top_k)
        alone, together = latencies(approximate.nearest, queries, arguments.top_k, arguments.rounds)
        note(f"{name}: 1 query", alone, "ms")
        note(f"{name}: {len(queries)} queries", together, "ms")
        note(f"{name}: recall@{arguments.top_k}", approximate.recall(queries, arguments.top_k), "")
        note("peak anonymous memory", memory.peak, "MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note("peak resident memory, mapped files included", peak, "MB")
    settings = {name: getattr(arguments, name) for name in ("entities", "dim", "clusters", "seed")}
    common.finish(arguments, {"index": rows, **settings})


if __name__ == "__main__":
    main()
