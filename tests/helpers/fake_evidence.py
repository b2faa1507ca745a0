"""Evidence made up by hand, which ranks and explains as `BoundEvidence` does."""

from dataclasses import fields
from unittest.mock import ANY

import numpy as np
import pytest

from lass_hf.core.errors import LassError
from lass_hf.evidence.fused_evidence import FusedEvidence
from lass_hf.prediction import ranker

TEXT, RULES = 2.0, 3.0  # weights of the model's score, and of what a rule implies


class FakeEvidence(FusedEvidence):
    """A score is TEXT times the model's and RULES where head and tail have the same parity."""

    def __init__(self):
        anything = {"facts_fingerprint": ANY, "model_fingerprint": ANY}
        nothing = {one.name: None for one in fields(FusedEvidence)}
        super().__init__(**nothing | anything | {"kinds": ("text", "rules")})
        object.__setattr__(self, "bound", [])  # the arguments of each `bind`

    def bind(self, graph, scorer=None, index_folder=None, shared=True):
        self.bound.append((graph, scorer, index_folder, shared))
        return FakeBound(graph, scorer)


class FakeBound:
    def __init__(self, graph, scorer):
        self.graph, self.scorer = graph, scorer

    def with_scorer(self, scorer):
        return FakeBound(self.graph, scorer)

    def features(self, queries, slot, candidates):
        """The two features of each pair."""
        if slot == 1:
            raise LassError("evidence ranks heads and tails")
        triplets = np.repeat(queries, len(candidates), axis=0)
        triplets[:, slot] = np.tile(candidates, len(queries))
        ends = triplets[:, [0, 2]]
        implied = (ends[:, 0] % 2 == ends[:, 1] % 2) & (ends < self.graph.num_entities).all(axis=1)
        text = self.scorer.score(triplets, slot)
        return [one.reshape(len(queries), -1).astype(np.float32) for one in (text, implied)]

    def score_candidates(self, queries, slot, candidates, mask, progress=None):
        text, implied = self.features(queries, slot, candidates)
        if progress is not None:
            progress.update(int(mask.sum()))
        return TEXT * text + RULES * implied

    def shares(self, queries, slot, candidates, mask=None):
        own = self.features(queries, slot, candidates)
        every = self.features(queries, slot, np.arange(self.graph.num_entities))
        text, implied = (one - all.mean(axis=1, keepdims=True) for one, all in zip(own, every, strict=True))
        return {"text": TEXT * text, "rules": RULES * implied}

    def reasons(self, triplet, slot, most=3):
        return [f"{slot} of {triplet.tolist()} may be {triplet[slot]}, reason {number}" for number in range(most)]


@pytest.fixture
def fake_reasons(monkeypatch):
    """Predictions have the reasons of `FakeBound`, in place of those by rules."""
    monkeypatch.setattr(ranker, "rule_reasons", lambda evidence, *rest: evidence.reasons(*rest))
