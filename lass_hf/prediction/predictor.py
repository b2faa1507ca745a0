"""`LassPredictor`: scores triplets and predicts what a graph lacks, by name.

Names become integers once, `CandidateRanker` scores and ranks these, and the result is named once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.modeling_lass import LassForKGCompletion
from ..core.processing_lass import LassProcessor
from ..evidence.choosing import EvidenceChoice
from ..scoring.index_building import find_index_folder
from .name_resolver import Name, NameResolver
from .ranker import RERANK_TOP_K, RETRIEVER_WEIGHT, CandidateRanker
from .top_predictions import as_rows


class _Scored(NamedTuple):
    id: str
    text: str
    score: float
    known: bool


class Prediction(_Scored):
    """One entity or relation that was predicted for the open slot of a query: a tuple (id, text, score, known).

    What evidence beside the words says is no item of the tuple, but has attributes.

    Attributes:
        id: Its id; the text of an entity that is new to the graph.
        text: Its text.
        score: The higher, the more plausible. With evidence, the logarithm of the probability among all candidates, but
            a constant for each query.
        known: Whether the graph holds the triplet that it makes.
        shares: What each kind of evidence adds to the score, compared with the mean of all candidates; empty where
            words alone count. A reranked score is another one: these are the shares of the score before.
        reasons: The rules that speak for it, in words, the best first.
    """

    shares: dict[str, float]
    reasons: list[str]

    def __new__(
        cls,
        id: str,
        text: str,
        score: float,
        known: bool,
        shares: Mapping[str, float] | None = None,
        reasons: Sequence[str] = (),
    ) -> "Prediction":
        prediction = super().__new__(cls, id, text, score, known)
        prediction.shares, prediction.reasons = dict(shares or {}), list(reasons)
        return prediction


class LassPredictor(CandidateRanker):
    """Scores triplets of a graph, and predicts heads, relations or tails, by name.

    The methods `judge` and `rank` of `CandidateRanker` do the same in integers.

    Args:
        model: A trained model.
        processor: Its processor, which must have its graph.
        dtype: "auto", "float32" or "bfloat16", as in `TripletScorer`.
        rerank: Another predictor, with a cross-encoder, which reorders the best `rerank_top_k` predictions of this one,
            a bi-encoder. The predictions below them keep their order and this model's score.
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
        calibration: The calibration that the model had when the predictor was made, or None.

    Raises:
        LassError: The processor has no graph, the arguments for reranking do not fit, or the model's folder lacks the
            evidence, or has that of another model.
    """

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        dtype: str = "auto",
        *,
        rerank: str | None = None,
        rerank_top_k: int = RERANK_TOP_K,
        retriever_weight: float = RETRIEVER_WEIGHT,
        evidence: EvidenceChoice = "auto",
        **kwargs: Any,
    ) -> "LassPredictor":
        """Loads model and processor from a saved folder or from the hub.

        The vectors of all entities, which a bi-encoder needs, are computed when the first query needs them. They are
        kept in the model's folder where that can be written.

        Args:
            name_or_path: A folder or a name of the hub.
            dtype: As in the constructor.
            rerank: The folder or hub name of a cross-encoder.
            rerank_top_k: As in the constructor.
            retriever_weight: As in the constructor.
            evidence: As in the constructor.
            **kwargs: Arguments for `from_pretrained` of both model and processor, such as `revision`.

        Raises:
            ModelError: The folder or name has no LASS model or no LASS processor.
            LassError: As in the constructor.
        """
        processor = LassProcessor.from_pretrained(name_or_path, **kwargs)
        model = LassForKGCompletion.from_pretrained(name_or_path, **kwargs)
        other = None if rerank is None else cls.from_pretrained(rerank, dtype, evidence="text", **kwargs)
        return cls(
            model,
            processor,
            dtype,
            rerank=other,
            rerank_top_k=rerank_top_k,
            retriever_weight=retriever_weight,
            evidence=evidence,
            index_folder=find_index_folder(name_or_path),
        )

    def score(self, triplets: Sequence[tuple[Name, Name, Name]]) -> np.ndarray:
        """Scores triplets.

        Args:
            triplets: (head, relation, tail) names, dicts or named tuples with these names, or a table with these
                columns. A name is an id, else a text, or `{"text": "..."}` for an entity that is new to the graph.

        Returns:
            Scores in the given order: float32, shape (n,). The higher, the more plausible.

        Raises:
            UnknownNameError: The graph lacks a name (the message has those that resemble it), or the name is a text
                that several entities have.
            LassError: An item is not a triplet of names.
        """
        resolver = NameResolver(self.graph)
        integers = resolver.resolve_triplets(triplets)
        return self._scorer_with(resolver.new_texts).score(integers)

    def classify(self, triplets: Sequence[tuple[Name, Name, Name]]) -> list[dict[str, Any]]:
        """Scores triplets, and classifies them where the model has a calibration.

        Args:
            triplets: (head, relation, tail) names, as for `score`.

        Returns:
            For each triplet `score`, `known` (the graph holds it) and, where the model has a calibration, `label`
            ("true" or "false") and `probability` of being true.

        Raises:
            LassError: As for `score`.
        """
        resolver = NameResolver(self.graph)
        integers = resolver.resolve_triplets(triplets)
        return as_rows(self.judge(integers, resolver.new_texts))

    def predict(
        self,
        head: Name | None = None,
        relation: Name | None = None,
        tail: Name | None = None,
        top_k: int = 10,
        exclude_known: bool = True,
        candidates: Sequence[Name] | None = None,
        quiet: bool = True,
    ) -> list[Prediction]:
        """Predicts the one of head, relation and tail that is not given.

        A bi-encoder needs the vectors of all entities, which the first query without `candidates` computes; with
        `neighbor_weight` or `frequency_weight` in the model's configuration, and training triplets, any query does.

        Args:
            head: A name, as for `score`.
            relation: A name, as for `score`.
            tail: A name, as for `score`.
            top_k: The number of predictions; all candidates where there are fewer.
            exclude_known: Leave out predictions that make a triplet which the graph holds, in any split.
            candidates: Names to choose from; None for all entities (or relations) of the graph.
            quiet: Show no progress bar.

        Returns:
            Predictions, best first: (id, text, score, known), and with evidence `shares` and `reasons`.

        Raises:
            UnknownNameError: As for `score`.
            LassError: Not exactly two of head, relation and tail are given, `top_k` is below 1, or `candidates` is
                empty.
        """
        query = {"head": head, "relation": relation, "tail": tail}
        (rows,) = self._rank_names([query], top_k, exclude_known, candidates, quiet, calibrate=False)
        return [Prediction(**row) for row in rows]

    def complete(
        self,
        queries: Sequence[Mapping[str, Name | None]],
        top_k: int = 10,
        exclude_known: bool = True,
        candidates: Sequence[Name] | None = None,
        quiet: bool = True,
    ) -> list[list[dict[str, Any]]]:
        """Predicts what is missing in each of many queries, which are scored together.

        Args:
            queries: Dicts with two of `head`, `relation` and `tail`, names as for `score`.
            top_k: As for `predict`.
            exclude_known: As for `predict`.
            candidates: As for `predict`.
            quiet: As for `predict`.

        Returns:
            For each query its predictions as for `predict`, as dicts. Where the model has a calibration, they also have
            the `label` and the `probability` that `classify` gives the triplet. With a bi-encoder, a reranker or
            evidence, these belong to another score than the prediction's: that of the triplet's words. With evidence,
            heads and tails have `shares` and `reasons`.

        Raises:
            LassError: As for `predict`.
        """
        return self._rank_names(queries, top_k, exclude_known, candidates, quiet, calibrate=True)

    def _rank_names(
        self,
        queries: Sequence[Mapping[str, Name | None]],
        top_k: int,
        exclude_known: bool,
        candidates: Sequence[Name] | None,
        quiet: bool,
        calibrate: bool,
    ) -> list[list[dict[str, Any]]]:
        """Resolves queries, ranks candidates, and names the predictions."""
        resolver = NameResolver(self.graph)
        resolved = [resolver.resolve_query(query) for query in queries]
        integers = np.array([query for query, _ in resolved], dtype=np.int64).reshape(-1, 3)
        slots = [slot for _, slot in resolved]
        chosen = None
        if candidates is not None:
            chosen = {slot: resolver.resolve_candidates(candidates, slot) for slot in sorted(set(slots))}
        rankings = self.rank(
            integers,
            np.array(slots, dtype=np.int64),
            top_k,
            exclude_known,
            candidates=chosen,
            new_texts=resolver.new_texts,
            calibrate=calibrate,
            quiet=quiet,
        )
        return [
            resolver.name_predictions(ranking, slot, self.explain(ranking, slot))
            for ranking, slot in zip(rankings, slots, strict=True)
        ]
