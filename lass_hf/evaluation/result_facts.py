"""What a model card is told of an evaluation: its protocol and metrics, as plain values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.encoders import encoder_name
from ..core.knowledge_graph import GraphSplit
from ..core.modeling_lass import LassForKGCompletion
from ..scoring.triplet_scorer import scoring_dtype
from .link_prediction import RankingResult
from .reranking import RerankingResult


def scored(graph: str | Path | None, dtype: str, model: LassForKGCompletion) -> dict[str, Any]:
    """What the card says of an evaluation besides its result: the graph's name, what was scored in, by what weights."""
    return {
        "graph": None if graph is None else Path(graph).resolve().name,
        "dtype": str(scoring_dtype(dtype, model.device) or model.dtype).removeprefix("torch."),
        "ranking_weights": model.config.ranking_weights,
    }


def ranking_facts(result: RankingResult, split: GraphSplit, about: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation by ranking, with its protocol; `about`: as `scored` gives it, of the model that ranked."""
    by_relation = result.slots == (1,)
    return {
        "task": "relation prediction" if by_relation else "link prediction",
        "split": split.name,
        **about,
        "triplets": len(result.triplets),
        "of": len(split.positives),
        "queries": len(result.ranks),
        "filtered": list(split.graph.splits),
        "sides": {"relation": ""} if by_relation else {"both sides": "", "head": "head_", "tail": "tail_"},
        "metrics": {
            name: value for name, value in result.metrics.items() if not name.startswith(("optimistic", "pessimistic"))
        },
    }


def reranking_facts(
    both: RerankingResult, retriever: str, reranker: str, split: GraphSplit, about: Mapping[str, Any]
) -> dict[str, Any]:
    """An evaluation of two models together, for the cards of both; of their paths the names only."""
    return {
        **ranking_facts(both.reranked, split, about),
        "task": "reranked link prediction",
        "retriever": encoder_name(retriever),
        "reranker": encoder_name(reranker),
        **{"top_k": both.top_k, "retriever_weight": both.retriever_weight},
    }


def classification_facts(
    metrics: Mapping[str, float], split: GraphSplit, threshold_from: str, about: Mapping[str, Any]
) -> dict[str, Any]:
    """An evaluation by classification, with its protocol; `threshold_from`: the split that the threshold is from."""
    return {
        "task": "triplet classification",
        "split": split.name,
        **{name: about[name] for name in ("graph", "dtype")},
        "triplets": len(split),
        "of": len(split),
        "threshold_from": threshold_from,
        "metrics": dict(metrics),
    }
