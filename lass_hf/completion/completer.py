"""Completes a graph: queries, answers, suggestions, their standing, their chances, and their order."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.architectures import BiEncoder
from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..evaluation.link_prediction import model_identity
from ..evidence.bound_evidence import BoundEvidence, training_facts
from ..evidence.building import refit_evidence
from ..evidence.choosing import EvidenceChoice, choose_evidence, warn_of_other_facts
from ..evidence.evidence_files import evidence_fingerprint
from ..graphs.decisions import read_decisions
from ..scoring.candidate_scores import (
    CandidateScorer,
    make_candidate_vectors,
    scorer_from_index,
    scorer_from_triplets,
)
from ..scoring.chunk_progress import ChunkProgress
from ..scoring.entity_index import EntityIndex
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import TripletScorer, check_model_is_of
from ..structure.facts import Facts, false_fingerprint, labeled_false
from ..structure.rule_scores import RuleScorer
from ..structure.rules import RuleSet
from ..utils.distributed import processes
from ..utils.fingerprints import candidates_fingerprint, graph_fingerprint, graph_texts_fingerprint
from ..version import __version__
from .answering import Reranking, answer_queries
from .link_features import LinkFeatures
from .measuring import Completion
from .ordering import BEYOND_MOST, make_list, usual_answers
from .probabilities import LinkCalibration, fit_link_calibration
from .queries import choose_queries, observed_ranges
from .settings import SIDES, CompletionSettings
from .standing import IMPLIED, NEW, REVERSE, STANDINGS, Standings
from .suggestions import Answers, Suggestions

ANSWERS_PER_QUERY = 10  # that are looked at; the list has fewer of them
BEHIND = 1e6  # A log probability of nothing: without chances, what is not new stands behind everything that is.


@dataclass(frozen=True)
class CompletionResult:
    """The missing links of a graph.

    Attributes:
        completion: All suggestions, with their standings and probabilities.
        answers: The answers to the queries, of which they are made.
        implied: What the graph implies or has reversed, the best first, at most as many as the list may have: int64 of
            shape (m,), positions in `completion.suggestions`.
        left_out: Why the other suggestions are neither listed nor implied, in words, and how many are for that reason.
        standings: What classified the suggestions, against all splits of the graph.
        calibration: What probabilities are computed by, or None.
        no_probability: Why there are no probabilities and how to get them, or None.
    """

    completion: Completion
    answers: Answers
    implied: np.ndarray
    left_out: dict[str, int]
    standings: Standings
    calibration: LinkCalibration | None
    no_probability: str | None

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers of `queries`, of `suggestions`, `listed` and `implied` ones, of `left_out` and `by_standing`."""
        by_standing = np.bincount(self.completion.standings, minlength=len(STANDINGS)).tolist()
        return {
            "queries": len(self.completion.queries),
            "suggestions": len(self.completion.suggestions),
            "listed": len(self.completion.listed),
            "implied": len(self.implied),
            "left_out": self.left_out,
            "by_standing": dict(zip(STANDINGS, by_standing, strict=True)),
        }


class GraphCompleter:
    """Completes graphs with the same texts and facts by one model and its evidence.

    Args:
        graph: The graph.
        model: The text model; None for evidence of the graph alone.
        processor: Its processor.
        evidence: What answers are scored by, as in `evaluate_link_prediction`.
        settings: What is asked, and how long the list is.
        index_folder: The folder that keeps the entity vectors of a bi-encoder.
        dtype: Precision of the text model.
        quiet: Whether nothing is shown.
        rerank: A cross-encoder and its processor, which reorder the best answers of each query; None for none.

    Raises:
        LassError: The model is that of another graph; a reranker is no cross-encoder; or as `choose_evidence`.
        GraphError: The graph has no training triplets.
        UnknownNameError: The graph lacks a relation or an entity of the settings.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        model: LassForKGCompletion | None,
        processor: LassProcessor | None,
        evidence: EvidenceChoice = "auto",
        settings: CompletionSettings | None = None,
        index_folder: str | Path | None = None,
        dtype: str = "auto",
        quiet: bool = False,
        rerank: tuple[LassForKGCompletion, LassProcessor] | None = None,
    ):
        self.graph, self.settings, self.quiet = graph, settings or CompletionSettings(), quiet
        self.processor = processor
        self.facts = training_facts(graph)
        self.relations, self.entities = self.settings.numbers(graph)
        files = self.settings.decisions
        self._decisions = None if files is None else read_decisions(files, graph)
        if self._decisions is not None and not quiet and processes().is_main_process:
            what = f"{self._decisions.in_words()}; none of the accepted and rejected ones is suggested"
            print(f"lass-hf: {what}", file=sys.stderr)
        self._index_folder = index_folder
        self.scorer: TripletScorer | None = None
        self._chunk_size = BiEncoder.candidates_per_chunk
        if model is not None and processor is not None:
            check_model_is_of(processor, graph)
            self.scorer = TripletScorer(model, processor.token_store(graph), dtype)
            self._chunk_size = model.architecture.candidates_per_chunk
        self._reranking = None if rerank is None else self._make_reranking(*rerank, dtype)
        self.evidence = choose_evidence(
            evidence, graph, model, processor, dtype, self.settings.seed, quiet, index_folder
        )
        warn_of_other_facts(self.evidence, graph)

    def _make_reranking(self, model: LassForKGCompletion, processor: LassProcessor, dtype: str) -> Reranking:
        check_reranker_fits(model, processor, self.graph)
        scorer = TripletScorer(model, processor.token_store(self.graph), dtype)
        return Reranking(scorer, self.settings.rerank_top_k, self.settings.retriever_weight)

    @cached_property
    def _standings(self) -> Standings:
        """Classifies suggestions against the facts that they are made of."""
        return Standings(self.facts, self._rules)

    @cached_property
    def _features(self) -> LinkFeatures:
        """Describes suggestions by the facts that they are made of."""
        return LinkFeatures(self.facts, None if self._rules is None else RuleScorer(self._rules, self.facts), STANDINGS)

    @cached_property
    def _rules(self) -> RuleSet | None:
        """The rules of the evidence, in the numbers of the graph; None if they do not count."""
        evidence = self.evidence
        return evidence.renumber(self.graph).rules if evidence is not None and "rules" in evidence.kinds else None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the list depends on, as JSON values."""
        return {
            "version": __version__,
            **(model_identity(self.scorer) if self.scorer is not None else {}),
            "reranker": None if self._reranking is None else model_identity(self._reranking.scorer),
            "evidence": evidence_fingerprint(self.evidence) if self.evidence is not None else None,
            "graph": graph_fingerprint(self.graph),
            "graph_texts": graph_texts_fingerprint(self.graph),
            "candidates": candidates_fingerprint(self.graph),
            "labeled_false": false_fingerprint(self.graph, "train"),
            "answers_per_query": ANSWERS_PER_QUERY,
            "chunk_size": self._chunk_size,
            **asdict(self.settings),
            "decisions": None if self._decisions is None else self._decisions.describe(),
        }

    def complete(
        self, graph: KnowledgeGraph, progress: Callable[[np.ndarray, np.ndarray], ChunkProgress] | None = None
    ) -> tuple[CompletionResult, BoundEvidence | None]:
        """Completes the graph, or the same one with other links held out.

        Args:
            graph: The graph, whose facts are those of `self.graph`.
            progress: Returns, for queries and their slots, the place of finished chunks.

        Returns:
            The result, and the evidence that scored it; None for a text model alone.

        Raises:
            LassError: There is no query.
        """
        queries, slots, answers, bound = self._ask(graph, progress)
        suggestions = Suggestions.from_answers(answers)
        # A chance is that of the links that were held out, so its features have not seen them. Who reads the list has.
        of_facts = self._standings.classify(suggestions.triplets)
        calibration, lack = fit_link_calibration(
            self._features, suggestions, of_facts, graph, self._standings.traits.canonical, self.settings.seed
        )
        probabilities = None if calibration is None else calibration(self._features, suggestions, of_facts)
        classifier = self._standings_of_all(graph)
        standings = classifier.classify(suggestions.triplets)
        listed, implied, left_out = self._order(graph, suggestions, standings, probabilities)
        completion = Completion(queries, slots, suggestions, standings, probabilities, listed)
        return CompletionResult(completion, answers, implied, left_out, classifier, calibration, lack), bound

    def check(
        self, graph: KnowledgeGraph, triplet: np.ndarray, calibration: LinkCalibration | None
    ) -> tuple[CompletionResult, BoundEvidence | None]:
        """Judges one link as `complete` does.

        Args:
            graph: The graph that was completed.
            triplet: The link, int64 of shape (3,).
            calibration: That of the completion; None for no probability.

        Returns:
            The result, on whose list the link is alone: or nothing, if it is not among the best answers to the queries
            that make sense. And the evidence that scored it; None for a text model alone.
        """
        queries, slots, answers, bound = self._ask(graph, link=triplet)
        suggestions = Suggestions.from_answers(answers)
        suggestions = suggestions.select((suggestions.triplets == triplet).all(axis=1))
        of_facts = self._standings.classify(suggestions.triplets)
        probabilities = None if calibration is None else calibration(self._features, suggestions, of_facts)
        classifier = self._standings_of_all(graph)
        standings, listed = classifier.classify(suggestions.triplets), np.arange(len(suggestions))
        completion = Completion(queries, slots, suggestions, standings, probabilities, listed)
        return CompletionResult(completion, answers, listed[:0], {}, classifier, calibration, None), bound

    def find_lack(self, triplet: np.ndarray, result: CompletionResult) -> str | None:
        """Returns why `check` found no suggestion of a link, in words; None if it found one.

        Args:
            triplet: The link, int64 of shape (3,).
            result: What `check` returned.
        """
        if len(result.completion.listed):
            return None
        if len(result.completion.queries):
            asked = " and its ".join(SLOT_NAMES[slot] for slot in sorted(set(result.completion.slots.tolist())))
            return f"it is not among the best answers to the queries for its {asked}"
        about = sorted(2 - slot for slot in SIDES[self.settings.side])
        if self.entities is not None:
            about = [slot for slot in about if triplet[slot] in self.entities]
        if triplet[1] not in self.relations:
            why = "the completion asked for other relations"
        elif not about:
            why = "the completion asked about other entities"
        else:
            why = f"too few entities like its {' or its '.join(SLOT_NAMES[slot] for slot in about)} have the relation"
        return f"it was not asked for: {why}"

    def _ask(
        self,
        graph: KnowledgeGraph,
        progress: Callable[[np.ndarray, np.ndarray], ChunkProgress] | None = None,
        link: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, Answers, BoundEvidence | None]:
        """Returns the queries that make sense, or those that a link answers, their slots, the answers and evidence."""
        score_candidates, index, bound = self._bind(graph)
        queries, slots = choose_queries(self.facts, self.relations, self.entities, SIDES[self.settings.side], index)
        if link is not None:
            is_own = (queries == np.where(np.arange(3) == slots[:, None], 0, link)).all(axis=1)
            queries, slots = queries[is_own], slots[is_own]
        elif not len(queries):
            raise LassError(
                "no query makes sense: of the relations and entities that were asked for, none is in the training "
                "triplets; ask for others"
            )
        answers = answer_queries(
            score_candidates,
            graph.known_in_train,
            graph.candidates[2],
            queries,
            slots,
            ANSWERS_PER_QUERY,
            None if self.settings.any_candidate else observed_ranges(self.facts),
            set(self.facts.triplets[self.facts.triplets[:, 0] == self.facts.triplets[:, 2], 1].tolist()),
            self._reranking,
            self._chunk_size,
            None if progress is None else progress(queries, slots),
            self.quiet,
        )
        return queries, slots, answers, bound

    def _standings_of_all(self, graph: KnowledgeGraph) -> Standings:
        """Classifies suggestions against all splits of a graph."""
        everything = Facts.from_triplets(graph.known.triplets(), graph.num_entities, graph.num_relations)
        return Standings(everything, self._rules)

    def _bind(self, graph: KnowledgeGraph) -> tuple[CandidateScorer, EntityIndex | None, BoundEvidence | None]:
        """Returns what scores candidates, the text vectors of all entities, and the evidence."""
        evidence, scorer = self.evidence, self.scorer
        if evidence is None:
            assert scorer is not None
            if not scorer.is_bi_encoder:
                return scorer_from_triplets(scorer.score), None, None
            index = build_entity_index(scorer, self._index_folder, self.quiet)
            return scorer_from_index(scorer, make_candidate_vectors(scorer, index, graph)), index, None
        if not _has_links_of_fit(graph, self.graph):
            (evidence,) = refit_evidence(
                evidence, graph, [evidence.kinds], scorer, self.settings.seed, self.quiet, self._index_folder
            )
        bound = evidence.bind(graph, scorer, self._index_folder)
        return bound.score_candidates, bound.text_index, bound

    def _order(
        self,
        graph: KnowledgeGraph,
        suggestions: Suggestions,
        standings: np.ndarray,
        probabilities: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Returns the list and what is implied, without what the graph says already or people decided: positions.

        And why the others are in neither, with their numbers.
        """
        settings = self.settings
        scores = np.fmax(*suggestions.log_probabilities.T).astype(np.float64)
        if probabilities is None:
            scores -= np.where(standings == NEW, 0, BEHIND)
        else:
            scores = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) + scores * 1e-9  # ties of steps
        # What other splits label false stays open: a training makes it at random, to fit a threshold.
        is_known = graph.known.contains(suggestions.triplets)
        is_wrong = labeled_false(graph, "train").contains(suggestions.triplets) & ~is_known
        is_open = ~is_known & ~is_wrong
        left_out = {"in the graph": int(is_known.sum()), "labeled false in training": int(is_wrong.sum())}
        canonical = self._standings.traits.canonical
        facts = canonical(suggestions.triplets)
        if self._decisions is not None:
            for decided in (self._decisions.accepted, self._decisions.rejected):
                some = KnownTriplets(canonical(decided.triplets()), graph.num_entities, graph.num_relations)
                is_open &= ~some.contains(facts)
        left_out["decided"] = int((~is_open).sum()) - sum(left_out.values())
        is_apart = np.isin(standings, (IMPLIED, REVERSE))
        rows, apart = np.flatnonzero(is_open & ~is_apart), np.flatnonzero(is_open & is_apart)
        listed, shortened = make_list(
            suggestions.triplets[rows],
            scores[rows],
            facts[rows],
            usual_answers(self.facts),
            settings.most,
            settings.per_query,
            settings.per_relation,
        )
        implied = apart[np.argsort(-scores[apart], kind="stable")][: settings.most]
        shortened[BEYOND_MOST] += len(apart) - len(implied)
        left_out |= shortened
        return rows[listed], implied, {reason: number for reason, number in left_out.items() if number}


def check_reranker_fits(model: LassForKGCompletion, processor: LassProcessor, graph: KnowledgeGraph) -> None:
    """Raises LassError for a reranker that is no cross-encoder, or that of another graph."""
    check_model_is_of(processor, graph)
    if model.architecture.encodes_entities:
        raise LassError("rerank needs a cross-encoder to rerank with; it is a bi-encoder")


def _has_links_of_fit(graph: KnowledgeGraph, other: KnowledgeGraph) -> bool:
    """Returns whether two graphs have the same links to fit on."""
    own, others = (one.index_splits("validation").triplets() for one in (graph, other))
    return np.array_equal(own, others)
