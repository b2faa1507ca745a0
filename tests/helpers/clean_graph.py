"""A graph without anything odd, in parts, so that a test can add exactly one fault."""

from lass_hf import KnowledgeGraph

NAMES = ("amber", "basalt", "copper", "diamond", "emerald", "flint", "gold", "hematite", "iron", "jade", "kyanite")


def parts(names=NAMES):
    """Returns the arguments of `KnowledgeGraph.from_triplets` for a ring of an odd number of entities, 11 or more.

    Each entity is two tails of each of two relations, in distances that make no pattern and no leak.
    """

    def step(relation, distance, numbers=None):
        numbers = range(len(names)) if numbers is None else numbers
        return [(names[number], relation, names[(number + distance) % len(names)]) for number in numbers]

    return {
        "train": step("near", 1) + step("near", 2) + step("above", 3) + step("above", 4),
        "validation": step("above", 5, range(4)),
        "test": step("near", 5, range(4, 8)),
        "entity_text": {name: f"{name}, something that is called so" for name in names},
        "relation_text": {"near": "lies near to", "above": "lies higher than"},
    }


def with_rows(split, *rows, texts=None, relations=None):
    """Returns the graph with more rows in a split, and with more texts."""
    more = parts()
    more[split] = more[split] + list(rows)
    more["entity_text"] |= texts or {}
    more["relation_text"] |= relations or {}
    return KnowledgeGraph.from_triplets(**more)


def with_entities(texts):
    """Returns the graph with more entities, each of them linked with two others in train."""
    rows = [(name, "near", other) for name in texts for other in NAMES[2:4]]
    return with_rows("train", *rows, texts=texts)
