"""Time and peak memory of reading a graph from a large table of edges.

    python benchmarks/reading_tables.py [--edges N] [--entities N] [--json FILE]

The benchmark writes one synthetic table in several formats into a temporary folder: CSV with quotes and delimiters
inside of names, TSV with quotes that are letters, CSV in gzip, and Parquet. It reads each of them in a fresh process,
up to the table of strings, and up to the `KnowledgeGraph`. The peak is that of the process, libraries included. On a
machine with other work, CPU seconds are more reliable than seconds.
"""

import argparse
import gzip
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from lass_hf import KnowledgeGraph
from lass_hf.formats.table_files import read_table

RELATIONS = 500


def write_tables(folder: Path, edges: int, entities: int, seed: int) -> None:
    """Writes heads of uneven frequency as IRIs, relations as ids, and tails as names with a comma and quotes."""
    rng = np.random.default_rng(seed)
    heads = (entities * rng.random(edges) ** 2).astype(int)
    columns = {
        "subject": _names("https://example.org/entity/Q", heads),
        "predicate": _names("P", rng.integers(RELATIONS, size=edges)),
        "object": _names('The "old" one, no. ', rng.integers(entities, size=edges)),
    }
    table = pa.table(columns)
    csv.write_csv(table, folder / "edges.csv")
    (folder / "edges.csv.gz").write_bytes(gzip.compress((folder / "edges.csv").read_bytes(), compresslevel=1))
    pq.write_table(table, folder / "edges.parquet")
    lines = pc.binary_join_element_wise(*columns.values(), "\t").to_pylist()
    (folder / "edges.tsv").write_text("\n".join(["\t".join(columns), *lines, ""]))


def _names(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def measure(file: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    """Reads a file in this process; returns a row of the table that is printed."""
    wall, cpu = time.perf_counter(), time.process_time()
    read(file)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = file.stat().st_size / 2**20
    return {"file": file.name, "MB": round(size), "s": seconds, "CPU s": cpu_seconds, "peak MB": round(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--edges", type=int, default=5_000_000)
    parser.add_argument("--entities", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common.run_alone(write_tables, folder, arguments.edges, arguments.entities, arguments.seed)
        for file in sorted(folder.iterdir()):
            for step, read in (("table", read_table), ("graph", KnowledgeGraph.from_file)):
                rows.append({"step": step} | common.run_alone(measure, file, read))
    common.print_table(rows)
    common.finish(arguments, {"reading_tables": rows})


if __name__ == "__main__":
    main()
