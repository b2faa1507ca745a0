"""Names that options, recipe keys and configuration fields had before, which are refused with the new ones.

It imports no library, because the parsers of the command line need it.
"""

import re
from collections.abc import Iterable

from .errors import LassError

# Earlier names, and what became of them. {} stands for the dashes of a command line's option.
OLD_NAMES = {
    "encoding": 'is now called {}architecture, "joint" is now "cross-encoder", and "separate" is now "bi-encoder"',
    "own_weight": "is now called {}self_match_weight",
    "neighbour_weight": "is now called {}neighbor_weight",
    "neighbourhood_size": "is now called {}neighborhood_size",
    "blend": "is now called {}retriever_weight",
    "decision": "is now called {}calibration",
    "temperature": "was removed, and {}scale takes its place: it is 1 / temperature, for vectors of unit length",
    "additive_margin": "was removed: leave it out",
    "inverse": "was removed: leave it out",
}


def new_name(old: str) -> str | None:
    """Returns what is used in place of an old name, or what it belonged to; None for any other name."""
    if old in ("additive_margin", "inverse"):
        return "loss"  # removed choices of a training
    return match[1] if (match := re.search(r"\{\}(\w+)", OLD_NAMES.get(old, ""))) else None


def refuse_old_names(names: Iterable[str], where: str = "", dashes: str = "", remedy: str = "") -> None:
    """Refuses options, keys and fields by names that they had before.

    Args:
        names: the names that were given.
        where: what they were given in, such as a file.
        dashes: "--" for options of a command line.
        remedy: what to do.

    Raises:
        LassError: some of the names are old ones. The message has what each is called now.
    """
    given = set(names)
    if found := [f"{dashes}{old} {new.format(dashes)}" for old, new in OLD_NAMES.items() if old in given]:
        raise LassError((f"{where}: " if where else "") + "; ".join(found) + (f"; {remedy}" if remedy else ""))
