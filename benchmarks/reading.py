"""The time and memory of reading a graph from a file of another format, in a fresh process.

    python benchmarks/reading.py [--triples N] [--json FILE]

The script makes a file of so many statements in a temporary folder: a quarter are labels, the others connect resources.
Seconds are of the clock, and of the processor, which other work on the machine disturbs less. Memory is the peak of the
process, with Python and its libraries.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import finish, print_table

MEASURE = """
import resource, sys, time
from pathlib import Path
from lass_hf.formats.rdf import read_rdf
from lass_hf.names.source import ReadingOptions
start = time.perf_counter()
source = read_rdf(Path(sys.argv[1]), ReadingOptions())
seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
print(len(source.splits["train"].codes), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
"""


def write_turtle(path: Path, triples: int) -> None:
    """Writes a Turtle file: a label and three statements about each of a quarter as many resources."""
    count = triples // 4
    with path.open("w", encoding="utf-8") as file:
        file.write("@prefix ex: <http://example.org/> .\n@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n")
        for number in range(count):
            tails = " , ".join(f"ex:e{(number * factor + 5) % count}" for factor in (7919, 31, 104729))
            file.write(f'ex:e{number} rdfs:label "thing number {number}"@en ; ex:p{number % 20} {tails} .\n')


WRITERS = {"Turtle": ("graph.ttl", write_turtle)}


def measure(path: Path) -> dict[str, float]:
    """Reads a file in a fresh process; returns its triplets, seconds and bytes."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    return dict(
        zip(("triplets", "seconds", "processor_seconds", "peak_bytes"), map(float, done.stdout.split()), strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--triples", type=int, default=1_000_000, help="statements in the file")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"triples": arguments.triples}
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, write) in WRITERS.items():
            write(path := Path(folder, file), arguments.triples)
            results[name] = {**measure(path), "file_bytes": path.stat().st_size}
    print_table([{"format": name, **results[name]} for name in WRITERS])
    finish(arguments, results)


if __name__ == "__main__":
    main()
