"""Rules alone: the time and memory to find them, to rank a split by them, and the metrics.

    python benchmarks/rules.py --graph DIR [--split test] [--minutes M] [--json FILE]

Ranks are realistic and filtered, on both sides. Candidates for which no rule fires are equal.
"""

import argparse
import resource
import time
from typing import Any

import numpy as np

from lass_hf import KnowledgeGraph
from lass_hf.core.architectures import BiEncoder
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.structure.facts import Facts
from lass_hf.structure.rule_mining import find_rules
from lass_hf.structure.rule_scores import RuleScorer
from lass_hf.utils.result_files import write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graph", required=True, metavar="DIR", help="folder of a graph")
    parser.add_argument("--split", default="test")
    parser.add_argument("--minutes", type=float, help="time of the search; without it, as long as it takes")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    graph = KnowledgeGraph.from_directory(arguments.graph)
    start = time.perf_counter()
    facts = Facts.from_graph(graph)
    rules = find_rules(facts, minutes=arguments.minutes, seed=arguments.seed)
    found = time.perf_counter()
    scorer = RuleScorer(rules, facts)

    def score(queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Any) -> np.ndarray:
        if progress is not None:
            progress.update(int(mask.sum()))
        return scorer.scores(queries, slot)[:, candidates].toarray()

    result = rank_split(score, graph[arguments.split], chunk_size=BiEncoder.candidates_per_chunk)
    figures = {
        "rules": len(rules),
        "seconds to find": found - start,
        "seconds to rank": time.perf_counter() - found,
        "peak memory in GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        **result.metrics,
    }
    for name, value in figures.items():
        print(f"{name:24}{value:.4g}")
    if arguments.json:
        write_results(arguments.json, figures)


if __name__ == "__main__":
    main()
