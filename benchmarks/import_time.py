"""The time of `import lass_hf`, compared with `from transformers import Trainer`: medians of fresh processes.

    python benchmarks/import_time.py [--rounds N] [--json FILE]

The benchmark measures seconds of the clock, and of the processor, which other work on the machine disturbs less. The
processes of the statements are interleaved, and ratios are taken within a round. The first round is not counted,
because it may read files from the disk and write byte code.
"""

import argparse
import statistics
import subprocess
import sys
from typing import Any

from common import finish, print_table

STATEMENTS = ("import lass_hf", "from transformers import Trainer", "from lass_hf import LassTrainer")
MEASURE = """
import resource, time
start = time.perf_counter()
{}
seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
print(seconds, used.ru_utime + used.ru_stime)
"""


def measure(statement: str) -> tuple[float, float]:
    """Runs a statement in a fresh process; returns its seconds of the clock and of the processor."""
    command = [sys.executable, "-c", MEASURE.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, processor = map(float, done.stdout.split())
    return seconds, processor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds; medians are reported")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    rounds = [{name: measure(name) for name in STATEMENTS} for _ in range(arguments.rounds + 1)][1:]
    results: dict[str, Any] = {"rounds": arguments.rounds}
    rows = []
    for name in STATEMENTS:
        ratios = [[each[name][kind] / each[STATEMENTS[1]][kind] for each in rounds] for kind in (0, 1)]
        results[name] = {
            "seconds": statistics.median(each[name][0] for each in rounds),
            "processor_seconds": statistics.median(each[name][1] for each in rounds),
            "ratio": statistics.median(ratios[0]),
            "processor_ratio": statistics.median(ratios[1]),
        }
        spread = f"{min(ratios[0]):.2f} to {max(ratios[0]):.2f}"
        rows.append({"statement": name, **results[name], "spread of ratio": spread})
    print_table(rows)
    finish(arguments, results)


if __name__ == "__main__":
    main()
