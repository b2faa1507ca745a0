"""What the scripts beside this file share: the arguments of what follows a training, and ranking."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lass_hf.core.errors import LassError
from lass_hf.evaluation.link_prediction_metric import LinkPredictionMetric
from lass_hf.evaluation.ranking_progress import remove_progress
from lass_hf.evaluation.result_facts import ranking_facts, scored
from lass_hf.graphs.loading import load_graph
from lass_hf.hub.card_files import add_evaluation
from lass_hf.scoring.triplet_scorer import DTYPES
from lass_hf.training.recipes import parse_training
from lass_hf.training.run import trained_model
from lass_hf.training.run_metadata import command
from lass_hf.utils.console import check_writable, report
from lass_hf.utils.distributed import processes
from lass_hf.utils.fingerprints import model_fingerprint


@dataclass
class EvaluateArguments:
    model: str | None = field(
        default=None, metadata={"help": "Folder of a model that lass-hf trained before: evaluate it, train none."}
    )
    split: str = field(default="test", metadata={"help": "Split to evaluate on."})
    dtype: str = field(default="auto", metadata={"help": f"Precision of scoring: {', '.join(DTYPES)}."})

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise LassError(f"dtype={self.dtype!r}; expected one of {', '.join(DTYPES)}")


@dataclass
class RankArguments(EvaluateArguments):
    limit: int | None = field(default=None, metadata={"help": "Rank a seeded choice of this many triplets only."})

    def __post_init__(self):
        super().__post_init__()
        if self.limit is not None and self.limit < 1:
            raise LassError(f"limit={self.limit}; expected 1 or more")


def rank(task: str, protocol: str, evaluate: Callable[..., Any]) -> None:
    """Trains, or takes a trained model, ranks a split by `evaluate`, and writes TASK.json beside the model."""
    arguments, training, ranking = parse_training(sys.argv[1:], RankArguments, prog=Path(sys.argv[0]).name)
    folder = ranking.model or training.output_dir
    what = "" if ranking.split == "test" else f"-{ranking.split}"  # of other triplets: another file
    what += f"-{ranking.limit}" if ranking.limit else ""
    file = arguments.json or f"{folder}/{task}{what}.json"
    check_writable(file)
    graph = load_graph(arguments.graph, long_text=arguments.long_text)
    positives = graph[ranking.split].positives  # an error now rather than after the training
    metric = LinkPredictionMetric()  # before the long work: it wants a place for its cache
    model, processor, about = trained_model(arguments, training, graph, ranking.model)

    start = time.perf_counter()
    result = evaluate(
        model,
        processor,
        graph,
        split=ranking.split,
        limit=ranking.limit,
        dtype=ranking.dtype,
        quiet=arguments.quiet,
        resume_dir=f"{file}.progress",
    )
    seconds = time.perf_counter() - start
    metric.add_batch(predictions=result.ranks, references=result.num_candidates)
    report(
        file,
        {**result.metrics, **metric.compute()},
        task=task,
        protocol=protocol,
        split=ranking.split,
        limit=ranking.limit if ranking.limit is not None and ranking.limit < len(positives) else None,
        dtype=ranking.dtype,
        seconds=round(seconds, 1),
        command=command(),
        fingerprint=model_fingerprint(model),
        by_relation=result.by_relation,
        by_category=result.by_category,
        unseen=result.unseen,
        ranks=result.ranks.tolist(),
        **about,
    )
    if processes().is_main_process:
        remove_progress(Path(f"{file}.progress"))
        how = scored(arguments.graph, ranking.dtype, model)
        add_evaluation(folder, ranking_facts(result, graph[ranking.split], how), processor.graph)
        print(f"results in {file}")
