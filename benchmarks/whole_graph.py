"""Predictions over every entity with a bi-encoder: the cost of encoding, of a ranking, and of one query.

    python benchmarks/whole_graph.py --model DIR --graph DIR [--json FILE]

The benchmark encodes all entities (and keeps nothing on disk), ranks both sides of the test split, and calls `predict`
for seeded test queries, one after the other. It compares the tokens of its forward passes with those that a
cross-encoder needs for the same ranking, with one sequence for each candidate of each query. These are counted, and not
computed.
"""

import argparse
import statistics
import time

import common
import numpy as np

from lass_hf import KnowledgeGraph, LassForKGCompletion, LassPredictor, LassProcessor
from lass_hf.core.architectures import BiEncoder
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import make_candidate_vectors, scorer_from_index
from lass_hf.scoring.index_building import build_entity_index
from lass_hf.scoring.triplet_scorer import TripletScorer


def count_cross_encoder_tokens(processor: LassProcessor, graph: KnowledgeGraph) -> float:
    """Counts a cross-encoder's tokens for every candidate of every distinct test query (without cutting texts)."""
    store, test = processor.token_store(graph), graph["test"].positives
    lengths = np.diff(store.offsets)
    relations, entities = lengths[: graph.num_relations], lengths[store.num_relations :]
    candidates = entities[graph.candidates[0]]
    total = 0.0
    for slot in (0, 2):
        queries = np.unique(test[:, [1, 2 - slot]], axis=0)
        fixed = relations[queries[:, 0]] + entities[queries[:, 1]] + 4  # 4 special tokens
        total += float(fixed.sum() * len(candidates) + len(queries) * candidates.sum())
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, metavar="DIR", help="trained bi-encoder")
    parser.add_argument("--graph", required=True, metavar="DIR", help="folder of its graph")
    parser.add_argument("--queries", type=int, default=100, help="number of calls of predict")
    parser.add_argument("--seed", type=int, default=42, help="seed of the choice of queries")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    graph = KnowledgeGraph.from_directory(arguments.graph)
    processor = LassProcessor.from_pretrained(arguments.model)
    model = LassForKGCompletion.from_pretrained(arguments.model).to(common.device())  # type: ignore[arg-type]
    scorer = TripletScorer(model, processor.token_store(graph))
    scorer.score(graph["test"].triplets[:64], 2)  # This warms up.

    scorer.tokens = 0
    start = time.perf_counter()
    index = build_entity_index(scorer)
    encoded = time.perf_counter()
    vectors = make_candidate_vectors(scorer, index, graph)
    result = rank_split(scorer_from_index(scorer, vectors), graph["test"], chunk_size=BiEncoder.candidates_per_chunk)
    ranked = time.perf_counter()

    processor.graph = graph
    predictor = LassPredictor(model, processor)
    predictor.candidate_vectors = vectors
    chosen = np.random.default_rng(arguments.seed).choice(len(graph["test"]), arguments.queries)
    seconds = []
    for head, relation, _ in graph["test"].triplets[chosen].tolist():
        called = time.perf_counter()
        predictor.predict(head=graph.entities.ids[head], relation=graph.relations.ids[relation])
        seconds.append(time.perf_counter() - called)
    tokens = count_cross_encoder_tokens(processor, graph)
    results = {
        "encode_entities_s": encoded - start,
        "rank_s": ranked - encoded,
        "encode_and_rank_s": ranked - start,
        "queries": len(result.ranks),
        "entities": index.num_entities,
        "tokens": scorer.tokens,
        "cross_encoder_tokens_over_tokens": tokens / scorer.tokens,
        "predict_median_ms": 1000 * statistics.median(seconds),
        "predict_p95_ms": 1000 * float(np.percentile(seconds, 95)),
        "mrr": result.metrics["mrr"],
    }
    common.print_table([{"figure": name, "value": value} for name, value in results.items()])
    common.finish(arguments, results)


if __name__ == "__main__":
    main()
