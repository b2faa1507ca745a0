"""A large entity index: time, memory and recall of building, loading, exact search and FAISS.

    python benchmarks/index.py --folder DIR [--entities N] [--dim K] [--clusters C] [--faiss DESCRIPTION] [--json FILE]

The vectors are seeded random unit vectors, made block by block. Plain random vectors have no near neighbors, which
approximate search needs. With --clusters each vector is a random center plus noise of .7 times its length. The blocks
stay in the folder, and a second run loads them. Anonymous memory does not include memory-mapped files, which the kernel
drops when it needs memory.
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
    """Makes random unit vectors of entities; the same block of entities always gets the same vectors."""

    def __init__(self, dim: int, clusters: int, seed: int):
        self.dim, self.clusters, self.seed = dim, clusters, seed
        self.centers = self._normal(np.random.SeedSequence([seed, 0]), clusters)

    def __call__(self, entities: np.ndarray, kind: int = 1) -> torch.Tensor:
        vectors = self._normal(np.random.SeedSequence([self.seed, kind, int(entities[0])]), len(entities))
        if self.clusters:
            random = np.random.default_rng([self.seed, kind, int(entities[0]), 1])
            vectors = self.centers[random.integers(self.clusters, size=len(entities))] + 0.7 * vectors
        return torch.nn.functional.normalize(vectors)

    def _normal(self, seed: np.random.SeedSequence, size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
        return torch.nn.functional.normalize(torch.randn(size, self.dim, generator=generator))


class AnonymousMemory(threading.Thread):
    """Measures the anonymous memory of this process again and again; `peak` is the largest value in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0

    def run(self) -> None:
        while True:
            match = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
            self.peak = max(self.peak, int(match[1]) / 1024 if match else 0.0)
            time.sleep(0.02)


def measure_seconds(work: Callable[[], object]) -> float:
    """Returns the seconds that a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure_latencies(
    nearest: Callable[..., object], queries: torch.Tensor, k: int, rounds: int
) -> tuple[float, float]:
    """Returns the median milliseconds of a search for one query, and of a search for all queries together."""
    alone = [measure_seconds(lambda row=row: nearest(queries[row : row + 1], k)) for row in range(rounds)]  # type: ignore[misc]
    return 1000 * statistics.median(alone), 1000 * statistics.median(
        measure_seconds(lambda: nearest(queries, k)) for _ in range(rounds)
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--folder", required=True, metavar="DIR", help="where the index is kept")
    parser.add_argument("--entities", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=0, help="number of clusters; 0 for none")
    parser.add_argument("--top_k", type=int, default=10)
    parser.add_argument(
        "--faiss", default="IVF2048,PQ48", metavar="DESCRIPTION", help="description of the FAISS index; '' for none"
    )
    parser.add_argument("--parameters", default="nprobe=32", help="parameters of the FAISS search")
    parser.add_argument("--rounds", type=int, default=7, help="searches timed; medians are reported")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
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
    index_arguments = (arguments.entities, texts, model, arguments.folder)
    queries = vectors(np.arange(64), kind=2)
    rows: list[dict[str, Any]] = []

    def report(name: str, figure: float, unit: str) -> None:
        """Prints a figure at once, because the next one may take an hour."""
        rows.append({"what": name, "figure": figure, "unit": unit})
        print(f"{name}: {figure:,.4g} {unit}", flush=True)

    print(f"{arguments.entities:,} vectors, {arguments.dim} dimensions, {arguments.clusters} clusters")
    build = measure_seconds(lambda: EntityIndex.build(encode, *index_arguments))
    report(f"{encoded:,} random vectors made and written", build, "s")
    start = time.perf_counter()
    index = EntityIndex.load(arguments.folder, arguments.entities, texts, model)
    report("loaded (memory-mapped)", time.perf_counter() - start, "s")
    first = measure_seconds(lambda: index.nearest(queries[:1], arguments.top_k))
    report("exact: the first query, norms computed", 1000 * first, "ms")
    alone, together = measure_latencies(index.nearest, queries, arguments.top_k, arguments.rounds)
    report("exact: 1 query", alone, "ms")
    report(f"exact: {len(queries)} queries", together, "ms")
    report("peak anonymous memory until here", memory.peak, "MB")
    if arguments.faiss:
        name = f"{arguments.faiss}, {arguments.parameters}"
        start = time.perf_counter()
        approximate = FaissIndex(index, arguments.faiss, arguments.parameters, arguments.seed)
        report(f"{name}: trained and filled", time.perf_counter() - start, "s")
        approximate.nearest(queries, arguments.top_k)
        alone, together = measure_latencies(approximate.nearest, queries, arguments.top_k, arguments.rounds)
        report(f"{name}: 1 query", alone, "ms")
        report(f"{name}: {len(queries)} queries", together, "ms")
        report(f"{name}: recall@{arguments.top_k}", approximate.recall(queries, arguments.top_k), "")
        report("peak anonymous memory", memory.peak, "MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report("peak resident memory, mapped files included", peak, "MB")
    settings = {name: getattr(arguments, name) for name in ("entities", "dim", "clusters", "seed")}
    common.finish(arguments, {"index": rows, **settings})


if __name__ == "__main__":
    main()
