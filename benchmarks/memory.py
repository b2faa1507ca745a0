"""Peak memory of ranking, over the model's own.

    python benchmarks/memory.py --graph DIR [--limit N] [--json FILE]

First a few triplets with the encoder, then the whole test split with scores from a hash in its place: ranking streams,
so neither the number of queries nor that of entities times queries shows in the peak. CPU memory, of this process.
"""

import resource

import common
import numpy as np

from lass_hf import LassProcessor, evaluate_link_prediction
from lass_hf.evaluation.link_prediction import rank_split
from lass_hf.scoring.candidate_scores import by_triplets


def peak() -> float:
    """Peak resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hashed(triplets: np.ndarray, slot: int, progress) -> np.ndarray:
    """Scores that cost nothing."""
    progress.update(len(triplets))
    keys = (triplets @ np.array([2654435761, 40503, 97])) % 1_000_003
    return keys.astype(np.float32)


def main() -> None:
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=2, help="triplets ranked with the encoder")
    arguments = parser.parse_args()
    graph, model = common.load(arguments)
    processor = LassProcessor.from_encoder(arguments.encoder, graph=graph)
    processor.token_store()
    model(**processor([("a", "b", "c")]))
    loaded = peak()
    evaluate_link_prediction(model, processor, graph, limit=arguments.limit)
    encoder = peak()
    result = rank_split(by_triplets(hashed), graph["test"])
    streamed = peak()
    rows = [
        {"what": "libraries, graph and model loaded", "peak MB": loaded, "over it": 0.0},
        {"what": f"{2 * arguments.limit} queries with the encoder", "peak MB": encoder, "over it": encoder - loaded},
        {"what": f"{len(result.ranks)} queries, scores hashed", "peak MB": streamed, "over it": streamed - loaded},
    ]
    common.print_table(rows)
    common.finish(arguments, {"memory": rows})


if __name__ == "__main__":
    main()
