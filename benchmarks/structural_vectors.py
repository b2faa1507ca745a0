"""Training of structural vectors: time, memory and ranks, one row for each score function and number of candidates.

    python benchmarks/structural_vectors.py --graph DIR [--score_functions NAME ...] [--candidates N ...]
        [--epochs N] [--minutes M] [--dim K] [--split NAME] [--limit N] [--json FILE]

Each training runs in a fresh process, and then ranks a split by its vectors alone. 0 candidates are all entities.
"""

import argparse
import resource
import time
from itertools import product
from typing import Any

import common
import numpy as np

from lass_hf import KnowledgeGraph
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.structure.facts import Facts
from lass_hf.structure.structural_scores import STRUCTURAL_SCORES
from lass_hf.structure.structural_vectors import StructuralVectors
from lass_hf.structure.vector_training import VectorChoices, train_structural_vectors


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--graph", required=True, metavar="DIR")
    arguments.add_argument("--score_functions", nargs="+", choices=STRUCTURAL_SCORES, default=["complex"])
    arguments.add_argument("--candidates", nargs="+", type=int, default=[None], help="by default by the graph's size")
    arguments.add_argument("--epochs", type=int)
    arguments.add_argument("--minutes", type=float)
    arguments.add_argument("--dim", type=int)
    arguments.add_argument("--split", default="validation")
    arguments.add_argument("--limit", type=int, help="rank so many triplets of the split")
    arguments.add_argument("--seed", type=int, default=42)
    arguments.add_argument("--json", metavar="FILE")
    options = arguments.parse_args()
    rows = [
        common.run_alone(measure, options, name, candidates)
        for name, candidates in product(options.score_functions, options.candidates)
    ]
    common.print_table(rows)
    common.finish(options, {"rows": rows})


def measure(options: argparse.Namespace, score_function: str, num_candidates: int | None) -> dict[str, Any]:
    """Trains and ranks once; returns a row of the table."""
    graph = KnowledgeGraph.from_directory(options.graph)
    facts = Facts.from_graph(graph)
    choices = VectorChoices(
        score_function,
        dim=options.dim,
        num_epochs=options.epochs,
        num_candidates=num_candidates,
        minutes=options.minutes,
    ).for_facts(facts)
    losses: list[float] = []
    start = time.perf_counter()
    vectors = train_structural_vectors(
        facts, choices, seed=options.seed, on_progress=lambda done, loss: losses.append(loss)
    )
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    metrics = rank_split(scorer(vectors), graph[options.split], limit=options.limit, seed=options.seed).metrics
    return {
        "score": score_function,
        "dim": choices.dim,
        "epochs": choices.num_epochs,
        "candidates": choices.num_candidates,
        "steps": len(losses),
        "seconds": seconds,
        "ms/step": 1000 * seconds / len(losses),
        "peak MB": memory,
        **{name: float(metrics[name]) for name in ("mrr", "hits@1", "hits@10", "mr")},
    }


def scorer(vectors: StructuralVectors):
    """Returns a candidate scorer of vectors alone."""

    def score_candidates(queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Any):
        if progress is not None:
            progress.update(int(mask.sum()))
        return vectors.scores(queries, slot, candidates)

    return score_candidates


if __name__ == "__main__":
    main()
