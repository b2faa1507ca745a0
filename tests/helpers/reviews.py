"""Folders with a list to review, and decisions about it."""

from lass_hf.review.decisions import Decision
from lass_hf.writers.judged_triplets import FileMetadata, judged_triplets
from lass_hf.writers.writing import write_judged_triplets

TRIPLETS = [("cat", "eats", "mouse"), ("dog", "is_a", "animal"), ("cat", "eats", "milk"), ("fish", "is_a", "food")]
COLUMNS = {
    "head": [head for head, _, _ in TRIPLETS],
    "relation": [relation for _, relation, _ in TRIPLETS],
    "tail": [tail for _, _, tail in TRIPLETS],
    "head_text": ["Cat, a small animal", "Dog", "Cat, a small animal", ""],
    "relation_text": ["eats", "is a", "eats", "is a"],
    "tail_text": ["Mouse", "Animal", "Café au lait", "Food"],
    "score": [3.0, 2.0, 1.0, 0.0],
    "probability": [0.9, 0.6, 0.6, None],
    "rank": [1, 1, 2, 3],
    "kind": ["new", "conflict", "new", ""],
    "reasons": [["other small animals eat it"], [], [], []],
}


def write_list(folder, name="suggestions.tsv", graph=None, **columns):
    """Writes the list of a completion into a folder, and returns the folder."""
    metadata = FileMetadata(model="runs/m", graph=graph, settings={"seed": 1})
    write_judged_triplets(judged_triplets(**COLUMNS | columns), folder / name, metadata)
    return folder


def decision(row=0, what="accept", reviewer="Ada", **more) -> Decision:
    return Decision(*TRIPLETS[row], what, reviewer, "2026-01-01T00:00:00+00:00", **more)
