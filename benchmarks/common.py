"""What the benchmarks share: interleaved rounds, the machine's matrix rate, one table, one JSON file."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from lass_hf import KnowledgeGraph, LassForKGCompletion
from lass_hf.core.encoders import OFFLINE_ENCODER
from lass_hf.scoring.triplet_scorer import scoring_dtype
from lass_hf.utils.environment import command_line
from lass_hf.utils.result_files import write_results


def parser(description: str) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    arguments.add_argument("--graph", required=True, metavar="DIR", help="folder of a graph")
    arguments.add_argument("--encoder", default=OFFLINE_ENCODER, metavar="NAME_OR_DIR")
    arguments.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are reported")
    arguments.add_argument("--seed", type=int, default=42)
    arguments.add_argument("--json", metavar="FILE", help="write the figures to this file")
    return arguments


def device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def native_bfloat16() -> bool:
    """Does the hardware multiply bfloat16 itself? Emulated bfloat16 is so slow that timing it says nothing."""
    return scoring_dtype("auto", device()) == torch.bfloat16


def matrix_rate(dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product, the best of 5: what the machine can do at this moment."""
    size = 2048 if device().type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device(), dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):  # the first one warms up
        synchronize()
        start = time.perf_counter()
        left @ right
        synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def flop_per_token(model: LassForKGCompletion) -> int:
    """Of a forward pass: two per weight of the encoder's linear layers; attention's own products are left out."""
    linear = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    return 2 * sum(module.weight.numel() for module in linear)


def interleaved(sides: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Runs each side once per round, after each other; returns items per second, a list of rounds for each side."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            print(f"round {number + 1} of {rounds}: {name} ...", end=" ", file=sys.stderr, flush=True)
            synchronize()
            start = time.perf_counter()
            items = run()
            synchronize()
            rates[name].append(items / (time.perf_counter() - start))
            print(f"{rates[name][-1]:.1f}/s", file=sys.stderr)
    return rates


def ratio(rates: dict[str, list[float]], ours: str, other: str) -> str:
    """How much faster `ours` is within a round: median (lowest to highest) over the rounds."""
    ratios = [mine / theirs for mine, theirs in zip(rates[ours], rates[other], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_table(rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    texts = [
        [f"{row[name]:,.3g}" if isinstance(row[name], float) else str(row[name]) for name in names] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    for cells in [names, *texts]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def finish(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """Writes results, command and machine where --json says."""
    if arguments.json:
        write_results(arguments.json, results, task="benchmark", command=command_line())
        print(f"written to {arguments.json}")


def load(arguments: argparse.Namespace) -> tuple[KnowledgeGraph, LassForKGCompletion]:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    graph = KnowledgeGraph.from_directory(arguments.graph)
    model = LassForKGCompletion.from_encoder(arguments.encoder)
    return graph, model.to(device())  # type: ignore[arg-type]
