"""`lass-hf review` under load: how fast a list opens, and how fast decisions are stored.

    python benchmarks/review.py [--triplets 10000] [--reviewers 8] [--decisions 100] [--folder DIR] [--json FILE]

A made-up list is written into a folder, on whose disk the figures depend. The server runs in another process; the
reviewers, here, ask for cards and decide about them, one after the other as fast as
they get answers, over loopback.

- "opens": the first answers of a fresh server, `/api/info` and the first ten cards, and the same with a search;
- "decisions": from sending a decision to the answer, when it is on the disk, of all reviewers at once. At the end the
  lines of the file are counted.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from lass_hf.utils.environment import command_line
from lass_hf.utils.result_files import write_results
from lass_hf.writers.judged_triplets import FileMetadata, judged_triplets
from lass_hf.writers.writing import write_judged_triplets


def make_list(folder: Path, count: int) -> None:
    """Writes a list with texts and reasons of usual lengths."""
    random = np.random.default_rng(0)
    codes = random.choice(5000 * 5000, count, replace=False)
    heads, tails = np.divmod(codes, 5000)
    text = "entity number {} with a description of about a dozen words, as dictionaries and ontologies have them"
    columns: dict[str, Any] = {
        "head": [f"e{number}" for number in heads],
        "relation": [f"r{number}" for number in random.integers(0, 20, count)],
        "tail": [f"e{number}" for number in tails],
        "head_text": [text.format(number) for number in heads],
        "tail_text": [text.format(number) for number in tails],
        "score": random.normal(size=count),
        "probability": -np.sort(-random.random(count)),
        "kind": random.choice(["new", "sibling", "conflict"], count).tolist(),
        "reasons": [[f"a rule that holds in {number % 100} % of the cases, with its facts"] * 3 for number in heads],
    }
    write_judged_triplets(judged_triplets(**columns), folder / "suggestions.tsv", FileMetadata(model="made up"))


def ask(connection: HTTPConnection, path: str, body: dict[str, Any] | None = None) -> tuple[Any, float]:
    """Returns an answer and the seconds that it took."""
    start = time.perf_counter()
    given = None if body is None else json.dumps(body)
    connection.request("GET" if given is None else "POST", path, given, {"content-type": "application/json"})
    response = connection.getresponse()
    content = json.loads(response.read())
    if response.status != 200:
        raise SystemExit(f"{path}: {content}")
    return content, time.perf_counter() - start


def review(port: int, name: str, count: int, seconds: list[float]) -> None:
    """Decides about cards as one person."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    cards: list[dict[str, Any]] = []
    for number in range(count):
        cards = cards or ask(connection, f"/api/cards?reviewer={name}")[0]["cards"]
        card = cards.pop(0)
        triplet = {slot: card[slot]["id"] for slot in ("head", "relation", "tail")}
        decision = ("accept", "reject", "unsure")[number % 3]
        seconds.append(ask(connection, "/api/decisions", {**triplet, "decision": decision, "reviewer": name})[1])


def measure(port: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the figures of a server that has just started."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    opens = ask(connection, "/api/info")[1] + ask(connection, "/api/cards?reviewer=nobody")[1]
    search = ask(connection, "/api/cards?reviewer=nobody&q=number+4321")[1]
    seconds: list[float] = []
    people = [
        threading.Thread(target=review, args=(port, f"person{number}", arguments.decisions, seconds))
        for number in range(arguments.reviewers)
    ]
    start = time.perf_counter()
    for thread in people:
        thread.start()
    for thread in people:
        thread.join()
    return {
        "opens, ms": 1000 * opens,
        "first search, ms": 1000 * search,
        "decision: median, ms": 1000 * float(np.median(seconds)),
        "decision: p95, ms": 1000 * float(np.percentile(seconds, 95)),
        "decisions per second": len(seconds) / (time.perf_counter() - start),
        "decisions": len(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--triplets", type=int, default=10_000)
    parser.add_argument("--reviewers", type=int, default=8)
    parser.add_argument("--decisions", type=int, default=100, help="of each reviewer")
    parser.add_argument("--folder", metavar="DIR", help="on whose disk to work (default: the temporary one)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        make_list(Path(folder), arguments.triplets)
        command = [sys.executable, "-m", "lass_hf.cli", "review", folder, "--port", "0"]
        start = time.perf_counter()
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = re.search(r":(\d+)/", server.stdout.readline())
            if address is None:
                raise SystemExit("the server did not start")
            figures = {"starts, ms": 1000 * (time.perf_counter() - start)} | measure(int(address.group(1)), arguments)
        finally:
            server.terminate()
            server.wait()
        figures["lines of the file"] = len(Path(folder, "decisions.jsonl").read_text().splitlines())
    for name, value in figures.items():
        print(f"{name:24}{value:10.1f}")
    if arguments.json:
        write_results(arguments.json, figures, task="benchmark", command=command_line())


if __name__ == "__main__":
    main()
