"""Model card data of an evaluation: its protocol and metrics as plain values, for `hub/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.encoders import encoder_name
from ..core.knowledge_graph import GraphSplit
from ..core.modeling_lass import LassForKGCompletion
from ..evidence.choosing import find_own_evidence
from ..evidence.evidence_files import summarize_evidence
from ..scoring.precision import scoring_dtype
from .ranking_result import RankingResult
from .reranking import RerankingResult
from .triplet_classification import ClassificationResult


def scoring_card_data(graph: str | Path | None, dtype: str, model: LassForKGCompletion) -> dict[str, Any]:
    """Returns what the data of every evaluation have in common.

    Args:
        graph: name or folder of the graph, of which the last part is kept; None where it is unknown.
        dtype: precision that was asked for; the one that was used is returned.
        model: the model that scored.

    Returns:
        `graph`, `dtype`, and `ranking_weights`, the weights that rankings depend on.
    """
    return {
        "graph": None if graph is None else Path(graph).resolve().name,
        "dtype": str(scoring_dtype(dtype, model.device) or model.dtype).removeprefix("torch."),
        "ranking_weights": model.config.ranking_weights,
    }


def evidence_card_data(model: LassForKGCompletion) -> dict[str, Any]:
    """Returns what the data of a ranking by a model's evidence have, in place of its ranking weights.

    Args:
        model: the model, whose folder has evidence.

    Returns:
        `evidence`, the result of `summarize_evidence`; and no `ranking_weights`, because evidence has its own.
    """
    folder = find_own_evidence(model)
    return {"evidence": None if folder is None else summarize_evidence(folder), "ranking_weights": {}}


def card_data(
    result: RankingResult | RerankingResult | ClassificationResult, split: GraphSplit, scoring: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the data of an evaluation for the card of the evaluated model; of a reranking, those of the first stage.

    Args:
        result: the evaluation; a classification by a threshold of the validation split.
        split: the split that was evaluated.
        scoring: the result of `scoring_card_data`.
    """
    if isinstance(result, ClassificationResult):
        return classification_card_data(result.metrics, split, "validation", scoring)
    return ranking_card_data(result.retrieval if isinstance(result, RerankingResult) else result, split, scoring)


def ranking_card_data(result: RankingResult, split: GraphSplit, scoring: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the card data of link or relation prediction.

    Args:
        result: ranks and metrics.
        split: the split that was ranked.
        scoring: the result of `scoring_card_data`.
    """
    by_relation = result.slots == (1,)
    return {
        "task": "relation prediction" if by_relation else "link prediction",
        "split": split.name,
        **scoring,
        "triplets": len(result.triplets),
        "of": len(split.positives),
        "queries": len(result.ranks),
        "filtered": list(split.graph.splits),
        "sides": {"relation": ""} if by_relation else {"both sides": "", "head": "head_", "tail": "tail_"},
        "metrics": {
            name: value for name, value in result.metrics.items() if not name.startswith(("optimistic", "pessimistic"))
        },
    }


def reranking_card_data(
    result: RerankingResult, retriever: str, reranker: str, split: GraphSplit, scoring: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the card data of link prediction by two models, for the cards of both.

    Args:
        result: both stages.
        retriever: folder or hub name of the retriever; only its last part is shown.
        reranker: folder or hub name of the reranker.
        split: the split that was ranked.
        scoring: the result of `scoring_card_data`, for the retriever.
    """
    return {
        **ranking_card_data(result.reranked, split, scoring),
        "task": "reranked link prediction",
        "retriever": encoder_name(retriever),
        "reranker": encoder_name(reranker),
        **{"top_k": result.top_k, "retriever_weight": result.retriever_weight},
    }


def classification_card_data(
    metrics: Mapping[str, float], split: GraphSplit, threshold_from: str, scoring: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the card data of triplet classification.

    Args:
        metrics: the metrics.
        split: the split that was classified.
        threshold_from: name of the split that the threshold was fitted on.
        scoring: the result of `scoring_card_data`.
    """
    return {
        "task": "triplet classification",
        "split": split.name,
        **{name: scoring[name] for name in ("graph", "dtype", "evidence") if name in scoring},
        "triplets": len(split),
        "of": len(split),
        "threshold_from": threshold_from,
        "metrics": dict(metrics),
    }
