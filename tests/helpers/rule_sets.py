"""Rules by hand, over the names of a few people and places."""

from lass_hf.core.vocabulary import Vocabulary
from lass_hf.structure.rules import RuleSet

ENTITIES = Vocabulary("entities", ["paris", "x", "france"], ["Paris, a city", "Mr X, a man", "France, a country"])
RELATIONS = Vocabulary(
    "relations", ["born_in", "lives in", "country"], ["was born in", "lives in", "is in the country"]
)


def make_rules(*rows) -> RuleSet:
    """Makes rules of rows: head, body, constants of head and body, support, body_count, confidence and group."""
    return RuleSet.from_rows(rows)
