"""lass-hf: knowledge graph completion with language models, the Hugging Face way.

Importing the package registers LASS with transformers' Auto classes and pipelines, as soon as transformers is imported;
every public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registration import register_with_transformers
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .core.configuration_lass import LassConfig as LassConfig
    from .core.errors import LassError as LassError
    from .core.knowledge_graph import KnowledgeGraph as KnowledgeGraph
    from .core.modeling_lass import LassForKGCompletion as LassForKGCompletion
    from .core.modeling_lass import LassOutput as LassOutput
    from .core.processing_lass import LassProcessor as LassProcessor
    from .evaluation.calibration import fit_calibration as fit_calibration
    from .evaluation.frequency_baseline import frequency_scores as frequency_scores
    from .evaluation.link_prediction import evaluate_link_prediction as evaluate_link_prediction
    from .evaluation.link_prediction import evaluate_relation_prediction as evaluate_relation_prediction
    from .evaluation.link_prediction import rank_split as rank_split
    from .evaluation.triplet_classification import evaluate_triplet_classification as evaluate_triplet_classification
    from .graphs.loading import load_benchmark as load_benchmark
    from .hub.upload import push_to_hub as push_to_hub
    from .prediction.predictor import LassPredictor as LassPredictor
    from .scoring.candidate_scores import by_triplets as by_triplets
    from .training.data_collators import KGDataCollator as KGDataCollator
    from .training.trainer import LassTrainer as LassTrainer
    from .training.training_args import LassTrainingArguments as LassTrainingArguments

# Where each public name is. Those of the first wings import neither torch nor transformers.
_LIGHT = {
    "KnowledgeGraph": "core.knowledge_graph",
    "LassError": "core.errors",
    "load_benchmark": "graphs.loading",
}
_LAZY = _LIGHT | {
    "KGDataCollator": "training.data_collators",
    "LassConfig": "core.configuration_lass",
    "LassForKGCompletion": "core.modeling_lass",
    "LassOutput": "core.modeling_lass",
    "LassPredictor": "prediction.predictor",
    "LassProcessor": "core.processing_lass",
    "LassTrainer": "training.trainer",
    "LassTrainingArguments": "training.training_args",
    "by_triplets": "scoring.candidate_scores",
    "evaluate_link_prediction": "evaluation.link_prediction",
    "evaluate_relation_prediction": "evaluation.link_prediction",
    "evaluate_triplet_classification": "evaluation.triplet_classification",
    "fit_calibration": "evaluation.calibration",
    "frequency_scores": "evaluation.frequency_baseline",
    "push_to_hub": "hub.upload",
    "rank_split": "evaluation.link_prediction",
}
__all__ = sorted(_LAZY)  # noqa: PLE0605

register_with_transformers()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'lass_hf' has no attribute {name!r}")
    if name not in _LIGHT:
        from .registration import register

        register()
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
