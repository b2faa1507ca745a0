"""Cards in the tests: short trainings, and the text, code and tables of a card."""

import re

from helpers.trainings import trainer_of
from lass_hf.hub.card_files import CARD_FILE


def card_trainer(folder, graph, architecture="cross-encoder", **choices):
    """A training of two steps."""
    return trainer_of(folder, graph, architecture, per_device_train_batch_size=7, **choices)


def text_of(folder) -> str:
    return (folder / CARD_FILE).read_text(encoding="utf-8")


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a card, row by row, cell by cell; raises for a row that has not as many cells as the others."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        assert len({len(row) for row in rows}) == 1, block
        assert set("".join(rows[1])) == {"-"}, block
        found.append([[cell.strip() for cell in row] for row in rows])
    return found
