"""A graph with every oddity that a table may have."""

from lass_hf import KnowledgeGraph


def make_odd_graph():
    """What type inference, quoting or line splitting would break; duplicates, an unused entity, one labeled split."""
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
