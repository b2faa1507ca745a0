"""`LassPredictor`: names in, ranked answers out. It asks the scoring engine and adds names, texts and what is known."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from ..core.errors import LassError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..core.vocabulary import SLOT_NAMES
from ..evaluation.calibration import Calibration
from ..scoring.candidate_scores import CHUNK_SIZE, CandidateScores, by_index, by_triplets, vectors_of
from ..scoring.candidate_vectors import CandidateVectors
from ..scoring.entity_index import EntityIndex
from ..scoring.index_building import entity_index, index_folder
from ..scoring.triplet_scorer import TripletScorer
from .name_resolver import Name, Names
from .top_predictions import best_answers, is_known, known_places, reranked

NONE = np.empty(0, dtype=np.int64)


class Answer(NamedTuple):
    """One ranked answer; `known` says whether the graph holds the triplet."""

    id: str
    text: str
    score: float
    known: bool


class LassPredictor:
    """Answers questions about a graph: scores triplets, and ranks heads, relations or tails.

    Args:
        model, processor: as trained and saved; the processor must have its graph.
        dtype: "auto", "float32" or "bfloat16", as in `TripletScorer`.
        rerank: another predictor, with a cross-encoder, which puts the best `rerank_top_k` answers of this one in order;
            answers below keep their order, and this model's score.
        rerank_top_k: how many; all when there are fewer.
        retriever_weight: their score is the cross-encoder's + `retriever_weight` * this model's (`evaluate_reranking` fits it).
        index_folder: keeps the vectors of all entities, for a bi-encoder; None: memory only.

    `calibration` is the one that the model has now, or None; what is fitted later it does not see.
    """

    def __init__(
        self,
        model: LassForKGCompletion,
        processor: LassProcessor,
        dtype: str = "auto",
        *,
        rerank: "LassPredictor | None" = None,
        rerank_top_k: int = 100,
        retriever_weight: float = 0.0,
        index_folder: str | Path | None = None,
    ):
        if processor.graph is None:
            raise LassError(
                "the processor has no graph (the model was saved without one): set processor.graph, for instance to "
                "KnowledgeGraph.from_directory(...), before making a predictor"
            )
        self.graph: KnowledgeGraph = processor.graph
        self.processor = processor
        self.scorer = TripletScorer(model, processor.token_store(), dtype)
        self.rerank_top_k, self.retriever_weight = rerank_top_k, retriever_weight
        self._reranker = None if rerank is None else self._checked_reranker(rerank)
        self._index_folder = index_folder
        self.calibration = Calibration.of(model)

    def _checked_reranker(self, other: "LassPredictor") -> TripletScorer:
        """The other's scorer, over this graph's texts."""
        if not isinstance(other, LassPredictor):
            raise LassError(f"rerank={other!r}; expected a LassPredictor (from_pretrained takes a folder or hub name)")
        if not self.scorer.is_bi_encoder or other.scorer.is_bi_encoder:
            first, second = (scorer.model.config.architecture for scorer in (self.scorer, other.scorer))
            raise LassError(
                f"rerank needs a bi-encoder (it is {first}), and a cross-encoder to rerank with (it is {second})"
            )
        if self.rerank_top_k < 1 or not 0 <= self.retriever_weight < float("inf"):
            raise LassError(
                f"rerank_top_k={self.rerank_top_k}, retriever_weight={self.retriever_weight}; expected 1 or more, and 0 or more"
            )
        return other.scorer.with_store(other.processor.token_store(self.graph))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        dtype: str = "auto",
        *,
        rerank: str | None = None,
        rerank_top_k: int = 100,
        retriever_weight: float = 0.0,
        **kwargs: Any,
    ) -> "LassPredictor":
        """Loads model and processor from a saved folder or hub name; `kwargs` go to both `from_pretrained`.

        `rerank`: folder or hub name of a cross-encoder. The vectors of all entities that a bi-encoder
        needs are made when the first answer asks for them, and kept in its folder where that can be written.
        """
        processor = LassProcessor.from_pretrained(name_or_path, **kwargs)
        model = LassForKGCompletion.from_pretrained(name_or_path, **kwargs)
        other = None if rerank is None else cls.from_pretrained(rerank, dtype, **kwargs)
        return cls(
            model,
            processor,
            dtype,
            rerank=other,
            rerank_top_k=rerank_top_k,
            retriever_weight=retriever_weight,
            index_folder=index_folder(name_or_path),
        )

    @cached_property
    def index(self) -> EntityIndex:
        """The vectors of all entities, for a bi-encoder."""
        # Not shared: each process may be asked other questions, or none.
        return entity_index(self.scorer, self._index_folder, quiet=False, shared=False)

    @cached_property
    def candidate_vectors(self) -> CandidateVectors:
        """The vectors that entities are ranked by: the index, with what the training triplets tell."""
        return vectors_of(self.scorer, self.index, self.graph)

    def score(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Scores (head, relation, tail) triplets of names: float32, shape (n,), in the given order.

        Raises UnknownNameError, with the closest matches, for a name that the graph lacks.
        """
        names = Names(self.graph)
        numbers = names.triplets(triplets)
        return self._knowing(names).score(numbers)

    def classify(self, triplets: Sequence[tuple[Name, Name, Name]]) -> list[dict[str, Any]]:
        """Judges (head, relation, tail) triplets of names: a dict each, with `score` and `known`.

        Where a calibration was fitted also `label`, "true" or "false", and `probability` of being true. Raises as `score`.
        """
        names = Names(self.graph)
        numbers = names.triplets(triplets)
        scores, known = self._knowing(names).score(numbers), is_known(self.graph.known, numbers)
        pairs = zip(scores.tolist(), known.tolist(), strict=True)
        return self._decided([{"score": score, "known": is_held} for score, is_held in pairs], scores)

    def predict(
        self,
        head: Name | None = None,
        relation: Name | None = None,
        tail: Name | None = None,
        top_k: int = 10,
        exclude_known: bool = True,
        candidates: Sequence[Name] | None = None,
        quiet: bool = True,
        progress: Any = None,
    ) -> list[Answer]:
        """The `top_k` best answers for the one slot that is not given, best first: (id, text, score, known).

        Every entity (or relation) of the graph is a candidate, or those of `candidates`, except, with `exclude_known`,
        those that make a triplet the graph holds in any split; when there are fewer than `top_k`, all are answers. One
        new to the graph has its text as id. `progress`: a `tqdm` bar to advance by the scored triplets, instead of one
        of its own. Raises LassError unless exactly two slots are given, and for an empty list of candidates.

        With a bi-encoder, the first question without `candidates` makes the vectors of all entities; with
        `neighbor_weight` or `frequency_weight`, and training triplets, any question does.
        """
        question = {"head": head, "relation": relation, "tail": tail}
        names = Names(self.graph)
        ((answers, _),) = self._ranked([question], names, top_k, exclude_known, candidates, quiet, progress)
        return answers

    def complete(
        self,
        questions: Sequence[Mapping[str, Name | None]],
        top_k: int = 10,
        exclude_known: bool = True,
        candidates: Sequence[Name] | None = None,
        quiet: bool = True,
        progress: Any = None,
    ) -> list[list[dict[str, Any]]]:
        """Answers many questions, scored together: for each the list that `predict` gives, as dicts.

        A question is a dict with two of `head`, `relation` and `tail`; an answer has `id`, `text`, `score` and `known`.
        Where a calibration was fitted it also has `label` and `probability`, those that `classify` gives the triplet that
        it makes (with a bi-encoder, or a reranker, they are of another score than the answer's). Raises as
        `predict`.
        """
        names = Names(self.graph)
        ranked = self._ranked(questions, names, top_k, exclude_known, candidates, quiet, progress)
        lists = [[answer._asdict() for answer in answers] for answers, _ in ranked]
        rows = list(chain(*lists))
        if self.calibration is not None and self.scorer.is_bi_encoder and rows:
            scores = self._knowing(names).score(np.concatenate([triplets for _, triplets in ranked]), progress=progress)
        else:
            scores = np.array([row["score"] for row in rows])
        self._decided(rows, scores)
        return lists

    def _decided(self, rows: list[dict[str, Any]], scores: np.ndarray) -> list[dict[str, Any]]:
        """The rows, with label and probability of their scores where there is a calibration."""
        if self.calibration is not None:
            for row, decided in zip(rows, self.calibration(scores), strict=True):
                row.update(decided)
        return rows

    def _ranked(
        self,
        questions: Sequence[Mapping[str, Name | None]],
        names: Names,
        top_k: int,
        exclude_known: bool,
        candidates: Sequence[Name] | None,
        quiet: bool,
        progress: Any,
    ) -> list[tuple[list[Answer], np.ndarray]]:
        """Of each question the answers, best first, and the triplets of numbers that they make, int of shape (k, 3)."""
        if not isinstance(top_k, int) or top_k < 1:
            raise LassError(f"top_k={top_k!r}; expected 1 or more")
        asked = [names.question(question) for question in questions]
        slots = np.array([slot for slot, _ in asked], dtype=np.int64)
        queries = np.array([query for _, query in asked], dtype=np.int64)
        offered = {slot: names.candidates(candidates, slot) for slot in np.unique(slots).tolist()}
        scorer = self._knowing(names)
        ranked: dict[int, tuple[list[Answer], np.ndarray]] = {}
        for slot, numbers in offered.items():
            places = np.flatnonzero(slots == slot)
            known = known_places(self.graph.known, slot, queries[places], numbers)
            left_out = known if exclude_known else (NONE, NONE)
            rerank = None if slot == 1 else self._reranker
            new = [] if candidates is None else range(self.graph.num_entities, self.graph.num_entities + len(names.new))
            scores_of = self._scores_of(scorer, slot, np.array(new, dtype=np.int64), candidates is None)
            with tqdm(
                total=len(places) * len(numbers) - len(left_out[0]),
                desc=f"scoring {SLOT_NAMES[slot]}s",
                unit=" triplets",
                disable=quiet or progress is not None,
            ) as bar:
                count = top_k if rerank is None else max(top_k, self.rerank_top_k)
                at_once, seen = CHUNK_SIZE[scorer.model.config.architecture], bar if progress is None else progress
                found = best_answers(scores_of, queries[places], slot, numbers, left_out, count, at_once, seen)
            if rerank is not None:
                rerank_scores = partial(self._knowing(names, rerank).score, progress=progress)
                found = reranked(rerank_scores, found, slot, self.rerank_top_k, self.retriever_weight)
                found = [(triplets[:top_k], scores[:top_k]) for triplets, scores in found]
            for place, (triplets, scores) in zip(places.tolist(), found, strict=True):
                held = is_known(self.graph.known, triplets).tolist()
                rows = zip(triplets[:, slot].tolist(), scores.tolist(), held, strict=True)
                ranked[place] = [Answer(*names.named(number, slot), *row) for number, *row in rows], triplets
        return [ranked[place] for place in range(len(questions))]

    def _scores_of(self, scorer: TripletScorer, slot: int, new: np.ndarray, all_entities: bool) -> CandidateScores:
        """What scores candidates for a slot: of chosen ones the triplets, unless more counts than texts, as for all."""
        train = self.graph.splits.get("train")
        told = scorer.model.config.ranks_by_triplets and train is not None and len(train.positives) > 0
        if not scorer.is_bi_encoder or slot == 1 or not (all_entities or told):
            return by_triplets(scorer.score)
        vectors = self.candidate_vectors
        if len(new):
            vectors = vectors.extended(scorer.encode_entities(new), scorer.store.same_text[0])
        return by_index(scorer, vectors)

    def _knowing(self, names: Names, scorer: TripletScorer | None = None) -> TripletScorer:
        """The scorer, or the given one, with the texts of the entities that are new to the graph."""
        scorer = scorer or self.scorer
        if not names.new:
            return scorer
        return scorer.with_store(scorer.store.with_entities(self.processor.tokenize(names.new, names.new)))
