"""`LassPredictor`: names in, ranked answers out. It asks the scoring engine and adds names, texts and what is known."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from .candidate_scores import by_index, by_triplets, entity_index, index_folder
from .errors import LassError
from .index import EntityIndex
from .knowledge_graph import KnowledgeGraph
from .link_prediction import SLOT_NAMES
from .modeling import LassForKGCompletion
from .processing import LassProcessor
from .scoring import TripletScorer
from .vocabulary import Vocabulary

# An entity or relation by id, else by text; or {"text": "..."} for an entity that is new to the graph.
Name = str | Mapping[str, str]


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
        rerank: another predictor, with joint encoding, which puts the best `rerank_top_k` answers of this one in order.
        rerank_top_k: how many; at least as many as are asked for.
        blend: their score is the joint one + `blend` * this model's (`evaluate_reranking` fits it).
        index_folder: keeps the vectors of all entities, for a model with separate encoding; None: memory only.
    """

    def __init__(
        self,
        model: LassForKGCompletion,
        processor: LassProcessor,
        dtype: str = "auto",
        *,
        rerank: "LassPredictor | None" = None,
        rerank_top_k: int = 100,
        blend: float = 0.0,
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
        self.rerank_top_k, self.blend = rerank_top_k, blend
        self._reranker = None if rerank is None else self._checked_reranker(rerank)
        self._index_folder = index_folder

    def _checked_reranker(self, other: "LassPredictor") -> TripletScorer:
        """The other's scorer, over this graph's texts."""
        if not self.scorer.separate or other.scorer.separate:
            raise LassError("rerank needs a model with separate encoding, and one with joint encoding to rerank with")
        if self.rerank_top_k < 1 or self.blend < 0:
            raise LassError(f"rerank_top_k={self.rerank_top_k}, blend={self.blend}; expected 1 or more, and 0 or more")
        return other.scorer.with_store(other.processor.token_store(self.graph))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        dtype: str = "auto",
        *,
        rerank: str | None = None,
        rerank_top_k: int = 100,
        blend: float = 0.0,
        **kwargs: Any,
    ) -> "LassPredictor":
        """Loads model and processor from a saved folder or hub name; `kwargs` go to both `from_pretrained`.

        `rerank`: folder or hub name of a joint model. The vectors of all entities that a model with separate encoding
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
            blend=blend,
            index_folder=index_folder(name_or_path),
        )

    @cached_property
    def index(self) -> EntityIndex:
        """The vectors of all entities, for a model with separate encoding."""
        return entity_index(self.scorer, self._index_folder, quiet=False)

    def score(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Scores (head, relation, tail) triplets of names: float32, shape (n,), in the given order.

        Raises UnknownNameError, with the closest matches, for a name that the graph lacks.
        """
        for number, triplet in enumerate(triplets):
            if isinstance(triplet, str) or len(triplet) != 3:
                raise LassError(f"item {number} is {triplet!r}; expected (head, relation, tail)")
        new: list[str] = []
        numbers = [[self._find(name, slot, new) for slot, name in enumerate(triplet)] for triplet in triplets]
        return self._scorer(self.scorer, new).score(np.array(numbers, dtype=np.int64).reshape(-1, 3))

    def predict(
        self,
        head: Name | None = None,
        relation: Name | None = None,
        tail: Name | None = None,
        top_k: int = 10,
        exclude_known: bool = True,
        candidates: Sequence[Name] | None = None,
        quiet: bool = True,
    ) -> list[Answer]:
        """The `top_k` best answers for the one slot that is not given, best first: (id, text, score, known).

        Every entity (or relation) of the graph is a candidate, or those of `candidates`, except, with `exclude_known`,
        those that make a triplet the graph holds in any split. An answer new to the graph has its text as id. Raises
        LassError unless exactly two slots are given, and for an empty list of candidates.
        """
        given = (head, relation, tail)
        if sum(name is None for name in given) != 1:
            raise LassError("predict needs exactly two of head, relation and tail; the third is what it answers")
        if top_k < 1:
            raise LassError(f"top_k={top_k}; expected 1 or more")
        slot = given.index(None)
        new: list[str] = []
        vocabulary = self._vocabulary(slot)
        query = np.array([[0 if name is None else self._find(name, place, new) for place, name in enumerate(given)]])
        known = np.empty(0, dtype=np.int64) if new else self.graph.known.values(slot, query)[1]
        wanted = np.arange(len(vocabulary))
        if candidates is not None:
            if isinstance(candidates, str) or not len(candidates):
                raise LassError(f"candidates={candidates!r}; expected a list of one name or more, or None for all")
            wanted = np.unique([self._find(name, slot, new) for name in candidates])
        if exclude_known:
            wanted = np.setdiff1d(wanted, known)
        scorer = self._scorer(self.scorer, new)
        with tqdm(total=len(wanted), desc=f"scoring {SLOT_NAMES[slot]}s", unit=" triplets", disable=quiet) as bar:
            if candidates is None and scorer.separate and slot != 1:
                scores_of = by_index(scorer, self.index)
            else:
                scores_of = by_triplets(scorer.score)
            scores = scores_of(query, slot, wanted, np.ones((1, len(wanted)), dtype=bool), bar)[0]
        if self._reranker is not None and slot != 1:
            best = _best(scores, max(top_k, self.rerank_top_k))
            wanted, triplets = wanted[best], np.repeat(query, len(best), axis=0)
            triplets[:, slot] = wanted
            scores = self._scorer(self._reranker, new).score(triplets, slot) + self.blend * scores[best]
        best = _best(scores, top_k)
        in_graph = set(known.tolist())
        return [
            Answer(*self._named(vocabulary, number, new), float(scores[place]), number in in_graph)
            for place, number in zip(best.tolist(), wanted[best].tolist(), strict=True)
        ]

    def _named(self, vocabulary: Vocabulary, number: int, new: list[str]) -> tuple[str, str]:
        """Id and text of an answer."""
        if number >= len(vocabulary):
            return new[number - len(vocabulary)], new[number - len(vocabulary)]
        return vocabulary.ids[number], vocabulary.texts[number]

    def _vocabulary(self, slot: int) -> Vocabulary:
        return self.graph.relations if slot == 1 else self.graph.entities

    def _find(self, name: Name, slot: int, new: list[str]) -> int:
        """The number of a name; an entity given as text is appended to `new` and numbered behind the graph's own."""
        if isinstance(name, str):
            return self._vocabulary(slot).find(name)
        if slot == 1 or not isinstance(name, Mapping) or set(name) != {"text"} or not str(name["text"] or "").strip():
            raise LassError(f'{SLOT_NAMES[slot]}={name!r}; expected a name, or {{"text": "..."}} for a new entity')
        new.append(name["text"])
        return self.graph.num_entities + len(new) - 1

    def _scorer(self, scorer: TripletScorer, new: list[str]) -> TripletScorer:
        """A scorer that knows the new entities, too."""
        if not new:
            return scorer
        return scorer.with_store(scorer.store.with_entities(self.processor.tokenize(new, new)))


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest scores, highest first, of equal ones the first."""
    if count < len(scores):
        kept = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    else:
        kept = np.arange(len(scores))
    return kept[np.argsort(-scores[kept], kind="stable")][:count]
