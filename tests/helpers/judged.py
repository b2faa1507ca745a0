"""Judged triplets for tests of the writers: hand-made ones, and random ones with hostile names."""

import pyarrow as pa
from hypothesis import strategies as st

from lass_hf.writers.judged_triplets import FileMetadata, judged_triplets
from lass_hf.writers.writing import write_judged_triplets

HOSTILE = (  # formulas, escapes of terminals and of our own, ends of cells and lines, directions, other scripts
    *(
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2",
        "@SUM(A1)",
        "'=x",
        "''",
        " =x",
        "\uff1d1",
        "\t=x",
        "\x1b[2J",
        "\x00",
        "\x9b0m",
    ),
    *("a\tb", "a\nb", "a\r\nb", "\u2028", "\u202eevil", "\u2067x", '"', '"a"b', 'a"b', "a,b", "#x", "\\", "a;=b;"),
    *("\\x41", "\\\\x41", "\\u202e", "\\alpha", "a|b", "\\x7c", "{x}", "a ! b", "http://a/b?c=d#e", "http://[x"),
    *("PATO:0000001", "a:b:c", "urn:lass-hf:entity:a", "100%", "%41", "سلام", "日本語", "é", "👩\u200d👧", "\ufeffa"),
    *("x; '=1", ";+", "a ", "<a>", "a\u200bb", ":", "a:"),
)
METADATA = FileMetadata(
    model="runs/m", graph="my_graph", graph_digest="ab12", settings={"top_k": 3, "query": {"head": "é{}\x1b\u202e"}}
)
text = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=6), st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join)
)
name = text.filter(bool)
score = st.floats(width=32, allow_nan=False, allow_infinity=False)
maybe_bool = st.none() | st.booleans()
ROW = {
    **dict.fromkeys(("head", "relation", "tail"), name),
    **dict.fromkeys(("head_text", "relation_text", "tail_text"), text),
    "score": score,
    "probability": st.none() | st.floats(0, 1),
    "rank": st.none() | st.integers(1, 2**62),
    "known": maybe_bool,
    "label": maybe_bool,
    "kind": text,
    "reviewer": text,
    "reasons": st.lists(name, max_size=3),
}


def table_of(rows: list[dict]) -> pa.Table:
    """Makes a table of judged triplets of dicts."""
    return judged_triplets(**{column: [row[column] for row in rows] for column in ROW})


tables = st.lists(st.fixed_dictionaries(ROW), max_size=4).map(table_of)


def small_table(**columns) -> pa.Table:
    """Two judged triplets, one accepted; columns may be given otherwise."""
    given = {
        "head": ["cat", "dog"],
        "relation": ["eats", "is_a"],
        "tail": ["mouse", "animal"],
        "head_text": ["cat, a small animal", "dog"],
        "tail_text": ["mouse", "animal"],
        "score": [0.1, -1.5],
        "probability": [0.9, 0.25],
        "rank": [1, 2],
        "known": [False, True],
        "label": [True, False],
        "kind": ["new", "conflict"],
        "reviewer": ["Ada", ""],
        "reasons": [["a neighbor eats it"], []],
    }
    return judged_triplets(**given | columns)


def write_decisions(folder, *rows, name="decisions.tsv"):
    """Writes rows of a triplet and its label: True, False or None."""
    heads, relations, tails = zip(*(triplet for triplet, _ in rows), strict=True)
    labels = [label for _, label in rows]
    table = judged_triplets(head=heads, relation=relations, tail=tails, score=[0.5] * len(rows), label=labels)
    write_judged_triplets(table, folder / name, METADATA)
    return folder / name
