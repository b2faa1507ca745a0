"""Towns, their countries and one town in a wrong country; and quick audits of them."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from helpers.audits import unit_vectors
from helpers.tiny import integer_graph, write_graph
from lass_hf import KnowledgeGraph
from lass_hf.audit.auditing import Audit, audit_graph
from lass_hf.evidence import boosted_fit
from lass_hf.structure.vector_training import VectorChoices

TOWNS = range(40)  # 40 to 43 are countries
SMALL = VectorChoices(dim=8, num_epochs=3)
WRONG = ("0", "1", "43")  # of town 0, which is in country 40
QUICK = ("--folds", 2, "--minutes", 0.004, "--quiet")


@contextmanager
def few_trees():
    """A fit of 20 trees is enough here."""

    def few(**choices):
        return HistGradientBoostingClassifier(**{**choices, "max_iter": 20})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boosted_fit, "HistGradientBoostingClassifier", few)
        yield


def towns(wrong=True) -> KnowledgeGraph:
    """Relation 0 links towns of one country to each other, both ways, and 1 links towns to their country."""
    train = [(str(a), "0", str(b)) for a in TOWNS for b in TOWNS if a != b and a % 4 == b % 4 and (a - b) % 3 == 1]
    train += [(b, r, a) for a, r, b in train]
    train += [(str(town), "1", str(40 + town % 4)) for town in TOWNS]
    return integer_graph(sorted(set(train)) + [WRONG] * wrong, 44, 2)


def write_towns(folder: Path) -> Path:
    graph = towns()
    names = [
        (graph.entities.ids[h], graph.relations.ids[r], graph.entities.ids[t]) for h, r, t in graph["train"].triplets
    ]
    return write_graph(folder, names, None, None, entity_text=None)


def texts_of_towns() -> np.ndarray:
    vectors = unit_vectors(count=44, dim=8)
    of_country = vectors[[*[town % 4 for town in TOWNS], *range(4)]]
    near = of_country + 0.3 * unit_vectors(7, 44, 8)
    return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)


def audit_of_towns() -> Audit:
    return audit_graph(towns(), texts=texts_of_towns(), num_folds=2, vector_choices=SMALL, quiet=True, seed=3)
