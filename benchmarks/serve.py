"""`lass-hf serve` under load: latency, errors and memory, with clients that each send one request after the other.

    python benchmarks/serve.py --model DIR --graph DIR [--clients 8] [--requests 2000] [--json FILE]

The server runs in another process, and the clients here; they talk over loopback. The questions are drawn in three
ways, each with a fresh server:

- "test": uniformly from the queries of the test split, with replacement;
- "zipf": from the same queries, the second most popular half as often as the first, and so on;
- "distinct": no question twice, from all questions that the graph allows. No answer comes from the server's cache, so
  fewer questions are sent (`--distinct`).

The memory is the server's resident set, read after the first tenth of the requests, in the middle and at the end.
"""

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from typing import Any

import common
import numpy as np
import psutil

from lass_hf import KnowledgeGraph
from lass_hf.core.vocabulary import SLOT_NAMES


def make_question(graph: KnowledgeGraph, triplet: np.ndarray, slot: int) -> dict[str, Any]:
    """Returns the request for a slot of a triplet: the ids of the other two slots."""
    vocabularies = (graph.entities, graph.relations, graph.entities)
    names = [vocabulary.ids[number] for vocabulary, number in zip(vocabularies, triplet.tolist(), strict=True)]
    return {SLOT_NAMES[other]: names[other] for other in (0, 1, 2) if other != slot}


def draw_questions(graph: KnowledgeGraph, how: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Draws the questions of one run, in order."""
    random = np.random.default_rng(seed)
    if how == "distinct":
        sizes = (2, graph.num_entities, graph.num_relations)
        chosen = random.choice(int(np.prod(sizes)), min(count, int(np.prod(sizes))), replace=False)
        sides, entities, relations = np.unravel_index(chosen, sizes)
        rows = np.stack([entities, relations, entities], axis=1)
        return [make_question(graph, row, 2 * side) for row, side in zip(rows, sides.tolist(), strict=True)]
    triplets = random.permutation(np.unique(graph["test"].positives, axis=0))
    queries = {json.dumps(make_question(graph, row, slot)): None for row in triplets for slot in (0, 2)}
    pool = [json.loads(query) for query in queries]
    weights = 1 / np.arange(1, len(pool) + 1) if how == "zipf" else np.ones(len(pool))
    return [pool[number] for number in random.choice(len(pool), count, p=weights / weights.sum())]


def run(arguments: Any, how: str, questions: list[dict[str, Any]]) -> dict[str, Any]:
    """Starts a server, sends it all questions, and stops it."""
    command = [sys.executable, "-m", "lass_hf.cli", "serve", "--model", arguments.model, "--port", "0", "--quiet"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = re.search(r":(\d+)/", server.stdout.readline())
        if address is None:
            raise SystemExit("the server did not start")
        return {"questions": how} | send_all(int(address.group(1)), server.pid, questions, arguments)
    finally:
        server.terminate()
        server.wait()


def send_all(port: int, pid: int, questions: list[dict[str, Any]], arguments: Any) -> dict[str, Any]:
    """Sends all questions from several clients, and returns the figures of the run."""
    process, positions = psutil.Process(pid), itertools.count()
    seconds, hits = np.full(len(questions), np.nan), np.zeros(len(questions), dtype=bool)
    memory: dict[int, float] = {}
    measured = {len(questions) // 10, len(questions) // 2, len(questions) - 1}
    at_start = process.memory_info().rss / 2**20

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        while (position := next(positions)) < len(questions):
            start = time.perf_counter()
            try:
                connection.request(
                    "POST", "/api/complete", json.dumps(questions[position]), {"content-type": "application/json"}
                )
                response = connection.getresponse()
                content = json.loads(response.read())
            except OSError:
                connection.close()
                continue
            if response.status == 200:
                seconds[position], hits[position] = time.perf_counter() - start, content["cached"]
            if position in measured:
                memory[position] = process.memory_info().rss / 2**20

    clients = [threading.Thread(target=client) for _ in range(arguments.clients)]
    start = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    wall = time.perf_counter() - start
    done = seconds[~np.isnan(seconds)]
    computed = seconds[~hits & ~np.isnan(seconds)]
    if not len(done):
        raise SystemExit("no question was answered")
    return {
        "requests": len(questions),
        "errors": len(questions) - len(done),
        "from the cache, %": 100 * float(hits.mean()),
        "median, ms": 1000 * float(np.median(done)),
        "p95, ms": 1000 * float(np.percentile(done, 95)),
        "computed: median, ms": 1000 * float(np.median(computed)) if len(computed) else 0.0,
        "per second": len(done) / wall,
        "MB at start": at_start,
        **{
            f"MB at {name}": memory[position]
            for name, position in zip(("10 %", "50 %", "end"), sorted(memory), strict=True)
        },
    }


def main() -> None:
    parser = common.make_parser(__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", required=True, metavar="DIR", help="trained LASS model")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument(
        "--distinct", type=int, default=200, help="number of requests of the run with distinct questions"
    )
    arguments = parser.parse_args()
    graph = KnowledgeGraph.from_directory(arguments.graph)
    rows = []
    for how, count in (("test", arguments.requests), ("zipf", arguments.requests), ("distinct", arguments.distinct)):
        print(f"{how}: {count} questions ...", file=sys.stderr, flush=True)
        rows.append(run(arguments, how, draw_questions(graph, how, count, arguments.seed)))
        print(rows[-1], file=sys.stderr, flush=True)
    common.print_table(rows)
    common.finish(arguments, {"clients": arguments.clients, "runs": rows})


if __name__ == "__main__":
    main()
