"""Time and peak memory of loading, indexing, summarizing and saving a large synthetic graph.

    python benchmarks/large_graph.py --folder DIR [--entities N] [--triplets N] [--json FILE]

The benchmark writes the graph as text files. Then it measures each way to load it in a fresh process: from the text
files, and from the Parquet files and the model folder that the first process saves. The peak is that of the process so
far, libraries included. On a machine with other work, CPU seconds are more reliable than seconds.
"""

import argparse
import hashlib
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from lass_hf import KnowledgeGraph
from lass_hf.core.knowledge_graph import TRIPLETS_FILE, VOCABULARY_FILE

WORDS, RELATIONS, BLOCK = 20_000, 1000, 2**20
LETTERS = np.frombuffer(b"etaoinshrdlucmfwypvbgk", dtype="S1")


def write_graph(folder: Path, entities: int, triplets: int, seed: int) -> None:
    """Writes text files: texts of 3 to 7 words, heads and relations of uneven frequency, 98 % of triplets in train."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    letters = rng.choice(LETTERS, size=(WORDS, 8))
    words = pa.array([bytes(row[: 3 + number % 6]).decode() for number, row in enumerate(letters)])
    for name, prefix, count in (("entity", "Q", entities), ("relation", "P", RELATIONS)):
        with _writer(folder / f"{name}2text.txt", 2) as file:
            for start in range(0, count, BLOCK):
                numbers = np.arange(start, min(count, start + BLOCK))
                length = rng.integers(3, 8, size=len(numbers))
                word_columns = [
                    words.take(pa.array(rng.integers(WORDS, size=len(numbers)), mask=length <= position))
                    for position in range(7)
                ]
                text = pc.binary_join_element_wise(*word_columns, " ", null_handling="skip")
                file.write(pa.table([_names(prefix, numbers), text], names=["0", "1"]))
    for name, count in (
        ("train", triplets - triplets // 100 * 2),
        *dict.fromkeys(("dev", "test"), triplets // 100).items(),
    ):
        with _writer(folder / f"{name}.tsv", 3) as file:
            for start in range(0, count, BLOCK):
                size = min(BLOCK, count - start)
                heads, relations = ((total * rng.random(size) ** 2).astype(int) for total in (entities, RELATIONS))
                columns = (("Q", heads), ("P", relations), ("Q", rng.integers(entities, size=size)))
                file.write(pa.table([_names(*column) for column in columns], names=["0", "1", "2"]))


def _names(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _writer(file: Path, columns: int) -> csv.CSVWriter:
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    return csv.CSVWriter(
        file, pa.schema([(str(column), pa.string()) for column in range(columns)]), write_options=options
    )


def measure(source: str, load: Callable[[], KnowledgeGraph], saved: Path | None) -> tuple[list[dict[str, Any]], str]:
    """Returns a row for each step, and a digest of the graph, which must not depend on the source."""
    rows: list[dict[str, Any]] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append({"from": source, "step": name, "s": seconds, "CPU s": cpu_seconds, "peak MB": round(peak)})
        return result

    step("libraries", lambda: None)
    graph = step("load", load)
    step("known index", lambda: len(graph.known))
    step("candidates", lambda: graph.candidates)
    step("summary", graph.summary)
    if saved is not None:
        for name in ("parquet", "model"):
            Path(saved, name).mkdir(parents=True, exist_ok=True)
        step("save model folder", lambda: graph.save_pretrained(saved / "model"))
        step("save as Parquet", lambda: graph.save_dataset(saved / "parquet"))
    digest = hashlib.blake2b(digest_size=16)
    for vocabulary in (graph.entities, graph.relations):
        for names in (vocabulary.ids, vocabulary.texts):
            digest.update("\n".join(names).encode())
    for split in graph.splits.values():
        digest.update(np.ascontiguousarray(split.triplets).data)
    return rows, digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--folder", required=True, metavar="DIR", help="where the graph is written, and stays")
    parser.add_argument("--entities", type=int, default=5_000_000)
    parser.add_argument("--triplets", type=int, default=20_000_000)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    folder = Path(arguments.folder)
    text, parquet, model = (folder / name for name in ("text", "parquet", "model"))
    common.run_alone(write_graph, text, arguments.entities, arguments.triplets, arguments.seed)
    rows, digests = [], set()
    for source, load, saved in (
        ("text files", partial(KnowledgeGraph.from_directory, text), folder),
        ("Parquet", partial(KnowledgeGraph.from_directory, parquet), None),
        ("model folder", partial(KnowledgeGraph.from_files, model / VOCABULARY_FILE, model / TRIPLETS_FILE), None),
    ):
        measured, digest = common.run_alone(measure, source, load, saved)
        common.print_table(measured)
        rows += measured
        digests.add(digest)
    assert len(digests) == 1, "the graph depends on the source it was loaded from"
    sizes = {file.name: file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}
    common.finish(arguments, {"large_graph": rows, "bytes": sizes})


if __name__ == "__main__":
    main()
