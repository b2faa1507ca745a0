"""lass-hf: knowledge graph completion with language models, the Hugging Face way.

Importing the package registers LASS with transformers' Auto classes and pipelines, as soon as transformers is imported;
every public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .registration import register_with_transformers
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .analysis.plots import check_plots as check_plots
    from .analysis.plots import plot_low_resource as plot_low_resource
    from .completion.completing import complete_graph as complete_graph
    from .completion.settings import CompletionSettings as CompletionSettings
    from .core.configuration_lass import LassConfig as LassConfig
    from .core.errors import GraphError as GraphError
    from .core.errors import HubError as HubError
    from .core.errors import IndexFolderError as IndexFolderError
    from .core.errors import LassError as LassError
    from .core.errors import ModelError as ModelError
    from .core.errors import NonFiniteError as NonFiniteError
    from .core.errors import UnknownNameError as UnknownNameError
    from .core.knowledge_graph import KnowledgeGraph as KnowledgeGraph
    from .core.modeling_lass import LassForKGCompletion as LassForKGCompletion
    from .core.modeling_lass import LassOutput as LassOutput
    from .core.processing_lass import LassProcessor as LassProcessor
    from .core.score_functions import ScoreFunction as ScoreFunction
    from .core.score_functions import register_score_function as register_score_function
    from .core.score_heads import ScoreHead as ScoreHead
    from .core.score_heads import register_score_head as register_score_head
    from .evaluation.calibration import fit_calibration as fit_calibration
    from .evaluation.evaluate_and_record import Reranker as Reranker
    from .evaluation.evaluate_and_record import check_evaluation as check_evaluation
    from .evaluation.evaluate_and_record import evaluate_and_record as evaluate_and_record
    from .evaluation.frequency_baseline import make_frequency_scorer as make_frequency_scorer
    from .evaluation.link_prediction import evaluate_link_prediction as evaluate_link_prediction
    from .evaluation.link_prediction import evaluate_relation_prediction as evaluate_relation_prediction
    from .evaluation.link_prediction import rank_split as rank_split
    from .evaluation.link_prediction_metric import LinkPredictionMetric as LinkPredictionMetric
    from .evaluation.reranking import evaluate_reranking as evaluate_reranking
    from .evaluation.triplet_classification import evaluate_triplet_classification as evaluate_triplet_classification
    from .evaluation.triplet_classification_metric import TripletClassificationMetric as TripletClassificationMetric
    from .evidence.building import build_evidence as build_evidence
    from .evidence.evidence_files import load_evidence as load_evidence
    from .evidence.evidence_files import save_evidence as save_evidence
    from .evidence.fused_evidence import FusedEvidence as FusedEvidence
    from .graphs.inductive_split import inductive_split as inductive_split
    from .graphs.loading import load_benchmark as load_benchmark
    from .graphs.loading import load_graph as load_graph
    from .graphs.splitting import split_graph as split_graph
    from .hub.upload import push_to_hub as push_to_hub
    from .prediction.predictor import LassPredictor as LassPredictor
    from .runs.evaluation_arguments import EvaluationArguments as EvaluationArguments
    from .runs.retriever import make_collator as make_collator
    from .runs.run import files_beside_model as files_beside_model
    from .runs.run import load_trained_model as load_trained_model
    from .runs.run import parse_script as parse_script
    from .runs.run import train as train
    from .runs.run import train_and_record as train_and_record
    from .runs.training_graph import load_training_graph as load_training_graph
    from .scoring.candidate_scores import scorer_from_triplets as scorer_from_triplets
    from .scoring.entity_index import EntityIndex as EntityIndex
    from .scoring.triplet_scorer import TripletScorer as TripletScorer
    from .training.data_collators import InBatchCollator as InBatchCollator
    from .training.data_collators import KGDataCollator as KGDataCollator
    from .training.negative_sampling import NegativeSampler as NegativeSampler
    from .training.recipes import TrainArguments as TrainArguments
    from .training.run_metadata import collect_run_metadata as collect_run_metadata
    from .training.trainer import LassTrainer as LassTrainer
    from .training.training_args import LassTrainingArguments as LassTrainingArguments
    from .utils.console import check_writable as check_writable
    from .utils.console import run_program as run_program
    from .utils.result_files import read_results as read_results
    from .utils.result_files import read_training as read_training
    from .utils.result_files import write_results as write_results

# Modules of the public names. Those in _LIGHT import neither torch nor transformers.
_LIGHT = {
    "GraphError": "core.errors",
    "HubError": "core.errors",
    "IndexFolderError": "core.errors",
    "KnowledgeGraph": "core.knowledge_graph",
    "LassError": "core.errors",
    "ModelError": "core.errors",
    "NonFiniteError": "core.errors",
    "UnknownNameError": "core.errors",
    "check_writable": "utils.console",
    "inductive_split": "graphs.inductive_split",
    "load_benchmark": "graphs.loading",
    "load_graph": "graphs.loading",
    "read_results": "utils.result_files",
    "read_training": "utils.result_files",
    "run_program": "utils.console",
    "split_graph": "graphs.splitting",
    "write_results": "utils.result_files",
}
_LAZY = _LIGHT | {
    "CompletionSettings": "completion.settings",
    "EntityIndex": "scoring.entity_index",
    "EvaluationArguments": "runs.evaluation_arguments",
    "FusedEvidence": "evidence.fused_evidence",
    "InBatchCollator": "training.data_collators",
    "KGDataCollator": "training.data_collators",
    "LassConfig": "core.configuration_lass",
    "LassForKGCompletion": "core.modeling_lass",
    "LassOutput": "core.modeling_lass",
    "LassPredictor": "prediction.predictor",
    "LassProcessor": "core.processing_lass",
    "LassTrainer": "training.trainer",
    "LassTrainingArguments": "training.training_args",
    "LinkPredictionMetric": "evaluation.link_prediction_metric",
    "NegativeSampler": "training.negative_sampling",
    "Reranker": "evaluation.evaluate_and_record",
    "ScoreFunction": "core.score_functions",
    "ScoreHead": "core.score_heads",
    "TrainArguments": "training.recipes",
    "TripletClassificationMetric": "evaluation.triplet_classification_metric",
    "TripletScorer": "scoring.triplet_scorer",
    "build_evidence": "evidence.building",
    "check_evaluation": "evaluation.evaluate_and_record",
    "check_plots": "analysis.plots",
    "collect_run_metadata": "training.run_metadata",
    "complete_graph": "completion.completing",
    "evaluate_and_record": "evaluation.evaluate_and_record",
    "evaluate_link_prediction": "evaluation.link_prediction",
    "evaluate_relation_prediction": "evaluation.link_prediction",
    "evaluate_reranking": "evaluation.reranking",
    "evaluate_triplet_classification": "evaluation.triplet_classification",
    "files_beside_model": "runs.run",
    "fit_calibration": "evaluation.calibration",
    "load_evidence": "evidence.evidence_files",
    "load_trained_model": "runs.run",
    "load_training_graph": "runs.training_graph",
    "make_collator": "runs.retriever",
    "make_frequency_scorer": "evaluation.frequency_baseline",
    "parse_script": "runs.run",
    "plot_low_resource": "analysis.plots",
    "push_to_hub": "hub.upload",
    "rank_split": "evaluation.link_prediction",
    "register_score_function": "core.score_functions",
    "register_score_head": "core.score_heads",
    "save_evidence": "evidence.evidence_files",
    "scorer_from_triplets": "scoring.candidate_scores",
    "train": "runs.run",
    "train_and_record": "runs.run",
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
