"""The time of `lass-hf predict`, compared with a bare script that imports transformers and encodes one text.

    python benchmarks/predict.py --model DIR --head ID --relation ID [--rounds N] [--json FILE]

The script loads the same encoder, from the files that the training began with. The processes are interleaved, and
ratios are taken within a round. The first round is not counted: it writes byte code, and makes the entity index.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from common import finish, print_table

from lass_hf.core.encoders import OFFLINE_ENCODER, resolve_encoder

BARE = """
import torch
from transformers import AutoModel, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained({0!r}), AutoModel.from_pretrained({0!r})
with torch.no_grad():
    model(**tokenizer({1!r}, return_tensors="pt")).last_hidden_state.mean(1)
"""


def measure(command: list[str]) -> tuple[float, float]:
    """Runs a command in a fresh process; returns its seconds of the clock and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="folder of a trained model")
    parser.add_argument("--head", required=True, metavar="ID", help="an entity of its graph")
    parser.add_argument("--relation", required=True, metavar="ID", help="a relation of its graph")
    parser.add_argument("--encoder", default=OFFLINE_ENCODER, metavar="NAME_OR_DIR")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; medians are reported")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    query = ["--model", arguments.model, f"--head={arguments.head}", f"--relation={arguments.relation}"]
    sides = {
        "lass-hf predict": [sys.executable, "-m", "lass_hf.cli", "predict", *query],
        "bare script": [sys.executable, "-c", BARE.format(resolve_encoder(arguments.encoder), arguments.head)],
    }
    rounds = [{name: measure(side) for name, side in sides.items()} for _ in range(arguments.rounds + 1)][1:]
    results: dict[str, Any] = {"rounds": arguments.rounds}
    for name in sides:
        results[name] = {
            "seconds": statistics.median(each[name][0] for each in rounds),
            "processor_seconds": statistics.median(each[name][1] for each in rounds),
        }
    ratios = [[each["lass-hf predict"][kind] / each["bare script"][kind] for each in rounds] for kind in (0, 1)]
    results["ratio"], results["processor_ratio"] = map(statistics.median, ratios)
    print_table([{"side": name, **results[name]} for name in sides])
    spread = f"{min(ratios[0]):.2f} to {max(ratios[0]):.2f}"
    print(f"ratio {results['ratio']:.2f} ({spread}), of the processor's time {results['processor_ratio']:.2f}")
    finish(arguments, results)


if __name__ == "__main__":
    main()
