"""lass-hf: knowledge graph completion with language models, the Hugging Face way.

Importing the package registers LASS with transformers' Auto classes and pipelines; everything else is imported when it
is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from transformers import AutoConfig, AutoModel, AutoProcessor
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration import LassConfig as LassConfig
from .modeling import LassForKGCompletion as LassForKGCompletion
from .modeling import LassOutput as LassOutput
from .pipelines import KGCompletionPipeline, TripletClassificationPipeline
from .processing import LassProcessor as LassProcessor

if TYPE_CHECKING:
    from .builders import load_benchmark as load_benchmark
    from .data_collator import KGDataCollator as KGDataCollator
    from .decision import fit_decision as fit_decision
    from .errors import LassError as LassError
    from .hub import push_to_hub as push_to_hub
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
    "fit_decision": "decision",
    "load_benchmark": "builders",
    "push_to_hub": "hub",
}
__all__ = ["LassConfig", "LassForKGCompletion", "LassOutput", "LassProcessor", *_LAZY]  # noqa: PLE0604

AutoConfig.register("lass", LassConfig)
AutoModel.register(LassConfig, LassForKGCompletion)
AutoProcessor.register(LassConfig, LassProcessor)
PIPELINE_REGISTRY.register_pipeline("kg-completion", KGCompletionPipeline, pt_model=AutoModel, type="text")
PIPELINE_REGISTRY.register_pipeline(
    "triplet-classification", TripletClassificationPipeline, pt_model=AutoModel, type="text"
)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'lass_hf' has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
