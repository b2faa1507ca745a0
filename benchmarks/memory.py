"""Peak memory of ranking, beyond that of the loaded model.

    python benchmarks/memory.py --graph DIR [--limit N] [--json FILE]

The benchmark ranks a few triplets with the encoder, and then the whole test split with scores from a hash. A ranking
streams, so the peak depends neither on the number of queries nor on entities times queries. It is the CPU memory of
this process.
"""

import resource

import common
import numpy as np

from lass_hf import LassProcessor, evaluate_link_prediction
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import scorer_from_triplets


def measure_peak() -> float:
    """Returns the peak resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def score_by_hash(triplets: np.ndarray, slot: int, progress) -> np.ndarray:
    """Returns scores that cost almost nothing."""
    progress.update(len(triplets))
    keys = (triplets @ np.array([2654435761, 40503, 97])) % 1_000_003
    return keys.astype(np.float32)


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=2, help="triplets ranked with the encoder")
    arguments = parser.parse_args()
    graph, model = common.load(arguments)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph)
    processor.token_store()
    model(**processor([("a", "b", "c")]))
    loaded = measure_peak()
    evaluate_link_prediction(model, processor, graph, limit=arguments.limit)
    encoder = measure_peak()
    result = rank_split(scorer_from_triplets(score_by_hash), graph["test"])
    streamed = measure_peak()
    rows = [
        {"what": "libraries, graph and model loaded", "peak MB": loaded, "over it": 0.0},
        {"what": f"{2 * arguments.limit} queries with the encoder", "peak MB": encoder, "over it": encoder - loaded},
        {"what": f"{len(result.ranks)} queries, scores hashed", "peak MB": streamed, "over it": streamed - loaded},
    ]
    common.print_table(rows)
    common.finish(arguments, {"memory": rows})


if __name__ == "__main__":
    main()
