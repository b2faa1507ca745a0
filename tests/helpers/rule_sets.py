"""Rules by hand, over the names of a few people and places."""

import numpy as np

from lass_hf.core.vocabulary import Vocabulary
from lass_hf.structure.rules import RuleSet

ENTITIES = Vocabulary("entities", ["paris", "x", "france"], ["Paris, a city", "Mr X, a man", "France, a country"])
RELATIONS = Vocabulary(
    "relations", ["born_in", "lives in", "country"], ["was born in", "lives in", "is in the country"]
)


def make_rules(*rows) -> RuleSet:
    """Makes rules of rows: head, body, constants of head and body, support, body_count, confidence and group."""
    types = (np.int32, np.int32, np.int32, np.int32, np.int64, np.int64, np.float64, np.int32)
    columns = zip(*rows, strict=True) if rows else [[]] * len(types)
    arrays = [np.array(list(column), dtype) for column, dtype in zip(columns, types, strict=True)]
    return RuleSet(arrays[0], arrays[1].reshape(-1, 3), *arrays[2:])
