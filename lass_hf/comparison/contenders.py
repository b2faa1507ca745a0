"""What is compared: a method on one split, whose `run` trains it and measures it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from tqdm.auto import tqdm

from ..core.architectures import BiEncoder
from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evaluation.calibration import labeled_split
from ..evaluation.link_prediction import evaluate_link_prediction, rank_split
from ..evaluation.ranking_result import RankingResult
from ..evaluation.triplet_classification import ClassificationResult, classify, evaluate_triplet_classification
from ..evaluation.triplet_fusion import check_labels
from ..evidence.building import build_evidence
from ..evidence.choosing import choose_evidence
from ..evidence.evidence_files import evidence_fingerprint
from ..evidence.fused_evidence import FusedEvidence
from ..scoring.candidate_scores import CandidateScorer
from ..scoring.triplet_scorer import Progress
from ..structure.facts import Facts, false_fingerprint
from ..structure.rule_mining import find_rules
from ..structure.rule_scores import RuleScorer
from ..utils.distributed import processes
from ..utils.fingerprints import graph_fingerprint, model_fingerprint, texts_fingerprint
from ..utils.stopwatch import Stopwatch
from .embedding_scores import score_triplets, scorer_from_embeddings
from .embedding_training import check_pykeen, train_embeddings
from .methods import EMBEDDINGS, OURS, RULES

SLOTS = (0, 2)
TripletScores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Task:
    """What all methods are measured by.

    Attributes:
        graph: The graph.
        split: The name of the split.
        seed: Seed of all that is random.
        quiet: Whether no progress bars are shown.
    """

    graph: KnowledgeGraph
    split: str = "test"
    seed: int = 42
    quiet: bool = False

    @property
    def classifies(self) -> bool:
        """Whether triplets are classified, because this split and validation have true and false ones."""
        splits = [self.graph[name] for name in ("validation", self.split) if name in self.graph]
        labels = [split.labels for split in splits if split.labels is not None and len(np.unique(split.labels)) == 2]
        return len(labels) == 2

    def check(self) -> None:
        """Raises GraphError for a split that is not there, or has no true triplet."""
        if not len(self.graph[self.split].positives):
            raise GraphError(f"the {self.split} split has no true triplet to rank")

    @property
    def identity(self) -> dict[str, Any]:
        """What the figures of every method depend on, as JSON values."""
        return {
            "task": "triplet_classification" if self.classifies else "link_prediction",
            "graph": graph_fingerprint(self.graph),
            "labeled_false": false_fingerprint(self.graph, *self.graph.splits),
            "split": self.split,
        }


@dataclass(frozen=True)
class Outcome:
    """What a method reached, and what it took.

    Attributes:
        result: Ranks, or classes, with their metrics.
        seconds: Those of "training", without which a method has none, and "ranking", or classification.
        parameters: The number of weights; of rules, which have a confidence each, their number.
    """

    result: RankingResult | ClassificationResult
    seconds: dict[str, float]
    parameters: int


class Contender(Protocol):
    """A method that is ready to be trained and measured: all that it needs is there."""

    @property
    def method(self) -> str:
        """Its name."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What its figures depend on beside the task, as JSON values."""
        ...

    def run(self, task: Task, title: str) -> Outcome:
        """Trains and measures the method; `title` stands before the progress."""
        ...


@dataclass(frozen=True)
class EmbeddingContender:
    """A method that PyKEEN trains on the facts.

    Attributes:
        method: Its name, one of `EMBEDDINGS`.
        seed: Seed of the training.
        minutes: The time after which no epoch begins; None for no limit.
    """

    method: str
    seed: int = 42
    minutes: float | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """See `Contender.identity`; it imports PyKEEN.

        Raises:
            LassError: PyKEEN is not installed.
        """
        choices = asdict(EMBEDDINGS[self.method])
        return {"pykeen": check_pykeen(), "seed": self.seed, "minutes": self.minutes, "choices": choices}

    def run(self, task: Task, title: str) -> Outcome:
        """See `Contender.run`."""
        chosen, watch, graph = EMBEDDINGS[self.method], Stopwatch(), task.graph
        facts = Facts.from_graph(graph)
        with tqdm(total=chosen.epochs, desc=title, unit=" epochs", disable=task.quiet) as bar:
            with watch.time("training"):
                model = train_embeddings(
                    chosen,
                    facts.triplets,
                    facts.num_entities,
                    facts.num_relations,
                    seed=self.seed,
                    device=processes().device,
                    minutes=self.minutes,
                    on_epoch=bar.update,
                )
            with watch.time("ranking"):
                result = self._measure(model, task, bar)
        return Outcome(result, watch.seconds, model.num_parameters)

    def _measure(self, model: Any, task: Task, bar: tqdm) -> RankingResult | ClassificationResult:
        width, split = EMBEDDINGS[self.method].floats_per_score, task.graph[task.split]
        if task.classifies:
            return classify_by(lambda triplets: score_triplets(model, triplets, width), task)
        scorer = _on_bar(scorer_from_embeddings(model, width), split.positives, bar)
        return rank_split(scorer, split, SLOTS, quiet=True, chunk_size=BiEncoder.candidates_per_chunk)


@dataclass(frozen=True)
class RulesContender:
    """The rules of the graph, as `lass-hf evaluate --evidence rules` ranks by them.

    Attributes:
        seed: Seed of the search and of the fit.
        minutes: The time after which the search ends; None for no limit.
    """

    seed: int = 42
    minutes: float | None = None
    method: str = RULES

    @property
    def identity(self) -> dict[str, Any]:
        """See `Contender.identity`."""
        return {"seed": self.seed, "minutes": self.minutes}

    def run(self, task: Task, title: str) -> Outcome:
        """See `Contender.run`."""
        watch, graph = Stopwatch(), task.graph
        result: RankingResult | ClassificationResult
        if task.classifies:
            facts = Facts.from_graph(graph)
            with watch.time("training"), tqdm(total=100, unit="%", desc=title, disable=task.quiet) as bar:
                rules = find_rules(
                    facts,
                    minutes=self.minutes,
                    seed=self.seed,
                    on_progress=lambda share, _: bar.update(round(100 * share) - bar.n),
                )
            with watch.time("ranking"):
                result = classify_by(RuleScorer(rules, facts).triplet_scores, task)
            return Outcome(result, watch.seconds, len(rules))
        with watch.time("training"):
            evidence = build_evidence(graph, kinds=[RULES], minutes=self.minutes, seed=self.seed, quiet=task.quiet)
        with watch.time("ranking"):
            result = evaluate_link_prediction(None, None, graph, task.split, evidence=evidence, quiet=task.quiet)
        assert evidence.rules is not None
        return Outcome(result, watch.seconds, len(evidence.rules))


@dataclass(frozen=True)
class ModelContender:
    """A trained text model with the evidence in its folder, as `lass-hf evaluate` or `classify` measures it.

    Attributes:
        model: The model.
        processor: Its processor.
        evidence: What counts beside the text; None for the text alone.
        dtype: Precision of scoring.
        seed: Seed of the fit to validation labels, where triplets are classified by evidence, too.
        texts: The fingerprint of the graph's texts as the encoder reads them.
    """

    model: LassForKGCompletion
    processor: LassProcessor
    evidence: FusedEvidence | None = None
    dtype: str = "auto"
    seed: int = 42
    texts: str = ""
    method: str = OURS

    @classmethod
    def of(
        cls, model: LassForKGCompletion, processor: LassProcessor, task: Task, dtype: str = "auto"
    ) -> "ModelContender":
        """Makes the contender of a model with the evidence in its folder.

        Raises:
            GraphError: Triplets are to be classified by evidence, and validation has too few labels for a fit.
        """
        evidence = choose_evidence("auto", task.graph, model, processor, dtype)
        validation = task.graph["validation"] if task.classifies else None
        if validation is not None and validation.labels is not None and evidence is not None:
            check_labels(validation.triplets, validation.labels)
        return cls(model, processor, evidence, dtype, task.seed, texts_fingerprint(processor.token_store(task.graph)))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """See `Contender.identity`."""
        return {
            "model": model_fingerprint(self.model),
            "texts": self.texts,
            "ranking_weights": self.model.config.ranking_weights,
            "evidence": None if self.evidence is None else evidence_fingerprint(self.evidence),
            "seed": self.seed,
            "dtype": self.dtype,
        }

    def run(self, task: Task, title: str) -> Outcome:
        """See `Contender.run`."""
        watch, one = Stopwatch(), (self.model, self.processor, task.graph, task.split)
        choices: dict[str, Any] = {"dtype": self.dtype, "quiet": task.quiet}
        result: RankingResult | ClassificationResult
        with watch.time("ranking"):
            if task.classifies:
                choices |= {"seed": self.seed}
                result = evaluate_triplet_classification(*one, **choices, evidence=self.evidence or "text")
            else:
                result = evaluate_link_prediction(*one, **choices, evidence=self.evidence or "text")
        return Outcome(result, watch.seconds, sum(weights.numel() for weights in self.model.parameters()))


def classify_by(score: TripletScores, task: Task) -> ClassificationResult:
    """Classifies the labeled triplets of a task by thresholds that are fitted on the validation split.

    Args:
        score: Returns the scores of triplets, float32 of shape (n,), for int of shape (n, 3).
        task: The task.
    """
    validation, split = labeled_split(task.graph, "validation"), labeled_split(task.graph, task.split)
    return classify(score(split.triplets), split, score(validation.triplets), validation)


def _on_bar(score: CandidateScorer, triplets: np.ndarray, bar: tqdm) -> CandidateScorer:
    """Lets a bar go on with the queries of triplets, so that a method has one line of progress."""
    queries = [np.unique(np.delete(triplets, slot, axis=1), axis=0) for slot in SLOTS]
    bar.reset(total=sum(map(len, queries)))
    bar.unit = " queries"

    def score_candidates(
        queries: np.ndarray, slot: int, candidates: np.ndarray, mask: np.ndarray, progress: Progress | None
    ) -> np.ndarray:
        scores = score(queries, slot, candidates, mask, progress)
        bar.update(len(queries))
        return scores

    return score_candidates
