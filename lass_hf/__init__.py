"""lass-hf: knowledge graph completion with language models, the Hugging Face way.

Importing the package registers LASS with transformers' Auto classes; everything else is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoModel, AutoProcessor

from .configuration import LassConfig as LassConfig
from .modeling import LassForKGCompletion as LassForKGCompletion
from .modeling import LassOutput as LassOutput
from .processing import LassProcessor as LassProcessor

if TYPE_CHECKING:
    from .builders import load_benchmark as load_benchmark
    from .data_collator import KGDataCollator as KGDataCollator
    from .errors import LassError as LassError
    from .knowledge_graph import KnowledgeGraph as KnowledgeGraph
    from .link_prediction import evaluate_link_prediction as evaluate_link_prediction
    from .link_prediction import evaluate_relation_prediction as evaluate_relation_prediction
    from .prediction import LassPredictor as LassPredictor
    from .trainer import LassTrainer as LassTrainer
    from .training_args import LassTrainingArguments as LassTrainingArguments
    from .triplet_classification import evaluate_triplet_classification as evaluate_triplet_classification

__version__ = "0.1.0"

_LAZY = {
    "KGDataCollator": "data_collator",
    "KnowledgeGraph": "knowledge_graph",
    "LassError": "errors",
    "LassPredictor": "prediction",
    "LassTrainer": "trainer",
    "LassTrainingArguments": "training_args",
    "evaluate_link_prediction": "link_prediction",
    "evaluate_relation_prediction": "link_prediction",
    "evaluate_triplet_classification": "triplet_classification",
    "load_benchmark": "builders",
}
__all__ = ["LassConfig", "LassForKGCompletion", "LassOutput", "LassProcessor", *_LAZY]  # noqa: PLE0604

AutoConfig.register("lass", LassConfig)
AutoModel.register(LassConfig, LassForKGCompletion)
AutoProcessor.register(LassConfig, LassProcessor)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'lass_hf' has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
