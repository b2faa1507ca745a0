"""A graph with every name and text that a table format may change."""

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
