"""Reads ontologies in the model of OBO: OBO files, and obographs JSON, which holds the same as JSON.

OBO files are parsed by fastobo, the parser of pronto. pronto itself fails at a parent that the file lacks, as slims and
files with imports have them; it also guesses the encoding, and loses the order of the statements.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import GraphError, library_errors
from ..core.vocabulary import BLANKS, escaped, is_unicode, shown
from ..names.source import ReadingOptions, Source, needs_extra
from .detection import detect_format, gzip_errors
from .ontology import OBO_IRIS, Ontology, Term
from .text_files import check_text

_OBO_IRI = re.compile(re.escape(OBO_IRIS) + r"([A-Za-z][A-Za-z_]*)_(\w+)")
_PROPERTIES = "http://www.geneontology.org/formats/oboInOwl#"  # namespace of some properties in obographs JSON
_TAGS = {"xrefs": "xref", "subsets": "subset", "comments": "comment"}  # fields of obographs JSON -> tags of OBO


def read_obo(path: str | Path, options: ReadingOptions) -> Source:
    """Reads an OBO file or obographs JSON.

    Args:
        path: the file, which may be compressed with gzip.
        options: `relations`, `exclude` and `limit` are applied by `select_triplets`; the others mean nothing here.

    Returns:
        The terms that are not obsolete, with name, definition (or "also called" and the exact synonyms) and namespace
        as category; the triplets of is_a and relationship as they stand in the file, without those inferred from them.

    Raises:
        GraphError: fastobo is not installed (obographs JSON does not need it), an option means nothing here, or the
            content is wrong; the message names the line, or the node or edge.
    """
    kind = detect_format(path)
    options.refuse_others(kind.path, kind.name, ())
    failed = f"{kind.path}: cannot be read as {kind.name}"
    with library_errors(failed, kind=GraphError), gzip_errors(kind.path), kind.open() as file:
        text = check_text(kind.path, file.read()).decode()
        ontology = _parse_json(kind.path, text) if kind.name == "obographs JSON" else _parse_obo(kind.path, text)
    return ontology.to_source(kind.path, kind.name)


def _parse_obo(path: Path, text: str) -> Ontology:
    try:
        import fastobo
    except ModuleNotFoundError:
        raise needs_extra(path, "OBO", "obo") from None
    ontology = Ontology()
    # Lines that are comments may stand anywhere, but fastobo does not read them in the header.
    content = re.sub(r"(?m)^[ \t]*!.*$", "", text).encode()
    lines = text.split("\n")
    stanzas = (number for number, line in enumerate(lines, start=1) if line.lstrip().startswith("["))
    try:
        document = fastobo.iter(io.BytesIO(content), ordered=True, threads=1)
        for clause in document.header():
            if clause.raw_tag() == "import":
                ontology.notes.append(f"import: {clause.raw_value()} is not fetched; its terms have no texts")
            elif clause.raw_tag() == "idspace":
                ontology.namespaces[str(clause.prefix)] = str(clause.url)
        for frame, line in zip(document, stanzas, strict=True):
            if isinstance(frame, fastobo.term.TermFrame):
                _add_term(ontology, frame, path, line)
            elif isinstance(frame, fastobo.typedef.TypedefFrame):
                names = [clause.name.strip() for clause in frame if clause.raw_tag() == "name"]
                ontology.relations[str(frame.id)] = (names[0] if names else None, None)
                ontology.leave_out("typedef", str(frame.id))
            else:
                ontology.leave_out("instance", lines[line])  # its id; fastobo cannot say it
    except SyntaxError as error:
        raise GraphError(_explain(path, lines, error)) from None
    return ontology


def _explain(path: Path, lines: list[str], error: SyntaxError) -> str:
    """Returns the line about a syntax error of fastobo."""
    number = min(error.lineno or 1, len(lines))
    line, before = lines[number - 1], lines[number - 2].strip() if number > 1 else ""
    what = f"{shown(line.strip())} is not as OBO has it ({error.msg})"
    if before in ("[Term]", "[Typedef]", "[Instance]") and not line.startswith("id:"):
        what = f"the stanza {before} does not begin with its id, but with {shown(line.strip())}"
    is_end = not any(map(str.strip, lines[number:]))
    return f"{path}, line {number}: {what}{'; the file seems to be cut off: get it again' if is_end else ''}"


def _add_term(ontology: Ontology, frame: Any, path: Path, line: int) -> None:
    """Adds a stanza of a term; a second stanza of a term adds to the first."""
    id = str(frame.id)
    if id in ontology.terms:
        ontology.repeated.append(f"{id} in line {line}")
    term = ontology.terms.setdefault(id, Term())
    for clause in frame:
        tag = clause.raw_tag()
        if tag in ("is_a", "relationship"):
            relation = "is_a" if tag == "is_a" else str(clause.typedef)
            ontology.triplets.append((id, relation, str(clause.term)))
            if clause.qualifiers:
                ontology.leave_out("qualifier", str(clause))
        elif tag in ("name", "def"):
            key, value = ("name", clause.name) if tag == "name" else ("definition", clause.definition)
            if getattr(term, key) not in (None, value.strip()):
                raise GraphError(f"{path}, line {line}: a second, different {key} of {escaped(id)}; expected one")
            setattr(term, key, value.strip())
        elif tag == "synonym":
            ontology.add_synonym(term, id, clause.synonym.desc.strip(), clause.synonym.scope)
        elif tag == "namespace":
            term.namespace = str(clause.namespace)
        elif tag == "alt_id":
            ontology.alternatives[str(clause.alt_id)] = id
        elif tag == "is_obsolete":
            term.is_obsolete = clause.obsolete
        else:
            ontology.leave_out(tag, f"{id}: {clause.raw_value()}")


def _parse_json(path: Path, text: str) -> Ontology:
    try:
        graphs = json.loads(text)["graphs"]
    except json.JSONDecodeError as error:
        cut = "" if text.rstrip().endswith("}") else "; the file seems to be cut off: get it again"
        raise GraphError(f"{path}, line {error.lineno}: not JSON ({error.msg}){cut}") from None
    ontology = Ontology()
    for place, node in _items(path, graphs, "nodes"):
        with library_errors(f"{place}: not as obographs have it", "; expected id, lbl, type and meta", GraphError):
            _add_node(ontology, node)
    for place, edge in _items(path, graphs, "edges"):
        with library_errors(f"{place}: not as obographs have it", "; expected sub, pred and obj", GraphError):
            _add_edge(ontology, *(_shorten(_text(edge[key])) for key in ("sub", "pred", "obj")))
    return ontology


def _items(path: Path, graphs: Any, kind: str) -> Iterator[tuple[str, Any]]:
    """Yields the nodes or edges of obographs, each with its place in the file."""
    for number, graph in enumerate(graphs, start=1):
        for position, item in enumerate(graph.get(kind) or (), start=1):
            yield f"{path}, {kind[:-1]} {position} of graph {number}", item


def _text(value: Any) -> str:
    """Returns a string of JSON without blanks around it; raises ValueError if it is none, or not valid Unicode."""
    if not isinstance(value, str) or not is_unicode(value) or not (text := value.strip(BLANKS)):
        raise ValueError(f"{shown(value)} is no text")
    return text


def _shorten(iri: str) -> str:
    """Returns the id that an IRI of the OBO library has in OBO files, and others as they are."""
    found = _OBO_IRI.fullmatch(iri)
    return f"{found[1]}:{found[2]}" if found else iri


def _add_node(ontology: Ontology, node: dict[str, Any]) -> None:
    """Adds a node; one that an earlier graph of the file has, too, adds what that one lacks, and is not counted again.

    A graph has the terms that it imports as well, often with nothing but their ids.
    """
    iri, meta = _text(node["id"]), node.get("meta") or {}
    id, name = _shorten(iri), _text(node["lbl"]) if node.get("lbl") else None
    source_id = iri if id != iri else None
    if node.get("type") == "PROPERTY":
        if id not in ontology.relations:
            ontology.leave_out("typedef", id)
        ontology.relations[id] = (ontology.relations.get(id, (None, None))[0] or name, source_id)
        return
    is_first, namespace = id not in ontology.terms, None
    term = ontology.terms.setdefault(id, Term(source_id=source_id))
    term.name, term.is_obsolete = term.name or name, term.is_obsolete or bool(meta.get("deprecated"))
    if (definition := meta.get("definition")) and not term.definition:
        term.definition = _text(definition["val"]) if definition["val"] else None
    for synonym in meta.get("synonyms") or ():
        scope, text = {"hasExactSynonym": "EXACT"}.get(synonym["pred"], ""), _text(synonym["val"])
        if is_first or (scope and text not in term.exact_synonyms):
            ontology.add_synonym(term, id, text, scope)
    for value in meta.get("basicPropertyValues") or ():
        if value["pred"] == f"{_PROPERTIES}hasAlternativeId":
            ontology.alternatives[_shorten(_text(value["val"]))] = id
        elif value["pred"] == f"{_PROPERTIES}hasOBONamespace":
            namespace = _text(value["val"])
        elif is_first:
            ontology.leave_out("property_value", f"{id}: {value['pred']} {value['val']}")
    term.namespace = term.namespace or namespace
    for key, tag in _TAGS.items() if is_first else ():
        for value in meta.get(key) or ():
            ontology.leave_out(tag, f"{id}: {value['val'] if isinstance(value, dict) else value}")


def _add_edge(ontology: Ontology, head: str, relation: str, tail: str) -> None:
    if {head, tail} & ontology.relations.keys():
        ontology.leave_out("relation edge", f"{head} {relation} {tail}")
    else:
        ontology.triplets.append((head, relation, tail))
