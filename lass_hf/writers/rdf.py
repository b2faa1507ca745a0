"""Writes judged triplets as RDF: accepted ones as statements, and what is said of each one.

A triplet whose label is true is stated. Each triplet, stated or not, has a node with its score, probability and so on.
In RDF 1.2 the node reifies a triple term (`rdf:reifies`), in RDF 1.1 it is an `rdf:Statement`, which all tools read.
"""

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO

from .judged_triplets import NOTES, TEXTS, FileMetadata, judged_schema, short_doubles
from .source_ids import STANDARD, TERMS, SourceIds, minted_iri

if TYPE_CHECKING:
    import pyarrow as pa

PROV, XSD = STANDARD["prov"], STANDARD["xsd"]
STATEMENT = ("Statement", "subject", "predicate", "object")
SYNTAX = {"ntriples": "N_TRIPLES", "nquads": "N_QUADS", "turtle": "TURTLE"}


def write_rdf(
    chunks: "Iterator[pa.Table]", handle: BinaryIO, metadata: FileMetadata, source: SourceIds, kind: str
) -> None:
    """Writes N-Triples, N-Quads or Turtle.

    Args:
        chunks: the rows.
        handle: what is written to.
        metadata: becomes statements about the run, whose IRI is the named graph of N-Quads.
        source: gives the IRIs of ids.
        kind: the name of the format; the version of RDF is 1.1, for "turtle" 1.2, or the one behind a hyphen.
    """
    import pyoxigraph as ox

    name, _, version = kind.partition("-")
    has_triple_terms = (version or {"turtle": "1.2"}.get(name)) == "1.2"
    run = ox.NamedNode(metadata.run)
    in_graph = partial(ox.Quad, graph_name=run) if name == "nquads" else ox.Triple
    about_graph = ox.Quad if name == "nquads" else ox.Triple
    rows = f"{metadata.run}#row"  # no blank nodes: files can be merged, and pyoxigraph makes these three times as fast
    about_rows = _about_rows(chunks, rows, source, in_graph, has_triple_terms)
    own = {"row": rows, "lass": TERMS} | {one: STANDARD[one] for one in ("rdf", "rdfs", "owl", "skos", "xsd", "prov")}
    ox.serialize(
        itertools.chain(_about_run(run, metadata, about_graph), about_rows),
        handle,
        format=getattr(ox.RdfFormat, SYNTAX[name]),
        prefixes={**own, **_usable(source.prefixes)} if name == "turtle" else None,
    )


def _usable(prefixes: Any) -> dict[str, str]:
    """Returns the prefixes that a file can declare; the others are written out."""
    import pyoxigraph as ox

    usable = {}
    for prefix, namespace in prefixes.items():
        if re.fullmatch(r"([A-Za-z]([\w.-]*[\w-])?)?", prefix, re.ASCII):
            with contextlib.suppress(ValueError):
                ox.NamedNode(namespace)
                usable[prefix] = namespace
    return usable


def _about_run(run: Any, metadata: FileMetadata, make: Any) -> Iterator[Any]:
    """Yields the statements about the run; `make` makes a statement of subject, predicate and object."""
    import pyoxigraph as ox

    texts = {one.name: getattr(metadata, one.name) for one in fields(metadata)}
    settings, date = json.dumps(texts.pop("settings"), sort_keys=True), texts.pop("date")
    typed = {
        f"{PROV}generatedAtTime": (date, f"{XSD}dateTime"),
        f"{TERMS}settings": (settings, f"{STANDARD['rdf']}JSON"),
        **{f"{TERMS}{name}": (text, f"{XSD}string") for name, text in texts.items() if text is not None},
    }
    for term, (text, kind) in typed.items():
        yield make(run, ox.NamedNode(term), ox.Literal(text, datatype=ox.NamedNode(kind)))


def _about_rows(
    chunks: "Iterator[pa.Table]", rows: str, source: SourceIds, make: Any, has_triple_terms: bool
) -> Iterator[Any]:
    """Yields the statements of rows, whose IRIs begin with `rows`; `make` as for `_about_run`."""
    import pyoxigraph as ox

    rdf = {name: ox.NamedNode(f"{STANDARD['rdf']}{name}") for name in ("reifies", "type", *STATEMENT)}
    terms = {name: ox.NamedNode(f"{TERMS}{name}") for name in judged_schema().names}
    number, double = ox.NamedNode(f"{XSD}float"), ox.NamedNode(f"{XSD}double")
    truth = {value: ox.Literal(value) for value in (True, False)}

    @cache
    def node_of(name: str, kind: str) -> Any:
        try:
            return ox.NamedNode(source.iri(name, kind))
        except ValueError:  # a host or a port that is none
            return ox.NamedNode(minted_iri(name, kind))

    row = 0
    for chunk in chunks:
        literal_of = cache(ox.Literal)  # texts come again
        scores = short_doubles(chunk["score"]).to_pylist()
        columns = {name: chunk[name].to_pylist() for name in chunk.column_names} | {"score": scores}
        for head, relation, tail, *texts, score, probability, rank, known, label, kind, reviewer, reasons in zip(
            *columns.values(), strict=True
        ):
            row += 1
            node = ox.NamedNode(f"{rows}{row}")
            triplet = node_of(head, "entity"), node_of(relation, "relation"), node_of(tail, "entity")
            if label:
                yield make(*triplet)
            if has_triple_terms:
                yield make(node, rdf["reifies"], ox.Triple(*triplet))
            else:
                yield make(node, rdf["type"], rdf["Statement"])
                yield make(node, rdf["subject"], triplet[0])
                yield make(node, rdf["predicate"], triplet[1])
                yield make(node, rdf["object"], triplet[2])
            for name, text in zip((*TEXTS, *NOTES), (*texts, kind, reviewer), strict=True):
                if text:
                    yield make(node, terms[name], literal_of(text))
            yield make(node, terms["score"], ox.Literal(repr(score), datatype=number))
            if probability is not None:
                yield make(node, terms["probability"], ox.Literal(repr(probability), datatype=double))
            if rank is not None:
                yield make(node, terms["rank"], literal_of(rank))
            if known is not None:
                yield make(node, terms["known"], truth[known])
            if label is not None:
                yield make(node, terms["label"], truth[label])
            for reason in reasons:
                yield make(node, terms["reasons"], literal_of(reason))
