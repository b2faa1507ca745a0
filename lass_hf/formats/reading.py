"""Reads a file or folder of any format that `detection.py` knows, and selects relations.

This is the one way from a path to a `Source`.
"""

from pathlib import Path

from .detection import detect_format
from .source import ReadingOptions, Source


def read_source(path: str | Path, options: ReadingOptions | None = None) -> Source:
    """Reads the triplets and names of a source.

    Args:
        path: a file or a folder.
        options: what is read of it.

    Returns:
        The source, with the relations and the number of triplets that the options ask for.

    Raises:
        GraphError: the format is unknown, its library is not installed, the content is wrong, an option means nothing
            for it, or nothing is left. The message names file and line, or statement.
    """
    path, options = Path(path), options or ReadingOptions()
    kind = detect_format(path)
    if kind.family == "rdf":
        from .rdf import read_rdf

        source = read_rdf(path, options)
    elif kind.family == "obo":
        from .obo import read_obo

        source = read_obo(path, options)
    else:
        from .graph_tables import read_graph_tables

        source = read_graph_tables(path, options)
    return select_triplets(source, options)


def select_triplets(source: Source, options: ReadingOptions) -> Source:
    """Keeps the triplets of the relations, and the number of triplets, that the options ask for.

    Args:
        source: what a reader returned.
        options: `relations` and `exclude` name relations by id, name or own form of the source; `limit` is the number.

    Returns:
        The source with fewer triplets; what was left out is added to `left_out`.

    Raises:
        GraphError: a name is not that of a relation, or no triplet is left.
    """
    raise NotImplementedError
