"""`CandidateRanker`: scores triplets and ranks candidates in integers, with one model or a retriever and a reranker.

With evidence beside the words, heads and tails are ranked by one score of all of it; triplets are judged by words.

`LassPredictor` adds names to it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..evaluation.calibration import Calibration
from ..evidence.bound_evidence import BoundEvidence
from ..evidence.choosing import EvidenceChoice, choose_evidence, warn_of_other_facts
from ..evidence.rule_reasons import rule_reasons
from ..scoring.candidate_scores import CandidateScorer, make_candidate_scorer, make_candidate_vectors
from ..scoring.candidate_vectors import CandidateVectors
from ..scoring.entity_index import EntityIndex
from ..scoring.index_building import build_entity_index
from ..scoring.triplet_scorer import TripletScorer
from .kept_tokens import keep_token_store
from .top_predictions import is_known, known_positions, rerank_predictions, scored_triplets, top_predictions

# Called with the number of triplets scored since the last call; it may raise an exception to stop the scoring.
OnProgress = Callable[[int], None]
RERANK_TOP_K, RETRIEVER_WEIGHT = 100, 0.0  # by default


class CandidateRanker:
    """Scores triplets of a graph, and ranks candidates for a slot, in integers.

    Args:
        model: A trained model.
        processor: Its processor, which must have its graph.
        dtype: "auto", "float32" or "bfloat16", as in `TripletScorer`.
        rerank: Another ranker, with a cross-encoder, which reorders the best `rerank_top_k` predictions of this one, a
            bi-encoder. The predictions below them keep their order and this model's score.
        rerank_top_k: How many are reranked; all where there are fewer.
        retriever_weight: A reranked score is the cross-encoder's + `retriever_weight` * this model's.
            `evaluate_reranking` fits it.
        evidence: What heads and tails are ranked by: "auto" for all evidence in the folder that the model was loaded
            from, "text" for the words alone, some kinds such as "text,rules", whose weights are fitted anew, or a
            `FusedEvidence`.
        index_folder: The folder that keeps the token ids of all texts and, for a bi-encoder, the vectors of all
            entities. None keeps them in memory.

    Attributes:
        evidence: The evidence beside the words; None where the words alone count.
        calibration: The calibration that the model had when the ranker was made, or None.

    Raises:
        LassError: The processor has no graph, the arguments for reranking do not fit, or the model's folder lacks the
            evidence; or the evidence is that of another model.
    """

    def __init__(
        self,
        model: LassForKGCompletion,
        processor: LassProcessor,
        dtype: str = "auto",
        *,
        rerank: "CandidateRanker | None" = None,
        rerank_top_k: int = RERANK_TOP_K,
        retriever_weight: float = RETRIEVER_WEIGHT,
        evidence: EvidenceChoice = "auto",
        index_folder: str | Path | None = None,
    ):
        if processor.graph is None:
            raise LassError(
                "the processor has no graph (the model was saved without one): set processor.graph, for instance to "
                "KnowledgeGraph.from_directory(...), before making a predictor"
            )
        if rerank is None and (rerank_top_k, retriever_weight) != (RERANK_TOP_K, RETRIEVER_WEIGHT):
            raise LassError("rerank_top_k and retriever_weight need rerank, which is not given")
        processor.check_fit(model)  # also for the tokens of entities that are new to the graph
        self.graph: KnowledgeGraph = processor.graph
        self.processor = processor
        self.scorer = TripletScorer(model, keep_token_store(processor, index_folder), dtype)
        self.rerank_top_k, self.retriever_weight = rerank_top_k, retriever_weight
        self._reranker = None if rerank is None else self._checked_reranker(rerank)
        self._index_folder = index_folder
        self.evidence = choose_evidence(evidence, self.graph, model, processor, dtype, index_folder=index_folder)
        warn_of_other_facts(self.evidence, self.graph)
        self.calibration = Calibration.of(model)

    def _checked_reranker(self, other: "CandidateRanker") -> tuple[TripletScorer, LassProcessor]:
        """Returns the other ranker's scorer over this graph's texts, and its processor."""
        if not isinstance(other, CandidateRanker):
            raise LassError(f"rerank={other!r}; expected a LassPredictor (from_pretrained takes a folder or hub name)")
        if not self.scorer.is_bi_encoder or other.scorer.is_bi_encoder:
            first, second = (scorer.model.config.architecture for scorer in (self.scorer, other.scorer))
            raise LassError(
                f"rerank needs a bi-encoder (it is {first}), and a cross-encoder to rerank with (it is {second})"
            )
        top_k, weight = self.rerank_top_k, self.retriever_weight
        has_top_k = isinstance(top_k, int) and top_k >= 1
        if not has_top_k or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise LassError(f"rerank_top_k={top_k!r}, retriever_weight={weight!r}; expected 1 or more, and 0 or more")
        return other.scorer.with_store(other.processor.token_store(self.graph)), other.processor

    @cached_property
    def index(self) -> EntityIndex:
        """The vectors of all entities, for a bi-encoder; computed, or read from the index folder, at first use."""
        # Not shared: each process may have other queries, or none.
        return build_entity_index(self.scorer, self._index_folder, quiet=False, shared=False)

    @cached_property
    def candidate_vectors(self) -> CandidateVectors:
        """The vectors that entities are ranked by: the index, combined with what training triplets contribute."""
        return make_candidate_vectors(self.scorer, self.index, self.graph)

    @cached_property
    def bound_evidence(self) -> BoundEvidence | None:
        """The evidence beside the words, over this graph; made at first use. None where words alone count."""
        if self.evidence is None:
            return None
        return self.evidence.bind(self.graph, self.scorer, self._index_folder, shared=False)

    def judge(
        self, triplets: np.ndarray, new_texts: Sequence[str] = (), on_progress: OnProgress | None = None
    ) -> np.ndarray:
        """Scores triplets by their words, marks the known ones, and classifies them where the model has a calibration.

        Args:
            triplets: Int of shape (n, 3).
            new_texts: Texts of entities that are new to the graph; their integers follow the graph's own.
            on_progress: Called with the number of triplets scored since the last call; it may raise to stop.

        Returns:
            An array of `SCORED_TRIPLET`, shape (n,), in the given order.
        """
        scores = self._scorer_with(new_texts).score(triplets, progress=_as_progress(on_progress))
        scored = scored_triplets(triplets, scores)
        scored["known"] = is_known(self.graph.known, triplets)
        self._calibrate(scored, scores)
        return scored

    def rank(
        self,
        queries: np.ndarray,
        slots: np.ndarray | int,
        top_k: int = 10,
        exclude_known: bool = True,
        *,
        candidates: Mapping[int, np.ndarray] | None = None,
        new_texts: Sequence[str] = (),
        calibrate: bool = False,
        quiet: bool = True,
        on_progress: OnProgress | None = None,
    ) -> list[np.ndarray]:
        """Ranks candidates for the open slot of each query.

        With evidence beside the words, the score of a head or a tail is the logarithm of its probability among all
        candidates, but a constant for each query. An entity that is new to the graph has words only, as one without
        facts has.

        Args:
            queries: Int of shape (q, 3); the entry in a query's open slot is ignored.
            slots: The open slot of each query, int of shape (q,), or one for all: 0 head, 1 relation, 2 tail.
            top_k: The number of predictions for each query; all candidates where there are fewer.
            exclude_known: Leave out candidates that make a triplet which the graph holds, in any split.
            candidates: By slot the integers to choose from, ascending; None for all of the graph.
            new_texts: Texts of entities that are new to the graph; their integers follow the graph's own.
            calibrate: Fill `label` and `probability`, where the model has a calibration. They are those of `judge`:
                with a bi-encoder or evidence the predictions are scored once more for that, as triplets.
            quiet: Show no progress bar.
            on_progress: Called with the number of triplets scored since the last call; it may raise to stop.

        Returns:
            For each query its predictions, best first, as an array of `SCORED_TRIPLET`; of equal scores the lower
            integer comes first. `shares` are filled where evidence counts, of the score before reranking.

        Raises:
            LassError: `top_k` is below 1.
        """
        if not isinstance(top_k, int) or top_k < 1:
            raise LassError(f"top_k={top_k!r}; expected 1 or more")
        if not len(queries):
            return []
        slots = np.broadcast_to(slots, len(queries))
        scorer, progress = self._scorer_with(new_texts), _as_progress(on_progress)
        rankings: list[np.ndarray] = [np.empty(0)] * len(queries)
        for slot in np.unique(slots).tolist():
            rows = np.flatnonzero(slots == slot)
            offered = self._all_candidates(slot) if candidates is None else candidates[slot]
            known = known_positions(self.graph.known, slot, queries[rows], offered)
            excluded = known if exclude_known else (known[0][:0], known[1][:0])
            evidence = None if slot == 1 else self._evidence_over(scorer)
            if evidence is None:
                shares, score_candidates = None, self._candidate_scorer(scorer, slot, candidates is not None)
            else:
                shares, score_candidates = evidence.shares, evidence.score_candidates
            reranker = None if slot == 1 else self._reranker
            with tqdm(
                total=len(rows) * len(offered) - len(excluded[0]),
                desc=f"scoring {SLOT_NAMES[slot]}s",
                unit=" triplets",
                disable=quiet,
            ) as bar:
                found = top_predictions(
                    score_candidates,
                    queries[rows],
                    slot,
                    offered,
                    excluded,
                    max(top_k, self.rerank_top_k) if reranker else top_k,
                    scorer.model.architecture.candidates_per_chunk,
                    _as_progress(bar.update, on_progress),
                    shares,
                )
            if reranker:
                rerank_scores = partial(self._scorer_with(new_texts, *reranker).score, progress=progress)
                rerank_predictions(found, slot, rerank_scores, self.rerank_top_k, self.retriever_weight)
            for row, ranking in zip(rows.tolist(), found, strict=True):
                rankings[row] = ranking[:top_k]
        scored = np.concatenate(rankings)
        scored["known"] = is_known(self.graph.known, scored["triplet"])
        if calibrate and self.calibration is not None:
            scores = scored["score"]
            if scorer.is_bi_encoder or self.evidence is not None:
                scores = scorer.score(scored["triplet"], progress=progress)
            self._calibrate(scored, scores)
        return np.split(scored, np.cumsum([len(ranking) for ranking in rankings])[:-1])

    def explain(self, predictions: np.ndarray, slot: int, most: int = 3) -> list[list[str]] | None:
        """Returns the rules that speak for predictions, in words.

        Args:
            predictions: An array of `SCORED_TRIPLET`, such as `rank` returns.
            slot: The slot that was predicted.
            most: The number of rules for each prediction at most.

        Returns:
            For each prediction the rules, the best first; none for an entity that is new. None where words alone count.
        """
        evidence = None if slot == 1 else self.bound_evidence
        if evidence is None:
            return None
        triplets = predictions["triplet"]
        is_old = np.all(triplets < self.graph.known.sizes, axis=1)
        return [
            rule_reasons(evidence, triplet, slot, most) if old else []
            for triplet, old in zip(triplets, is_old.tolist(), strict=True)
        ]

    def _calibrate(self, scored: np.ndarray, scores: np.ndarray) -> None:
        """Fills labels and probabilities from scores of whole triplets, where the model has a calibration."""
        if self.calibration is not None:
            scored["label"], scored["probability"] = self.calibration(scores)

    def _all_candidates(self, slot: int) -> np.ndarray:
        return np.arange(self.graph.num_relations if slot == 1 else self.graph.num_entities)

    def _candidate_scorer(self, scorer: TripletScorer, slot: int, chosen: bool) -> CandidateScorer:
        """Returns the function that scores candidates; chosen ones may be new to the graph."""

        def make_vectors() -> CandidateVectors:
            new = np.arange(self.graph.num_entities, scorer.store.num_entities)
            if not chosen or not len(new):
                return self.candidate_vectors
            first_with_same_text = scorer.store.first_with_same_text[0]
            return self.candidate_vectors.with_entities(scorer.encode_entities(new), first_with_same_text)

        return make_candidate_scorer(scorer, self.graph, (slot,), make_vectors, chosen)

    def _evidence_over(self, scorer: TripletScorer) -> BoundEvidence | None:
        """Returns the evidence with this ranker's scorer, or with one that also has texts of new entities."""
        bound = self.bound_evidence
        return bound if bound is None or scorer is self.scorer else bound.with_scorer(scorer)

    def _scorer_with(
        self, new_texts: Sequence[str], scorer: TripletScorer | None = None, processor: LassProcessor | None = None
    ) -> TripletScorer:
        """Returns this ranker's scorer, or another one with its processor, with the texts of entities that are new."""
        scorer, processor = scorer or self.scorer, processor or self.processor
        if not new_texts:
            return scorer
        return scorer.with_store(scorer.store.with_entities(processor.tokenize(new_texts, new_texts)))


def _as_progress(*functions: OnProgress | None) -> Any:
    """Returns an object such as the scorers take, whose `update` calls the functions; None where there are none."""
    given = [function for function in functions if function is not None]

    def update(count: int) -> None:
        for function in given:
            function(count)

    return SimpleNamespace(update=update) if given else None
