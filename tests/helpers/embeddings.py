"""A stand-in for a model of PyKEEN, whose scores are a table; a test needs no PyKEEN with it."""

import numpy as np
import torch

from lass_hf.comparison.methods import EMBEDDINGS


class TableModel:
    """Scores as a `pykeen.models.Model` gives them, from an array of shape (entities, relations, entities)."""

    def __init__(self, scores):
        self.scores = torch.as_tensor(np.asarray(scores))
        self.num_entities, self.num_parameters = len(self.scores), self.scores.numel()
        self.batches = []  # the sizes of those that were asked for

    def predict_t(self, pairs):
        self.batches.append(len(pairs))
        return self.scores[pairs[:, 0], pairs[:, 1]]

    def predict_h(self, pairs):
        self.batches.append(len(pairs))
        return self.scores[:, pairs[:, 0], pairs[:, 1]].T

    def predict_hrt(self, triplets):
        self.batches.append(len(triplets))
        return self.scores[tuple(triplets.T)][:, None]

    @classmethod
    def instead_of_pykeen(cls, monkeypatch, fails=None):
        """Puts such models in the place of trained ones; gives the list of the trainings, as (title, arguments).

        `fails` has errors, by the titles of methods whose trainings end in them.
        """
        trainings = []

        def train(method, triplets, num_entities, num_relations, *, on_epoch, **choices):
            trainings.append((method.title, {"triplets": triplets, **choices}))
            if method.title in (fails or {}):
                raise fails[method.title]
            for _ in range(method.epochs):
                on_epoch()
            place = [one.title for one in EMBEDDINGS.values()].index(method.title)
            shape = num_entities, num_relations, num_entities
            return cls(np.random.default_rng(place).integers(4, size=shape).astype(np.float32))

        monkeypatch.setattr("lass_hf.comparison.contenders.check_pykeen", lambda: "1.11.1")
        monkeypatch.setattr("lass_hf.comparison.contenders.train_embeddings", train)
        return trainings
