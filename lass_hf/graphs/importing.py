"""Makes a graph of what a reader found in a file of another format: texts of names and descriptions, and integers.

`import_graph` is the way from a path to a graph and to what became of the path's content. `import_files.py` describes
the result for people and programs.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError
from ..core.knowledge_graph import KnowledgeGraph
from ..core.vocabulary import Vocabulary, escaped, text_of_id
from ..formats.reading import read_source
from ..names.name_forms import on_one_line, warn_of_look_alikes
from ..names.named_triplets import collect_names, to_integers
from ..names.source import ReadingOptions, Source
from ..names.words import words_of_id
from .readers import Parts
from .text_folder import from_directory, is_graph_folder

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

IS_PREFIXED = re.compile(r"(?:[^\W\d_][\w.+-]*)?:[^\s:\\]")  # prefixed names and IRIs, but no path of Windows


@dataclass(frozen=True)
class TextCounts:
    """From what the texts of the entities are made.

    Attributes:
        named: how many entities have a name.
        described: how many have a description; most of them have a name too.
        only_category: how many have neither, but a category.
        only_id: how many have nothing but their id.
        example: the id of the first entity that has nothing but its id; None if all have more.
        is_bare: which entities have nothing but their id, bool of shape (num_entities,).
    """

    named: int
    described: int
    only_category: int
    only_id: int
    example: str | None
    is_bare: np.ndarray


@dataclass(frozen=True)
class ImportedGraph:
    """A graph, and where it comes from.

    Attributes:
        graph: the graph.
        source: what the reader found; None for a graph that was one already, such as a folder of text files.
        texts: from what the texts of the entities are made; None without a source.
    """

    graph: KnowledgeGraph
    source: Source | None = None
    texts: TextCounts | None = None


def import_graph(path: str | Path, options: ReadingOptions | None = None) -> ImportedGraph:
    """Reads a graph from a file or folder of any format.

    Args:
        path: the file or folder.
        options: what is read of it.

    Returns:
        The graph, with what became of the rest.

    Raises:
        GraphError: as `read_source` and `KnowledgeGraph.from_directory`.
    """
    options = options or ReadingOptions()
    if is_graph_folder(path):
        refuse_options(path, options)
        return ImportedGraph(KnowledgeGraph.from_directory(path))
    source = read_source(path, options)
    parts, texts = to_graph_parts(source)
    return ImportedGraph(KnowledgeGraph(*parts), source, texts)


def refuse_options(name: str | Path, options: ReadingOptions) -> None:
    """Raises GraphError for options of a graph that is one already, such as a folder of text files or a benchmark."""
    if given := options.given():
        raise GraphError(f"{name}: {given[0]} means nothing for a graph that is one already; leave it out")


def read_file(path: str | Path, options: dict[str, Any]) -> Parts:
    """Reads the parts of a graph from a file or folder, as `KnowledgeGraph.from_file`, and logs what became of it."""
    if is_graph_folder(path):
        refuse_options(path, ReadingOptions(**options))
        return from_directory(path, long_text=False)
    return _announced(read_source(path, ReadingOptions(**options)))


def read_pandas(edges: Any, nodes: Any, options: dict[str, Any]) -> Parts:
    """Makes the parts of a graph of DataFrames, as `KnowledgeGraph.from_pandas`."""
    from ..formats.frames import source_of_pandas

    return _announced(source_of_pandas(edges, nodes, ReadingOptions(**options)))


def read_networkx(graph: Any, options: dict[str, Any]) -> Parts:
    """Makes the parts of a graph of a networkx graph, as `KnowledgeGraph.from_networkx`."""
    from ..formats.frames import source_of_networkx

    return _announced(source_of_networkx(graph, ReadingOptions(**options)))


def _announced(source: Source) -> Parts:
    """Makes the parts of a graph; logs in a line each what was read and left out, and which entities have no text."""
    parts, texts = to_graph_parts(source)
    entities, relations, splits = parts
    num_left_out = sum(part.count for part in source.left_out)
    line = (
        f"{source.path}: {source.format}, {len(entities):,} entities, {len(relations):,} relations, "
        f"{sum(len(triplets) for triplets, _ in splits.values()):,} triplets"
    )
    if num_left_out:
        logger.warning("%s; %s statements or values left out: lass-hf import shows them", line, f"{num_left_out:,}")
    else:
        logger.info(line)
    if warning := warn_of_ids(texts, len(entities)):
        logger.warning("%s: %s", source.path, warning)
    return parts


def warn_of_ids(texts: TextCounts, num_entities: int) -> str:
    """Returns a warning of entities that have nothing but their ids, or "" if there are none."""
    if not texts.only_id:
        return ""
    cost = ""
    if 2 * texts.only_id > num_entities:
        cost = "; a model that reads only ids learns little from words: give names (name_of, or a table of nodes)"
    return (
        f"{texts.only_id:,} of {num_entities:,} entities have no text, such as {escaped(texts.example or '')}: their "
        f"ids stand in for it{cost}"
    )


def to_graph_parts(source: Source) -> tuple[Parts, TextCounts]:
    """Makes the parts of a graph from a source.

    The text of an entity is "name, description", or one of them; "name, category in words" without a description; and
    words made of the id in place of a name that is missing. That of a relation is its name, or words made of its id.

    Args:
        source: what a reader found.

    Returns:
        Entities as the source lists them, then by first occurrence; relations of the triplets in the same order;
        splits; and from what the texts of the entities are made.

    Raises:
        GraphError: the source has no triplets, or an id is empty or listed twice.
    """
    splits = {name: split for name, split in source.splits.items() if len(split.codes)}
    if not splits:
        raise GraphError(f"{source.path}: no triplets ({source.format}); expected relations between entities")
    used = collect_names(splits, "relations")
    entities, counts = _entities(source.entities, collect_names(splits, "entities"))
    relations = _relations(source.relations, used)
    for vocabulary in (entities, relations):
        try:
            vocabulary.check()
        except GraphError as error:
            raise GraphError(f"{source.path}: {error}") from None
        warn_of_look_alikes(vocabulary.kind, vocabulary.ids)
    triplets = to_integers(splits, (entities, relations))
    return (entities, relations, {name: (triplets[name], split.labels) for name, split in splits.items()}), counts


def _entities(table: "pa.Table", occurring: "pa.LargeStringArray") -> tuple[Vocabulary, TextCounts]:
    """Makes the vocabulary of the entities of a table, and of those that occur besides."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids, names, descriptions, categories = _columns(table, occurring, ("name", "description", "category"))
    unnamed, undescribed, uncategorized = (pc.is_null(column) for column in (names, descriptions, categories))
    named = pc.if_else(unnamed, _words(ids, unnamed), names)
    kinds = categories.dictionary_encode()
    words = pa.array([_words_of_category(kind) for kind in kinds.dictionary.to_pylist()], pa.large_string())
    more = pc.coalesce(descriptions, words.take(kinds.indices))
    texts = pc.coalesce(pc.binary_join_element_wise(named, more, pa.scalar(", ", pa.large_string())), named)
    texts = pc.if_else(pc.equal(named, more).fill_null(False), named, texts)
    no_words = np.asarray(pc.and_(unnamed, undescribed))
    is_bare = no_words & np.asarray(uncategorized)
    counts = TextCounts(
        named=len(ids) - int(np.asarray(unnamed).sum()),
        described=len(ids) - int(np.asarray(undescribed).sum()),
        only_category=int((no_words & ~is_bare).sum()),
        only_id=int(is_bare.sum()),
        example=ids[int(is_bare.argmax())].as_py() if is_bare.any() else None,
        is_bare=is_bare,
    )
    return Vocabulary("entities", ids.to_pylist(), texts.to_pylist()), counts


def _relations(table: "pa.Table", occurring: "pa.LargeStringArray") -> Vocabulary:
    """Makes the vocabulary of the relations that occur, in the order of a table."""
    import pyarrow.compute as pc

    occurring_too = pc.is_in(table["id"], value_set=occurring)
    ids, names = (column.to_pylist() for column in _columns(table.filter(occurring_too), occurring, ("name",)))
    # A name that only repeats the end of the id, as in vocabularies, is no words: `domainIncludes`.
    texts = [words_of_id(id) if not name or id.endswith(name) else name for id, name in zip(ids, names, strict=True)]
    return Vocabulary("relations", ids, texts)


def _columns(table: "pa.Table", occurring: "pa.LargeStringArray", columns: tuple[str, ...]) -> "list[pa.Array]":
    """Returns the ids of a table and those that occur besides, and columns of texts: null where there is no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    listed = table["id"].combine_chunks().cast(pa.large_string())
    others = occurring.filter(pc.invert(pc.is_in(occurring, value_set=listed)))
    parts = [pa.concat_arrays([listed, others])]
    for column in columns:
        texts = on_one_line(table[column].combine_chunks().cast(pa.large_string()))
        texts = pc.if_else(pc.equal(texts, ""), None, texts)
        parts.append(pa.concat_arrays([texts, pa.nulls(len(others), pa.large_string())]))
    return parts


def _words(ids: "pa.LargeStringArray", where: Any) -> "pa.LargeStringArray":
    """Makes words of the ids at some places, null elsewhere."""
    import pyarrow as pa

    chosen = np.asarray(where)
    words = np.full(len(ids), None, dtype=object)
    words[chosen] = [
        words_of_id(name) if IS_PREFIXED.match(name) else text_of_id(name) for name in ids.filter(where).to_pylist()
    ]
    return pa.array(words, pa.large_string())


def _words_of_category(category: str) -> str:
    """Makes words of a category, or of several that stand between | or ;: the first, which usually is the nearest."""
    return words_of_id(re.split(r"[|;]", category)[0].strip() or category)
