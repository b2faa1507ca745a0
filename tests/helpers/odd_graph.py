"""Graphs that are odd: one with every name and text that a table format may change, and random small ones."""

import unicodedata

from hypothesis import strategies as st

from lass_hf import KnowledgeGraph


def make_odd_graph():
    """Returns a graph that type inference, quoting or line splitting would break.

    It has duplicates, an unused entity and one labeled split too.
    """
    names = [
        "0123",
        "123",
        "null",
        "NA",
        "1.0",
        '"open',
        "a\tb",
        "a\nb",
        " padded ",
        "x\u2028y",
        "\x85x",
        "é",
        "e\u0301",
    ]
    names += ["9" * 40, "unused", "True", "2024-01-01"]
    texts = [f'"{name}" is a text\u2028of {name}' for name in names]
    rows = [(names[i], "001", names[-3 - i]) for i in range(10)]
    return KnowledgeGraph.from_triplets(
        [*rows, *rows[:3]],
        test=[(*row, label) for row, label in zip(rows, [1, 0] * 5, strict=True)],
        entity_text=dict(zip(names[::-1], texts, strict=True)),
        relation_text={"null": "null", "001": '"quoted" relation'},
    )


ENTITY_TEXTS = [
    "cat",
    "dog, a loyal animal",
    "Dog, a loyal animal",
    "猫 ☕",
    "é",
    "9" * 8,
    "cheese, food made of milk",
]
RELATION_TEXTS = ["is a", "eats", "«lives in»"]


@st.composite
def odd_graphs(draw, labeled=None):
    """Draws a small graph: duplicates, shared texts, entities in one split or in no triplet, labels or none.

    Args:
        labeled: whether validation and test have true and false triplets; None: sometimes.
    """
    labeled = draw(st.booleans()) if labeled is None else labeled
    entities, relations = draw(st.integers(2, 6)), draw(st.integers(1, 3))
    triplet = st.tuples(*(st.integers(0, size - 1).map(str) for size in (entities, relations, entities)))
    splits = {}
    for name in ("train", "validation", "test"):
        rows = draw(st.lists(triplet, min_size=2, max_size=10))
        if labeled and name != "train":
            labels = [1, 0, *(draw(st.sampled_from([1, 0])) for _ in rows[2:])]
            rows = [(*row, label) for row, label in zip(rows, labels, strict=True)]
        splits[name] = rows
    count = entities + draw(st.integers(0, 2))  # some are listed only
    return KnowledgeGraph.from_triplets(
        **splits,
        entity_text={str(number): draw(st.sampled_from(ENTITY_TEXTS)) for number in range(count)},
        relation_text={str(number): draw(st.sampled_from(RELATION_TEXTS)) for number in range(relations)},
    )


# Names that any format must give back as they are: no control characters, no spaces but ordinary ones inside.
NAMES = (
    st.text(
        st.characters(categories=["Lu", "Ll", "Nd", "P", "Sm", "Sc", "So"], include_characters=" "),
        min_size=1,
        max_size=12,
    )
    .map(str.strip)
    .filter(lambda name: name and name == unicodedata.normalize("NFC", name))
)


@st.composite
def named_graphs(draw):
    """Draws a graph whose ids and texts are any letters and signs, with some of the splits, and labels or none."""
    entities, relations = (draw(st.lists(NAMES, min_size=1, max_size=5, unique=True)) for _ in range(2))
    triplet = st.tuples(st.sampled_from(entities), st.sampled_from(relations), st.sampled_from(entities))
    splits = {}
    for name in ("train", *draw(st.lists(st.sampled_from(["validation", "test"]), unique=True))):
        labels = st.sampled_from([1, 0]) if name != "train" and draw(st.booleans()) else None
        row = triplet if labels is None else st.tuples(triplet, labels).map(lambda row: (*row[0], row[1]))
        splits[name] = draw(st.lists(row, min_size=1, max_size=8))
    texts = [{name: draw(NAMES) for name in names} for names in (entities, relations)]
    return KnowledgeGraph.from_triplets(**splits, entity_text=texts[0], relation_text=texts[1])
