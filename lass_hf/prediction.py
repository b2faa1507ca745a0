"""`LassPredictor`: names in, ranked answers out. It asks the scoring engine and adds names, texts and what is known."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from .errors import LassError
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
    """

    def __init__(self, model: LassForKGCompletion, processor: LassProcessor, dtype: str = "auto"):
        if processor.graph is None:
            raise LassError(
                "the processor has no graph (the model was saved without one): set processor.graph, for instance to "
                "KnowledgeGraph.from_directory(...), before making a predictor"
            )
        self.graph: KnowledgeGraph = processor.graph
        self.processor = processor
        self.scorer = TripletScorer(model, processor.token_store(), dtype)

    @classmethod
    def from_pretrained(cls, name_or_path: str, dtype: str = "auto", **kwargs: Any) -> "LassPredictor":
        """Loads model and processor from a saved folder or hub name; `kwargs` go to both `from_pretrained`."""
        processor = LassProcessor.from_pretrained(name_or_path, **kwargs)
        return cls(LassForKGCompletion.from_pretrained(name_or_path, **kwargs), processor, dtype)

    def score(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Scores (head, relation, tail) triplets of names: float32, shape (n,), in the given order.

        Raises UnknownNameError, with the closest matches, for a name that the graph lacks.
        """
        for number, triplet in enumerate(triplets):
            if isinstance(triplet, str) or len(triplet) != 3:
                raise LassError(f"item {number} is {triplet!r}; expected (head, relation, tail)")
        new: list[str] = []
        numbers = [[self._find(name, slot, new) for slot, name in enumerate(triplet)] for triplet in triplets]
        return self._scorer(new).score(np.array(numbers, dtype=np.int64).reshape(-1, 3))

    def predict(
        self,
        head: Name | None = None,
        relation: Name | None = None,
        tail: Name | None = None,
        top_k: int = 10,
        exclude_known: bool = True,
        quiet: bool = True,
    ) -> list[Answer]:
        """The `top_k` best answers for the one slot that is not given, best first: (id, text, score, known).

        Every entity (or relation) of the graph is a candidate, except, with `exclude_known`, those that make a triplet
        the graph holds in any split. Raises LassError unless exactly two slots are given.
        """
        given = (head, relation, tail)
        if sum(name is None for name in given) != 1:
            raise LassError("predict needs exactly two of head, relation and tail; the third is what it answers")
        if top_k < 1:
            raise LassError(f"top_k={top_k}; expected 1 or more")
        slot = given.index(None)
        new: list[str] = []
        vocabulary = self._vocabulary(slot)
        triplets = np.array([[0 if name is None else self._find(name, place, new) for place, name in enumerate(given)]])
        triplets = np.repeat(triplets, len(vocabulary), axis=0)
        triplets[:, slot] = np.arange(len(vocabulary))
        known = np.zeros(len(vocabulary), dtype=bool)
        if not new:
            known[self.graph.known.values(slot, triplets[:1])[1]] = True
        wanted = np.flatnonzero(~known) if exclude_known else np.arange(len(vocabulary))
        with tqdm(total=len(wanted), desc=f"scoring {SLOT_NAMES[slot]}s", unit=" triplets", disable=quiet) as bar:
            scores = self._scorer(new).score(triplets[wanted], slot, bar)
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [
            Answer(vocabulary.ids[number], vocabulary.texts[number], float(scores[place]), bool(known[number]))
            for place, number in zip(best, wanted[best], strict=True)
        ]

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

    def _scorer(self, new: list[str]) -> TripletScorer:
        if not new:
            return self.scorer
        store = self.scorer.store.with_entities(self.processor.tokenize(new, new))
        return self.scorer.with_store(store)
