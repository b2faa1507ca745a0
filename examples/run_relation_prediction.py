"""Relation prediction: train, then rank the relation of every test triplet among all relations.

    python examples/run_relation_prediction.py examples/recipes/umls_minilm.yaml --graph DIR [--json FILE]
    accelerate launch examples/run_relation_prediction.py ...       # the same on several GPUs

Takes every argument of `lass-hf train`; flags override the recipe. Writes the model, and its metrics and ranks as
relation_prediction.json, to --output_dir (runs/RECIPE). What was killed goes on: a training with
--resume_from_checkpoint last, a ranking with --model OUTPUT_DIR.
"""

import sys
from pathlib import Path

from evaluation import rank

from lass_hf import evaluate_relation_prediction
from lass_hf.utils.console import run_program

PROTOCOL = "filtered (train + validation + test), realistic ranks, all relations"


def main() -> None:
    rank("relation_prediction", PROTOCOL, evaluate_relation_prediction)


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
