"""Helpers of the benchmarks: arguments, fresh processes, interleaved rounds, the matrix rate, a table, a JSON file."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch
import transformers

from lass_hf import KnowledgeGraph, LassForKGCompletion
from lass_hf.core.encoders import OFFLINE_ENCODER
from lass_hf.scoring.precision import scoring_dtype
from lass_hf.utils.environment import command_line
from lass_hf.utils.result_files import write_results


def make_parser(description: str) -> argparse.ArgumentParser:
    """Makes a parser with the arguments that all benchmarks of an encoder have."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    arguments.add_argument("--graph", required=True, metavar="DIR", help="folder of a graph")
    arguments.add_argument("--encoder", default=OFFLINE_ENCODER, metavar="NAME_OR_DIR")
    arguments.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are reported")
    arguments.add_argument("--seed", type=int, default=42)
    arguments.add_argument("--json", metavar="FILE", help="write the figures to this file")
    return arguments


def run_alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a fresh process, whose peak memory no other step has raised."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def device() -> torch.device:
    """Returns the accelerator, or the CPU if there is none."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def synchronize() -> None:
    """Waits until the accelerator has finished its work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def native_bfloat16() -> bool:
    """Returns whether the hardware multiplies bfloat16 natively; emulated bfloat16 is too slow to be worth timing."""
    return scoring_dtype("auto", device()) == torch.bfloat16


def matrix_rate(dtype: torch.dtype) -> float:
    """Returns the FLOP/s of a large matrix product, the best of 5: what the machine achieves at this moment."""
    size = 2048 if device().type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device(), dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):  # The first one warms up.
        synchronize()
        start = time.perf_counter()
        left @ right
        synchronize()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def flop_per_token(model: LassForKGCompletion) -> int:
    """Returns the operations of a forward pass: two per weight of the linear layers, without attention's products."""
    linear = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    return 2 * sum(module.weight.numel() for module in linear)


def run_interleaved(sides: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Runs the sides one after the other in each round; returns the items per second of each side and round."""
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


def format_ratio(rates: dict[str, list[float]], side: str, other: str) -> str:
    """Returns how much faster `side` is in the same round: the median over the rounds (lowest to highest)."""
    ratios = [rate / other_rate for rate, other_rate in zip(rates[side], rates[other], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints rows with the same keys as a table with aligned columns."""
    names = list(rows[0])
    texts = [
        [f"{row[name]:,.3g}" if isinstance(row[name], float) else str(row[name]) for name in names] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    for cells in [names, *texts]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def finish(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """Writes results, command and machine to the file of --json."""
    if arguments.json:
        write_results(arguments.json, results, task="benchmark", command=command_line())
        print(f"written to {arguments.json}")


def load(arguments: argparse.Namespace) -> tuple[KnowledgeGraph, LassForKGCompletion]:
    """Loads the graph, and an untrained model on the device."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    graph = KnowledgeGraph.from_directory(arguments.graph)
    model = LassForKGCompletion.from_encoder(arguments.encoder)
    return graph, model.to(device())  # type: ignore[arg-type]
