"""What the columns of a table are for: heads, relations and tails of edges; ids, names and descriptions of nodes.

The roles are guessed from the names of the columns, or given. Case, spaces and punctuation do not matter. What may be
either of two columns is an error that names both and the option that decides.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import GraphError
from ..core.vocabulary import SHOWN, SLOT_NAMES, shown
from ..names.source import ReadingOptions

# Neo4j writes the role, or the type of the values, behind the name of a column: "compoundId:ID(Compound)".
NEO4J_HEADER = re.compile(
    r"(?P<name>[^:]*):(?:(?P<role>ID|START_ID|END_ID|TYPE|LABEL|IGNORE)|(?i:(?:int|long|float|double|boolean|byte|short|char"
    r"|string|point|date|localtime|time|localdatetime|datetime|duration)))(?P<array>\[\])?"
    r"(?:\((?P<space>[^)]*)\))?(?:\{.*\})?"
)
# Neptune writes what is no property behind a tilde. Its label is the type of an edge, or the class of a node.
NEPTUNE_ROLES = {"~id": "ID", "~from": "START_ID", "~to": "END_ID", "~label": "LABEL"}
IS_ID = re.compile(r"[\W_](?:id|ID|Id)$|[a-z](?:ID|Id)$")  # "drug_id", "drugId", but not "David"
ID_SUFFIXES = ("", "id", "identifier", "curie", "uri", "iri", "cui", "entity", "node", "nodeid", "key", "code", "index")
NAME_SUFFIXES = ["name", "label", "text", "title", "preferredname"]
CATEGORY_SUFFIXES = ["category", "type", "kind", "class", "semtype"]


@dataclass(frozen=True)
class _Pair:
    """The words for the heads and tails of one convention, and its word for relations, which is tried first.

    Coordinates, and the first and last base of a gene, are named by `weak` words too.
    """

    head: str
    tail: str
    relation: str | None = None
    weak: bool = False


PAIRS = (
    _Pair("subject", "object", "predicate"),
    _Pair("subj", "obj", "pred"),
    _Pair("source", "target"),
    _Pair("src", "dst"),
    _Pair("head", "tail", "relation"),
    _Pair("node1", "node2", "label"),
    _Pair("entity1", "entity2"),
    _Pair("entitya", "entityb"),
    _Pair("item", "value", "property"),
    _Pair("subjekt", "objekt", "prädikat"),
    _Pair("quelle", "ziel", "beziehung"),
    _Pair("sujet", "objet", "prédicat"),
    _Pair("sujeto", "objeto", "predicado"),
    _Pair("h", "t", "r", weak=True),
    _Pair("s", "o", "p", weak=True),
    _Pair("from", "to", weak=True),
    _Pair("start", "end", "type", weak=True),
    _Pair("x", "y", "relation", weak=True),
)
# fmt: off
RELATIONS = (
    ["predicate", "relation", "relationship", "rel", "pred", "reltype", "relationtype", "relationshiptype", "edgetype",
     "edgelabel", "etype", "linktype", "metaedge", "interaction", "association", "property", "prop", "r", "p"],
    ["type", "label"],
    ["edge"],
    ["kind"],
)
EDGE_IDS = {f"edge{suffix}" for suffix in ID_SUFFIXES if suffix}  # number the edges
TRUTHS = ("label", "labels", "istrue", "truth")
IDS = (
    ["id", "identifier", "curie", "iri", "uri", "nodeid", "entityid", "conceptid", "termid", "qid", "cui", "accession",
     "key", "code", "node", "entity", "concept", "nodeindex"]
)
NAMES = (
    ["name", "label", "preferredlabel", "preflabel", "preferredname", "preferredterm", "rdfslabel", "skospreflabel",
     "nodename", "nodelabel", "entityname", "entitylabel", "conceptname"],
    ["title", "displayname", "fullname", "caption", "term", "symbol"],
    ["text", "nodetext", "entitytext"],
)
DESCRIPTIONS = ["description", "desc", "definition", "def", "comment", "summary", "abstract", "gloss", "text"]
CATEGORIES = ["category", "categories", "type", "types", "class", "kind", "nodetype", "entitytype", "semantictype",
    "labels"]
# fmt: on


@dataclass(frozen=True)
class Column:
    """A column by its name in the header.

    Attributes:
        name: as the header has it.
        key: its letters and digits in lower case; without Neo4j's role and type.
        role: the role that Neo4j wrote, such as "START_ID"; None without one.
        space: the space of the ids, as Neo4j wrote it.
        is_array: whether Neo4j wrote that the values are lists.
    """

    name: str
    key: str
    role: str | None = None
    space: str | None = None
    is_array: bool = False

    @classmethod
    def of(cls, name: str) -> "Column":
        """Takes the name of a column in a header apart."""
        if role := NEPTUNE_ROLES.get(name.strip()):
            return cls(name, _key(name), role)
        if match := NEO4J_HEADER.fullmatch(name.strip()):
            return cls(name, _key(match["name"]), match["role"], match["space"] or None, bool(match["array"]))
        return cls(name, _key(name))


@dataclass(frozen=True)
class EdgeColumns:
    """The columns of a table of edges.

    Attributes:
        ends: those of the heads, of the relations (None: the table has none) and of the tails.
        names: those of the names of these three; None where there is none.
        categories: the same for categories.
        label: says whether the triplet is true.
    """

    ends: tuple[Column, Column | None, Column]
    names: tuple[Column | None, ...] = (None, None, None)
    categories: tuple[Column | None, ...] = (None, None, None)
    label: Column | None = None


@dataclass(frozen=True)
class NodeColumns:
    """The columns of a table of nodes: of their ids, and of names and descriptions, the best first."""

    id: Column
    names: tuple[Column, ...]
    descriptions: tuple[Column, ...]
    category: Column | None


def find_column(header: Iterable[str], given: str) -> Column | None:
    """Finds the column that an option names: as the header writes it, else the only one that reads the same."""
    columns = [Column.of(name) for name in header]
    exact = [column for column in columns if column.name.strip() == given.strip()]
    alike = [column for column in columns if column.key == Column.of(given).key and column.key]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def edge_columns(
    path: Path, header: list[str], options: ReadingOptions, holds_flags: Callable[[str], bool]
) -> EdgeColumns | None:
    """Finds the columns of a table of edges.

    Args:
        path: the file, for error messages.
        header: the names of its columns.
        options: `head_column`, `relation_column` and `tail_column` are used where they are given.
        holds_flags: whether a column holds nothing but 1, 0 and -1, true and false, or "directed" and "undirected".

    Returns:
        The columns; None if the table is none of edges.

    Raises:
        GraphError: two columns may be the heads, the relations or the tails.
    """
    columns = [Column.of(name) for name in header]
    options_of_slots = [getattr(options, f"{slot}_column") for slot in SLOT_NAMES]
    given = [find_column(header, name) if name else None for name in options_of_slots]
    if any(name and not column for name, column in zip(options_of_slots, given, strict=True)):
        return None
    weak = [pair for pair in PAIRS if pair.weak]
    for pairs in ([pair for pair in PAIRS if not pair.weak], weak, _numbered_pairs(columns)):
        if fitting := [found for pair in pairs if (found := _fit(columns, pair, given))]:
            break
    else:
        if missing := [slot for slot in (0, 2) if given[2 - slot] and not given[slot]]:
            slot = SLOT_NAMES[missing[0]]
            raise GraphError(f"{path}: no column is known to hold the {slot}s; give --{slot}_column, {listed(header)}")
        return None
    pair = fitting[0][0]
    head = _only(path, [column for _, heads, _ in fitting for column in heads], "the heads", "head")
    tail = _only(path, [column for _, _, tails in fitting for column in tails], "the tails", "tail")
    usable = [column for column in columns if column not in (head, tail) and column.role in (None, "TYPE", "LABEL")]
    relation = given[1] or _relation(path, usable, pair, holds_flags)
    is_named = any(column.key == "id" for column in columns) and any(column.key in NAMES[0] for column in columns)
    if pair in weak and is_named and not (relation or any(given) or head.role):
        return None  # nodes with a place, such as genes
    truths = [column for column in usable if column != relation and column.key in TRUTHS and holds_flags(column.name)]
    label = truths[0] if truths else None
    names: list[Column | None] = []
    categories: list[Column | None] = []
    words_of_slots = (_stem(head, pair.head), _stem(relation, "") if relation else None, _stem(tail, pair.tail))
    for words in words_of_slots:
        others = [column for column in columns if column not in (head, relation, tail, label)]
        for companions, suffixes in ((names, NAME_SUFFIXES), (categories, CATEGORY_SUFFIXES)):
            keys = [words + suffix for suffix in suffixes] if words else []
            companions.append(next((column for key in keys for column in others if column.key == key), None))
    return EdgeColumns((head, relation, tail), tuple(names), tuple(categories), label)


def node_columns(path: Path, header: list[str], options: ReadingOptions) -> NodeColumns | None:
    """Finds the columns of a table of nodes.

    Args:
        path: the file, for error messages.
        header: the names of its columns.
        options: `id_column`, `name_of` and `description_of` are used where the table has what they name.

    Returns:
        The columns; None if none of them holds ids.

    Raises:
        GraphError: two columns may be the names.
    """
    columns = [Column.of(name) for name in header]
    id = find_column(header, options.id_column) if options.id_column else None
    if id is None:
        in_order = [column for column in columns if column.role == "ID"]
        in_order += [column for key in IDS for column in columns if column.key == key and column.role is None]
        ending = [column for column in columns if IS_ID.search(column.name) and column.role is None]
        if not in_order and len(ending) != 1:
            return None
        id = (in_order or ending)[0]
    stem = re.sub(r"id$", "", id.key)
    names, descriptions = (
        [column for name in given if (column := find_column(header, name))]
        for given in (options.name_of, options.description_of)
    )
    usable = [column for column in columns if column not in (id, *descriptions) and column.role is None]
    if not names:
        tiers = [
            [column for column in usable if column.key in tier]
            for tier in ((*NAMES[0], stem + "name", stem + "label"), *NAMES[1:])
        ]
        tiers = [found for found in tiers if found]
        names = [_only(path, found, "the names", "name_of", "") for found in tiers[:1]]
        if any(column.role == "LABEL" or column.name == "_labels" for column in columns):
            # Nodes of several kinds: people have names, and films have titles.
            names += [found[0] for found in tiers[1:]]
    if not descriptions:
        keys = [prefix + key for key in DESCRIPTIONS for prefix in ("", "node", "entity", stem)]
        descriptions = [column for key in keys for column in usable if column.key == key and column not in names][:1]
    category = next((column for column in columns if column.role == "LABEL"), None)
    for key in CATEGORIES:
        category = category or next((one for one in usable if one.key == key and one not in names), None)
    return NodeColumns(id, tuple(names), tuple(descriptions), category)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def listed(header: Iterable[str]) -> str:
    """Writes the names of columns for an error message."""
    names = list(header)
    return f"one of {', '.join(map(shown, names[:SHOWN]))}{', ...' if len(names) > SHOWN else ''}"


def _fit(
    columns: list[Column], pair: _Pair, given: list[Column | None]
) -> tuple[_Pair, list[Column], list[Column]] | None:
    """Returns a pair with the columns that may be its heads and those that may be its tails; None without both."""
    others = [column for column in columns if column not in given]
    heads = [given[0]] if given[0] else _with_word(others, pair.head, "START_ID")
    tails = [given[2]] if given[2] else _with_word(others, pair.tail, "END_ID")
    return (pair, heads, tails) if heads and tails else None


def _with_word(columns: list[Column], word: str, role: str) -> list[Column]:
    """Returns the columns for an end of the edges: those with Neo4j's role, else those of ids, else those of names."""
    if with_role := [column for column in columns if column.role == role]:
        return with_role
    for suffixes in (ID_SUFFIXES, NAME_SUFFIXES):
        # x and y alone are coordinates.
        keys = {key for suffix in suffixes for key in (word + suffix, suffix + word) if key not in ("x", "y")}
        found = [column for column in columns if column.key in keys and column.role is None]
        if len(found) > 1:
            # Ids of several sources may be alike, and then only an index tells their nodes apart.
            has_sources = any(column.key == word + "source" for column in columns)
            is_index = [column.key.endswith("index") for column in found]
            found = [column for column, index in zip(found, is_index, strict=True) if index == has_sources] or found
        if found:
            return found
    return []


def _numbered_pairs(columns: list[Column]) -> list[_Pair]:
    """Returns the pairs of columns whose names differ in their number: "protein1" and "protein2"."""
    keys = [column.key for column in columns]
    if "id" in keys:
        return []  # nodes with two synonyms
    stems = [match[1] for key in keys if (match := re.fullmatch(rf"(\D+)1(?:{'|'.join(ID_SUFFIXES)})", key))]
    return [_Pair(f"{stem}1", f"{stem}2") for stem in stems]


def _relation(path: Path, columns: list[Column], pair: _Pair, holds_flags: Callable[[str], bool]) -> Column | None:
    if with_role := [column for column in columns if column.role]:
        return with_role[0]
    for words in RELATIONS if pair.relation is None else ([pair.relation], *RELATIONS):
        for suffixes in ([""], ID_SUFFIXES, NAME_SUFFIXES):
            keys = {word + suffix for word in words for suffix in suffixes} - EDGE_IDS
            found = [column for column in columns if column.key in keys]
            # Whether a triplet is true, and Gephi's "Undirected", are no relations.
            if found := [one for one in found if one.key not in ("type", *TRUTHS) or not holds_flags(one.name)]:
                return _only(path, found, "the relations", "relation")
    return None


def _only(path: Path, found: list[Column], role: str, option: str, suffix: str = "_column") -> Column:
    first, *others = dict.fromkeys(found)
    if others:
        names = f"{shown(first.name)} and {shown(others[0].name)}"
        raise GraphError(f"{path}: columns {names} may both be {role}; give one of them as --{option}{suffix}")
    return first


def _stem(column: Column, word: str) -> str:
    """Returns the word that the columns of names and categories begin with: "subject" for "subject_id"."""
    if word and column.key.startswith(word):
        return word
    suffix = next((suffix for suffix in ID_SUFFIXES if suffix and column.key.endswith(suffix)), "")
    return column.key.removesuffix(suffix) or column.key
