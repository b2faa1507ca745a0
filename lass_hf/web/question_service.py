"""Questions as `lass-hf serve` is asked them, answered by a `LassPredictor`: one at a time, and remembered.

It knows no HTTP; names, limits and counts, which the page shows, are its business.
"""

import asyncio
from typing import Any

import numpy as np

from ..core.errors import LassError
from ..core.vocabulary import SLOT_NAMES, Vocabulary
from ..prediction.predictor import LassPredictor
from ..version import __version__
from .job_queue import JobQueue, Stop
from .name_search import NameSearch
from .schemas import (
    MAX_TEXT,
    MAX_TOP_K,
    Answers,
    Checked,
    Entries,
    Entry,
    Info,
    NewEntity,
    Question,
    RankedAnswer,
    Triplet,
)

MAX_SUGGESTIONS = 5  # for an unknown name
MAX_QUESTIONS = 32  # that wait to be scored, with the one that is
MAX_MEMORY = 64 * 2**20  # bytes of remembered answers


# One array for each ranking: many small ones between the large ones of scoring would keep memory from the system.
RANKING = np.dtype([("number", "i4"), ("score", "f4"), ("known", "?"), ("true", "?"), ("probability", "f4")])


def pack(answers: list[dict[str, Any]], index: dict[str, int]) -> np.ndarray:
    """Answers of `LassPredictor.complete` as RANKING; without a calibration the probability is NaN.

    `index`: integer of each id.
    """
    rows = [
        (
            *(index[answer["id"]], answer["score"], answer["known"]),
            *(answer.get("label") == "true", answer.get("probability", np.nan)),
        )
        for answer in answers
    ]
    return np.array(rows, dtype=RANKING)


def unpack(ranking: np.ndarray, vocabulary: Vocabulary) -> list[RankedAnswer]:
    """The answers that `pack` was given."""
    return [
        RankedAnswer(
            id=vocabulary.ids[number],
            text=vocabulary.texts[number],
            score=score,
            known=known,
            label=None if np.isnan(probability) else "true" if true else "false",
            probability=None if np.isnan(probability) else probability,
        )
        for number, score, known, true, probability in ranking.tolist()
    ]


class QuestionService:
    """Questions to a predictor, one at a time."""

    def __init__(self, predictor: LassPredictor):
        self.predictor = predictor
        graph = self.graph = predictor.graph
        self.queue = JobQueue(MAX_QUESTIONS, MAX_MEMORY)
        triplets = np.concatenate(
            [np.empty((0, 3), dtype=np.int64), *(split.positives for split in graph.splits.values())]
        )
        entities = np.bincount(triplets[:, [0, 2]].ravel(), minlength=graph.num_entities)
        relations = np.bincount(triplets[:, 1], minlength=graph.num_relations)
        self._searches = {
            "entities": NameSearch(graph.entities, entities),
            "relations": NameSearch(graph.relations, relations),
        }
        if predictor.scorer.is_bi_encoder:
            _ = predictor.candidate_vectors  # made now, not with the first question

    def info(self, name: str) -> Info:
        scorer = self.predictor.scorer
        return Info(
            model=name,
            architecture=scorer.model.config.architecture,
            entities=self.graph.num_entities,
            relations=self.graph.num_relations,
            known_triplets=len(self.graph.known),
            device=str(scorer.model.device),
            dtype=str(scorer.model.encoder.dtype).removeprefix("torch."),
            max_top_k=MAX_TOP_K,
            max_text=MAX_TEXT,
            version=__version__,
        )

    def find(self, kind: str, query: str, limit: int) -> Entries:
        """Entities or relations that match what is being typed."""
        vocabulary = getattr(self.graph, kind)
        numbers = self._searches[kind].find(query, limit)
        found = [Entry(id=vocabulary.ids[number], text=vocabulary.texts[number]) for number in numbers]
        return Entries(total=len(vocabulary), found=found)

    async def _resolve(self, name: str | NewEntity, slot: int) -> int | str:
        """The number of a name, or the text of a new entity."""
        if isinstance(name, NewEntity):
            return name.text
        vocabulary = self._vocabulary(slot)
        if name in vocabulary.index:
            return vocabulary.index[name]
        return await asyncio.to_thread(self._find_text, name, slot)  # all names are gone through, or indexed first

    def _find_text(self, name: str, slot: int) -> int:
        vocabulary, search = self._vocabulary(slot), self._searches["relations" if slot == 1 else "entities"]
        if (number := vocabulary.find_exactly(name)) is None:
            alike = search.find_beginning(name, MAX_SUGGESTIONS)
            raise vocabulary.unknown(name, [vocabulary.ids[number] for number in alike])
        return number

    async def complete(self, question: Question) -> Answers:
        names = [question.head, question.relation, question.tail]
        if sum(name is None for name in names) != 1:
            raise LassError("give exactly two of head, relation and tail; the third is what is asked for")
        slot = names.index(None)
        given = [None if name is None else await self._resolve(name, place) for place, name in enumerate(names)]
        num_known = int(self._known(slot, given).size)
        if self.predictor.scorer.is_bi_encoder:  # a quick ranking, but what it holds may be reranked or judged: no more
            top_k, exclude_known = question.top_k, question.exclude_known
        else:  # all are scored: kept with the known ones, and as many as are ever shown, they serve each question
            top_k, exclude_known = MAX_TOP_K + num_known, False
        ranking, cached = await self.queue.ask(
            ("rank", *given, top_k, exclude_known),
            lambda stop: self._rank(slot, given, top_k, exclude_known, stop),
            lambda value: value.nbytes,
        )
        wanted = ranking[~ranking["known"]] if question.exclude_known else ranking
        vocabulary = self._vocabulary(slot)
        return Answers(
            **self._entries(given),
            slot=SLOT_NAMES[slot],  # type: ignore[arg-type]
            answers=unpack(wanted[: question.top_k], vocabulary),
            num_candidates=len(vocabulary) - (num_known if question.exclude_known else 0),
            num_known=num_known,
            cached=cached,
        )

    def _rank(self, slot: int, given: list[Any], top_k: int, exclude_known: bool, stop: Stop) -> np.ndarray:
        (answers,) = self.predictor.complete(
            [self._names(given)], top_k=top_k, exclude_known=exclude_known, progress=stop
        )
        return pack(answers, self._vocabulary(slot).index)

    async def check(self, triplet: Triplet) -> Checked:
        names = (triplet.head, triplet.relation, triplet.tail)
        given = [await self._resolve(name, place) for place, name in enumerate(names)]
        judged, _ = await self.queue.ask(
            ("score", *given), lambda stop: self.predictor.classify([tuple(self._names(given).values())])[0]
        )
        return Checked(**self._entries(given), **judged)

    def _known(self, slot: int, given: list[int | str | None]) -> np.ndarray:
        """Numbers of the answers that the graph holds."""
        if any(isinstance(name, str) for name in given):
            return np.empty(0, dtype=np.int64)
        return self.graph.known.values(slot, np.array([[0 if name is None else name for name in given]]))[1]

    def _vocabulary(self, slot: int) -> Vocabulary:
        return self.graph.relations if slot == 1 else self.graph.entities

    def _names(self, given: list[Any]) -> dict[str, Any]:
        """What the predictor is asked with: ids, texts of new entities, and None for what is asked for."""
        return {
            slot: None if entry is None else {"text": name} if isinstance(name, str) else entry.id
            for (slot, entry), name in zip(self._entries(given).items(), given, strict=True)
        }

    def _entries(self, given: list[Any]) -> dict[str, Any]:
        """Ids and texts of what was given, and None for what is asked for, by slot."""
        entries = (None if name is None else self._entry(name, slot) for slot, name in enumerate(given))
        return dict(zip(SLOT_NAMES, entries, strict=True))

    def _entry(self, name: int | str, slot: int) -> Entry:
        if isinstance(name, str):
            return Entry(id=name, text=name)
        vocabulary = self._vocabulary(slot)
        return Entry(id=vocabulary.ids[name], text=vocabulary.texts[name])
