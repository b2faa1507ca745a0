"""Answers the questions that `lass-hf serve` gets, by a `LassPredictor`: one at a time, and cached.

A question's names become integers here, its ranking is computed and cached in integers, and the answers are named on
the way out. HTTP is the business of `server.py`.
"""

import sys
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from ..core.vocabulary import SLOT_NAMES
from ..prediction.name_resolver import NameResolver
from ..prediction.predictor import LassPredictor
from ..prediction.top_predictions import as_rows, count_known
from ..version import __version__
from .job_queue import JobQueue, OnProgress
from .name_search import NameSearch
from .schemas import MAX_TEXT, MAX_TOP_K, Answers, Checked, Entries, Entry, Info, Question, RankedAnswer, Triplet

MAX_SUGGESTIONS = 5  # for an unknown name
MAX_QUESTIONS = 32  # that wait to be scored, including the one that is
MAX_SEARCHES = 32  # of names that wait, including the one that runs
MAX_CACHE = 64 * 2**20  # bytes of cached rankings
MAX_SEARCH_CACHE = 2**20  # bytes of cached name searches


class QuestionService:
    """Answers questions, one at a time, and searches for names, one at a time, beside them.

    Args:
        predictor: Scores and ranks. A bi-encoder encodes the entities of the graph when the service is made.

    Attributes:
        queue: The questions that are being scored, and the cache.
        searches: The same for names that are being searched for.
    """

    def __init__(self, predictor: LassPredictor):
        self.predictor = predictor
        self.graph = predictor.graph
        self.queue = JobQueue(MAX_QUESTIONS, MAX_CACHE)
        self.searches = JobQueue(MAX_SEARCHES, MAX_SEARCH_CACHE)
        triplets = np.concatenate(
            [np.empty((0, 3), dtype=np.int64), *(split.positives for split in self.graph.splits.values())]
        )
        entities = np.bincount(triplets[:, [0, 2]].ravel(), minlength=self.graph.num_entities)
        relations = np.bincount(triplets[:, 1], minlength=self.graph.num_relations)
        search = NameSearch(self.graph.entities, entities)
        self._names = (search, NameSearch(self.graph.relations, relations), search)  # by slot
        # Computed now, so that the first question does not wait for it.
        if predictor.bound_evidence is None and predictor.scorer.is_bi_encoder:
            _ = predictor.candidate_vectors

    def info(self, name: str, has_token: bool) -> Info:
        """Returns what the page shows about the model, which is called `name`, its graph, and this server."""
        scorer = self.predictor.scorer
        return Info(
            model=name,
            architecture=scorer.model.config.architecture,
            entities=self.graph.num_entities,
            relations=self.graph.num_relations,
            known_triplets=len(self.graph.known),
            device=str(scorer.model.device),
            dtype=str(scorer.model.encoder.dtype).removeprefix("torch."),
            evidence=["text"] if self.predictor.evidence is None else list(self.predictor.evidence.kinds),
            max_top_k=MAX_TOP_K,
            max_text=MAX_TEXT,
            has_token=has_token,
            version=__version__,
        )

    async def find(self, slot: int, typed: str, limit: int) -> Entries:
        """Returns up to `limit` entities (slot 0 or 2) or relations (slot 1) that match what is being typed.

        Raises:
            Busy: Too many searches wait.
        """
        integers, _ = await self.searches.run(
            ("find", slot, typed, limit),
            lambda on_progress: self._names[slot].find(typed, limit, on_progress),
            sys.getsizeof,
        )
        resolver = NameResolver(self.graph)
        found = [_entry(resolver, integer, slot) for integer in integers]
        return Entries(total=len(resolver.vocabulary(slot)), found=found)

    async def complete(self, question: Question) -> Answers:
        """Answers a question.

        Raises:
            LassError: The question has not two of head, relation and tail, or a name that the graph lacks.
            Busy: Too many questions wait.
        """
        names = question.model_dump(include=set(SLOT_NAMES), exclude_none=True)
        resolver = await self._resolver(names)
        query, slot = resolver.resolve_query(names)
        num_known = count_known(self.graph.known, slot, query)
        top_k, exclude_known = question.top_k, question.exclude_known
        if not self.predictor.scorer.is_bi_encoder:
            # All candidates are scored, whatever is asked. With the known ones, and as many others as are ever shown,
            # one ranking serves all questions with this query. A bi-encoder ranks fast, but the ranking depends on how
            # many candidates are reranked, and costs more the more of them are calibrated.
            top_k, exclude_known = MAX_TOP_K + num_known, False

        def rank(on_progress: OnProgress) -> tuple[np.ndarray, list[list[str]] | None]:
            (ranking,) = self.predictor.rank(
                query[None],
                slot,
                top_k,
                exclude_known,
                new_texts=resolver.new_texts,
                calibrate=True,
                on_progress=on_progress,
            )
            return ranking, self.predictor.explain(ranking, slot)

        (ranking, reasons), cached = await self.queue.run(
            ("rank", slot, *query.tolist(), *resolver.new_texts, top_k, exclude_known),
            rank,
            lambda value: value[0].nbytes + sum(map(sys.getsizeof, chain(*(value[1] or ())))),
        )
        shown = np.flatnonzero(~ranking["known"] | (not question.exclude_known))[: question.top_k].tolist()
        answers = resolver.name_predictions(ranking[shown], slot, reasons and [reasons[row] for row in shown])
        return Answers(
            **_entries(resolver, query, open_slot=slot),
            slot=SLOT_NAMES[slot],  # type: ignore[arg-type]
            answers=[RankedAnswer(**answer) for answer in answers],
            num_candidates=len(resolver.vocabulary(slot)) - (num_known if question.exclude_known else 0),
            num_known=num_known,
            cached=cached,
        )

    async def check(self, triplet: Triplet) -> Checked:
        """Scores and, where the model has a calibration, classifies a triplet.

        Raises:
            LassError: The graph lacks a name.
            Busy: Too many questions wait.
        """
        names = triplet.model_dump()
        resolver = await self._resolver(names)
        integers = resolver.resolve_triplets([tuple(names[slot] for slot in SLOT_NAMES)])
        judged, _ = await self.queue.run(
            ("judge", *integers[0].tolist(), *resolver.new_texts),
            lambda on_progress: self.predictor.judge(integers, resolver.new_texts, on_progress),
            lambda judged: judged.nbytes,
        )
        return Checked(**_entries(resolver, integers[0]), **as_rows(judged)[0])

    def close(self) -> None:
        """Cancels all that is being answered."""
        self.queue.close()
        self.searches.close()

    async def _resolver(self, names: dict[str, Any]) -> NameResolver:
        """Returns a resolver that has suggestions for the first unknown name, which are found fast in a large graph."""
        for slot, vocabulary in enumerate((self.graph.entities, self.graph.relations, self.graph.entities)):
            name = names.get(SLOT_NAMES[slot])
            if isinstance(name, str) and vocabulary.find_exactly(name) is None:
                integers, _ = await self.searches.run(
                    ("suggest", slot, name), partial(self._names[slot].find_beginning, name, MAX_SUGGESTIONS)
                )
                suggestions = [vocabulary.ids[integer] for integer in integers]
                return NameResolver(self.graph, lambda *_, found=suggestions: found)
        return NameResolver(self.graph)


def _entry(resolver: NameResolver, integer: int, slot: int) -> Entry:
    name, text = resolver.name_of(integer, slot)
    return Entry(id=name, text=text)


def _entries(resolver: NameResolver, triplet: np.ndarray, open_slot: int | None = None) -> dict[str, Any]:
    """Returns the entries of a triplet by slot, None for the open slot of a query."""
    entries = (
        None if slot == open_slot else _entry(resolver, integer, slot) for slot, integer in enumerate(triplet.tolist())
    )
    return dict(zip(SLOT_NAMES, entries, strict=True))
