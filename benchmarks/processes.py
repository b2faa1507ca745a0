"""One process and several: losses, metrics and seconds of the same training and evaluation, side by side.

    python benchmarks/processes.py RECIPE --graph DIR [--processes N] [--batch N] [any argument of the example]
    python benchmarks/processes.py examples/recipes/umls_minilm.yaml --graph DIR --max_steps 20 --limit 20

The benchmark runs `examples/run_link_prediction.py` by itself and under torchrun, with --batch positives in a step of
all processes together, with dropout 0, and with the loss of each step in the log. The ratio of seconds is meaningful
only if the processes do not share cores or devices.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import finish, print_table

EXAMPLE = Path(__file__).parents[1] / "examples" / "run_link_prediction.py"
METRICS = ("mr", "mrr", "hits@1", "hits@3", "hits@10")


def run(processes: int, batch: int, given: list[str], folder: Path) -> tuple[dict[str, Any], list[float], float]:
    """Runs a training and its evaluation; returns the results, the losses of all steps, and the seconds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    fixed = ["--per_device_train_batch_size", str(batch // processes), "--gradient_accumulation_steps", "1"]
    fixed += ["--output_dir", str(folder), "--dropout", "0", "--logging_steps", "1", "--logging_first_step", "true"]
    fixed += ["--report_to", "none", "--save_strategy", "no", "--quiet", "--json", str(folder / "link_prediction.json")]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(EXAMPLE), *given, *fixed]
    start = time.perf_counter()
    if code := subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        sys.exit(code)  # The program has printed the reason.
    seconds = time.perf_counter() - start
    results, training = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("link_prediction.json", "training.json")
    )
    return results, [entry["loss"] for entry in training["log"] if "loss" in entry], seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="positives per step, of all processes together")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments, given = parser.parse_known_args()
    if arguments.processes < 2 or arguments.batch % arguments.processes:
        parser.error("--batch must be a multiple of --processes, which are 2 or more")
    counts = (1, arguments.processes)
    with tempfile.TemporaryDirectory() as folder:
        measured = [run(count, arguments.batch, given, Path(folder, str(count))) for count in counts]
    (one, losses, seconds), (several, other_losses, other_seconds) = measured
    names = [f"{count} process{'es' * (count > 1)}" for count in counts]
    rows = [
        {"loss of step": step, names[0]: f"{loss:.6f}", names[1]: f"{other:.6f}"}
        for step, (loss, other) in enumerate(zip(losses, other_losses, strict=True), start=1)
    ]
    print_table(rows)
    print()
    values = [("seconds", seconds, other_seconds)]
    values += [(name, one["metrics"][name], several["metrics"][name]) for name in METRICS]
    print_table([{"": name, names[0]: f"{value:.4f}", names[1]: f"{other:.4f}"} for name, value, other in values])
    largest = max(abs(other - loss) / abs(loss) for loss, other in zip(losses, other_losses, strict=True))
    same = sum(rank == other for rank, other in zip(one["ranks"], several["ranks"], strict=True))
    print(f"\nlargest relative difference of a loss {largest:.1e}; {same} of {len(one['ranks'])} ranks equal")
    print(f"seconds of one process / of {arguments.processes}: {seconds / other_seconds:.2f}")
    results = {"processes": arguments.processes, "batch": arguments.batch, "losses": [losses, other_losses]}
    results |= {"metrics": [one["metrics"], several["metrics"]], "seconds": [seconds, other_seconds]}
    finish(arguments, {**results, "largest_relative_difference": largest, "equal_ranks": same})


if __name__ == "__main__":
    main()
