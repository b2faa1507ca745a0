"""Names that options, recipe keys and configuration fields had before, which are refused with the new ones.

It imports no library, because the parsers of the command line need it.
"""

from collections.abc import Iterable

from .errors import LassError

RENAMED = "is now called {}"
REMOVED = "was removed: leave it out"

# Earlier names, the choice that each belongs to today, and what became of it. {} stands for the choice, as an option of
# a command line with its dashes.
OLD_NAMES = {
    "encoding": ("architecture", RENAMED + ', "joint" is now "cross-encoder", and "separate" is now "bi-encoder"'),
    "own_weight": ("self_match_weight", RENAMED),
    "neighbour_weight": ("neighbor_weight", RENAMED),
    "neighbourhood_size": ("neighborhood_size", RENAMED),
    "blend": ("retriever_weight", RENAMED),
    "decision": ("calibration", RENAMED),
    "temperature": (
        "scale",
        "was removed, and {} takes its place: it is 1 / temperature, for vectors of unit length",
    ),
    "additive_margin": ("loss", REMOVED),
    "inverse": ("loss", REMOVED),
}


def new_name(old: str) -> str | None:
    """Returns the choice that an old name belongs to today; None for any other name."""
    return OLD_NAMES[old][0] if old in OLD_NAMES else None


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
    found = [f"{dashes}{old} {fate.format(dashes + new)}" for old, (new, fate) in OLD_NAMES.items() if old in given]
    if found:
        raise LassError((f"{where}: " if where else "") + "; ".join(found) + (f"; {remedy}" if remedy else ""))
