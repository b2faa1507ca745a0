"""Evaluates a split for the Trainer: ranks or classifies it by the scoring engine, with the loss of the training."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.errors import LassError
from ..core.knowledge_graph import GraphSplit
from ..core.modeling_lass import LassForKGCompletion
from ..evaluation.card_data import classification_card_data, ranking_card_data, scoring_card_data
from ..evaluation.link_prediction import rank_split
from ..evaluation.metrics import CLASSIFICATION, RANKING
from ..evaluation.triplet_classification import classify
from ..scoring.candidate_scores import make_split_scorer
from ..scoring.triplet_scorer import TripletScorer
from .losses import mean_bce_loss
from .objectives import Collator, Objective


def metric_names(split: GraphSplit) -> list[str]:
    """Returns the names of the metrics of a split's evaluation by which models can be compared."""
    if _is_classified(split):
        per_relation = ("accuracy", "precision", "recall", "f1")
        return ["loss", *CLASSIFICATION, *(f"per_relation_{name}" for name in per_relation)]
    return [
        "loss",
        *(side + name for side in ("", "head_", "tail_", "optimistic_", "pessimistic_") for name in RANKING),
    ]


def check_split(split: Any) -> None:
    """Raises LassError for what is no split of a graph; None is no split, too, and allowed."""
    if split is not None and not isinstance(split, GraphSplit):
        raise LassError(
            f"LassTrainer trains on splits of a KnowledgeGraph, such as graph['train']; got {type(split).__name__}"
        )


def check_metric(metric: str | None, splits: Mapping[str, GraphSplit]) -> None:
    """Refuses to choose the best model by a metric that no evaluation returns.

    Args:
        metric: The metric's name, with or without `eval_`; None for none.
        splits: What is evaluated, by what is put before the names of its metrics.

    Raises:
        LassError: The evaluation of no split returns it.
    """
    names = [prefix + name for prefix, split in splits.items() for name in metric_names(split)]
    if metric is not None and names and metric.removeprefix("eval_") not in names:
        raise LassError(f"metric_for_best_model={metric!r}; the evaluation returns {', '.join(names)}")


def _is_classified(split: GraphSplit) -> bool:
    """Returns whether a split has false triplets, and is classified; others are ranked."""
    return split.labels is not None and not split.labels.all()


def _choose_labeled(split: GraphSplit, limit: int | None, seed: int) -> GraphSplit:
    """Returns a split, or a seeded choice of its triplets; of two triplets, one is true and one false, if there are."""
    if limit is None or limit >= len(split) or split.labels is None:
        return split
    order = np.random.default_rng(seed).permutation(len(split))
    first = np.unique(split.labels[order], return_index=True)[1]  # of each label
    order = np.concatenate([order[first], np.delete(order, first)])
    return split.select(np.sort(order[:limit]))


@dataclass
class SplitEvaluation:
    """The result of the evaluation of a split.

    Attributes:
        predictions: The realistic ranks of a ranking, float64 of shape (2n,), or the scores of a classification,
            float32 of shape (n,).
        label_ids: The numbers of candidates of a ranking, int64 of shape (2n,), or the labels of a
            classification, 1 or 0.
        metrics: Loss, metrics of the task, and `triplets_per_second`.
        num_samples: Number of triplets that were ranked or classified.
        card_data: The evaluation with its protocol, for the model card.
    """

    predictions: np.ndarray
    label_ids: np.ndarray
    metrics: dict[str, float]
    num_samples: int
    card_data: dict[str, Any]


def evaluate_split(
    model: LassForKGCompletion, split: GraphSplit, objective: Objective, collator: Collator, graph_name: str | None
) -> SplitEvaluation:
    """Classifies a split that has false triplets, at its own best threshold, and ranks any other.

    Args:
        model: The model, without wrappers.
        split: The split.
        objective: The objective of the training; its arguments say how many triplets are ranked or
            classified (`eval_triplets`).
        collator: The collator of the training, which draws the negatives of the loss.
        graph_name: Name of the graph for the model card.

    Returns:
        What was found.
    """
    args, scorer = objective.args, TripletScorer(model, objective.processor.token_store(split.graph))
    protocol = scoring_card_data(graph_name, "auto", model)
    started = time.perf_counter()
    if _is_classified(split):
        chosen = _choose_labeled(split, args.eval_triplets, args.seed)
        assert chosen.labels is not None
        scores = scorer.score(chosen.triplets, shared=True)
        seconds = time.perf_counter() - started
        loss = mean_bce_loss(torch.from_numpy(scores), torch.from_numpy(chosen.labels))
        metrics = dict(classify(scores, chosen, scores, chosen).metrics)
        card_data = classification_card_data(metrics, chosen, split.name, protocol) | {"of": len(split)}
        predictions, label_ids, num_samples, num_scored = scores, chosen.labels, len(chosen), len(chosen)
    else:
        quiet, chunk_size = bool(args.disable_tqdm), model.architecture.candidates_per_chunk
        choices: dict[str, Any] = {"limit": args.eval_triplets, "seed": args.seed, "quiet": quiet}
        candidates = make_split_scorer(scorer, split, None, quiet)
        result = rank_split(candidates, split, chunk_size=chunk_size, **choices)
        seconds = time.perf_counter() - started
        loss = objective.evaluation_loss(scorer, result.triplets, split.graph, collator)
        metrics, card_data = result.metrics, ranking_card_data(result, split, protocol)
        predictions, label_ids = result.ranks, result.num_candidates
        num_samples, num_scored = len(result.triplets), result.num_scored
    metrics = {"loss": loss.item(), **metrics, "triplets_per_second": round(num_scored / seconds, 3)}
    return SplitEvaluation(predictions, label_ids, metrics, num_samples, card_data)
