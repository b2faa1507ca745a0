"""Entities that the model has never seen: train without a share of them, then answer questions about those alone.

    python examples/run_inductive.py examples/recipes/wn18rr_minilm_bi-encoder.yaml --graph DIR --output_dir OUTPUT_DIR

Takes every argument of `lass-hf train`. Ranks the transductive test split (entities seen in training) and the inductive
one (both entities unseen, all entities are candidates) by the same model; writes --output_dir/inductive.json, and the
graph with the inductive test split as --output_dir/graph, for `lass-hf evaluate --model ... --graph ...`.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from lass_hf import evaluate_link_prediction
from lass_hf.core.errors import LassError
from lass_hf.graphs.inductive_split import inductive_split
from lass_hf.graphs.loading import load_graph
from lass_hf.training.recipes import parse_training
from lass_hf.training.run import trained_model
from lass_hf.utils.console import check_writable, report, run_program
from lass_hf.utils.distributed import processes


@dataclass
class InductiveArguments:
    share: float = field(default=0.2, metadata={"help": "Share of the entities that training does not see."})
    model: str | None = field(default=None, metadata={"help": "Folder of a model that this script trained before."})
    limit: int | None = field(default=None, metadata={"help": "Rank a seeded choice of this many triplets only."})

    def __post_init__(self):
        if self.limit is not None and self.limit < 1:
            raise LassError(f"limit={self.limit}; expected 1 or more")


def main() -> None:
    arguments, training, inductive = parse_training(sys.argv[1:], InductiveArguments, prog=Path(__file__).name)
    folder = Path(training.output_dir)
    file = str(arguments.json or folder / "inductive.json")
    check_writable(file)
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    seen, unseen = inductive_split(graph, inductive.share, training.seed)
    seen["test"]  # an error now rather than after the training
    model, processor, about = trained_model(arguments, training, seen, inductive.model)
    if processes().is_main_process:
        unseen.save_dataset(folder / "graph")
    choices = {"limit": inductive.limit, "quiet": arguments.quiet}
    metrics: dict[str, float] = {}
    for name, tested in (("transductive", seen), ("inductive", unseen)):
        found = evaluate_link_prediction(model, processor, tested, **choices).metrics
        metrics |= {f"{name}_{key}": value for key, value in found.items()}
    metrics["mrr_ratio"] = metrics["inductive_mrr"] / metrics["transductive_mrr"]
    report(
        file,
        metrics,
        task="inductive_link_prediction",
        protocol="filtered, realistic ranks, both sides; candidates: entities seen in training, inductive: all",
        share=inductive.share,
        limit=inductive.limit,
        **about,
    )
    if processes().is_main_process:
        print(f"results in {file}")


if __name__ == "__main__":
    sys.exit(run_program(Path(__file__).name, main))
